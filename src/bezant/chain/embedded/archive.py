"""Receipts of every block, for proofs and look-ups: derived from the journal, never synced with it.

One file of RECEIPT rows, block after block, and in memory one small entry a block. A payment id
carries its own time, and the ledger only ever accepted it near that time, so finding a payment
is a binary search over block times and a scan of a few blocks: no index over ids to keep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bezant.chain.embedded.disk import Disk, SystemDisk, write_all
from bezant.errors import NotFound
from bezant.model.genesis import Rules
from bezant.model.identifiers import U64_MASK, payment_time_ms, words
from bezant.model.outcomes import Outcome
from bezant.model.records import NO_ROW, RECEIPT, RecordArray

ENTRY = np.dtype(
    [
        ("time_ns", "<u8"),
        ("first", "<u8"),
        ("count", "<u8"),
        ("app_hash", "u1", (32,)),
    ]
)
SCAN_ROWS = 65_536
NS_PER_MS, NS_PER_S = 1_000_000, 1_000_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record was answered: block height, and the position among its receipts."""

    height: int
    position: int


class ReceiptArchive:
    """Appends receipts, finds them again. One writer; readers may be other threads."""

    def __init__(self, path: Path, rules: Rules, disk: Disk | None = None) -> None:
        self._rules = rules
        self._disk = disk or SystemDisk()
        self._descriptor = self._disk.create(path)
        self._entries = np.zeros(1024, ENTRY)
        self._rows = 0
        self.height = 0

    def append(self, time_ns: int, app_hash: bytes, receipts: RecordArray) -> None:
        """Add the next block's receipts."""
        write_all(self._disk, self._descriptor, receipts.tobytes(), self._rows * RECEIPT.itemsize)
        if self.height == len(self._entries):
            self._entries = np.concatenate((self._entries, np.zeros(self.height, ENTRY)))
        entry = self._entries[self.height]
        entry["time_ns"], entry["first"], entry["count"] = time_ns, self._rows, len(receipts)
        entry["app_hash"] = np.frombuffer(app_hash, np.uint8)
        self._rows += len(receipts)
        self.height += 1

    def receipts(self, height: int) -> RecordArray:
        """Return the receipts of a block. Raises: NotFound."""
        entry = self._entry(height)
        return self._read(int(entry["first"]), int(entry["count"]))

    def time_ns(self, height: int) -> int:
        return int(self._entry(height)["time_ns"])

    def app_hash(self, height: int) -> bytes:
        return self._entry(height)["app_hash"].tobytes()

    def find(self, identity: int) -> Place | None:
        """Return where a record was answered for good, or None.

        An id is accepted only in blocks whose time lies in [id - future, id + window]. Answers
        that the ledger does not remember (a stranger's forgery, a lapse of capacity) count only
        where there is no other; among answers that it does remember, an effect comes first, for
        another authority may have been refused under the same id.
        """
        made_ns = payment_time_ms(identity) * NS_PER_MS
        times = self._entries["time_ns"][: self.height]
        earliest = min(max(made_ns - (self._rules.id_future_s + 1) * NS_PER_S, 0), U64_MASK)
        latest = min(made_ns + (self._rules.id_window_s + 1) * NS_PER_S, U64_MASK)
        start = int(np.searchsorted(times, np.uint64(earliest)))
        stop = int(np.searchsorted(times, np.uint64(latest), side="right"))
        best: tuple[int, int] | None = None
        for first, end in self._spans(start, stop):
            for row, outcome in self._answers(identity, first, end):
                if outcome < Outcome.MALFORMED:
                    return self._place(row)
                rank = int(outcome < Outcome.BLOCKED)
                if best is None or rank < best[0]:
                    best = rank, row
        return None if best is None else self._place(best[1])

    def _spans(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield (first row, end row) of the blocks `start..stop`, some thousand rows at a time."""
        while start < stop:
            end, first = start, int(self._entries["first"][start])
            while end < stop and int(self._entries["first"][end]) - first < SCAN_ROWS:
                end += 1
            yield first, self._until(end)
            start = end

    def _answers(self, identity: int, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield (row, outcome) of every answer to an id but EXISTS, in the order of the blocks."""
        lo, hi = words(identity)
        rows = self._read(first, end - first)
        hits = (rows["id_lo"] == lo) & (rows["id_hi"] == hi) & (rows["order_index"] != NO_ROW)
        for hit in np.flatnonzero(hits).tolist():
            outcome = int(rows["outcome"][hit])
            if outcome not in (Outcome.EXISTS, Outcome.EXISTS_WITH_OTHER_CONTENT):
                yield first + hit, outcome

    def _place(self, row: int) -> Place:
        block = int(np.searchsorted(self._entries["first"][: self.height], row, side="right"))
        return Place(block, row - int(self._entries["first"][block - 1]))

    def close(self) -> None:
        """Close the file; twice is no harm."""
        if self._descriptor >= 0:
            self._disk.close(self._descriptor)
            self._descriptor = -1

    def _until(self, index: int) -> int:
        return int(self._entries["first"][index]) if index < self.height else self._rows

    def _entry(self, height: int) -> np.void:
        if not 1 <= height <= self.height:
            raise NotFound(f"there is no block {height}; the last one is {self.height}", code="block_unknown")
        return self._entries[height - 1]

    def _read(self, first: int, count: int) -> RecordArray:
        data = self._disk.pread(self._descriptor, count * RECEIPT.itemsize, first * RECEIPT.itemsize)
        return np.frombuffer(data, RECEIPT).copy()
