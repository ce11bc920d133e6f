"""The journal's next segment, filled with zeros while the one before it is in use."""

from __future__ import annotations

import contextlib
from pathlib import Path

from bezant.chain.storage.background import Runner, Task
from bezant.chain.storage.disk import Disk, storage_error, write_zeros
from bezant.errors import StorageError

PIECE_BYTES = 1024 * 1024
"""Zeros that are on the disk before the next follow. The whole segment at once stood in front of every other
sync for 30 to 60 ms; a piece does for one, and all of them take no longer."""


class SpareSegment:
    """Prepares one file at a time. Used by the thread that appends; `check` by any."""

    def __init__(self, disk: Disk, runner: Runner) -> None:
        self._disk, self._runner = disk, runner
        self._task: Task | None = None
        self._failure: StorageError | None = None

    def begin(self, path: Path, size: int) -> None:
        """Begin to prepare the segment after the one that was just begun."""
        self._failure = None

        def fill() -> bool:
            try:
                self._fill(path, size)
            except StorageError as error:
                self._failure = error
            return False

        self._task = self._runner("journal-spare", fill)

    def check(self) -> None:
        """Raise StorageError where there was no room for it."""
        if self._failure is not None:
            raise self._failure

    def join(self) -> None:
        """Return once what was begun is prepared, or has failed."""
        if self._task is not None:
            self._task.join()

    def take(self, path: Path, size: int) -> int:
        """Open a prepared segment, preparing it now where it is missing or too small.

        Raises: StorageError.
        """
        self.join()
        if path in self._disk.list(path.parent):
            descriptor = self._disk.open(path)
            if self._disk.size(descriptor) >= size:
                return descriptor
            self._disk.close(descriptor)
        self._fill(path, size)
        return self._disk.open(path)

    def _fill(self, path: Path, size: int) -> None:
        """Create a file full of zeros, durable, under its final name only when it is complete.

        Raises: StorageError, leaving nothing behind where that is possible.
        """
        disk, partial = self._disk, path.with_suffix(".partial")
        try:
            descriptor = disk.create(partial)
            try:
                for start in range(0, size, PIECE_BYTES):
                    write_zeros(disk, descriptor, start, min(start + PIECE_BYTES, size))
                    disk.fdatasync(descriptor)
                disk.fsync(descriptor)
            finally:
                disk.close(descriptor)
            disk.rename(partial, path)
            disk.sync_folder(path.parent)
        except (OSError, StorageError) as error:
            with contextlib.suppress(OSError):
                disk.unlink(partial)
            if isinstance(error, StorageError):
                raise
            raise storage_error("prepare a journal segment", error) from error
