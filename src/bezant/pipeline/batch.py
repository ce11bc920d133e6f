"""A batch of payments as columns; every stage reads some and writes some.

One payment is a batch of one. Row `i` of every per-payment column is the same payment, row `a`
of every per-Authorisation column the same signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.chain.blocks import CommittedBlock
from bezant.chain.engine import Answered, Awaited
from bezant.chain.signatures import Checked
from bezant.model.digest import Digests
from bezant.model.orders import join_authorised
from bezant.model.outcomes import Outcome
from bezant.model.records import COMMAND_KINDS, DECISION, NO_ROW, SCORED_KINDS, RecordArray, of_kind

PENDING = np.uint16(0xFFFF)
"""In `refused`: nothing has refused this payment so far."""

_UINT32 = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Submission:
    """What one caller handed in: signed records, and the salted texts that they commit to.

    `payloads` are salt ‖ canonical payload, one a record and empty where it has none, or none at all.
    """

    authorisations: RecordArray
    records: RecordArray
    payloads: tuple[bytes, ...] = ()

    def __len__(self) -> int:
        return len(self.records)


@dataclass(slots=True)
class PaymentBatch:
    """The columns. Those below the line are filled by stages and start empty or neutral."""

    records: RecordArray
    authorisations: RecordArray
    received_ns: int
    payloads: list[bytes]
    """salt ‖ payload per record, empty where there is none."""
    sizes: list[int]
    """How many records each submission has, in order."""
    alone: bool = False
    """Whether no other batch is under way, so that whoever settles this one would only wait for the disk."""
    generation: int = 0
    stages: Mapping[str, Any] = field(default_factory=dict)
    """The stages of that generation, which the whole batch goes through."""
    moves: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Which records are of a kind that moves or reserves value."""
    # ---- filled by stages
    record_hashes: Digests = field(default_factory=lambda: np.zeros((0, 32), np.uint8))
    checked: Checked | None = None
    """What was found of the Authorisations' signatures."""
    refused: npt.NDArray[np.uint16] = field(default_factory=lambda: np.zeros(0, np.uint16))
    """Outcome that a stage refused a payment with before ordering, or PENDING."""
    first_outcome: npt.NDArray[np.uint16] = field(default_factory=lambda: np.zeros(0, np.uint16))
    debtor_row: _UINT32 = field(default_factory=lambda: np.zeros(0, np.uint32))
    creditor_row: _UINT32 = field(default_factory=lambda: np.zeros(0, np.uint32))
    screening: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    """Verdict of the name screening."""
    device: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    """Keys of the devices and terminals that payments name, 0 where they name none."""
    terminal: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    features: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    score_ppm: _UINT32 = field(default_factory=lambda: np.zeros(0, np.uint32))
    reasons: _UINT32 = field(default_factory=lambda: np.zeros(0, np.uint32))
    model: bytes = bytes(16)
    decisions: RecordArray = field(default_factory=lambda: np.zeros(0, DECISION))
    evidence: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    rests_on: int = 0
    """The block that answers out of the ledger's memory rest on: nobody is told before it is durable."""
    fallback: int = 0
    """Bit set of the stages that fell back on this batch."""
    ordered: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows that were ordered, in the order of their receipts."""
    block: CommittedBlock | None = None
    """What was ordered, where this node orders by itself."""
    awaited: Awaited | None = None
    """Tells what became of what was ordered, where a network agrees on it first."""
    answered: Answered | None = None
    """What `awaited` told."""

    def __len__(self) -> int:
        return len(self.records)

    @property
    def pays(self) -> npt.NDArray[np.bool_]:
        """Rows that move or reserve value and are still in the running."""
        return self.moves & (self.refused == PENDING)

    @property
    def refused_count(self) -> int:
        """How many rows a stage has refused."""
        return int(np.count_nonzero(self.refused != PENDING))

    @property
    def commands(self) -> npt.NDArray[np.bool_]:
        return self.records["kind"] >= COMMAND_KINDS

    @property
    def time_ns(self) -> npt.NDArray[np.int64]:
        """The time each payer signed, from its id, Unix nanoseconds (n,)."""
        return (self.records["id_hi"] >> np.uint64(16)).astype(np.int64) * 1_000_000

    @property
    def durable_at(self) -> int:
        """The height that must be durable before anybody is answered."""
        return self.rests_on if self.block is None else self.block.height

    @property
    def own_receipts(self) -> RecordArray | None:
        """The ledger's answers to the ordered rows, None where nothing was ordered or none is known yet."""
        if self.answered is not None:
            return self.answered.receipts
        return None if self.block is None else self.block.receipts[self.block.system_count :]

    def refuse(self, rows: npt.NDArray[np.bool_], outcome: Outcome) -> None:
        """Refuse rows; of several refusals the lowest stands, as in the ledger."""
        self.refused[rows] = np.minimum(self.refused[rows], np.uint16(outcome))


def join_submissions(submissions: list[Submission], received_ns: int) -> PaymentBatch:
    """Return one batch of everything handed in, in order."""
    if len(submissions) == 1:
        authorisations, records = submissions[0].authorisations, submissions[0].records
    else:
        authorisations, records = join_authorised([(s.authorisations, s.records) for s in submissions])
    payloads: list[bytes] = []
    for submission in submissions:
        payloads += submission.payloads or [b""] * len(submission)
    count = len(records)
    return PaymentBatch(
        records,
        authorisations,
        received_ns,
        payloads,
        [len(s) for s in submissions],
        moves=of_kind(records, *SCORED_KINDS),
        refused=np.full(count, PENDING, np.uint16),
        first_outcome=np.zeros(count, np.uint16),
        debtor_row=np.full(count, NO_ROW, np.uint32),
        creditor_row=np.full(count, NO_ROW, np.uint32),
        screening=np.zeros(count, np.uint8),
        device=np.zeros(count, np.uint64),
        terminal=np.zeros(count, np.uint64),
        score_ppm=np.zeros(count, np.uint32),
        reasons=np.zeros(count, np.uint32),
        decisions=np.zeros(count, DECISION),
    )


COLUMNS = tuple(column.name for column in fields(PaymentBatch))
