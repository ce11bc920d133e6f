"""The columns of several Orders joined into one block's, and what the ledger and everybody else is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bezant.chain.blocks import AppHash, CommittedBlock, StateRoot
from bezant.chain.storage.frames import JournaledBlock
from bezant.ledger.batch import Batch
from bezant.model.digest import Digests
from bezant.model.orders import Order, join_authorised
from bezant.model.records import DECISION, RecordArray, join_rows


@dataclass(frozen=True, slots=True)
class Columns:
    """`records`, `decisions` (n,); `authorisations` (m,) with `first` counted in the block."""

    records: RecordArray
    decisions: RecordArray
    authorisations: RecordArray


def batch_of(journaled: JournaledBlock, columns: Columns, hashes: Digests) -> Batch:
    """Return what the ledger applies; `hashes` (n, 32) are the records' leaf hashes."""
    return Batch(
        journaled.time_ns,
        columns.records,
        columns.decisions,
        columns.authorisations,
        journaled.authentic,
        journaled.accepted,
        hashes,
        journaled.originals,
        journaled.faults,
    )


def block_of(
    journaled: JournaledBlock,
    columns: Columns,
    receipts: RecordArray,
    app: AppHash,
    state: StateRoot | None,
) -> CommittedBlock:
    """Return a block with the ledger's answers to it."""
    return CommittedBlock(
        journaled.height,
        journaled.time_ns,
        app,
        columns.records,
        columns.decisions,
        columns.authorisations,
        receipts,
        state,
    )


def join_orders(orders: Sequence[Order]) -> Columns:
    if len(orders) == 1:
        only = orders[0]
        return Columns(only.records, only.decisions, only.authorisations)
    authorisations, records = join_authorised([(o.authorisations, o.records) for o in orders])
    return Columns(records, join_rows([o.decisions for o in orders], DECISION), authorisations)
