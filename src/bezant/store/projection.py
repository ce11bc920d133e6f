"""What a run of blocks means in rows: pure, column by column, no database.

What becomes a payment: every TRANSFER or HOLD whose answer is one to its payer. Left to the
journal are answers that prove nothing about the payer (MALFORMED to GATEWAY_NOT_ACCEPTED: anyone
can send those under any name) and those that change nothing (EXISTS, EXISTS_WITH_OTHER_CONTENT).

The ledger's duplicate key is (authority, id), so that is a payment's key here too. Three refusals
are not remembered by the ledger (`UNREMEMBERED`): the same id may come again and apply. A later
answer therefore replaces one of those, and never replaces any other.

A CAPTURE or RELEASE that took effect, and a system receipt for an expiry, change the payment they
close, found by its id and debtor account, which is how the ledger keys a hold. A capture may be for
less than was held: `settled_amount` says for how much in all, and each is a row of its own. A REVERSE is
a payment, and adds to `reversed_amount` of what it pays back: a payment, or a capture and its payment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bezant.chain.blocks import CommittedBlock
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind
from bezant.store import columns
from bezant.store.fees import fee_rows
from bezant.store.learning import label_rows, model_rows
from bezant.store.proposals import ballot_rows, decision_rows, proposal_rows
from bezant.store.reviews import review_rows
from bezant.store.run import Run, join_blocks
from bezant.store.schema import HASH_BYTES, STATUS_OF, PaymentStatus
from bezant.store.slashes import slash_rows

Row = tuple[Any, ...]
TextSource = Callable[[Sequence[int]], Mapping[int, str]]
"""Gives end-to-end ids by the ids of payments; leaves out who has none, or had it erased."""

UNREMEMBERED: Final = (Outcome.ID_IN_FUTURE, Outcome.EXPIRED, Outcome.CAPACITY)
_STATUS: Final = {int(outcome): status.value for outcome, status in STATUS_OF.items()}


@dataclass(slots=True)
class ProjectedRows:
    """Rows in the column order of their tables, and updates in the order of `store`'s statements."""

    receipts: int = 0
    """How many receipts the blocks have."""
    blocks: list[Row] = field(default_factory=list)
    eras: list[Row] = field(default_factory=list)
    """Of every block its era, and its first ordinal; the first of an era says where that begins."""
    payments: list[Row] = field(default_factory=list)
    captures: list[Row] = field(default_factory=list)
    captured: list[Row] = field(default_factory=list)
    releases: list[Row] = field(default_factory=list)
    reversals: list[Row] = field(default_factory=list)
    expiries: list[Row] = field(default_factory=list)
    entries: list[Row] = field(default_factory=list)
    slashes: list[Row] = field(default_factory=list)
    fees: list[Row] = field(default_factory=list)
    accounts: list[Row] = field(default_factory=list)
    freezes: list[Row] = field(default_factory=list)
    delegates: list[Row] = field(default_factory=list)
    limits: list[Row] = field(default_factory=list)
    closings: list[Row] = field(default_factory=list)
    labels: list[Row] = field(default_factory=list)
    reviews: list[Row] = field(default_factory=list)
    model_changes: list[Row] = field(default_factory=list)
    proposals: list[Row] = field(default_factory=list)
    ballots: list[Row] = field(default_factory=list)
    accepted: list[Row] = field(default_factory=list)
    declined: list[Row] = field(default_factory=list)
    enacted: list[Row] = field(default_factory=list)
    rule_changes: list[Row] = field(default_factory=list)
    """What is in force already where a chain begins; blocks say it by what they enact."""


