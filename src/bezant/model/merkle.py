"""Merkle trees of RFC 6962 §2.1 (and RFC 9162): SHA-256, leaf ``H(00‖x)``, inner ``H(01‖l‖r)``.

Folding level by level and promoting a lone last node gives the very tree that the RFC defines
by splitting at the largest power of two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from bezant.model.digest import (
    Digests,
    Integers,
    begin_lanes,
    copy_into,
    digest_rows,
    hash_lanes,
    new_lanes,
    sha256,
)
from bezant.model.native import ENTRY, KERNEL
from bezant.model.sha256 import LANES

LEAF = b"\x00"
INNER = b"\x01"
_INNER = np.frombuffer(INNER, np.uint8)
EMPTY_ROOT = sha256()
"""The root of no leaves, RFC 6962 §2.1."""


def leaf_hashes(rows: Digests) -> Digests:
    """Return the leaf hashes (n, 32) of rows (n, width) uint8."""
    return digest_rows(LEAF, rows)


@njit(**KERNEL)
def hash_pairs(children, pairs, context, messages, out):
    """Write the parents (pairs, 32) of nodes (2 * pairs, 32), which may be where their children lie."""
    for start in range(0, pairs, LANES):
        end = min(start + LANES, pairs)
        for lane in range(end - start):
            # Two siblings lie side by side in memory.
            copy_into(messages[lane], 1, children[2 * (start + lane)], 64)
        hash_lanes(context, messages, end - start, out[start:end])


@njit(**KERNEL)
def _fold(level, count, context, messages):
    """Fold ``level[:count]`` in place to its root in ``level[0]``."""
    while count > 1:
        pairs = count // 2
        hash_pairs(level, pairs, context, messages, level)
        if count % 2:
            for j in range(32):
                level[pairs, j] = level[count - 1, j]
        count = pairs + count % 2


@njit(**ENTRY)
def _group_roots(level, first, count, context, messages, out):
    begin_lanes(messages, _INNER, 65)
    for group in range(len(first)):
        start = np.int64(first[group])
        _fold(level[start:], np.int64(count[group]), context, messages)
        for j in range(32):
            out[group, j] = level[start, j]


def group_roots(leaves: Digests, first: Integers, count: Integers) -> Digests:
    """Return the root of each group ``leaves[first : first + count]``, (m, 32).

    Groups follow one another and cover the leaves (`check_coverage` says so of an Order's), and
    every count is at least 1; so as many groups as leaves are the leaves themselves.
    """
    out = np.empty((len(first), 32), np.uint8)
    if len(first) == len(leaves):
        out[:] = leaves
    else:
        # Columns of one row count as contiguous and longer ones do not: each would be compiled for by itself.
        groups = np.ascontiguousarray(first), np.ascontiguousarray(count)
        _group_roots(leaves.copy(), *groups, *new_lanes(65, len(leaves) // 2), out)
    return out


def root(leaves: Digests) -> bytes:
    """Return the root of leaf hashes (n, 32)."""
    if not len(leaves):
        return EMPTY_ROOT
    bounds = np.array([0, len(leaves)], np.uint32)
    return group_roots(leaves, bounds[:1], bounds[1:])[0].tobytes()


def path(leaves: Digests, index: int) -> list[bytes]:
    """Return the inclusion path of leaf `index`, nearest sibling first (RFC 6962 §2.1.1)."""
    level = [row.tobytes() for row in leaves]
    found: list[bytes] = []
    while len(level) > 1:
        if index ^ 1 < len(level):
            found.append(level[index ^ 1])
        pairs = [sha256(INNER, level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) & ~1 :]
        index //= 2
    return found


def root_from_path(leaf: bytes, index: int, size: int, siblings: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to, or None where the path has the wrong length.

    Source: RFC 9162 §2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    remaining = list(siblings)
    node, last = leaf, size - 1
    while last:
        if index & 1 or index < last:
            if not remaining:
                return None
            sibling = remaining.pop(0)
            node = sha256(INNER, sibling, node) if index & 1 else sha256(INNER, node, sibling)
        index, last = index // 2, last // 2
    return node if not remaining else None
