"""Merkle trees against RFC 6962 §2.1 written down as the RFC says it: by splitting, recursively."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from bezant.model.digest import Digests
from bezant.model.merkle import EMPTY_ROOT, group_roots, leaf_hashes, path, root, root_from_path

SIZES = range(1, 71)


def plain_root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + plain_root(leaves[:split]) + plain_root(leaves[split:])).digest()


def plain_path(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*plain_path(index, leaves[:split]), plain_root(leaves[split:])]
    return [*plain_path(index - split, leaves[split:]), plain_root(leaves[:split])]


def hashed(size: int) -> Digests:
    return leaf_hashes(np.random.default_rng(size).integers(0, 256, (size, 40), dtype=np.uint8))


def test_leaves_are_tagged() -> None:
    rows = np.arange(80, dtype=np.uint8).reshape(2, 40)
    expected = [hashlib.sha256(b"\x00" + row.tobytes()).digest() for row in rows]
    assert [row.tobytes() for row in leaf_hashes(rows)] == expected


@pytest.mark.parametrize("size", SIZES)
def test_root_and_paths_are_the_rfcs(size: int) -> None:
    leaves = hashed(size)
    before = leaves.copy()
    plain = [row.tobytes() for row in leaves]
    expected = plain_root(plain)
    assert root(leaves) == expected
    assert (leaves == before).all(), "folding works on a copy"
    for index in range(size):
        siblings = path(leaves, index)
        assert siblings == plain_path(index, plain)
        assert root_from_path(plain[index], index, size, siblings) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 11, 64, 70])
def test_wrong_paths_lead_elsewhere(size: int) -> None:
    leaves = hashed(size)
    plain, expected = [row.tobytes() for row in leaves], root(leaves)
    for index in range(size):
        siblings = path(leaves, index)
        assert root_from_path(plain[index], index, size, [*siblings, bytes(32)]) is None
        assert root_from_path(plain[index], index, size, siblings[:-1]) is None or not siblings
        assert root_from_path(bytes(32), index, size, siblings) != expected
        for other in range(size):
            if other != index:
                assert root_from_path(plain[index], other, size, siblings) != expected
        for at in range(len(siblings)):
            changed = [*siblings]
            changed[at] = bytes(32)
            assert root_from_path(plain[index], index, size, changed) != expected


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0), (0, -1), (2**70, 4)])
def test_an_index_outside_the_tree_has_no_root(index: int, size: int) -> None:
    assert root_from_path(bytes(32), index, size, []) is None


def test_a_huge_tree_size_costs_nothing() -> None:
    assert root_from_path(bytes(32), 0, 2**64, []) is None


def test_groups_are_folded_apart() -> None:
    leaves = hashed(30)
    before = leaves.copy()
    first, count = np.array([0, 1, 8, 9, 29], np.uint32), np.array([1, 7, 1, 20, 1], np.uint32)
    plain = [row.tobytes() for row in leaves]
    expected = [plain_root(plain[f : f + c]) for f, c in zip(first, count, strict=True)]
    assert [row.tobytes() for row in group_roots(leaves, first, count)] == expected
    assert (leaves == before).all()
    each, ones = np.arange(30, dtype=np.uint32), np.ones(30, np.uint32)
    assert [row.tobytes() for row in group_roots(leaves, each, ones)] == plain


def test_no_leaves() -> None:
    assert root(np.zeros((0, 32), np.uint8)) == EMPTY_ROOT == hashlib.sha256(b"").digest()
