"""Nothing is compiled while blocks wait: what they and their checkpoints run was loaded before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# In a process of its own, in which no other test has loaded anything.
BLOCKS = """
import json, sys
from pathlib import Path
from numba.core.caching import NullCache
from bezant.testing.chains import ChainWorld
from bezant.testing.kernels import kernels, name_of
from bezant.testing.ledgers import ALICE, small_genesis

world = ChainWorld(Path(sys.argv[1]), genesis=small_genesis(checkpoint_interval=2))
world.engine.load_kernels()
before = {name_of(one): len(one.overloads) for one in kernels()}
alice, bob = world.fund()
for _ in range(4):
    world.submit((ALICE, world.transfer(alice, bob, 5)))
world.engine.close()
late = [name_of(one) for one in kernels() if len(one.overloads) > before[name_of(one)]]
entries = [name_of(one) for one in kernels() if not isinstance(one._cache, NullCache)]
print(json.dumps({"late": late, "never": [name for name in entries if not before[name]]}))
"""
OUTSIDE_OF_BLOCKS = {
    "bezant.ledger.kernel.identities.enter_ids",
    "bezant.ledger.kernel.tables.fill_owned_index",
    "bezant.ledger.kernel.parties.name_standing",
}
"""What a restart, or a rehearsal of a payment, runs."""


def test_blocks_and_checkpoints_wait_for_no_compiler(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BLOCKS, str(tmp_path / "chain")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    told = json.loads(done.stdout)
    assert told["late"] == []
    assert set(told["never"]) == OUTSIDE_OF_BLOCKS, "what only some blocks hold is loaded as well"
