"""Writing to the disk as the journal and the archive do: all of it, or a StorageError that says why."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from bezant.errors import StorageError


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`. Raises: StorageError."""
    view = memoryview(data)
    while len(view):
        try:
            written = os.pwrite(descriptor, view, offset)
        except OSError as error:
            raise storage_error("write to the data folder", error) from error
        view, offset = view[written:], offset + written


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(doing: str, error: OSError) -> StorageError:
    """Return what to raise when the disk refused; code ``disk_full`` where there is no room."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full:
        return StorageError(
            f"could not {doing}: the disk is full. What was acknowledged is safe; free some space and "
            "restart the node",
            code="disk_full",
        )
    return StorageError(f"could not {doing}: {error.strerror or error}", code="storage_failed")
