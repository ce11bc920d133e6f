"""What the store answers with: frozen rows in the units of the model, never raw table rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from bezant.model.governance import Ballot, Change, Rule
from bezant.model.identifiers import AccountId, AuthorityId, PaymentId
from bezant.model.outcomes import Outcome, SigningMode, Verdict
from bezant.model.records import Kind, Label, ModelRole
from bezant.store.schema import POSITION_BITS, PaymentStatus, ProposalStatus, unsigned_amount

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; `next_cursor` is None on the last page."""

    items: Sequence[T]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class StoredPayment:
    """One payment as it stands; amounts in minor units, times in nanoseconds since 1970.

    `outcome` is the ledger's latest answer concerning it; `settled_amount` what was paid so far,
    `closed_by` the last CAPTURE or RELEASE of a hold; `related` what a REVERSE pays back, or the mandate;
    `reversed_amount` what was paid back of it; `fee` what was charged so far.
    """

    id: PaymentId
    authority: AuthorityId
    kind: Kind
    debtor: AccountId
    creditor: AccountId
    asset: int
    amount: int
    settled_amount: int | None
    status: PaymentStatus
    outcome: Outcome
    verdict: Verdict
    score_ppm: int
    fallback: int
    generation: int
    mode: SigningMode
    height: int
    position: int
    created_ns: int
    updated_ns: int
    settled_ns: int | None
    closed_by: PaymentId | None
    related: PaymentId | None
    reversed_amount: int
    end_to_end_hash: bytes | None
    fee: int = 0


@dataclass(frozen=True, slots=True)
class StoredReview:
    """A payment that waits for a person; `escalated`: somebody passed it on."""

    payment: StoredPayment
    escalated: bool


@dataclass(frozen=True, slots=True)
class StoredCapture:
    """One capture of the hold `payment`, and what was paid back of it; amounts in minor units."""

    id: PaymentId
    payment: PaymentId
    amount: int
    reversed_amount: int
    height: int
    created_ns: int


@dataclass(frozen=True, slots=True)
class StoredLabel:
    """What a payment was said to be, and by whom."""

    payment: PaymentId
    debtor: AccountId
    label: Label
    authority: AuthorityId
    height: int
    created_ns: int


@dataclass(frozen=True, slots=True)
class ModelChange:
    """A role that a model was given; `role` as in the record that gave it."""

    authority: AuthorityId
    digest: bytes
    role: ModelRole
    height: int
    created_ns: int


@dataclass(frozen=True, slots=True)
class StoredProposal:
    """A change that was put to the vote, for block `height`, and what became of it.

    `was` is what it replaced, or what stood when it was declined, or what stands now; None: as the network
    was founded. `ballots` are what institutions said last. Heights and times are None for what did not
    happen, and for what happened before the node's chain begins.
    """

    id: PaymentId
    proposer: AuthorityId
    change: Change
    was: Change | None
    status: ProposalStatus
    height: int
    until_ns: int
    created_height: int | None
    created_ns: int | None
    decided_height: int | None
    decided_ns: int | None
    enacted_height: int | None
    enacted_ns: int | None
    ballots: Sequence[tuple[AuthorityId, Ballot]]


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """One account; limits and `balance` (posted, signed) in minor units.

    `balance` is as of the store's height; the ledger answers with the live one.
    """

    id: AccountId
    authority: AuthorityId
    asset: int
    credit_limit: int
    balance_limit: int
    frozen: bool
    delegate: AuthorityId | None
    delegate_cap: int
    opened_ns: int
    closed_ns: int | None
    party: int | None
    balance: int


@dataclass(frozen=True, slots=True)
class StatementEntry:
    """One posted leg, and the account's balance after it."""

    height: int
    position: int
    time_ns: int
    side: Literal["debit", "credit"]
    amount: int
    payment: PaymentId
    counterparty: AccountId
    balance: int

    @property
    def is_brought_forward(self) -> bool:
        """Whether this is what the account had where the node's chain begins, and no payment."""
        return not self.payment

    @property
    def signed_amount(self) -> int:
        """The amount, negative for a debit."""
        return self.amount if self.side == "credit" else -self.amount


@dataclass(frozen=True, slots=True)
class Statement:
    """A page of an account's entries, oldest first.

    `opening` and `closing` are the balances before and after this page, and differ by exactly its
    entries; `period_opening` and `period_closing` are those of the whole time asked for.
    """

    account: AccountId
    asset: int
    entries: Sequence[StatementEntry]
    opening: int
    closing: int
    period_opening: int
    period_closing: int
    next_cursor: str | None