@dataclass(frozen=True, slots=True)
class EndToEndHashes:
    """How an end-to-end id becomes what it is found by: BLAKE2b under a key of the store.

    `texts_of` is asked for payments that are not in the `known` texts of a call.
    """

    key: bytes
    texts_of: TextSource | None = None

    def digest(self, end_to_end_id: str) -> bytes:
        return hashlib.blake2b(end_to_end_id.encode(), key=self.key, digest_size=HASH_BYTES).digest()

    def column(
        self, ids: list[bytes], committed: list[bool], known: Mapping[int, str] | None
    ) -> list[bytes | None]:
        """Return the hash, or None, of every payment; `committed` says which have any texts."""
        texts = known or {}
        numbers = [int.from_bytes(id_, "big") for id_ in ids] if texts or self.texts_of else []
        if self.texts_of is not None:
            asked = [n for n, has in zip(numbers, committed, strict=True) if has and n not in texts]
            texts = {**texts, **self.texts_of(asked)} if asked else texts
        if not texts:
            return [None] * len(ids)
        found = (texts.get(n) if has else None for n, has in zip(numbers, committed, strict=True))
        return [self.digest(text) if text else None for text in found]


def project_rows(
    blocks: Sequence[CommittedBlock],
    hashes: EndToEndHashes,
    known: Mapping[int, str] | None = None,
    *,
    receipts_before: int = 0,
) -> ProjectedRows:
    """Return every row that the blocks add or change.

    `receipts_before` is how many receipts all the blocks before them have. Raises: InvariantViolation
    for a block whose receipts do not answer its records.
    """
    run = join_blocks(blocks, receipts_before)
    kind, outcome = run.records["kind"], run.receipts["outcome"]
    moves = (kind == Kind.TRANSFER) | (kind == Kind.REVERSE) | (kind == Kind.CLAWBACK)
    pays = moves | (kind == Kind.HOLD)
    unproven = (outcome >= Outcome.MALFORMED) & (outcome <= Outcome.THRESHOLD_NOT_MET)
    changes_nothing = (outcome == Outcome.EXISTS) | (outcome == Outcome.EXISTS_WITH_OTHER_CONTENT)
    applied = outcome == Outcome.APPLIED
    captured = (outcome == Outcome.CAPTURED) | (outcome == Outcome.CAPTURED_IN_PART)

    rows = ProjectedRows(len(run.records) + len(run.system))
    rows.eras = run.begins
    rows.blocks = [(b.height, b.time_ns, b.app_hash, len(b.records)) for b in blocks]
    rows.payments = _payments(run, np.flatnonzero(pays & ~unproven & ~changes_nothing), hashes, known)
    rows.captures = _captures(run, np.flatnonzero(captured))
    rows.captured = _captured(run, np.flatnonzero(captured))
    rows.releases = _releases(run, np.flatnonzero(outcome == Outcome.RELEASED))
    rows.reversals = _reversals(run, np.flatnonzero(applied & (kind == Kind.REVERSE)))
    rows.expiries = _expiries(run)
    rows.entries = _entries(run, np.flatnonzero(applied & moves | captured))
    rows.fees = fee_rows(run.records, run.receipts, run.ordinals, run.eras)
    rows.slashes = slash_rows(run.system, run.system_ordinals, run.system_eras)
    rows.accounts = _accounts(run, np.flatnonzero(applied & (kind == Kind.OPEN_ACCOUNT)))
    rows.freezes = _freezes(run, np.flatnonzero(applied & (kind == Kind.SET_FROZEN)))
    rows.delegates = _delegates(run, np.flatnonzero(applied & (kind == Kind.SET_DELEGATE)))
    rows.limits = _limits(run, np.flatnonzero(applied & (kind == Kind.SET_LIMITS)))
    rows.closings = _closings(run, np.flatnonzero(applied & (kind == Kind.CLOSE_ACCOUNT)))
    rows.reviews = review_rows(run.records, run.decisions, run.receipts, run.ordinals, run.times)
    rows.labels = label_rows(*run.applied(Kind.LABEL))
    rows.model_changes = model_rows(*run.applied(Kind.SET_MODEL))
    rows.proposals = proposal_rows(*run.applied(Kind.PROPOSE))
    rows.ballots = ballot_rows(*run.applied(Kind.VOTE))
    decisions = decision_rows(run.system, run.system_ordinals, run.system_times)
    rows.accepted, rows.declined, rows.enacted = decisions
    return rows


