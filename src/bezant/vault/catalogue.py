"""Which batches of the log hold what: the index of every kind, and the walk from a stretch to its batches."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from bezant.vault import frames
from bezant.vault.index import IdIndex, Stretch, TimeIndex
from bezant.vault.kinds import VaultKind
from bezant.vault.segments import Place, Segments

_Batch = tuple[Place, int, int]
"""Where a batch is, and the first and last high word of its ids."""
Walked = dict[Stretch, list[_Batch]]
"""The batches of one kind in the stretches that were walked through, the newest first."""


class Catalogue:
    """The places of an open vault's batches, by kind and id. Thread-safe."""

    def __init__(self, segments: Segments) -> None:
        """Enter every batch that was found when the segments were opened."""
        self._segments = segments
        self._lock = threading.Lock()
        self._indexes: dict[VaultKind, TimeIndex | IdIndex] = {
            kind: TimeIndex() if kind.time_ordered else IdIndex() for kind in VaultKind
        }
        for place, header in segments.take_recovered():
            index = self._indexes[VaultKind(int(header["kind"]))]
            if isinstance(index, IdIndex):
                columns = segments.read_columns(place, header)
                index.add(place, columns.ids_lo, columns.ids_hi)
            elif int(header["rows"]):
                index.add(place, frames.frame_bytes(header), int(header["min_hi"]), int(header["max_hi"]))

    def add(self, kind: VaultKind, place: Place, columns: frames.Columns, length: int) -> None:
        """Enter a batch that was appended in a frame of `length` bytes."""
        with self._lock:
            index = self._indexes[kind]
            if isinstance(index, IdIndex):
                index.add(place, columns.ids_lo, columns.ids_hi)
            elif len(columns.ids_hi):
                index.add(place, length, int(columns.ids_hi.min()), int(columns.ids_hi.max()))

    def holds(self, kind: VaultKind) -> bool:
        """Whether there is any batch of a kind."""
        with self._lock:
            return len(self._indexes[kind]) > 0

    def places(self, kind: VaultKind, *, newest: bool = False) -> Iterator[Place]:
        """Yield where every batch of a kind is, in the order they were sealed, or the newest first."""
        with self._lock:
            index = self._indexes[kind]
            found = index.places() if isinstance(index, IdIndex) else index.stretches()
        for one in found[::-1] if newest else found:
            if isinstance(one, Place):
                yield one
                continue
            batches = [place for place, _, _ in self._batches_in(kind, one)]
            yield from batches if newest else batches[::-1]

    def candidates(self, kind: VaultKind, id_: int, walked: Walked | None = None) -> Iterator[Place]:
        """Yield the batches that may hold an id, the newest first; `walked` keeps what was read before."""
        high = id_ >> 64
        walked = {} if walked is None else walked
        with self._lock:
            found = self._indexes[kind].candidates(id_)
        for one in found:
            if isinstance(one, Place):
                yield one
                continue
            if one not in walked:
                walked[one] = self._batches_in(kind, one)
            yield from (place for place, first, last in walked[one] if first <= high <= last)

    def _batches_in(self, kind: VaultKind, stretch: Stretch) -> list[_Batch]:
        """Return the batches of a kind in a stretch of the log, the newest first."""
        return [
            (place, int(header["min_hi"]), int(header["max_hi"]))
            for place, header in self._segments.walk(stretch.segment, stretch.start, stretch.end)
            if int(header["kind"]) == kind
        ][::-1]
