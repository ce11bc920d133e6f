"""Where a sealed row can be: an index in memory that names batches, never rows or texts.

Time-ordered kinds cost about 30 bytes a batch: the span of times in it, searched with numpy.
Ids in no order would make every batch a candidate, so their kinds cost 20 bytes an id.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from bezant.vault.sealing import U64Array
from bezant.vault.segments import Place

_SPAN = np.dtype([("min_hi", "<u8"), ("max_hi", "<u8"), ("segment", "<u4"), ("offset", "<u8")])
_RECENT: Final = 4096


class TimeIndex:
    """Batches of one kind by the high words of the ids in them."""

    def __init__(self) -> None:
        self._spans = np.zeros(256, _SPAN)
        self._count = 0

    def add(self, place: Place, min_hi: int, max_hi: int) -> None:
        if self._count == len(self._spans):
            self._spans = np.concatenate([self._spans, np.zeros(self._count, _SPAN)])
        self._spans[self._count] = (min_hi, max_hi, place.segment, place.offset)
        self._count += 1

    def candidates(self, id_: int) -> list[Place]:
        """Return every batch that may hold an id, the newest first."""
        spans, high = self._spans[: self._count], np.uint64(id_ >> 64)
        hits = np.flatnonzero((spans["min_hi"] <= high) & (high <= spans["max_hi"]))
        return [self._place(int(hit)) for hit in hits[::-1]]

    def places(self) -> list[Place]:
        return [self._place(batch) for batch in range(self._count)]

    def _place(self, batch: int) -> Place:
        return Place(int(self._spans["segment"][batch]), int(self._spans["offset"][batch]))


class IdIndex:
    """Batches of one kind by every id in them; a sorted array and what came since."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._ids = np.zeros(0, "S16")
        self._batches = np.zeros(0, np.uint32)
        self._recent: dict[bytes, int] = {}

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
