"""Blocks as every layer above the ledger sees them."""

from __future__ import annotations

from dataclasses import dataclass

from bezant.model.records import RecordArray


@dataclass(frozen=True, slots=True)
class StateRoot:
    """What the whole state hashed to after block `height`."""

    height: int
    root: bytes


@dataclass(frozen=True, slots=True)
class CommittedBlock:
    """One durable block with its answers; what projections, streams and learning follow.

    `records`, `decisions` (n,) stand row by row as ordered; `authorisations` (m,) cover them.
    `receipts` (s + n,): first `s` system receipts (holds that expired as this block's time
    came), whose `order_index` is NO_ROW, then one receipt per record in order. `state_root` is of an
    earlier block; where there is one, it is the last leaf under this block's app hash.
    """

    height: int
    time_ns: int
    app_hash: bytes
    records: RecordArray
    decisions: RecordArray
    authorisations: RecordArray
    receipts: RecordArray
    state_root: StateRoot | None = None

    @property
    def system_count(self) -> int:
        return len(self.receipts) - len(self.records)

    @property
    def leaf_count(self) -> int:
        """How many leaves the app hash covers."""
        return len(self.receipts) + (self.state_root is not None)
