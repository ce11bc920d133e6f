"""A disk in memory that loses, tears, reorders, fills up and flips bits, as its seed says.

A file is kept twice: as processes see it (`current`), and as it would be found after a power cut
(`durable`), with the writes between the two in `unsynced`. A power cut keeps, of every sector
touched since the last sync, some version of its own: none of the writes, all, or a few, the last of
them perhaps torn. Names are kept twice as well; a prefix of what was done to them survives.
"""

from __future__ import annotations

import errno
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from bezant.testing.simulator.time import SimulatedTime

SECTOR = 512


class PowerCut(BaseException):
    """The machine stopped in the middle of a call; no code of the chain may catch it."""


@dataclass(slots=True)
class StoredFile:
    """One file, as seen and as durable."""

    current: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes]] = field(default_factory=list)

    def sync(self) -> None:
        """Make durable what was written since the last sync, and no more: what a failed sync dropped
        without a trace is not written by a later one."""
        for offset, data in self.unsynced:
            place(self.durable, offset, data)
        self.unsynced = []


class SimulatedDisk:
    """A `Disk` whose faults are drawn from `rng`; attributes switch them on and off."""

    def __init__(self, rng: Random, time: SimulatedTime) -> None:
        self._rng, self._time = rng, time
        self._names: dict[Path, StoredFile] = {}
        self._durable_names: dict[Path, StoredFile] = {}
        self._folders: set[Path] = set()
        self._durable_folders: set[Path] = set()
        self._name_log: list[tuple[Path, StoredFile | None]] = []
        """Names given (or taken away: None) and not yet durable, in order."""
        self._open: dict[int, StoredFile] = {}
        self._next = 3
        self._down = False
        self.cut_in: int | None = None
        """Calls until the power goes; None: never."""
        self.capacity: int | None = None
        """Bytes that all files may take; None: no end."""
        self.latency_ns = 0
        self.failing_sync = False
        """The next sync fails, and what it should have kept may be lost."""
        self.calls = 0
        self.refusals = 0
        """Calls that failed because the disk was full or broken."""
        self.trace = 0
        """A checksum over every call: two runs of a seed have the same."""

    # The protocol.

    def make_folder(self, folder: Path) -> None:
        cut = self._begin("make_folder", folder)
        self._folders.add(folder)
        self._end(cut)

    def list(self, folder: Path) -> list[Path]:
        self._end(self._begin("list", folder))
        return sorted(path for path in self._names if path.parent == folder)

    def create(self, path: Path) -> int:
        cut = self._begin("create", path)
        file = StoredFile()
        self._name(path, file)
        self._end(cut)
        return self._hand_out(file)

    def open(self, path: Path) -> int:
        self._end(self._begin("open", path))
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return self._hand_out(self._names[path])

    def close(self, file: int) -> None:
        self._open.pop(file, None)

    def size(self, file: int) -> int:
        self._end(self._begin("size"))
        return len(self._open[file].current)

    def pread(self, file: int, count: int, offset: int) -> bytes:
        self._end(self._begin("pread"))
        return bytes(self._open[file].current[offset : offset + count])

    def pwrite(self, file: int, data: bytes | memoryview, offset: int) -> int:
        cut = self._begin("pwrite", offset, len(data))
        taken = bytes(data[: self._room(self._open[file], len(data), offset)])
        if not taken:
            self.refusals += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        place(self._open[file].current, offset, taken)
        self._open[file].unsynced.append((offset, taken))
        self._end(cut)
        return len(taken)

    def write_out(self, file: int, offset: int, count: int) -> None:
        """Nothing: any part of what is not synced may be on this disk, or not, at any time."""

    def fdatasync(self, file: int) -> None:
        cut = self._begin("sync", file)
        if self.failing_sync:
            self._fail_sync(self._open[file])
        self._open[file].sync()
        self._end(cut)

    fsync = fdatasync

    def sync_folder(self, folder: Path) -> None:
        cut = self._begin("sync_folder", folder)
        self._durable_folders |= {made for made in self._folders if made.parent == folder}
        for path, file in self._name_log:
            if path.parent == folder:
                _rename_in(self._durable_names, path, file)
        self._name_log = [entry for entry in self._name_log if entry[0].parent != folder]
        self._end(cut)

    def rename(self, old: Path, new: Path) -> None:
        cut = self._begin("rename", old, new)
        file = self._names.pop(old)
        self._names[new] = file
        # One entry in the log for each name, but a cut must not part them.
        self._name_log += [(new, file), (old, None)]
        self._end(cut)

    def unlink(self, path: Path) -> None:
        cut = self._begin("unlink", path)
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        self._name(path, None)
        self._end(cut)

    # What the simulation does to it.

    def kill(self) -> None:
        """End the process: descriptors are gone, the page cache is not."""
        self._open, self._down = {}, False

    def cut_power(self) -> None:
        """End the machine: what was not synced is lost, kept or torn as the seed says."""
        self.kill()
        logged = self._rng.randint(0, len(self._name_log))
        if 0 < logged < len(self._name_log) and self._name_log[logged][1] is None:
            logged -= self._name_log[logged - 1][1] is not None
        for path, file in self._name_log[:logged]:
            _rename_in(self._durable_names, path, file)
        self._name_log = []
        self._folders &= self._durable_folders
        kept = {p: f for p, f in self._durable_names.items() if p.parent in self._folders}
        self._names, self._durable_names = dict(kept), dict(kept)
        for path in sorted(kept):
            self._lose(kept[path])

    def files(self, folder: Path) -> dict[Path, StoredFile]:
        return {path: file for path, file in sorted(self._names.items()) if path.parent == folder}

    def snapshot(self) -> dict[Path, bytes]:
        """Return every file as it is seen; what a refusal must not change."""
        return {path: bytes(file.current) for path, file in self._names.items()}

    def flip(self, path: Path, offset: int, bit: int) -> None:
        """Turn one bit of a file round, in the cache and on the disk."""
        file = self._names[path]
        for image in (file.current, file.durable):
            if offset < len(image):
                image[offset] ^= 1 << bit

    # Below.

    def _begin(self, call: str, *what: object) -> bool:
        """Count a call; return whether the power goes once it is done. Raises: PowerCut before it."""
        if self._down:
            raise PowerCut
        self.calls += 1
        self.trace = zlib.crc32(repr((call, what)).encode(), self.trace)
        self._time.advance(self.latency_ns)
        if self.cut_in is None:
            return False
        self.cut_in -= 1
        if self.cut_in >= 0:
            return False
        self._down, self.cut_in = True, None
        if self._rng.random() < 0.5:
            raise PowerCut
        return True

    @staticmethod
    def _end(cut: bool) -> None:
        if cut:
            raise PowerCut

    def _hand_out(self, file: StoredFile) -> int:
        self._next += 1
        self._open[self._next] = file
        return self._next

    def _name(self, path: Path, file: StoredFile | None) -> None:
        _rename_in(self._names, path, file)
        self._name_log.append((path, file))

    def _room(self, file: StoredFile, count: int, offset: int) -> int:
        """Return how many of `count` bytes can be written; those that are there already always can."""
        if self.capacity is None:
            return count
        free = self.capacity - sum(len(stored.current) for stored in self._names.values())
        return max(min(count, len(file.current) - offset + max(free, 0)), 0)

    def _fail_sync(self, file: StoredFile) -> None:
        """Fail as a disk does: part is kept, and the cache takes all of it for clean."""
        self.failing_sync = False
        self.refusals += 1
        seen = file.current
        self._lose(file)
        file.current = seen
        raise OSError(errno.EIO, "Input/output error")

    def _lose(self, file: StoredFile) -> None:
        fate = self._rng.choice(("none", "all", "some", "some"))
        if fate == "all":
            file.sync()
        elif fate == "some":
            for writes in _by_sector(file.unsynced):
                kept = self._rng.randint(0, len(writes))
                for offset, data in writes[:kept]:
                    place(file.durable, offset, data)
                if kept < len(writes) and self._rng.random() < 0.2:
                    offset, data = writes[kept]
                    place(file.durable, offset, data[: self._rng.randrange(len(data))])
        file.current, file.unsynced = bytearray(file.durable), []


def place(image: bytearray, offset: int, data: bytes) -> None:
    """Write into a file's image, with zeros in a hole."""
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


def _rename_in(names: dict[Path, StoredFile], path: Path, file: StoredFile | None) -> None:
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


def _by_sector(writes: list[tuple[int, bytes]]) -> list[list[tuple[int, bytes]]]:
    """Return the writes to each sector, in the order in which they were made."""
    sectors: dict[int, list[tuple[int, bytes]]] = {}
    for offset, data in writes:
        at = 0
        while at < len(data):
            room = SECTOR - (offset + at) % SECTOR
            sectors.setdefault((offset + at) // SECTOR, []).append((offset + at, data[at : at + room]))
            at += room
    return list(sectors.values())
