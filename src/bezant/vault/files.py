"""The few file operations that durability rests on, with the disk's refusals made typed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bezant.errors import StorageError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn OSError into StorageError; a full disk, quota or file limit has code ``disk_full``."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageError(
                f"no room left to write {path} ({error.strerror}); nothing of this write is kept: "
                "free space, then retry",
                code="disk_full",
            ) from error
        raise StorageError(f"cannot use {path}: {error.strerror or error}") from error


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of `data` at an offset, however many calls it takes."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def sync_folder(folder: Path) -> None:
    """Make names created in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Create a file that after a crash is either absent or whole."""
    partial = path.with_name(path.name + ".partial")
    with disk_errors(path):
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            os.fchmod(descriptor, mode)
            write_all(descriptor, data, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(partial, path)
        sync_folder(path.parent)
