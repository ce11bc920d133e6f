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


NODE = """
import json, sys
from pathlib import Path
from bezant.model.orders import join_authorised
from bezant.pipeline.batch import Submission
from bezant.testing.kernels import kernels, name_of
from bezant.testing.nodes import SmallNode

with SmallNode(Path(sys.argv[1])) as small:
    node = small.node
    before = {name_of(one): len(one.overloads) for one in kernels()}
    small.pay()
    parts = [small.submission(small.transfers(count), together=count > 1) for count in (1, 3, 20)]
    for given in (parts[:1], parts[1:2], parts):
        joined = join_authorised([(one.authorisations, one.records) for one in given])
        node.intake.call(Submission(*joined))
    node.engine.prove_account(small.alice)
    node.engine.prove(small.pay()[0])
    late = [name_of(one) for one in kernels() if len(one.overloads) > before[name_of(one)]]
    print(json.dumps(late))
"""


def test_payments_wait_for_no_compiler_once_a_node_is_open(tmp_path: Path) -> None:
    """One payment and many, under one signature and under several: a column of one row is of another type
    to a compiler than a longer one, and a block of one record hashes nothing together."""
    command = [sys.executable, "-c", NODE, str(tmp_path / "node")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert json.loads(done.stdout) == []


def test_blocks_and_checkpoints_wait_for_no_compiler(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BLOCKS, str(tmp_path / "chain")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    told = json.loads(done.stdout)
    assert told["late"] == []
    assert set(told["never"]) == OUTSIDE_OF_BLOCKS, "what only some blocks hold is loaded as well"