def _payments(
    run: Run, at: npt.NDArray[np.intp], hashes: EndToEndHashes, known: Mapping[int, str] | None
) -> list[Row]:
    records, receipts, decisions = run.records[at], run.receipts[at], run.decisions[at]
    keys, outcomes, times = columns.ids(records, "id"), receipts["outcome"].tolist(), run.times[at].tolist()
    amounts = columns.amounts(records["amount"])
    settled = [outcome == Outcome.APPLIED for outcome in outcomes]
    committed: list[bool] = np.any(records["payload_commitment"], axis=1).tolist()
    return list(
        zip(
            run.ordinals[at].tolist(),
            run.eras[at].tolist(),
            keys,
            columns.ids(run.authorities[at], "authority"),
            records["kind"].tolist(),
            columns.ids(records, "debtor"),
            columns.ids(records, "creditor"),
            records["asset"].tolist(),
            amounts,
            [amount if yes else None for amount, yes in zip(amounts, settled, strict=True)],
            [_STATUS.get(outcome, PaymentStatus.REFUSED.value) for outcome in outcomes],
            outcomes,
            receipts["verdict"].tolist(),
            decisions["score_ppm"].tolist(),
            decisions["fallback"].tolist(),
            decisions["generation"].tolist(),
            receipts["mode"].tolist(),
            times,
            times,
            [time if yes else None for time, yes in zip(times, settled, strict=True)],
            [None] * len(keys),
            [related if related.strip(b"\0") else None for related in columns.ids(records, "related")],
            [None] * len(keys),
            hashes.column(keys, committed, known),
            strict=True,
        )
    )


def _captures(run: Run, at: npt.NDArray[np.intp]) -> list[Row]:
    records = run.records[at]
    return list(
        zip(
            run.ordinals[at].tolist(),
            columns.ids(records, "id"),
            columns.ids(records, "related"),
            columns.ids(records, "debtor"),
            columns.amounts(run.receipts["amount"][at]),
            [None] * len(at),
            run.times[at].tolist(),
            strict=True,
        )
    )


def _captured(run: Run, at: npt.NDArray[np.intp]) -> list[Row]:
    """(status, outcome, amount four times, updated, settled, closed_by | id, debtor)."""
    records, times = run.records[at], run.times[at].tolist()
    outcomes = run.receipts["outcome"][at].tolist()
    moved = columns.amounts(run.receipts["amount"][at])
    return list(
        zip(
            [_STATUS[outcome] for outcome in outcomes],
            outcomes,
            *[moved] * 4,
            times,
            times,
            columns.ids(records, "id"),
            columns.ids(records, "related"),
            columns.ids(records, "debtor"),
            strict=True,
        )
    )


def _releases(run: Run, at: npt.NDArray[np.intp]) -> list[Row]:
    """(status, outcome, updated, closed_by | id, debtor)."""
    records, count = run.records[at], len(at)
    return list(
        zip(
            [PaymentStatus.RELEASED.value] * count,
            [int(Outcome.RELEASED)] * count,
            run.times[at].tolist(),
            columns.ids(records, "id"),
            columns.ids(records, "related"),
            columns.ids(records, "debtor"),
            strict=True,
        )
    )


def _reversals(run: Run, at: npt.NDArray[np.intp]) -> list[Row]:
    """(amount four times, updated | id, payer of the original)."""
    records, times = run.records[at], run.times[at].tolist()
    moved = columns.amounts(run.receipts["amount"][at])
    paid_back = columns.ids(records, "creditor")
    return list(zip(*[moved] * 4, times, columns.ids(records, "related"), paid_back, strict=True))


