"""Receipts of every block, for proofs and look-ups: derived from the journal, never synced with it.

One file of RECEIPT rows, block after block, and one of an entry a block; nothing is kept in memory. A
payment id carries its own time, and the ledger only ever accepted it near that time, so finding a
payment is a binary search over block times and a scan of a few blocks: no index over ids to keep.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bezant.chain.blocks import CommittedBlock, StateRoot
from bezant.chain.storage.disk import Disk, SystemDisk
from bezant.chain.storage.rows import RowFile
from bezant.errors import NotFound, StorageError
from bezant.model.digest import TAG_ARCHIVE, sha256
from bezant.model.genesis import Rules
from bezant.model.identifiers import U64_MASK, payment_time_ms, words
from bezant.model.merkle import LEAF
from bezant.model.outcomes import Outcome
from bezant.model.records import NO_ROW, RECEIPT, RecordArray

ENTRY = np.dtype(
    [
        ("time_ns", "<u8"),
        ("first", "<u8"),
        ("count", "<u8"),
        ("app_hash", "u1", (32,)),
        ("state_block", "<u8"),
        ("state_height", "<u8"),
        ("state_root", "u1", (32,)),
        ("receipts_check", "<u4"),
        ("check", "<u4"),
    ]
)
"""A block: its time, where its receipts are, and the last state root that the chain covers by then:
the block whose leaves hold it, the height it is of, the root; zeros before the first. Then CRC-32 of its
receipts, and of all in front of it: whatever is read back is known to be what was written."""
SCAN_ROWS, SCAN_BLOCKS = 65_536, 4_096
NS_PER_MS, NS_PER_S = 1_000_000, 1_000_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record was answered: block height, and the position among its receipts."""

    height: int
    position: int


def next_entry(last: RecordArray, block: CommittedBlock, first: int) -> RecordArray:
    """Return the ENTRY (1,) of a block behind that of the block before, its receipts from row `first` on."""
    entry = last.copy()
    entry["time_ns"], entry["first"], entry["count"] = block.time_ns, first, len(block.receipts)
    entry["app_hash"] = np.frombuffer(block.app_hash, np.uint8)
    if block.state_root is not None:
        entry["state_block"], entry["state_height"] = block.height, block.state_root.height
        entry["state_root"] = np.frombuffer(block.state_root.root, np.uint8)
    entry["receipts_check"] = zlib.crc32(np.ascontiguousarray(block.receipts).view(np.uint8).data)
    entry["check"] = _entry_check(entry[0])
    return entry


def archive_leaf(entry: RecordArray, receipts: RecordArray) -> bytes:
    """Return the leaf hash of a block's ENTRY (1,) and its receipts (n,) in the tree over the archive.

    Where a network offers snapshots, that tree is kept beside the archive: its root stands in the state that
    the app hash covers, so whoever begins at a snapshot knows that these are the answers that were given.
    """
    return sha256(LEAF, TAG_ARCHIVE, entry.tobytes(), np.ascontiguousarray(receipts).view(np.uint8).data)


def _entry_check(entry: np.void) -> int:
    return zlib.crc32(entry.tobytes()[: -ENTRY["check"].itemsize])


