"""Where a sealed row can be: an index in memory that names places in the log, never rows or texts.

Time-ordered kinds cost 32 bytes for every stretch of the log, however many batches are in it: at most
a 4,096th of the log in memory. A stretch is told by the span of times in it, and walked header by
header. Ids in no order would make every stretch a candidate, so their kinds cost 20 bytes an id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from bezant.vault.sealing import U64Array
from bezant.vault.segments import Place

STRETCH_BYTES: Final = 128 << 10
"""How far one entry reaches; a longer batch has one of its own."""
_SPAN = np.dtype(
    [("min_hi", "<u8"), ("max_hi", "<u8"), ("start", "<u8"), ("length", "<u4"), ("segment", "<u4")]
)
_RECENT: Final = 4096


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes `start..end` of a segment, from one frame's first to another's last; any kind may be between."""

    segment: int
    start: int
    end: int


class TimeIndex:
    """Stretches with batches of one kind by the high words of the ids in those."""

    def __init__(self) -> None:
        self._spans = np.zeros(256, _SPAN)
        self._count = 0

    @property
    def nbytes(self) -> int:
        return self._spans.nbytes

    def __len__(self) -> int:
        return self._count

    def add(self, place: Place, length: int, min_hi: int, max_hi: int) -> None:
        """Take in a batch whose frame of `length` bytes is at a place; mostly the one behind the last."""
        last = self._spans[self._count - 1]
        reach = place.offset + length - int(last["start"])
        if self._count and place.segment == last["segment"] and reach - length > 0 and reach <= STRETCH_BYTES:
            last["length"] = max(int(last["length"]), reach)
            last["min_hi"], last["max_hi"] = (
                min(int(last["min_hi"]), min_hi),
                max(int(last["max_hi"]), max_hi),
            )
            return
        if self._count == len(self._spans):
            self._spans = np.concatenate([self._spans, np.zeros(self._count // 2, _SPAN)])
        self._spans[self._count] = (min_hi, max_hi, place.offset, length, place.segment)
        self._count += 1

    def candidates(self, id_: int) -> list[Stretch]:
        """Return every stretch that may hold an id, the newest first."""
        spans, high = self._spans[: self._count], np.uint64(id_ >> 64)
        hits = np.flatnonzero((spans["min_hi"] <= high) & (high <= spans["max_hi"]))
        return [self._stretch(hit) for hit in hits[::-1].tolist()]

    def stretches(self) -> list[Stretch]:
        return [self._stretch(number) for number in range(self._count)]

    def _stretch(self, number: int) -> Stretch:
        span = self._spans[number]
        start = int(span["start"])
        return Stretch(int(span["segment"]), start, start + int(span["length"]))


class IdIndex:
    """Batches of one kind by every id in them; a sorted array and what came since."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._ids = np.zeros(0, "S16")
        self._batches = np.zeros(0, np.uint32)
        self._recent: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, place: Place, ids_lo: U64Array, ids_hi: U64Array) -> None:
        batch = len(self._places)
        self._places.append(place)
        self._recent.update(dict.fromkeys(_keys(ids_lo, ids_hi), batch))
        if len(self._recent) > max(_RECENT, len(self._ids) // 4):
            self._merge()

    def candidates(self, id_: int) -> list[Place]:
        """Return the newest batch that holds an id, or none."""
        key = id_.to_bytes(16, "big")
        batch = self._recent.get(key)
        if batch is None:
            found = int(np.searchsorted(self._ids, np.bytes_(key)))
            # numpy drops trailing zeros of both sides alike, so the comparison stays exact.
            if found == len(self._ids) or self._ids[found] != np.bytes_(key).rstrip(b"\0"):
                return []
            batch = int(self._batches[found])
        return [self._places[batch]]

    def places(self) -> list[Place]:
        return list(self._places)

    def _merge(self) -> None:
        fresh = np.array(list(self._recent), "S16")
        ids = np.concatenate([self._ids, fresh])
        batches = np.concatenate([self._batches, np.array(list(self._recent.values()), np.uint32)])
        # A stable sort keeps the later of two equal ids behind; the last of each run is kept.
        order = np.argsort(ids, kind="stable")
        ids, batches = ids[order], batches[order]
        last = np.append(ids[1:] != ids[:-1], True)
        self._ids, self._batches, self._recent = ids[last], batches[last], {}


def _keys(ids_lo: U64Array, ids_hi: U64Array) -> list[bytes]:
    both = np.stack([ids_hi, ids_lo], axis=1).astype(">u8")
    keys: list[bytes] = both.view("V16").ravel().tolist()
    return keys
