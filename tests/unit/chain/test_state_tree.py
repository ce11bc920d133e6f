"""The state tree: the RFC's roots, whatever the order of changes, and two roots proved at once."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from bezant.chain.state_tree import (
    CHUNK_ROWS,
    AccountTree,
    Layer,
    WriteOnceDigest,
    state_blind,
    state_leaf_hash,
)
from bezant.ledger.state import ACCOUNT
from bezant.model.merkle import EMPTY_ROOT, root, root_from_path
from bezant.model.records import SIDE

SEED, WIDTH = b"s" * 32, ACCOUNT.itemsize


def some_rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, WIDTH), dtype=np.uint8)


def leaf(row: np.ndarray) -> bytes:
    data = row.tobytes()
    return state_leaf_hash(state_blind(SEED, int.from_bytes(data[:16], "little")), data)


def plain_root(rows: np.ndarray) -> bytes:
    return root(np.frombuffer(b"".join(leaf(row) for row in rows), np.uint8).reshape(-1, 32))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9, 33, 100])
def test_a_tree_that_changes_a_little_is_the_tree_made_anew(count: int) -> None:
    rng, rows = np.random.default_rng(count), some_rows(count)
    tree = AccountTree(SEED, WIDTH)
    assert tree.update(np.arange(count), rows) == plain_root(rows)
    for step in range(6):
        tree.cover()
        grown = len(rows) + step % 3
        fresh = some_rows(grown, 100 + step)
        at = np.unique(np.append(rng.integers(0, grown, 3), np.arange(len(rows), grown)))
        wider = np.zeros((grown, WIDTH), np.uint8)
        wider[: len(rows)] = rows
        wider[at] = fresh[at]
        rows = wider
        assert tree.update(at, rows[at]) == plain_root(rows)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 21])
def test_balances_are_proved_under_the_covered_root_until_the_next_takes_over(count: int) -> None:
    tree, before = AccountTree(SEED, WIDTH), some_rows(count)
    covered = tree.update(np.arange(count), before)
    tree.cover()
    after = some_rows(count + 4, 1)
    newer = tree.update(np.arange(count + 4), after)
    for rows, expected in ((before, covered), (after, newer)):
        assert tree.covered_count == len(rows)
        for position, row in enumerate(rows):
            assert tree.image.covered(position) == row.tobytes()
            path = tree.covered_path(position)
            assert root_from_path(leaf(row), position, len(rows), path) == expected
        tree.cover()


def test_an_empty_tree_has_the_empty_root() -> None:
    assert AccountTree(SEED, WIDTH).update(np.zeros(0, np.int64), some_rows(0)) == EMPTY_ROOT


def test_one_account_after_a_checkpoint_of_none() -> None:
    tree, rows = AccountTree(SEED, WIDTH), some_rows(1)
    assert tree.update(np.zeros(0, np.int64), some_rows(0)) == EMPTY_ROOT
    assert tree.update(np.arange(1), rows) == AccountTree(SEED, WIDTH).update(np.arange(1), rows)


def test_a_row_begins_with_id_and_counters() -> None:
    """What a verifier reads of an account row without knowing the rest of it."""
    assert ACCOUNT.names is not None
    assert ACCOUNT.names[:10] == ("id_lo", "id_hi", *(SIDE.names or ()))
    assert [ACCOUNT.fields[name][1] for name in ACCOUNT.names[:10]] == list(range(0, 80, 8))  # type: ignore[index]


def test_a_layer_tells_what_it_was() -> None:
    layer = Layer(1)
    layer.write(np.array([0, 1, 2]), np.array([[1], [2], [3]], np.uint8))
    layer.cover()
    layer.write(np.array([1, 3]), np.array([[9], [4]], np.uint8))
    assert [layer.covered(at) for at in range(3)] == [b"\1", b"\2", b"\3"]
    assert layer.rows.tolist() == [[1], [9], [3], [4]]


@pytest.mark.parametrize("step", [1, 1000, CHUNK_ROWS // 2, CHUNK_ROWS, CHUNK_ROWS + 3])
def test_a_table_that_grows_has_the_digest_of_its_rows_however_it_grew(step: int) -> None:
    rows = np.arange(2 * CHUNK_ROWS + 10, dtype=np.uint64)
    expected = WriteOnceDigest().digest(0, rows)
    growing = WriteOnceDigest()
    for end in range(step, len(rows), max(step, len(rows) // 40)):
        growing.digest(0, rows[:end])
    assert growing.digest(0, rows) == expected
    assert growing.digest(1, rows[:5]) == WriteOnceDigest().digest(1, rows[:5])
    assert expected != WriteOnceDigest().digest(0, rows[::-1])
    chunk = [
        hashlib.sha256(rows[at : at + CHUNK_ROWS].tobytes()).digest()
        for at in range(0, len(rows), CHUNK_ROWS)
    ]
    assert expected == hashlib.sha256(b"".join(chunk)).digest()
