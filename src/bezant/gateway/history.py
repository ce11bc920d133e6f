"""What became of payments: where one stands now, lists, statements, and what waits for review."""

from __future__ import annotations

from dataclasses import dataclass

from bezant.errors import NotFound, Overloaded, StorageError, VaultError
from bezant.gateway.desk import Desk
from bezant.gateway.payments import Answered, Payments
from bezant.intelligence.reasons import Reasons
from bezant.ledger.open_items import OpenHold, lapsing_reviews, open_hold, refunded_minor
from bezant.model.identifiers import (
    AccountId,
    AuthorityId,
    PaymentId,
    join,
    payment_time_ms,
    render_payment_id,
)
from bezant.model.outcomes import Outcome
from bezant.model.payment import Payload
from bezant.model.records import Kind, Label, id_of
from bezant.store import Follower, PaymentStatus, Store
from bezant.store.queries import MAX_LIMIT, Queries
from bezant.store.reviews import ALL, MOST_AMONG, Wanted, expected_loss
from bezant.store.schema import STATUS_OF
from bezant.store.views import (
    ModelChange,
    Page,
    Statement,
    StoredAccount,
    StoredCapture,
    StoredLabel,
    StoredPayment,
)

PAYMENT_KINDS = (Kind.TRANSFER, Kind.HOLD, Kind.REVERSE, Kind.CLAWBACK)
"""What moves or reserves value on its own account."""
PATIENCE_S = 2.0
"""How long a question waits for the read model to reach what was durable when it was asked."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one payment stands: as first answered, and what followed.

    Amounts in minor units; `settled_minor` None while nothing was paid, `refunded_minor` what was paid back
    of it, `fee_minor` what was charged so far. `related` is the original of a REVERSE, or the mandate; `held`
    what is reserved now.
    """

    payment: PaymentId
    kind: Kind
    status: PaymentStatus
    outcome: Outcome
    debtor: AccountId
    creditor: AccountId
    asset: int
    amount_minor: int
    settled_minor: int | None
    verdict: int
    mode: int
    height: int
    created_ns: int
    updated_ns: int
    related: int = 0
    refunded_minor: int = 0
    fee_minor: int = 0
    held: OpenHold | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """One payment that waits, or waited, for a person: its score in parts per million, and why, in words.

    `expected_loss_minor` is the score's share of the amount, by which the queue is ordered within an asset. A
    score of rules is no probability, and orders all the same. It lapses at `standing.held.expires_ns`.
    """

    standing: Standing
    score_ppm: int
    threshold_ppm: int
    reasons: tuple[str, ...]
    expected_loss_minor: int
    escalated: bool = False


