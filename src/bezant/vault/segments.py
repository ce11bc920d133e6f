"""The sealed log: segment files of frames, appended by many threads, synced in groups.

`append` writes and returns a ticket; only `sync` makes it durable, and one sync covers everything
appended before it. Room is reserved ahead of writing, because `fdatasync` on a file that does not
grow is several times quicker at the tail and a full disk then shows before a frame is begun. Behind a
small frame it is filled with zeros as well: what overwrites them changes no metadata, whose commit would
take longer than the frame and write out what other files have waiting.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bezant.errors import StorageError
from bezant.vault import frames
from bezant.vault.files import disk_errors, sync_folder, write_all
from bezant.vault.frames import ALIGNMENT, CLOSING, HEADER, Columns
from bezant.vault.sealing import U8Array

SEGMENT_BYTES: Final = 256 << 20
RESERVE_BYTES: Final = 8 << 20
FILL_BYTES: Final = 1 << 20
"""What a frame of at most an eighth of it fills; larger ones would have everything written twice. Into what
is filled a sync writes data alone. Filling has it commit the file system's own changes too, and with four
times as many such commits, for a quarter of this each, some took 70 to 90 ms."""
_NAME: Final = "segment-{:08d}.log"
_RESERVE = getattr(os, "posix_fallocate", None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame begins."""

    segment: int
    offset: int


@dataclass(slots=True)
class _Tail:
    """The segment being written: everything before `end` is written, before `durable` synced; room before
    `reserved` is its own, and before `filled` only zeros are behind `end`."""

    segment: int
    path: Path
    file: int
    end: int
    reserved: int
    sequence: int
    durable: int = 0
    filled: int = 0


