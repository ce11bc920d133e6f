"""The segment files of a journal: which there are, what each says of itself, and whether that can be.

Nothing here remembers how far the journal has read: whoever asks says it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bezant.chain.storage import frames
from bezant.chain.storage.disk import Disk, read_span, storage_error, write_zeros
from bezant.chain.storage.frames import SEGMENT_HEADER
from bezant.errors import DecodeError, JournalDamaged


class SegmentFiles:
    """The files in a journal's folder; only `cut` and `remove` change any of them."""

    def __init__(self, folder: Path, network: bytes, disk: Disk) -> None:
        self._folder, self._network, self._disk = folder, network, disk

    def path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.segment"

    def sort(self) -> tuple[list[Path], list[Path]]:
        """Return the segments in use and those prepared but never begun, by a node that then stopped."""
        paths = [path for path in self._disk.list(self._folder) if path.suffix == ".segment"]
        unused = [path for path in paths if self._is_empty(path)]
        return [path for path in paths if path not in unused], unused

    def read(self, path: Path) -> bytes:
        """Return a whole segment."""
        return read_span(self._disk, path)

    def header(self, number: int, first: int, size: int) -> bytes:
        """Return the bytes that a segment of `size` bytes begins with, `first` its first height."""
        return frames.encode_segment_header(self._network, number, first, size)

    def first_height(self, path: Path) -> int:
        """Return the first height that a segment's header names, 0 where it cannot be read."""
        with contextlib.suppress(DecodeError):
            header = read_span(self._disk, path, 0, SEGMENT_HEADER.itemsize)
            return frames.decode_segment_header(header).first_height
        return 0

    def is_torn_start(self, number: int, first: int, data: bytes) -> bool:
        """Return whether a crash tore the header of a segment that was about to be begun.

        No frame is written before the header is durable, so there is nothing else in such a segment.
        """
        expected = self.header(number, first, len(data))
        header = np.frombuffer(data[: len(expected)], np.uint8)
        wanted = np.frombuffer(expected, np.uint8)[: len(header)]
        torn = bool(((header == wanted) | (header == 0)).all()) and data[: len(expected)] != expected
        return torn and is_blank(data[len(expected) :])

    def check_start(self, path: Path, number: int, first: int) -> None:
        """Check the header and length of a segment that is not read. Raises: JournalDamaged."""
        file = self._disk.open(path)
        try:
            size = self._disk.size(file)
        finally:
            self._disk.close(file)
        self.check(path, number, first, read_span(self._disk, path, 0, SEGMENT_HEADER.itemsize), size)

    def check(self, path: Path, number: int, first: int, data: bytes, size: int) -> None:
        """Refuse a segment that is not number `number` of this journal, from block `first` on, or is not as
        long as it was made. Raises: JournalDamaged."""
        try:
            header = frames.decode_segment_header(data)
        except DecodeError as error:
            raise JournalDamaged(
                f"{path.name} at byte 0: {error.message}; restore this file from a backup"
            ) from error
        if header.network != self._network:
            raise JournalDamaged(
                f"{path.name} at byte 0: it belongs to network {header.network.hex()[:16]}, this node to "
                f"{self._network.hex()[:16]}; point the node at its own data folder",
                code="other_network",
            )
        if (header.number, path, header.first_height) != (number, self.path(number), first):
            raise JournalDamaged(
                f"{path.name} at byte 0: it is segment {header.number} from block {header.first_height} on, "
                f"but segment {number} from block {first} on belongs here: a segment is missing, renamed or "
                "shortened; restore it from a backup"
            )
        if header.size != size:
            raise JournalDamaged(
                f"{path.name} at byte {size}: the file was made {header.size} bytes long and ends here; "
                "restore it from a backup"
            )

    def check_tail(self, path: Path, view: memoryview, at: int, height: int, later: Sequence[Path]) -> None:
        """Refuse unless what follows the last intact frame, block `height`, was never acknowledged.

        A segment is begun only when all before it is durable, so where one follows, it says which
        block is its first. In the last one the frames behind say what was durable when they were
        written: all of them are asked, because those of one group say nothing of each other.
        Raises: JournalDamaged.
        """
        if is_blank(view[at:]):
            return
        if later:
            durable = self.first_height(later[0]) - 1
        else:
            durable = max((frame.durable for frame in frames.find_frames(view, at)), default=0)
        if durable > height:
            raise JournalDamaged(
                f"{path.name} at byte {at}: block {height + 1} is damaged, but what follows says "
                f"that every block up to {durable} was durable. Nothing was changed; restore this file "
                "from a backup"
            )

    def check_unused(self, unused: Sequence[Path], last: int) -> None:
        """Refuse unless the one prepared segment follows the last one in use: nothing else leaves one.

        Raises: JournalDamaged.
        """
        for path in unused:
            if path != self.path(last + 1):
                raise JournalDamaged(
                    f"{path.name} at byte 0: it is empty, but the last block read is in segment "
                    f"{last}: a segment between is missing or was emptied; restore it from a backup"
                )

    def remove(self, unused: Sequence[Path]) -> None:
        """Delete segments that were never begun, for good: a torn start that came back after a block followed
        would name another one as next."""
        for path in unused:
            self._disk.unlink(path)
        if unused:
            self._disk.sync_folder(self._folder)

    def cut(self, path: Path, at: int) -> None:
        """Put zeros over a torn tail, so that no later reading takes it for data. Raises: StorageError."""
        disk = self._disk
        descriptor = disk.open(path)
        try:
            write_zeros(disk, descriptor, at, disk.size(descriptor))
            disk.fsync(descriptor)
        except OSError as error:
            raise storage_error("cut the journal's torn tail", error) from error
        finally:
            disk.close(descriptor)

    def _is_empty(self, path: Path) -> bool:
        """Return whether a file holds zeros only; mostly its first bytes tell."""
        header = read_span(self._disk, path, 0, SEGMENT_HEADER.itemsize)
        return is_blank(header) and is_blank(read_span(self._disk, path, SEGMENT_HEADER.itemsize))


def is_blank(data: bytes | memoryview) -> bool:
    """Return whether there are only zeros; a prepared segment has up to 64 MiB of them to look at."""
    return not np.frombuffer(data, np.uint8).any()
