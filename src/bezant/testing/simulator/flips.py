"""Where a bit may turn round, and what has to come of it.

A frame says up to which height everything was durable when it was written. So a bit in a frame at or
below what an intact later one says must be refused, by name and byte; anywhere else the node may start,
with everything acknowledged, or refuse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bezant.chain.storage import frames
from bezant.errors import JournalDamaged
from bezant.testing.simulator.checks import Violation
from bezant.testing.simulator.disk import SimulatedDisk


@dataclass(frozen=True, slots=True)
class Place:
    """One bit of one file; `height` is the block whose frame it is in, 0 where it is in none."""

    path: Path
    offset: int
    bit: int
    height: int
    frame_offset: int

    def flip(self, disk: SimulatedDisk) -> None:
        disk.flip(self.path, self.offset, self.bit)


def in_acknowledged(rng: Random, disk: SimulatedDisk, folder: Path, acknowledged: int) -> Place | None:
    """Return a bit of a block that was acknowledged, or None if there is none."""
    found = _frames(disk, folder)
    known = [(at, frame) for at, frame in found if frame.height <= acknowledged and not frame.is_mark]
    return _within(rng, *rng.choice(known)) if known else None


def anywhere(rng: Random, disk: SimulatedDisk, folder: Path, acknowledged: int) -> Place | None:
    """Return a bit of a block known to be durable, of one that nothing confirms, or of neither.

    Blocks acknowledged whose confirmation the disk has lost are left alone: nothing on it tells
    damage to them from a write that was torn.
    """
    found = _frames(disk, folder)
    confirmed = confirmed_height(disk, folder)
    free = [entry for entry in found if not confirmed < entry[1].height <= acknowledged]
    if free and rng.random() < 0.8:
        return _within(rng, *rng.choice(free))
    files = disk.files(folder)
    if not files:
        return None
    path = rng.choice(list(files))
    spans = [(frame.offset, frame.offset + frame.size) for at, frame in found if at == path]
    offset = rng.randrange(len(files[path].current) or 1)
    if any(start <= offset < end for start, end in spans):
        return None
    return Place(path, offset, rng.randrange(8), 0, 0)


def in_any_file(rng: Random, disk: SimulatedDisk, folder: Path) -> Place | None:
    """Return a bit of a file on which nothing rests, or None if there is none."""
    files = [(path, len(file.current)) for path, file in disk.files(folder).items() if file.current]
    if not files:
        return None
    path, size = rng.choice(files)
    return Place(path, rng.randrange(size), rng.randrange(8), 0, 0)


def confirmed_height(disk: SimulatedDisk, folder: Path) -> int:
    """Return the height up to which something on the disk says that everything is durable."""
    return max((frame.durable for _, frame in _frames(disk, folder)), default=0)


def check_named(error: JournalDamaged, place: Place) -> None:
    """Raise Violation unless a refusal names the damaged file and byte."""
    named = re.search(r"(\d{8}\.segment) at byte (\d+)", error.message)
    if named is None:
        raise Violation(f"a refusal names neither file nor byte: {error.message}")
    if place.height and (named[1], int(named[2])) != (place.path.name, place.frame_offset):
        raise Violation(f"{place} is damaged, and the refusal names {named[0]}")


def _within(rng: Random, path: Path, frame: frames.Frame) -> Place:
    length = frames.FRAME_HEADER.itemsize + len(frame.body)
    offset = frame.offset + rng.randrange(length)
    height = 0 if frame.is_mark else frame.height
    return Place(path, offset, rng.randrange(8), height, frame.offset)


def _frames(disk: SimulatedDisk, folder: Path) -> list[tuple[Path, frames.Frame]]:
    """Return every intact frame in a row from the start of each segment."""
    found: list[tuple[Path, frames.Frame]] = []
    for path, file in disk.files(folder).items():
        if path.suffix != ".segment":
            continue
        view, at = memoryview(bytes(file.current)), frames.SEGMENT_HEADER.itemsize
        while (frame := frames.read_frame(view, at)) is not None:
            found.append((path, frame))
            at += frame.size
    return found