class Segments:
    """The open log. Thread-safe."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open and recover: cut a torn tail off, refuse damage before it.

        Every header is checked, and every byte of the newest segment; the bodies of older ones are
        checked as they are read. Raises: StorageError naming file and offset.
        """
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._append_lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._failure = ""
        self._recovered: list[tuple[Place, np.void]] = []
        numbers = self._numbers()
        for number in numbers[:-1]:
            self._recover(number, newest=False)
        end = self._recover(numbers[-1], newest=True) if numbers else 0
        last = self._recovered[-1][1] if self._recovered else None
        sequence = int(last["sequence"]) + 1 if last is not None else 1
        self._tail = self._open_tail(numbers[-1] if numbers else 1, end, sequence)
        self._durable_ticket = sequence - 1

    def take_recovered(self) -> list[tuple[Place, np.void]]:
        """Return, once, the place and header of every frame found on opening, in order."""
        found, self._recovered = self._recovered, []
        return [(place, header) for place, header in found if int(header["kind"]) != CLOSING]

    def append(
        self, kind: int, nonce: bytes, columns: Columns, width: int, sealed: U8Array
    ) -> tuple[int, Place, int]:
        """Write one frame; return its ticket for `sync`, its place and its length in bytes.

        Raises: StorageError, ``disk_full`` among them; the log is then as it was before.
        """
        with self._append_lock:
            self._check_usable()
            tail = self._tail
            if tail.end >= self._segment_bytes:
                tail = self._rotate()
            frame = frames.encode_frame(kind, tail.sequence, tail.durable, nonce, columns, width, sealed)
            self._write(tail, frame)
            place = Place(tail.segment, tail.end)
            ticket = tail.sequence
            tail.end += len(frame)
            tail.sequence += 1
            return ticket, place, len(frame)

    def sync(self, ticket: int | None = None) -> None:
        """Return once everything up to the ticket (None: all that was appended) is on disk.

        A thread that finds its ticket covered by another's sync does no work of its own.
        Raises: StorageError; a failed sync is final, because the kernel may have dropped the pages:
        the vault must be opened again.
        """
        with self._sync_lock:
            if ticket is not None and ticket <= self._durable_ticket:
                return
            self._check_usable()
            tail = self._tail
            # An append writes, then moves `end`, then `sequence`. Both are read before the sync, so
            # a frame that comes in between may be synced without being counted, never the reverse.
            sequence, end = tail.sequence, tail.end
            try:
                with disk_errors(tail.path):
                    _sync_data(tail.file)
            except StorageError as error:
                self._failure = error.message
                raise
            tail.durable = end
            self._durable_ticket = sequence - 1

    def read_header(self, place: Place) -> np.void:
        header = frames.parse_header(self._read(place.segment, place.offset, HEADER.itemsize))
        if header is None:
            raise self._damaged(place.segment, place.offset, "a batch header")
        return header

    def walk(self, segment: int, start: int, end: int) -> Iterator[tuple[Place, np.void]]:
        """Yield (place, header) of the frames that fill bytes `start..end` of a segment.

        Raises: StorageError ``vault_damaged``.
        """
        with disk_errors(self._path(segment)):
            for place, header in self._walk(segment, start, end, check_bodies=False):
                yield place, header
                start = place.offset + frames.frame_bytes(header)
        if start != end:
            raise self._damaged(segment, start, "a batch header")

    def read_columns(self, place: Place, header: np.void) -> Columns:
        data = self._read(place.segment, place.offset + HEADER.itemsize, frames.columns_bytes(header))
        columns = frames.parse_columns(header, data)
        if columns is None:
            raise self._damaged(place.segment, place.offset, "a batch's columns")
        return columns

    def read_sealed(self, place: Place, header: np.void, columns: Columns, row: int) -> bytes:
        """Return one row's ciphertext."""
        start, end = columns.sealed_span(row)
        at = place.offset + HEADER.itemsize + frames.columns_bytes(header)
        return self._read(place.segment, at + start, end - start)

    def read_body(self, place: Place) -> tuple[np.void, Columns, U8Array]:
        """Return (header, columns, ciphertexts) of a frame after checking every byte of it."""
        header = self.read_header(place)
        body = self._read(place.segment, place.offset + HEADER.itemsize, int(header["body_bytes"]))
        split = frames.columns_bytes(header)
        columns = frames.parse_columns(header, body[:split])
        if columns is None or not frames.body_is_whole(header, body):
            raise self._damaged(place.segment, place.offset, "a batch")
        return header, columns, np.frombuffer(body, np.uint8, offset=split)

    def close(self) -> None:
        """Sync, leave the closing mark and give the reserved room back."""
        if self._tail.file < 0:
            return
        try:
            if not self._failure:
                self.sync()
                none = np.zeros(0, np.uint64)
                columns = Columns(none, none, np.zeros(0, np.uint32), np.zeros(1, np.int64))
                # Without room for the mark the log is as good, only a later bit flip in its last
                # batch would pass for a torn tail.
                with suppress(StorageError):
                    self.append(CLOSING, bytes(16), columns, 0, np.zeros(0, np.uint8))
                with disk_errors(self._tail.path):
                    os.ftruncate(self._tail.file, self._tail.end)
                    os.fsync(self._tail.file)
        finally:
            os.close(self._tail.file)
            self._tail.file = -1
            self._failure = "the vault is closed"

    # -- writing ---------------------------------------------------------------------------

    def _write(self, tail: _Tail, frame: bytes) -> None:
        with disk_errors(tail.path):
            try:
                self._reserve(tail, tail.end + len(frame))
                if len(frame) <= FILL_BYTES // 8 and tail.end + len(frame) > tail.filled:
                    frame = frame.ljust(min(FILL_BYTES, tail.reserved - tail.end), b"\0")
                    tail.filled = tail.end + len(frame)
                write_all(tail.file, frame, tail.end)
            except OSError:
                self._undo(tail)
                raise

    def _undo(self, tail: _Tail) -> None:
        """Take back what a failed write left, so that nothing half-written stays."""
        try:
            os.ftruncate(tail.file, tail.end)
            tail.reserved = tail.filled = tail.end
        except OSError as error:
            self._failure = f"{tail.path} could not be cut back after a failed write: {error}"

    def _reserve(self, tail: _Tail, needed: int) -> None:
        if needed <= tail.reserved or _RESERVE is None:
            return
        room = max(RESERVE_BYTES, needed - tail.reserved)
        try:
            _RESERVE(tail.file, tail.reserved, room)
        except OSError:
            # Near the end of the disk a whole reserve may not fit where this frame still does.
            room = needed - tail.reserved
            _RESERVE(tail.file, tail.reserved, room)
        tail.reserved += room

    def _rotate(self) -> _Tail:
        """Finish the segment, for which nothing may be in flight, and begin the next."""
        with self._sync_lock:
            old = self._tail
            with disk_errors(old.path):
                os.ftruncate(old.file, old.end)
                os.fsync(old.file)
            self._durable_ticket = old.sequence - 1
            self._tail = self._open_tail(old.segment + 1, 0, old.sequence)
            os.close(old.file)
            return self._tail

    def _open_tail(self, segment: int, end: int, sequence: int) -> _Tail:
        path = self._path(segment)
        with disk_errors(path):
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            # Also clears away what a torn tail left, so that no later scan can meet it.
            os.ftruncate(file, end)
            os.fsync(file)
            sync_folder(self.folder)
        return _Tail(segment, path, file, end, end, sequence, durable=end)

    def _check_usable(self) -> None:
        if self._failure:
            raise StorageError(f"the sealed log takes no more writes: {self._failure}")

    # -- recovery --------------------------------------------------------------------------

    def _recover(self, segment: int, *, newest: bool) -> int:
        """Collect a segment's frames; return where its good part ends."""
        size = self._path(segment).stat().st_size
        offset, expected = 0, None
        if self._recovered:
            expected = int(self._recovered[-1][1]["sequence"]) + 1
        for place, header in self._walk(segment, 0, size, check_bodies=newest):
            if expected is not None and int(header["sequence"]) != expected:
                raise self._damaged(segment, place.offset, f"not batch {expected}, which must be here")
            self._recovered.append((place, header))
            expected = int(header["sequence"]) + 1
            offset = place.offset + frames.frame_bytes(header)
        if offset < size and (not newest or self._durable_beyond(segment, offset, size)):
            raise self._damaged(segment, offset, "a batch that was already durable")
        return offset

    def _walk(
        self, segment: int, offset: int, size: int, *, check_bodies: bool
    ) -> Iterator[tuple[Place, np.void]]:
        """Yield frames from an offset to the first that is not whole, or to `size`."""
        with self._path(segment).open("rb") as file:
            while offset < size:
                file.seek(offset)
                header = frames.parse_header(file.read(HEADER.itemsize))
                if header is None or offset + frames.frame_bytes(header) > size:
                    return
                if check_bodies and not frames.body_is_whole(header, file.read(int(header["body_bytes"]))):
                    return
                yield Place(segment, offset), header
                offset += frames.frame_bytes(header)

    def _durable_beyond(self, segment: int, offset: int, size: int) -> bool:
        """Return whether some true header after `offset` calls the bytes at `offset` durable."""
        with self._path(segment).open("rb") as file:
            for start in range(offset, size, RESERVE_BYTES):
                file.seek(start)
                # Overlap by one header, which may straddle two chunks.
                data = file.read(RESERVE_BYTES + HEADER.itemsize)
                heads = np.frombuffer(data, np.uint64, len(data) // 8)[:: ALIGNMENT // 8]
                for hit in np.flatnonzero(heads == np.uint64(frames.MAGIC)):
                    at = int(hit) * ALIGNMENT
                    header = frames.parse_header(data[at : at + HEADER.itemsize])
                    if header is not None and int(header["durable"]) > offset:
                        return True
        return False

    def _numbers(self) -> list[int]:
        numbers = sorted(
            int(path.stem.removeprefix("segment-")) for path in self.folder.glob("segment-*.log")
        )
        if numbers != list(range(1, len(numbers) + 1)):
            raise StorageError(
                f"{self.folder} must hold segments 1 to {max(numbers)} and lacks some of them; "
                "restore them from a backup",
                code="vault_damaged",
            )
        return numbers

    def _read(self, segment: int, offset: int, size: int) -> bytes:
        path = self._path(segment)
        with disk_errors(path):
            file = os.open(path, os.O_RDONLY)
            try:
                data = os.pread(file, size, offset)
            finally:
                os.close(file)
        if len(data) != size:
            raise self._damaged(segment, offset, f"{size} bytes, of which there are {len(data)}")
        return data

    def _path(self, segment: int) -> Path:
        return self.folder / _NAME.format(segment)

    def _damaged(self, segment: int, offset: int, what: str) -> StorageError:
        return StorageError(
            f"{self._path(segment)} is damaged at offset {offset}: {what} does not hold; "
            "restore the vault from a backup",
            code="vault_damaged",
        )


def _sync_data(descriptor: int) -> None:
    os.fdatasync(descriptor)