class History:
    """Questions about the past; the ledger and journal answer for one payment, the store for lists."""

    def __init__(
        self, desk: Desk, payments: Payments, store: Store | None, follower: Follower | None
    ) -> None:
        self._desk, self._payments = desk, payments
        self._store, self._follower = store, follower

    def standing(self, payment: PaymentId) -> Standing:
        """Return where a payment stands. Raises: NotFound, for what is no payment too; Overloaded
        ``store_behind`` where only the read model knows how a hold ended, and it has not got there yet."""
        first = self._payments.look_up(payment)
        record, receipt = first.record, first.receipt
        kind = Kind(int(record["kind"]))
        if kind not in PAYMENT_KINDS:
            raise NotFound(
                f"{render_payment_id(payment)} is no payment, but {kind.name} in block {first.height}",
                code="payment_unknown",
            )
        if first.outcome in (Outcome.HELD, Outcome.HELD_FOR_REVIEW):
            held = open_hold(self._desk.engine.ledger, int(receipt["debtor_row"]), payment)
            return standing_of(self.queries().payment(payment), held)
        amount = int(receipt["amount"]) or int(record["amount"])
        return Standing(
            payment,
            kind,
            STATUS_OF.get(first.outcome, PaymentStatus.REFUSED),
            first.outcome,
            AccountId(join(record["debtor_lo"], record["debtor_hi"])),
            AccountId(join(record["creditor_lo"], record["creditor_hi"])),
            int(record["asset"]),
            amount,
            None if first.outcome.refused else amount,
            int(receipt["verdict"]),
            int(receipt["mode"]),
            first.height,
            first.time_ns,
            first.time_ns,
            id_of(record, "related"),
            self._refunded(first),
            int(receipt["fee"]),
        )

    def listed(self, found: StoredPayment) -> Standing:
        """Return a row of a list as a standing, with what is held of it now."""
        if found.status not in (PaymentStatus.HELD, PaymentStatus.IN_REVIEW):
            return standing_of(found)
        ledger = self._desk.engine.ledger
        return standing_of(found, open_hold(ledger, ledger.account_row(found.debtor), found.id))

    def captures(self, payment: PaymentId) -> list[StoredCapture]:
        """Return what was captured of a hold, oldest first. Raises: NotFound, Overloaded."""
        queries = self.queries()
        return queries.captures(queries.payment(payment))

    def refunds(self, payment: PaymentId) -> list[StoredPayment]:
        """Return what was paid back of a payment, oldest first. Raises: NotFound, Overloaded."""
        queries = self.queries()
        return queries.refunds(queries.payment(payment))

    def labels(self, payment: PaymentId) -> list[StoredLabel]:
        """Return what a payment was said to be, oldest first. Raises: NotFound, Overloaded."""
        queries = self.queries()
        return queries.labels(queries.payment(payment))

    def known_labels(self, most: int) -> dict[int, bool]:
        """Return by payment id whether it is fraud, by so many of the newest labels. Raises: Overloaded."""
        queries, found = self.queries(), dict[int, bool]()
        cursor, seen = None, 0
        while seen < most:
            page = queries.labelled(cursor=cursor, limit=min(MAX_LIMIT, most - seen))
            for label in page.items:
                found.setdefault(label.payment, label.label is Label.FRAUD)
            cursor, seen = page.next_cursor, seen + len(page.items)
            if cursor is None:
                break
        return found

    def model_changes(self, authority: AuthorityId) -> list[ModelChange]:
        """Return every role that models of an authority were given, oldest first. Raises: Overloaded."""
        return self.queries().model_changes(authority)

    @property
    def has_store(self) -> bool:
        """Whether this node keeps lists."""
        return self._store is not None

    def texts(self, payment: PaymentId) -> tuple[Payload, bool]:
        """Return the texts of a payment, and whether they were erased."""
        try:
            return self._payments.payload(payment) or Payload(), False
        except VaultError:
            return Payload(), True

    def payments(
        self,
        *,
        account: AccountId | None = None,
        status: PaymentStatus | None = None,
        end_to_end_id: str | None = None,
        from_ns: int | None = None,
        to_ns: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[StoredPayment]:
        """Return payments, newest first. Raises: InputError."""
        queries = self.queries()
        if end_to_end_id is not None:
            found = queries.payments_by_end_to_end_id(end_to_end_id, limit)
            kept = [p for p in found if _matches(p, account, status, from_ns, to_ns)]
            return Page(kept, None)
        return queries.payments(
            account=account, status=status, from_ns=from_ns, to_ns=to_ns, cursor=cursor, limit=limit
        )

    def reviews(
        self, wanted: Wanted = ALL, *, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Review], str | None]:
        """Return what waits for a person and the cursor of the next page: asset by asset, and within one what
        is expected to lose most first. Raises: InputError, Overloaded."""
        page = self.queries().reviews(wanted, cursor=cursor, limit=limit)
        return [self._review(found.payment, found.escalated) for found in page.items], page.next_cursor

    def lapsing(self, until_ns: int) -> list[PaymentId]:
        """Return the payments in review whose reserve returns at a time or before, the soonest first; the
        ledger knows, for a rule that changes changes nothing for those that wait already."""
        return lapsing_reviews(self._desk.engine.ledger, until_ns)[:MOST_AMONG]

    def review(self, payment: StoredPayment) -> Review:
        """Return a payment that waits or waited for a person, whatever became of it."""
        return self._review(payment)

    def accounts(self, *, cursor: str | None = None, limit: int = 50) -> Page[StoredAccount]:
        return self.queries().accounts(cursor=cursor, limit=limit)

    def account(self, account: AccountId) -> StoredAccount:
        """Return what the store knows of an account. Raises: NotFound."""
        return self.queries().account(account)

    def statement(
        self,
        account: AccountId,
        *,
        from_ns: int | None = None,
        to_ns: int | None = None,
        cursor: str | None = None,
        limit: int = 200,
    ) -> Statement:
        """Return a page of an account's entries, oldest first. Raises: NotFound, InputError."""
        return self.queries().statement(account, from_ns=from_ns, to_ns=to_ns, cursor=cursor, limit=limit)

    def queries(self) -> Queries:
        """Return the read model once it has what was durable a moment ago: one reads one's own writes."""
        if self._store is None or self._follower is None:
            raise StorageError("this node runs without a read model; lists are not kept", code="no_store")
        height = self._desk.engine.durable_height
        if not self._follower.wait_for(height, PATIENCE_S):
            raise Overloaded(
                f"the read model is at block {self._store.height} of {height}; try again in a moment",
                code="store_behind",
            )
        return self._store.queries

    def _refunded(self, paid: Answered) -> int:
        """Return what was paid back of a payment that settled at once. The ledger knows while more may be;
        after that nothing changes any more, and the read model knows."""
        if paid.outcome is not Outcome.APPLIED or paid.record["kind"] != Kind.TRANSFER:
            return 0
        engine, identity = self._desk.engine, PaymentId(id_of(paid.record, "id"))
        window_s = engine.genesis.assets[int(paid.record["asset"]) - 1].refund_window_s
        if payment_time_ms(identity) + window_s * 1000 >= self._desk.now_ms() or not self.has_store:
            return refunded_minor(engine.ledger, int(paid.receipt["debtor_row"]), identity)
        return self.queries().payment(identity).reversed_amount

    def _review(self, found: StoredPayment, escalated: bool = False) -> Review:
        standing, loss = self.listed(found), expected_loss(found.score_ppm, found.amount)
        try:
            evidence = self._payments.evidence(found.id)
        except (NotFound, VaultError):
            return Review(standing, found.score_ppm, 0, (), loss, escalated)
        return Review(
            standing,
            found.score_ppm,
            max(int(evidence["review_ppm"]), int(evidence["alert_ppm"])),
            tuple(Reasons(int(evidence["reasons"])).words),
            loss,
            escalated,
        )


def standing_of(found: StoredPayment, held: OpenHold | None = None) -> Standing:
    """Return a row of the store as a standing, with what the ledger holds of it now."""
    return Standing(
        found.id,
        found.kind,
        found.status,
        found.outcome,
        found.debtor,
        found.creditor,
        found.asset,
        found.amount,
        found.settled_amount,
        int(found.verdict),
        int(found.mode),
        found.height,
        found.created_ns,
        found.updated_ns,
        found.related or 0,
        found.reversed_amount,
        found.fee,
        held,
    )


def _matches(
    found: StoredPayment,
    account: AccountId | None,
    status: PaymentStatus | None,
    from_ns: int | None,
    to_ns: int | None,
) -> bool:
    return (
        (account is None or account in (found.debtor, found.creditor))
        and (status is None or found.status is status)
        and (from_ns is None or found.created_ns >= from_ns)
        and (to_ns is None or found.created_ns < to_ns)
    )