class ReceiptArchive:
    """Appends receipts, finds them again. One writer; readers may be other threads."""

    def __init__(
        self, folder: Path, rules: Rules, disk: Disk | None = None, *, blocks: int = 0, rows: int = 0
    ) -> None:
        """Open with the first `blocks` and their `rows` of receipts, or anew. Raises: StorageError."""
        self._rules = rules
        disk = disk or SystemDisk()
        self._rows = RowFile(folder / "receipts.log", RECEIPT, disk, keep=rows)
        self._entries = RowFile(folder / "blocks.log", ENTRY, disk, keep=blocks)
        self._state = self._entries.read(blocks - 1, 1) if blocks else np.zeros(1, ENTRY)

    @property
    def height(self) -> int:
        return len(self._entries)

    @property
    def rows(self) -> int:
        """How many receipts there are."""
        return len(self._rows)

    def rows_until(self, height: int) -> int:
        """Return how many receipts the first `height` blocks have."""
        entry = self._entry(height)
        return int(entry["first"]) + int(entry["count"])

    def append(self, block: CommittedBlock) -> RecordArray:
        """Add the next block's receipts; return its ENTRY (1,)."""
        entry = next_entry(self._state, block, self.rows)
        self._rows.append(block.receipts)
        self._entries.append(entry)
        self._state = entry
        return entry

    def entry(self, height: int) -> RecordArray:
        """Return the ENTRY (1,) of a block. Raises: NotFound, StorageError ``archive_damaged``."""
        return self._entry(height).reshape(1)

    def receipts(self, height: int) -> RecordArray:
        """Return the receipts of a block. Raises: NotFound, StorageError ``archive_damaged``."""
        entry = self._entry(height)
        found = self._read(int(entry["first"]), int(entry["count"]))
        if zlib.crc32(found.view(np.uint8).data) != int(entry["receipts_check"]):
            raise _damaged("receipts.log", height)
        return found

    def time_ns(self, height: int) -> int:
        return int(self._entry(height)["time_ns"])

    def height_at(self, time_ns: int) -> int:
        """Return the last block of a time or before, 0 where there is none."""
        return self._entries.search("time_ns", max(time_ns, 0), after=True)

    def app_hash(self, height: int) -> bytes:
        return self._entry(height)["app_hash"].tobytes() if height else bytes(32)

    def state_root(self, height: int) -> tuple[int, StateRoot] | None:
        """Return the last state root that block `height` covers, with the block that holds it."""
        entry = self._entry(height)
        if not entry["state_block"]:
            return None
        root = StateRoot(int(entry["state_height"]), entry["state_root"].tobytes())
        return int(entry["state_block"]), root

    def state_in(self, height: int) -> StateRoot | None:
        """Return the state root that is among the leaves of block `height`, if one is."""
        found = self.state_root(height)
        return found[1] if found and found[0] == height else None

    def find(self, identity: int) -> Place | None:
        """Return where a record was answered for good, or None.

        An id is accepted only in blocks whose time lies in [id - future, id + window]. Answers
        that the ledger does not remember (a stranger's forgery, a lapse of capacity) count only
        where there is no other; among answers that it does remember, an effect comes first, for
        another authority may have been refused under the same id.
        """
        best: tuple[int, int] | None = None
        for first, end in self._spans(*self._blocks_of(identity)):
            for row, outcome in self._answers(identity, first, end):
                if outcome < Outcome.MALFORMED:
                    return self._place(row)
                rank = int(outcome < Outcome.BLOCKED)
                if best is None or rank < best[0]:
                    best = rank, row
        return None if best is None else self._place(best[1])

    def answers(self, identity: int, height: int) -> Iterator[np.void]:
        """Yield the receipt of every answer to an id but EXISTS, block by block up to a height."""
        start, stop = self._blocks_of(identity)
        for first, end in self._spans(start, min(stop, height)):
            for row, _ in self._answers(identity, first, end):
                yield self._read(row, 1)[0]

    def _blocks_of(self, identity: int) -> tuple[int, int]:
        """Return the blocks `start..stop` whose time an id could have been accepted at."""
        made_ns = payment_time_ms(identity) * NS_PER_MS
        earliest = min(max(made_ns - (self._rules.id_future_s + 1) * NS_PER_S, 0), U64_MASK)
        latest = min(made_ns + (self._rules.id_window_s + 1) * NS_PER_S, U64_MASK)
        start = self._entries.search("time_ns", earliest)
        return start, self._entries.search("time_ns", latest, after=True)

    def _spans(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield (first row, end row) of the blocks `start..stop`, some thousand rows at a time."""
        while start < stop:
            entries = self._entries.read(start, min(stop - start, SCAN_BLOCKS))
            ends = (entries["first"] + entries["count"]).astype(np.int64)
            first, at = int(entries["first"][0]), 0
            while at < len(ends):
                enough = int(np.searchsorted(ends, first + SCAN_ROWS))
                at = min(max(enough, at) + 1, len(ends))
                yield first, int(ends[at - 1])
                first = int(ends[at - 1])
            start += len(entries)

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
        block = self._entries.search("first", row, after=True)
        return Place(block, row - int(self._entry(block)["first"]))

    def sync(self) -> None:
        """Make everything appended durable, as a snapshot needs it."""
        self._rows.sync()
        self._entries.sync()

    def close(self) -> None:
        """Close the files; twice is no harm."""
        self._rows.close()
        self._entries.close()

    def _entry(self, height: int) -> np.void:
        if not 1 <= height <= self.height:
            raise NotFound(f"there is no block {height}; the last one is {self.height}", code="block_unknown")
        row: np.void = self._entries.read(height - 1, 1)[0]
        if int(row["check"]) != _entry_check(row):
            raise _damaged("blocks.log", height)
        return row

    def _read(self, first: int, count: int) -> RecordArray:
        return self._rows.read(first, count)


def _damaged(name: str, height: int) -> StorageError:
    return StorageError(
        f"{name} does not hold what was written of block {height}. Stop the node and delete receipts.log and "
        "blocks.log: both are made again from the journal; where the chain began at a snapshot, take them "
        "again with: bezant network resync",
        code="archive_damaged",
    )
