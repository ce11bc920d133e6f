"""Refunds: all or part of an earlier payment paid back by whom it had reached, never more than it was."""

from __future__ import annotations

from collections.abc import Sequence

from bezant.chain.storage.originals import MOVED
from bezant.errors import ConflictError, InputError, NotFound
from bezant.gateway import commands
from bezant.gateway.desk import Desk
from bezant.gateway.history import History
from bezant.gateway.payments import Answered, Payments, refused, used_otherwise
from bezant.ledger.open_items import refunded_minor
from bezant.model.identifiers import PaymentId, render_payment_id
from bezant.model.outcomes import Outcome
from bezant.model.payment import Payload
from bezant.model.records import Kind, id_of
from bezant.store.views import StoredPayment


class Refunds:
    """Orders reversals as the institution, once for each id."""

    def __init__(self, desk: Desk, payments: Payments, history: History) -> None:
        self._desk, self._payments, self._history = desk, payments, history

    def make(
        self,
        payment: PaymentId,
        identity: PaymentId,
        amount_minor: int | None = None,
        *,
        capture: PaymentId | None = None,
        payload: Payload | None = None,
    ) -> tuple[Answered, bool]:
        """Pay back an amount, or all that is left, of a payment; return how that was answered, and whether
        it was before. What was captured in several parts is paid back capture by capture.

        Raises: NotFound; ConflictError ``not_settled`` where nothing was paid, ``nothing_left`` where all is
        back, ``idempotency_key_reused``; InputError ``capture_needed``; BezantError naming the outcome.
        """
        before = self._payments.before(identity)
        if before is not None:
            if not self._is(before, payment, amount_minor, capture, payload):
                raise used_otherwise()
            if before.outcome.refused:
                raise refused(before.outcome)
            return before, True
        original = self._original(payment, capture)
        left = int(original.receipt["amount"]) - self._refunded(original)
        amount = left if amount_minor is None else amount_minor
        if not left:
            raise ConflictError("all of it was paid back before", code="nothing_left")
        text, commitment = commands.seal_payload(payload)
        record = commands.reverse(identity, original.record, amount, commitment)
        return self._payments.carry_out(record, self._desk.institution_key, text), False

    def of(self, payment: PaymentId) -> Sequence[StoredPayment]:
        """Return what was paid back of a payment, oldest first. Raises: NotFound."""
        return self._history.refunds(payment)

    def _original(self, payment: PaymentId, capture: PaymentId | None) -> Answered:
        """Return the record that moved the money: the payment itself, or a capture of it."""
        found = self._payments.look_up(payment)
        if capture is None and found.outcome in (Outcome.HELD, Outcome.HELD_FOR_REVIEW):
            captures = self._history.captures(payment)
            if len(captures) > 1:
                known = ", ".join(render_payment_id(one.id) for one in captures)
                raise InputError(
                    f"it was captured in {len(captures)} parts, say which to pay back: {known}",
                    code="capture_needed",
                    param="capture",
                )
            capture = captures[0].id if captures else None
        if capture is not None:
            found = self._payments.look_up(capture)
            if found.record["kind"] != Kind.CAPTURE or id_of(found.record, "related") != payment:
                raise NotFound(
                    f"{render_payment_id(capture)} is no capture of this payment",
                    code="capture_unknown",
                    param="capture",
                )
        if (int(found.record["kind"]), found.outcome) not in MOVED:
            raise ConflictError(
                f"it is {found.outcome.label}, so there is nothing to pay back", code="not_settled"
            )
        return found

    def _refunded(self, original: Answered) -> int:
        payer = int(original.receipt["debtor_row"])
        return refunded_minor(self._desk.engine.ledger, payer, id_of(original.record, "id"))

    def _is(
        self,
        before: Answered,
        payment: PaymentId,
        amount_minor: int | None,
        capture: PaymentId | None,
        payload: Payload | None,
    ) -> bool:
        """Return whether an earlier record is the one that is asked for again."""
        record, identity = before.record, PaymentId(id_of(before.record, "id"))
        paid_back = PaymentId(id_of(record, "related"))
        if record["kind"] != Kind.REVERSE or not self._payments.has_texts(identity, payload):
            return False
        if capture is not None and capture != paid_back:
            return False
        original = self._payments.look_up(paid_back)
        captured = original.record["kind"] == Kind.CAPTURE
        if payment != (id_of(original.record, "related") if captured else paid_back):
            return False
        wanted = amount_minor
        if wanted is None:
            wanted = int(original.receipt["amount"])
            for earlier in self._history.refunds(payment):
                if earlier.id == identity:
                    break
                wanted -= earlier.amount if earlier.related == paid_back else 0
        return int(record["amount"]) == wanted