def _expiries(run: Run) -> list[Row]:
    """(status, outcome, updated | id, row of the debtor account); a bond that ran out was no payment."""
    at = np.flatnonzero((run.system["outcome"] == Outcome.HOLD_EXPIRED) & (run.system["kind"] != Kind.BOND))
    ended, count = run.system[at], len(at)
    return list(
        zip(
            [PaymentStatus.EXPIRED.value] * count,
            [int(Outcome.HOLD_EXPIRED)] * count,
            run.system_times[at].tolist(),
            columns.ids(ended, "id"),
            ended["debtor_row"].tolist(),
            strict=True,
        )
    )


def _entries(run: Run, at: npt.NDArray[np.intp]) -> list[Row]:
    records, receipts = run.records[at], run.receipts[at]
    ordinals = run.ordinals[at].tolist()
    # A fee is part of what leaves the debtor; of a capture it is taken off what reaches the creditor.
    captured, none = records["kind"] == Kind.CAPTURE, np.uint64(0)
    out = columns.amounts(receipts["amount"] + np.where(captured, none, receipts["fee"]))
    in_ = columns.amounts(receipts["amount"] - np.where(captured, receipts["fee"], none))
    own, related = columns.ids(records, "id"), columns.ids(records, "related")
    captures = (records["kind"] == Kind.CAPTURE).tolist()
    payment = [b if closes else a for a, b, closes in zip(own, related, captures, strict=True)]
    debtor, creditor = columns.ids(records, "debtor"), columns.ids(records, "creditor")
    count = len(ordinals)
    after_debit = columns.balances(receipts["debtor_side"])
    after_credit = columns.balances(receipts["creditor_side"])
    eras = run.eras[at].tolist()
    debits = zip(eras, debtor, ordinals, ["debit"] * count, out, payment, creditor, after_debit, strict=True)
    credits_ = zip(
        eras, creditor, ordinals, ["credit"] * count, in_, payment, debtor, after_credit, strict=True
    )
    # In the order of their key: a B-tree takes sorted rows a good deal quicker.
    return sorted([*debits, *credits_])


def _accounts(run: Run, at: npt.NDArray[np.intp]) -> list[Row]:
    records, count = run.records[at], len(at)
    return list(
        zip(
            columns.ids(records, "debtor"),
            run.receipts["debtor_row"][at].tolist(),
            columns.ids(records, "creditor"),
            records["asset"].tolist(),
            columns.amounts(records["amount"]),
            columns.amounts(records["max_fee"]),
            [False] * count,
            [None] * count,
            [0] * count,
            run.times[at].tolist(),
            [None] * count,
            run.ordinals[at].tolist(),
            strict=True,
        )
    )


def _freezes(run: Run, at: npt.NDArray[np.intp]) -> list[Row]:
    """(frozen | account)."""
    records = run.records[at]
    return list(zip((records["amount"] != 0).tolist(), columns.ids(records, "debtor"), strict=True))


def _delegates(run: Run, at: npt.NDArray[np.intp]) -> list[Row]:
    """(delegate, cap | account); a cap of 0 revokes."""
    records = run.records[at]
    caps, delegates = columns.amounts(records["amount"]), columns.ids(records, "creditor")
    named = [delegate if cap else None for delegate, cap in zip(delegates, caps, strict=True)]
    return list(zip(named, caps, columns.ids(records, "debtor"), strict=True))


def _limits(run: Run, at: npt.NDArray[np.intp]) -> list[Row]:
    """(credit limit, balance limit | account)."""
    records = run.records[at]
    credit, balance = columns.amounts(records["amount"]), columns.amounts(records["max_fee"])
    return list(zip(credit, balance, columns.ids(records, "debtor"), strict=True))


def _closings(run: Run, at: npt.NDArray[np.intp]) -> list[Row]:
    """(closed | account)."""
    return list(zip(run.times[at].tolist(), columns.ids(run.records[at], "debtor"), strict=True))
