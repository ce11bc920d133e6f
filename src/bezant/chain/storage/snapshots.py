"""Snapshots: everything that replaying the journal up to a block gives, in one file, so that it need not be.

::

    magic 8, length of the header u64, SHA-256 of the header 32, header (JSON), then the arrays, each at
    a multiple of 64 bytes from the file's beginning and with a SHA-256 of its own in the header

A snapshot is bound to its network and to the layout of the tables in it; one of another layout, or in
which a byte has changed, is passed over, and an older one or the whole journal serves instead. It is
written under another name, synced, and renamed; two are kept. Nothing rests on it: losing all of them
costs time at the next start and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bezant.chain.blocks import StateRoot
from bezant.chain.storage.disk import Disk, lacking, read_span, storage_error, write_all
from bezant.errors import StorageError
from bezant.ledger import state as layout
from bezant.model.digest import sha256

MAGIC, FORMAT = b"BZSNAPSH", 1
KEPT = 2
OTHER_LAYOUT = "snapshot_of_another_layout"
"""The code of what is raised for a sound snapshot that another release wrote."""
ALIGNMENT, STEP = 64, 16 << 20
MAX_HEADER_BYTES = 1 << 20
_PREFIX_BYTES = 8 + 8 + 32

Arrays = Mapping[str, npt.NDArray[Any]]


class _Array(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    dtype: str | list[list[Any]]
    shape: list[int]
    offset: int
    length: int
    check: str


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    network: str
    layout: str
    height: int
    time_ns: int
    app_hash: str
    history_root: str
    receipts: int
    segment: int
    offset: int
    waiting_height: int
    waiting_root: str
    arrays: list[_Array]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a chain stands after block `height`."""

    height: int
    time_ns: int
    app_hash: bytes
    history_root: bytes
    receipts: int
    """How many receipts the archive has by then."""
    segment: int
    offset: int
    """Where the journal's next frame begins."""
    waiting: StateRoot | None
    """A state root that was taken and that the chain does not cover yet."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A position, the ledger's tables by then, and what goes with it (features) under names of its own."""

    position: Position
    tables: Arrays
    companions: Arrays = field(default_factory=dict)


