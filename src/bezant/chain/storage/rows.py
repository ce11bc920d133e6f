"""Rows of one layout in a file, appended and read by number: what a chain derives, kept off memory.

Nothing here is synced for an acknowledgement: a snapshot syncs the file and notes how many rows it
had, and what follows is derived again from the journal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.chain.storage.disk import Disk, storage_error, write_all
from bezant.errors import StorageError

WRITE_OUT_BYTES = 1 << 20
"""Rows that gather before the system is asked to write them out. Left alone it does so half a minute later,
all at once, and while the file grows by a hundred megabytes every sync of any file waits: 60 to 100 ms."""


class RowFile:
    """A table on disk. One thread appends; any may read what was appended."""

    def __init__(
        self, path: Path, dtype: np.dtype[Any], disk: Disk, keep: int = 0, *, first: int = 0
    ) -> None:
        """Open with the rows below number `keep`, or anew; the first row has the number `first`.

        Raises: StorageError ``rows_missing``.
        """
        keep = max(keep, first)
        self._disk, self._dtype, self._path, self._first = disk, dtype, path, first
        self._file, self._is_named = -1, keep > first
        self._is_in_doubt = False
        try:
            self._file = disk.open(path) if keep > first else disk.create(path)
            if disk.size(self._file) < (keep - first) * dtype.itemsize:
                raise StorageError(
                    f"{path.name} has fewer than the {keep - first} rows it had at the snapshot",
                    code="rows_missing",
                )
        except OSError as error:
            raise storage_error(f"open {path.name}", error) from error
        except StorageError:
            self.close()
            raise
        self._count = keep
        self._written_out = (keep - first) * dtype.itemsize

    def __len__(self) -> int:
        """The number of the row that would be next."""
        return self._count

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Write rows behind the last; readers see them afterwards."""
        place = (self._count - self._first) * self._dtype.itemsize
        write_all(self._disk, self._file, rows.tobytes(), place)
        self._count += len(rows)
        if (more := place + rows.nbytes - self._written_out) >= WRITE_OUT_BYTES:
            self._disk.write_out(self._file, self._written_out, more)
            self._written_out += more

    def read(self, first: int, count: int) -> npt.NDArray[Any]:
        """Return a copy of rows `first..first + count`, all of which were appended. Raises: StorageError."""
        width = self._dtype.itemsize
        start = (first - self._first) * width
        try:
            data = self._disk.pread(self._file, count * width, start)
            while len(data) < count * width:
                more = self._disk.pread(self._file, count * width - len(data), start + len(data))
                if not more:
                    raise StorageError(
                        f"{self._path.name} ends before row {first + count}", code="rows_missing"
                    )
                data += more
        except OSError as error:
            raise storage_error(f"read {self._path.name}", error) from error
        return np.frombuffer(data, self._dtype).copy()

    def search(self, field: str, value: int, *, after: bool = False) -> int:
        """Return the first row whose `field`, which never falls, is at least `value` (`after`: above it)."""
        low, high = self._first, self._count
        while low < high:
            middle = (low + high) // 2
            found = int(self.read(middle, 1)[field][0])
            if found < value or (after and found == value):
                low = middle + 1
            else:
                high = middle
        return low

    def sync(self) -> None:
        """Make everything appended durable, and the file's name where it is new.

        A sync that failed may have dropped rows, and the system takes them for written: a later one would
        succeed without them. So there is none; the next start makes the rows anew.
        Raises: StorageError, and ``rows_lost`` from then on.
        """
        if self._is_in_doubt:
            raise StorageError(
                f"a sync of {self._path.name} failed, so no snapshot rests on it until the node starts again",
                code="rows_lost",
            )
        self._is_in_doubt = True
        try:
            self._disk.fdatasync(self._file)
            if not self._is_named:
                self._disk.sync_folder(self._path.parent)
                self._is_named = True
        except OSError as error:
            raise storage_error(f"sync {self._path.name}", error) from error
        self._is_in_doubt = False

    def close(self) -> None:
        """Close the file; twice is no harm."""
        if self._file >= 0:
            self._disk.close(self._file)
            self._file = -1
