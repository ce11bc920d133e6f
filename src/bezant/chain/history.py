"""The history tree: RFC 6962 over blocks, one leaf each, and what it proves.

A block is in a checkpoint (inclusion, RFC 9162 §2.1.3); a later checkpoint begins with all of an
earlier one (consistency, §2.1.4), so whoever kept last month's root can be shown that nothing before
it changed. Complete subtrees never change once they are filled, so a tree is kept by storing their
roots; everything else is folded together from a logarithm of them when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bezant.model.digest import TAG_BLOCK, sha256
from bezant.model.merkle import EMPTY_ROOT, INNER, LEAF


class Subtrees(Protocol):
    """The roots of the complete subtrees of a growing tree."""

    def node(self, level: int, index: int) -> bytes:
        """Return the root over the leaves ``index << level`` to ``(index + 1) << level``, 32 bytes."""


class Peaks:
    """A growing tree by the roots of the complete subtrees that no larger one contains, left to right."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)

    def append(self, leaf: bytes) -> list[bytes]:
        """Add a leaf hash; return it and the roots of the subtrees that it completes, lowest first."""
        node, new, level = leaf, [leaf], 0
        while self.size >> level & 1:
            node = sha256(INNER, self._peaks.pop(), node)
            new.append(node)
            level += 1
        self._peaks.append(node)
        self.size += 1
        return new

    def root(self) -> bytes:
        """Return the root of all leaves."""
        if not self._peaks:
            return EMPTY_ROOT
        *others, found = self._peaks
        for peak in reversed(others):
            found = sha256(INNER, peak, found)
        return found


def block_leaf(height: int, time_ns: int, leaves: int, app_hash: bytes) -> bytes:
    """Return the leaf hash of a block; `leaves` is how many receipt leaves its app hash covers."""
    numbers = b"".join(value.to_bytes(8, "little") for value in (height, time_ns, leaves))
    return sha256(LEAF, TAG_BLOCK, numbers, app_hash)


def root(tree: Subtrees, size: int) -> bytes:
    """Return the root of the first `size` leaves."""
    return _span(tree, 0, size) if size else EMPTY_ROOT


def inclusion_path(tree: Subtrees, index: int, size: int) -> list[bytes]:
    """Return the path from leaf `index` to the root of the first `size`, nearest sibling first."""
    start, end, found = 0, size, []
    while end - start > 1:
        split = start + _largest_power_below(end - start)
        if index < split:
            found.append(_span(tree, split, end))
            end = split
        else:
            found.append(_span(tree, start, split))
            start = split
    return found[::-1]


def consistency_path(tree: Subtrees, old: int, new: int) -> list[bytes]:
    """Return the proof that the first `new` leaves begin with the first `old`, 1 ≤ old ≤ new.

    Source: RFC 9162 §2.1.4.1, its recursion turned into a descent.
    """
    start, end, known, found = 0, new, True, []
    while old != end:
        split = start + _largest_power_below(end - start)
        if old <= split:
            found.append(_span(tree, split, end))
            end = split
        else:
            found.append(_span(tree, start, split))
            start, known = split, False
    if not known:
        found.append(_span(tree, start, end))
    return found[::-1]


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Return whether a consistency proof holds. Source: RFC 9162 §2.1.4.2.

    The empty tree is a beginning of every tree, and needs no proof.
    """
    if not 0 <= old <= new:
        return False
    if old in (0, new):
        return not path and old_root == (new_root if old else EMPTY_ROOT)
    nodes = list(path) if old & (old - 1) else [old_root, *path]
    if not nodes:
        return False
    index, last = old - 1, new - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    first = second = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            first, second = sha256(INNER, node, first), sha256(INNER, node, second)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            second = sha256(INNER, second, node)
        index, last = index >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _span(tree: Subtrees, start: int, end: int) -> bytes:
    """Return the root of leaves `start..end` of a span that the RFC's splitting arrives at."""
    size = end - start
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return tree.node(level, start >> level)
    split = start + _largest_power_below(size)
    return sha256(INNER, _span(tree, start, split), _span(tree, split, end))


def _largest_power_below(size: int) -> int:
    """Return the largest power of two smaller than `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)
