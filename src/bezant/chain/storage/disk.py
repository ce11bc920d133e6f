"""The disk as the chain uses it: few calls, so that each can be made to fail at any moment.

`Disk` is the seam: `SystemDisk` is the machine's, and whatever else keeps the protocol may stand in
for it. Below it are the ways of writing that journal and archive share: all of it, or a
StorageError that says why.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import Protocol

from bezant.errors import StorageError

_ZEROS = bytes(1024 * 1024)
_ADVISE = getattr(os, "posix_fadvise", None)


class Disk(Protocol):
    """Files by descriptor, names by path. Every call may raise OSError.

    What is written is durable after `fdatasync` or `fsync` of its file, a name after `sync_folder`
    of its folder; before that a crash may keep any part of it, in any order.
    """

    def make_folder(self, folder: Path) -> None:
        """Create a folder and those above it, unless they are there."""

    def list(self, folder: Path) -> list[Path]:
        """Return the paths of the files in a folder, sorted."""

    def create(self, path: Path) -> int:
        """Open a file for reading and writing, empty whether or not it was there."""

    def open(self, path: Path) -> int:
        """Open a file that is there for reading and writing."""

    def close(self, file: int) -> None: ...

    def size(self, file: int) -> int:
        """Return a file's length in bytes."""

    def pread(self, file: int, count: int, offset: int) -> bytes:
        """Return up to `count` bytes from `offset` on, fewer where the file ends."""

    def pwrite(self, file: int, data: bytes | memoryview, offset: int) -> int:
        """Write from `offset` on and return how many bytes were taken."""

    def write_out(self, file: int, offset: int, count: int) -> None:
        """Have the system begin to write bytes out, where it can be asked to: they are durable no sooner."""

    def fdatasync(self, file: int) -> None: ...

    def fsync(self, file: int) -> None: ...

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, in place of what had it."""

    def unlink(self, path: Path) -> None: ...


class SystemDisk:
    """The machine's own disk."""

    __slots__ = ()

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    def list(self, folder: Path) -> list[Path]:
        return sorted(folder.iterdir())

    def create(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR)

    def close(self, file: int) -> None:
        os.close(file)

    def size(self, file: int) -> int:
        return os.fstat(file).st_size

    def pread(self, file: int, count: int, offset: int) -> bytes:
        return os.pread(file, count, offset)

    def pwrite(self, file: int, data: bytes | memoryview, offset: int) -> int:
        return os.pwrite(file, data, offset)

    def write_out(self, file: int, offset: int, count: int) -> None:
        # What is asked for is that the system needs no copy of them, so it writes out what it has changed.
        if _ADVISE is not None:
            with contextlib.suppress(OSError):
                _ADVISE(file, offset, count, os.POSIX_FADV_DONTNEED)

    def fdatasync(self, file: int) -> None:
        os.fdatasync(file)

    def fsync(self, file: int) -> None:
        os.fsync(file)

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def unlink(self, path: Path) -> None:
        path.unlink()


class ReadOnlyDisk(SystemDisk):
    """The machine's disk, to be read: what is created has no name, and is gone when it is closed."""

    __slots__ = ()

    def make_folder(self, folder: Path) -> None:
        """One that is missing is taken for an empty one."""

    def list(self, folder: Path) -> list[Path]:
        return super().list(folder) if folder.is_dir() else []

    def create(self, path: Path) -> int:
        descriptor, name = tempfile.mkstemp(prefix="bezant-")
        os.unlink(name)
        return descriptor

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDONLY)

    def sync_folder(self, folder: Path) -> None:
        """Nothing in it was changed."""

    def rename(self, old: Path, new: Path) -> None:
        raise _read_only(old)

    def unlink(self, path: Path) -> None:
        raise _read_only(path)


def _read_only(path: Path) -> OSError:
    return OSError(errno.EROFS, "it was opened to be read", str(path))


def write_all(disk: Disk, file: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`. Raises: StorageError."""
    view = memoryview(data)
    while len(view):
        try:
            written = disk.pwrite(file, view, offset)
        except OSError as error:
            raise storage_error("write to the data folder", error) from error
        view, offset = view[written:], offset + written


def write_zeros(disk: Disk, file: int, start: int, end: int) -> None:
    """Write zeros over the bytes `start..end`. Raises: StorageError."""
    for offset in range(start, end, len(_ZEROS)):
        write_all(disk, file, _ZEROS[: min(len(_ZEROS), end - offset)], offset)


def read_span(disk: Disk, path: Path, start: int = 0, count: int | None = None) -> bytes:
    """Return `count` bytes of a file from `start` on, or all that follow; fewer where it ends.

    Raises: StorageError.
    """
    try:
        file = disk.open(path)
        try:
            end = disk.size(file)
            end = end if count is None else min(end, start + count)
            parts: list[bytes] = []
            while start < end and (part := disk.pread(file, end - start, start)):
                parts.append(part)
                start += len(part)
        finally:
            disk.close(file)
    except OSError as error:
        raise storage_error(f"read {path.name}", error) from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


_LACKS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM)
"""What says nothing of the file: files open at once, memory, and that it is another user's."""


def storage_error(doing: str, error: OSError) -> StorageError:
    """Return what to raise when the disk refused; code ``disk_full`` where there is no room, and
    ``storage_unavailable`` where the process lacks something and nothing is said of what is stored."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full:
        return StorageError(
            f"could not {doing}: the disk is full. What was acknowledged is safe; free some space and "
            "restart the node",
            code="disk_full",
        )
    if error.errno in _LACKS:
        return lacking(doing, str(error.strerror))
    return StorageError(f"could not {doing}: {error.strerror or error}", code="storage_failed")


def lacking(doing: str, what: str) -> StorageError:
    """Return what to raise where the process lacks something, and what is stored may be sound."""
    return StorageError(
        f"could not {doing}: {what}. What was acknowledged is safe; give the node what it lacks (open files, "
        "memory, permission) and start it again",
        code="storage_unavailable",
    )
