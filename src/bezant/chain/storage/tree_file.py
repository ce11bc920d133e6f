"""The history tree on disk: at most 64 bytes a block in a file, a few hundred bytes in memory.

A leaf is followed by the roots of the subtrees that it completes, lowest first, so a node's place
follows from its level and index alone: leaf ``i`` stands at ``2 i - popcount(i)``. Appending writes
two nodes on the average and reads none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bezant.chain import history
from bezant.chain.storage.disk import Disk
from bezant.chain.storage.rows import RowFile

NODE = np.dtype([("hash", "u1", (32,))])


class HistoryTree:
    """A tree of blocks that grows. One thread appends; any may read."""

    def __init__(self, path: Path, disk: Disk, size: int = 0) -> None:
        """Open with the first `size` leaves. Raises: StorageError."""
        self._rows = RowFile(path, NODE, disk, keep=place(size))
        self._peaks = history.Peaks(size, self._read_peaks(size))

    def append(self, leaf: bytes) -> None:
        """Add the next block's leaf hash."""
        self._rows.append(np.frombuffer(b"".join(self._peaks.append(leaf)), NODE))

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._peaks.size

    def node(self, level: int, index: int) -> bytes:
        """Return the root of a complete subtree; see `history.Subtrees`."""
        last_leaf = ((index + 1) << level) - 1
        return self._rows.read(place(last_leaf) + level, 1).tobytes()

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first `size` leaves, or of all."""
        return history.root(self, self.size if size is None else size)

    def peaks(self) -> history.Peaks:
        """Return the tree as it is now, in memory."""
        return history.Peaks(self.size, self._read_peaks(self.size))

    def sync(self) -> None:
        self._rows.sync()

    def close(self) -> None:
        self._rows.close()

    def _read_peaks(self, size: int) -> list[bytes]:
        peaks, start = [], 0
        for level in range(size.bit_length() - 1, -1, -1):
            if size >> level & 1:
                peaks.append(self.node(level, start >> level))
                start += 1 << level
        return peaks


def place(leaf: int) -> int:
    """Return the row of a leaf, which is also how many nodes the leaves before it made."""
    return 2 * leaf - leaf.bit_count()