class Snapshots:
    """The snapshots of one chain."""

    def __init__(self, folder: Path, network: bytes, disk: Disk) -> None:
        self._folder, self._network, self._disk = folder, network, disk
        disk.make_folder(folder)

    def write(self, snapshot: Snapshot) -> None:
        """Write a snapshot durably, then delete all but the newest. Raises: StorageError; the rest stays."""
        self.write_to(self._folder / f"{snapshot.position.height:016d}.snapshot", snapshot)
        try:
            for old in self.paths()[KEPT:]:
                self._disk.unlink(old)
        except OSError as error:
            raise storage_error("delete an old snapshot", error) from error

    def write_to(self, path: Path, snapshot: Snapshot) -> None:
        """Write a snapshot durably into a file of this folder. Raises: StorageError; then there is none."""
        disk = self._disk
        partial = path.with_suffix(".partial")
        try:
            file = disk.create(partial)
            try:
                self._write(file, snapshot)
                disk.fsync(file)
            finally:
                disk.close(file)
            disk.rename(partial, path)
            disk.sync_folder(self._folder)
        except (OSError, StorageError) as error:
            with contextlib.suppress(OSError):
                disk.unlink(partial)
            if isinstance(error, StorageError):
                raise
            raise storage_error("write a snapshot", error) from error

    def discard(self, path: Path) -> None:
        """Delete a snapshot that was refused, for good. Raises: StorageError."""
        try:
            self._disk.unlink(path)
            self._disk.sync_folder(self._folder)
        except OSError as error:
            raise storage_error("delete a snapshot that cannot be used", error) from error

    def paths(self) -> list[Path]:
        """Return the files there are, the newest first; each is named by its height."""
        return sorted((p for p in self._disk.list(self._folder) if p.suffix == ".snapshot"), reverse=True)

    def _write(self, file: int, snapshot: Snapshot) -> None:
        named = {f"ledger.{name}": rows for name, rows in snapshot.tables.items()}
        named |= {f"companion.{name}": rows for name, rows in snapshot.companions.items()}
        arrays, offset = [], 0
        for name, rows in named.items():
            check = hashlib.sha256(np.ascontiguousarray(rows).view(np.uint8).data).hexdigest()
            arrays.append(_Array(name, _described(rows.dtype), list(rows.shape), offset, rows.nbytes, check))
            offset += rows.nbytes + -rows.nbytes % ALIGNMENT
        header = msgspec.json.encode(_header(self._network, snapshot.position, arrays))
        prefix = MAGIC + len(header).to_bytes(8, "little") + sha256(header)
        write_all(self._disk, file, prefix + header, 0)
        start = _start(len(header))
        for array, rows in zip(arrays, named.values(), strict=True):
            data = np.ascontiguousarray(rows).view(np.uint8).reshape(-1).data
            for at in range(0, array.length, STEP):
                write_all(self._disk, file, data[at : at + STEP], start + array.offset + at)

    def read(self, path: Path, *, any_layout: bool = False) -> Snapshot:
        """Return the snapshot in a file; of `any_layout` where the caller sees to which tables there are.

        Raises: StorageError ``snapshot_unusable``, `OTHER_LAYOUT`, or where the machine lacks something.
        """
        prefix = read_span(self._disk, path, 0, _PREFIX_BYTES)
        length = int.from_bytes(prefix[8:16], "little")
        if len(prefix) != _PREFIX_BYTES or prefix[:8] != MAGIC or length > MAX_HEADER_BYTES:
            raise _unusable(path, "it is no snapshot")
        encoded = read_span(self._disk, path, _PREFIX_BYTES, length)
        if sha256(encoded) != prefix[16:]:
            raise _unusable(path, "its header was changed")
        try:
            header = msgspec.json.decode(encoded, type=_Header)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _unusable(path, "its header is of another release") from None
        if header.network != self._network.hex():
            raise _unusable(path, "it is of another network")
        if header.format != FORMAT or not (any_layout or header.layout == layout_id()):
            raise _unusable(path, "its tables are laid out as another release has them", OTHER_LAYOUT)
        try:
            position = _position(header)
        except ValueError:
            raise _unusable(path, "its header has no position") from None
        parts: dict[str, dict[str, npt.NDArray[Any]]] = {"ledger": {}, "companion": {}}
        end = 0
        for array in header.arrays:
            # No byte of the file is claimed twice, so that all the arrays take no more room than it does.
            if array.offset < end:
                raise _unusable(path, f"{array.name[:40]} lies within another")
            end = array.offset + array.length
            kind, _, name = array.name.partition(".")
            if kind not in parts:
                raise _unusable(path, f"{array.name[:40]} belongs to nothing")
            parts[kind][name] = self._read_array(path, array, _start(length))
        return Snapshot(position, parts["ledger"], parts["companion"])

    def _read_array(self, path: Path, array: _Array, start: int) -> npt.NDArray[Any]:
        try:
            dtype = _dtype(array.dtype)
        except (TypeError, ValueError, SyntaxError, OverflowError, MemoryError):
            raise _unusable(path, f"{array.name[:40]} is of no type") from None
        # Before any room is taken: what is claimed must be in the file.
        size = math.prod(array.shape) * dtype.itemsize
        end = max(start + array.offset + array.length - 1, 0)
        last = not array.length or read_span(self._disk, path, end, 1)
        of_bytes = dtype.itemsize > 0 and not dtype.hasobject
        if not of_bytes or min(array.shape, default=-1) < 0 or size != array.length or not last:
            raise _unusable(path, f"{array.name[:40]} has another size")
        try:
            rows: npt.NDArray[Any] = np.empty(array.shape, dtype)
        except (ValueError, OverflowError):
            raise _unusable(path, f"{array.name[:40]} has no shape") from None
        except MemoryError:
            # The file does hold so much: it is the machine that does not.
            raise lacking(f"read {path.name}", f"{array.length} bytes of memory are not to be had") from None
        target, check = rows.view(np.uint8).reshape(-1), hashlib.sha256()
        for at in range(0, array.length, STEP):
            data = read_span(self._disk, path, start + array.offset + at, min(STEP, array.length - at))
            if len(data) != min(STEP, array.length - at):
                raise _unusable(path, "it ends early")
            check.update(data)
            target[at : at + len(data)] = np.frombuffer(data, np.uint8)
        if check.hexdigest() != array.check:
            raise _unusable(path, f"{array.name[:40]} was changed")
        return rows


def layout_id() -> str:
    """Return what names the layout of the ledger's tables: snapshots of another one are not read."""
    names = list(layout.State._fields)
    dtypes = [repr(value) for value in vars(layout).values() if isinstance(value, np.dtype)]
    return sha256(repr((FORMAT, names, dtypes)).encode()).hex()


def _header(network: bytes, position: Position, arrays: list[_Array]) -> _Header:
    waiting = position.waiting or StateRoot(0, b"")
    return _Header(
        format=FORMAT,
        network=network.hex(),
        layout=layout_id(),
        height=position.height,
        time_ns=position.time_ns,
        app_hash=position.app_hash.hex(),
        history_root=position.history_root.hex(),
        receipts=position.receipts,
        segment=position.segment,
        offset=position.offset,
        waiting_height=waiting.height,
        waiting_root=waiting.root.hex(),
        arrays=arrays,
    )


def _position(header: _Header) -> Position:
    waiting = StateRoot(header.waiting_height, bytes.fromhex(header.waiting_root))
    return Position(
        header.height,
        header.time_ns,
        bytes.fromhex(header.app_hash),
        bytes.fromhex(header.history_root),
        header.receipts,
        header.segment,
        header.offset,
        waiting if waiting.height else None,
    )


def _described(dtype: np.dtype[Any]) -> str | list[list[Any]]:
    """Return a dtype as JSON can hold it."""
    return dtype.str if dtype.names is None else [list(entry) for entry in dtype.descr]


def _dtype(described: str | list[list[Any]]) -> np.dtype[Any]:
    if isinstance(described, str):
        return np.dtype(described)
    return np.dtype([(name, kind, *(tuple(shape) for shape in rest)) for name, kind, *rest in described])


def _start(header_length: int) -> int:
    """Return where the arrays begin."""
    end = _PREFIX_BYTES + header_length
    return end + -end % ALIGNMENT


def _unusable(path: Path, why: str, code: str = "snapshot_unusable") -> StorageError:
    return StorageError(f"{path.name} cannot be used: {why}", code=code)
