"""No float and no mixed signs in any compiled kernel of the deterministic layers, by Numba's own types."""

from __future__ import annotations

import importlib.util
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

import bezant
from bezant.testing.kernels import (
    floats_in,
    is_inlined,
    kernels,
    mixed_signs_in,
    name_of,
    out_of_reach_in,
)

SOURCE = Path(__file__).parents[2] / "src"
NOT_TO_IMPORT = ("bezant.__main__", "bezant.testing")

# Compiled afresh, without the cache, because a cache keeps no types. Optimising would only take time.
WALK = """
import json, sys
from pathlib import Path
import numpy as np
from bezant.chain.receipts import build_receipt
from bezant.ledger.kernel.governance import settle
from bezant.ledger.state import dump
from bezant.model.keys import verify_rows
from bezant.model.sha256 import compress
from bezant.model.records import RECEIPT, Fault, Kind, id_of
from bezant.testing.chains import ChainWorld
from bezant.testing.kernels import floats_in, is_inlined, kernels, mixed_signs_in, name_of
from bezant.testing.ledgers import ALICE, fault, record

chain = ChainWorld(Path(sys.argv[1]), segment_bytes=64 * 1024)
alice, bob = chain.fund()
times = {"id": chain.scribe.new_id(), "hold_for_s": 1}
chain.submit((ALICE, record(Kind.HOLD, debtor=alice, creditor=bob, amount=1, **times)))
chain.skip(5)  # the next block finds it expired
block = chain.submit((ALICE, chain.transfer(alice, bob, 1)))
build_receipt(chain.engine.prove(id_of(block.records[0], "id")))
ledger = chain.engine.ledger
ledger.remembered(block.records, np.zeros((1, 32), np.uint8), np.zeros(1, np.uint32))
ledger.foresee(block.records, 0)
ledger.check_invariants()
chain.engine.cover_state()
settle(ledger.state, np.uint64(1), ledger.limits, np.zeros(0, RECEIPT))
ledger._punish(chain.scribe.batch(faults=fault(bytes(32), Fault.DOUBLE_SIGN)))
for table in ("holds", "mandates"):
    ledger._grow(table, 2000)
ledger.restore(dump(ledger.state), 1)
verify_rows(np.zeros((1, 64), np.uint8), np.zeros((1, 112), np.uint8), np.ones((1, 32), np.uint8), 2)
compress(np.zeros(8, np.uint32), np.zeros(64, np.uint8))
chain.engine.close()
walked = [kernel for kernel in kernels() if not is_inlined(kernel)]
print(json.dumps({
    "compiled": [name_of(kernel) for kernel in walked if kernel.overloads],
    "not compiled": [name_of(kernel) for kernel in walked if not kernel.overloads],
    "floats": {name_of(kernel): found for kernel in walked if (found := list(floats_in(kernel)))},
    "mixed": {name_of(kernel): found for kernel in walked if (found := list(mixed_signs_in(kernel)))},
}))
"""


@pytest.mark.slow
def test_no_kernel_knows_a_float_or_mixes_signs(tmp_path: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": str(SOURCE),
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "NUMBA_OPT": "0",
    }
    command = [sys.executable, "-c", WALK, str(tmp_path / "data")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    walked = json.loads(done.stdout)
    assert walked["floats"] == {}
    assert walked["mixed"] == {}
    assert walked["not compiled"] == [], "a kernel that was not exercised was not checked either"
    assert len(walked["compiled"]) > 40


def test_no_python_calls_what_only_kernels_can_call() -> None:
    names = [module.name for module in pkgutil.walk_packages(bezant.__path__, "bezant.")]
    modules = [importlib.import_module(name) for name in names if not name.startswith(NOT_TO_IMPORT)]
    assert {module.__name__: found for module in modules if (found := list(out_of_reach_in(module)))} == {}


def test_such_a_call_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "calling.py").write_text(
        "from numba import njit\n"
        "from bezant.ledger.kernel import words\n"
        "from bezant.ledger.kernel.words import add\n"
        "@njit\ndef kernel(a):\n    return add(a, a, a)\n"
        "def python(a):\n    return add(a, a, words.add(a, a, a))\n"
    )
    spec = importlib.util.spec_from_file_location("calling", tmp_path / "calling.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert list(out_of_reach_in(module)) == ["8: add", "8: words.add"]


@njit
def sum_of_both(signed, unsigned):
    return np.uint64(signed + unsigned)


@njit
def one_less(unsigned):
    return np.uint64(unsigned - 1)


@njit
def hidden_inside(values):
    total = np.uint64(0)
    for i in range(len(values)):
        total += values[i] * i
    return np.uint64(total)


def test_the_walk_finds_what_was_planted() -> None:
    """In sight, by an untyped constant, and inside a body whose ends are all integers."""
    sum_of_both(np.int64(1), np.uint64(2))
    one_less(np.uint64(2))
    hidden_inside(np.ones(3, np.uint64))
    assert any("float64" in found for found in floats_in(hidden_inside))
    assert list(floats_in(sum_of_both)) == []
    for kernel in (sum_of_both, one_less, hidden_inside):
        assert list(mixed_signs_in(kernel)), name_of(kernel)


@njit
def all_unsigned(a, b):
    return (a + b - np.uint64(1)) // np.uint64(2) if a > 5 else a


def test_the_walk_lets_honest_integers_pass() -> None:
    all_unsigned(np.uint64(1), np.uint64(2))
    assert list(mixed_signs_in(all_unsigned)) == list(floats_in(all_unsigned)) == []


def test_the_walk_finds_the_kernels() -> None:
    names = {name_of(kernel) for kernel in kernels()}
    assert {
        "bezant.ledger.kernel.apply.apply_records",
        "bezant.ledger.kernel.payments.pay",
        "bezant.ledger.kernel.words.add",
        "bezant.model.merkle._fold",
        "bezant.chain.leaves._write_leaves",
    } <= names
    assert any(is_inlined(kernel) for kernel in kernels())