def payment_view(row: Any, fee: int = 0) -> StoredPayment:
    return StoredPayment(
        id=PaymentId(_int(row.id)),
        authority=AuthorityId(_int(row.authority)),
        kind=Kind(row.kind),
        debtor=AccountId(_int(row.debtor)),
        creditor=AccountId(_int(row.creditor)),
        asset=row.asset,
        amount=unsigned_amount(row.amount),
        settled_amount=None if row.settled_amount is None else unsigned_amount(row.settled_amount),
        status=PaymentStatus(row.status),
        outcome=Outcome(row.outcome),
        verdict=Verdict(row.verdict),
        score_ppm=row.score_ppm,
        fallback=row.fallback,
        generation=row.generation,
        mode=SigningMode(row.mode),
        height=row.ordinal >> POSITION_BITS,
        position=row.ordinal & (1 << POSITION_BITS) - 1,
        created_ns=row.created_ns,
        updated_ns=row.updated_ns,
        settled_ns=row.settled_ns,
        closed_by=None if row.closed_by is None else PaymentId(_int(row.closed_by)),
        related=None if row.related is None else PaymentId(_int(row.related)),
        reversed_amount=unsigned_amount(row.reversed_amount or 0),
        end_to_end_hash=None if row.end_to_end_hash is None else bytes(row.end_to_end_hash),
        fee=fee,
    )


def review_view(row: Any) -> StoredReview:
    return StoredReview(payment_view(row), bool(row.escalated))


def capture_view(row: Any) -> StoredCapture:
    return StoredCapture(
        id=PaymentId(_int(row.id)),
        payment=PaymentId(_int(row.payment)),
        amount=unsigned_amount(row.amount),
        reversed_amount=unsigned_amount(row.reversed_amount or 0),
        height=row.ordinal >> POSITION_BITS,
        created_ns=row.created_ns,
    )


def label_view(row: Any) -> StoredLabel:
    return StoredLabel(
        payment=PaymentId(_int(row.payment)),
        debtor=AccountId(_int(row.debtor)),
        label=Label(row.label),
        authority=AuthorityId(_int(row.authority)),
        height=row.ordinal >> POSITION_BITS,
        created_ns=row.created_ns,
    )


def model_change_view(row: Any) -> ModelChange:
    return ModelChange(
        authority=AuthorityId(_int(row.authority)),
        digest=bytes(row.digest),
        role=ModelRole(row.role),
        height=row.ordinal >> POSITION_BITS,
        created_ns=row.created_ns,
    )


def proposal_view(row: Any, said: Mapping[bytes, int]) -> StoredProposal:
    change = Change(Rule(row.rule), _values(row.value, row.ppm, row.minimum, row.maximum), row.asset)
    was = None
    if row.was_value is not None:
        values = _values(row.was_value, row.was_ppm, row.was_minimum, row.was_maximum)
        was = Change(change.rule, values, change.asset)
    return StoredProposal(
        id=PaymentId(_int(row.id)),
        proposer=AuthorityId(_int(row.authority)),
        change=change,
        was=was,
        status=ProposalStatus(row.status),
        height=unsigned_amount(row.height),
        until_ns=row.until_ns,
        created_height=None if row.created_ns is None else row.ordinal >> POSITION_BITS,
        created_ns=row.created_ns,
        decided_height=None if row.decided is None else row.decided >> POSITION_BITS,
        decided_ns=row.decided_ns,
        enacted_height=None if row.enacted is None else row.enacted >> POSITION_BITS,
        enacted_ns=row.enacted_ns,
        ballots=[(AuthorityId(_int(authority)), Ballot(ballot)) for authority, ballot in said.items()],
    )


def account_view(row: Any) -> StoredAccount:
    return StoredAccount(
        id=AccountId(_int(row.id)),
        authority=AuthorityId(_int(row.authority)),
        asset=row.asset,
        credit_limit=unsigned_amount(row.credit_limit),
        balance_limit=unsigned_amount(row.balance_limit),
        frozen=row.frozen,
        delegate=None if row.delegate is None else AuthorityId(_int(row.delegate)),
        delegate_cap=unsigned_amount(row.delegate_cap),
        opened_ns=row.opened_ns,
        closed_ns=row.closed_ns,
        party=row.party,
        balance=int(row.balance or 0),
    )


def entry_view(row: Any) -> StatementEntry:
    return StatementEntry(
        height=row.ordinal >> POSITION_BITS,
        position=row.ordinal & (1 << POSITION_BITS) - 1,
        time_ns=row.time_ns,
        side=row.side,
        amount=unsigned_amount(row.amount),
        payment=PaymentId(_int(row.payment)),
        counterparty=AccountId(_int(row.counterparty)),
        balance=int(row.balance),
    )


def _values(*stored: int) -> tuple[int, ...]:
    return tuple(map(unsigned_amount, stored))


def _int(key: bytes) -> int:
    return int.from_bytes(key, "big")
