"""Blocks as every layer above the ledger sees them."""

from __future__ import annotations

from dataclasses import dataclass

from bezant.model.records import RecordArray


@dataclass(frozen=True, slots=True)
class CommittedBlock:
    """One durable block with its answers; what projections, streams and learning follow.

    `records`, `decisions` (n,) stand row by row as ordered; `authorisations` (m,) cover them.
    `receipts` (s + n,): first `s` system receipts (holds that expired as this block's time
    came), whose `order_index` is NO_ROW, then one receipt per record in order.
    """

    height: int
    time_ns: int
    app_hash: bytes
    records: RecordArray
    decisions: RecordArray
    authorisations: RecordArray
    receipts: RecordArray

    @property
    def system_count(self) -> int:
        return len(self.receipts) - len(self.records)
