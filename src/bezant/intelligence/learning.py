"""Learning from committed blocks, the only thing that features are updated from: payments, then labels."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from bezant.chain.blocks import CommittedBlock
from bezant.intelligence.features import FeatureState
from bezant.model.outcomes import Outcome
from bezant.model.records import NO_ROW, SCORED_KINDS, Kind, Label, RecordArray, of_kind


class Named(NamedTuple):
    """Keys (n,) of the devices and terminals that payments named, 0 where they named none."""

    device: npt.NDArray[np.uint64]
    terminal: npt.NDArray[np.uint64]


class Decided(NamedTuple):
    """Rows (n,) of the accounts of payments by the evidence of who decided them, NO_ROW where it has none."""

    debtor: npt.NDArray[np.int64]
    creditor: npt.NDArray[np.int64]


class NamedBy(Protocol):
    """Knows what payments named, by the words of their ids (n,); None: nothing."""

    def settled(self, ids_lo: npt.NDArray[np.uint64], ids_hi: npt.NDArray[np.uint64]) -> Named | None:
        """Payments of the block that is being learned."""

    def sealed(self, ids_lo: npt.NDArray[np.uint64], ids_hi: npt.NDArray[np.uint64]) -> Named | None:
        """Payments of any earlier block."""

    def decided(self, ids_lo: npt.NDArray[np.uint64], ids_hi: npt.NDArray[np.uint64]) -> Decided | None:
        """Between which accounts payments were to go that were decided here, whatever became of them."""


class NothingNamed:
    """Payments that name neither devices nor terminals."""

    def settled(self, ids_lo: npt.NDArray[np.uint64], ids_hi: npt.NDArray[np.uint64]) -> None:
        return None

    def sealed(self, ids_lo: npt.NDArray[np.uint64], ids_hi: npt.NDArray[np.uint64]) -> None:
        return None

    def decided(self, ids_lo: npt.NDArray[np.uint64], ids_hi: npt.NDArray[np.uint64]) -> None:
        return None


def learn_block(
    features: FeatureState, block: CommittedBlock, scales: npt.NDArray[np.int64], names: NamedBy
) -> None:
    """Remember every payment of a block that moved or reserved value, and what others turned out to be.

    The time is the one inside the payer's signed id, which is also what scoring used. `scales`
    (assets + 1,) are the decimals of each asset by number; `names` knows devices and terminals.
    """
    own, paid, said = block.receipts[block.system_count :], paid_rows(block), said_rows(block)
    if len(paid):
        _learn_payments(features, block, own, paid, scales, names)
    if len(said):
        _learn_labels(features, block, said, names)


def paid_rows(block: CommittedBlock) -> npt.NDArray[np.intp]:
    """Return the positions of a block's records that moved or reserved value as payments."""
    own = block.receipts[block.system_count :]
    return (of_kind(own, *SCORED_KINDS) & (own["outcome"] <= int(Outcome.HELD_FOR_REVIEW))).nonzero()[0]


def said_rows(block: CommittedBlock) -> npt.NDArray[np.intp]:
    """Return the positions of a block's LABEL records that were applied."""
    own = block.receipts[block.system_count :]
    return (of_kind(own, Kind.LABEL) & (own["outcome"] == int(Outcome.APPLIED))).nonzero()[0]


class Said(NamedTuple):
    """LABEL records (n,) of a block and whom they concern; `refused`: the payment never took place."""

    records: RecordArray
    debtor: npt.NDArray[np.int64]
    creditor: npt.NDArray[np.int64]
    refused: npt.NDArray[np.bool_]


def said_of(block: CommittedBlock, rows: npt.NDArray[np.intp], names: NamedBy) -> Said:
    """Return the LABEL records (rows) of a block that can be learned from.

    One of a payment that was refused names its debtor alone. To whom it was to go only whoever decided it
    knows, from its own evidence: for anybody else there is nothing to learn, and nobody to suspect.
    """
    records, receipts = block.records[rows], block.receipts[block.system_count :][rows]
    debtor, creditor = (receipts[f"{side}_row"].astype(np.int64) for side in ("debtor", "creditor"))
    refused, known = creditor == NO_ROW, np.ones(len(rows), np.bool_)
    if refused.any():
        known = ~refused
        decided = names.decided(records["related_lo"][refused], records["related_hi"][refused])
        if decided is not None:
            known[refused] = (decided.debtor == debtor[refused]) & (decided.creditor != NO_ROW)
            creditor[refused] = decided.creditor
    return Said(records[known], debtor[known], creditor[known], refused[known])


def _learn_labels(
    features: FeatureState, block: CommittedBlock, rows: npt.NDArray[np.intp], names: NamedBy
) -> None:
    """Remember what LABEL records (rows) of a block call payments, as known from its time on.

    A payment called fraud counts once, however often it is said; called genuine afterwards it counts no more.
    """
    records, debtor, creditor, refused = said_of(block, rows, names)
    if not len(records):
        return
    named = names.sealed(records["related_lo"], records["related_hi"])
    features.label(
        debtor,
        creditor,
        (records["related_hi"] >> np.uint64(16)).astype(np.int64) * 1_000_000,
        np.full(len(records), block.time_ns, np.int64),
        terminal=None if named is None else named.terminal,
        payment=records["related_lo"],
        fraud=records["amount"] == Label.FRAUD,
        refused=refused,
    )


def _learn_payments(
    features: FeatureState,
    block: CommittedBlock,
    own: RecordArray,
    rows: npt.NDArray[np.intp],
    scales: npt.NDArray[np.int64],
    names: NamedBy,
) -> None:
    named = names.settled(own["id_lo"][rows], own["id_hi"][rows])
    time_ns = (own["id_hi"][rows] >> np.uint64(16)).astype(np.int64) * 1_000_000
    features.learn(
        own["debtor_row"][rows].astype(np.int64),
        own["creditor_row"][rows].astype(np.int64),
        own["amount"][rows],
        time_ns,
        scale=scales[block.records["asset"][rows]],
        device=None if named is None else named.device,
        terminal=None if named is None else named.terminal,
    )
