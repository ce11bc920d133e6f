"""The history tree against the RFC's recursive definitions, and a file that keeps it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from bezant.chain import history
from bezant.chain.storage.disk import SystemDisk
from bezant.chain.storage.tree_file import HistoryTree
from bezant.errors import StorageError
from bezant.model import merkle

SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 31, 40)


def leaf(number: int) -> bytes:
    return history.block_leaf(number + 1, number * 10, 3, bytes([number % 256]) * 32)


def split(size: int) -> int:
    at = 1
    while at * 2 < size:
        at *= 2
    return at


def plain_root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    at = split(len(leaves))
    return hashlib.sha256(b"\1" + plain_root(leaves[:at]) + plain_root(leaves[at:])).digest()


def plain_proof(old: int, leaves: list[bytes], known: bool = True) -> list[bytes]:
    """RFC 9162 §2.1.4.1, SUBPROOF."""
    if old == len(leaves):
        return [] if known else [plain_root(leaves)]
    at = split(len(leaves))
    if old <= at:
        return [*plain_proof(old, leaves[:at], known), plain_root(leaves[at:])]
    return [*plain_proof(old - at, leaves[at:], False), plain_root(leaves[:at])]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> HistoryTree:
    made = HistoryTree(tmp_path_factory.mktemp("tree") / "history.tree", SystemDisk())
    for number in range(max(SIZES)):
        made.append(leaf(number))
    return made


@pytest.mark.parametrize("size", SIZES)
def test_roots_and_paths_are_the_rfcs(tree: HistoryTree, size: int) -> None:
    leaves = [leaf(number) for number in range(size)]
    root = plain_root(leaves)
    assert tree.root(size) == root
    rows = np.frombuffer(b"".join(leaves), np.uint8).reshape(-1, 32)
    for index in range(size):
        path = history.inclusion_path(tree, index, size)
        assert path == merkle.path(rows, index)
        assert merkle.root_from_path(leaves[index], index, size, path) == root


@pytest.mark.parametrize("new", SIZES)
def test_consistency_is_the_rfcs_and_breaks_at_any_change(tree: HistoryTree, new: int) -> None:
    leaves = [leaf(number) for number in range(new)]
    for old in range(1, new + 1):
        path, before, after = history.consistency_path(tree, old, new), tree.root(old), tree.root(new)
        assert path == plain_proof(old, leaves)
        assert history.is_consistent(old, new, before, after, path)
        wrong = bytes(32)
        assert not history.is_consistent(old, new, wrong, after, path)
        assert not history.is_consistent(old, new, before, wrong, path)
        assert not history.is_consistent(old, new, before, after, [*path, wrong])
        for at in range(len(path)):
            assert not history.is_consistent(old, new, before, after, [*path[:at], wrong, *path[at + 1 :]])
            assert not history.is_consistent(old, new, before, after, path[:at] + path[at + 1 :])
        if old < new:
            assert not history.is_consistent(new, old, after, before, path)


def test_a_history_forked_before_the_old_checkpoint_has_no_proof(tmp_path: Path) -> None:
    """Whatever the forger offers: the paths of either tree do not lead from one root to the other."""
    honest, forked = (HistoryTree(tmp_path / name, SystemDisk()) for name in ("honest", "forked"))
    for number in range(21):
        honest.append(leaf(number))
        forked.append(leaf(number if number != 6 else 99))
    for old in range(7, 21):
        for tree in (honest, forked):
            path = history.consistency_path(tree, old, 21)
            assert not history.is_consistent(old, 21, honest.root(old), forked.root(21), path)


def test_the_empty_tree_begins_every_tree() -> None:
    assert history.is_consistent(0, 5, merkle.EMPTY_ROOT, bytes(32), [])
    assert not history.is_consistent(0, 5, bytes(32), bytes(32), [])
    assert not history.is_consistent(-1, 5, bytes(32), bytes(32), [])


@pytest.mark.parametrize("size", SIZES)
def test_a_tree_goes_on_from_its_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "history.tree"
    made = HistoryTree(path, SystemDisk())
    for number in range(size + 9):
        made.append(leaf(number))
    expected = made.root(size), made.root()
    made.close()
    again = HistoryTree(path, SystemDisk(), size)
    assert (again.size, again.root()) == (size, expected[0]), "what came after the snapshot is left out"
    for number in range(size, size + 9):
        again.append(leaf(number))
    assert again.root() == expected[1]
    again.close()


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.tree"
    made = HistoryTree(path, SystemDisk())
    for number in range(5):
        made.append(leaf(number))
    made.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(StorageError) as refused:
        HistoryTree(path, SystemDisk(), 5)
    assert refused.value.code == "rows_missing"
