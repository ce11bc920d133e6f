"""Merkle trees of RFC 6962 §2.1 (and RFC 9162): SHA-256, leaf ``H(00‖x)``, inner ``H(01‖l‖r)``.

Folding level by level and promoting a lone last node gives the very tree that the RFC defines
by splitting at the largest power of two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from bezant.model.digest import PADDING, Digests, Integers, digest_rows, hash_into, sha256

LEAF = b"\x00"
INNER = b"\x01"
EMPTY_ROOT = sha256()
"""The root of no leaves, RFC 6962 §2.1."""


def leaf_hashes(rows: Digests) -> Digests:
    """Return the leaf hashes (n, 32) of rows (n, width) uint8."""
    return digest_rows(LEAF, rows)


@njit(nogil=True)
def _fold(level, count):
    """Fold ``level[:count]`` in place to its root in ``level[0]``."""
    context = np.empty(28, np.uint32)
    message = np.empty(65 + PADDING, np.uint8)
    message[0] = np.uint8(1)
    while count > 1:
        pairs = count // 2
        for i in range(pairs):
            message[1:33] = level[2 * i]
            message[33:65] = level[2 * i + 1]
            hash_into(context, message, 65, level[i])
        if count % 2:
            level[pairs] = level[count - 1]
        count = pairs + count % 2


@njit(cache=True, nogil=True)
def _group_roots(leaves, first, count, out):
    for group in range(len(first)):
        start, size = np.int64(first[group]), np.int64(count[group])
        if size == 1:
            out[group] = leaves[start]
        else:
            level = leaves[start : start + size].copy()
            _fold(level, size)
            out[group] = level[0]


def group_roots(leaves: Digests, first: Integers, count: Integers) -> Digests:
    """Return the root of each group ``leaves[first : first + count]``, (m, 32); every count is at least 1."""
    out = np.empty((len(first), 32), np.uint8)
    _group_roots(leaves, first, count, out)
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
