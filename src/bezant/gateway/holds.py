"""What becomes of a reserve: captured at once or part by part, released, approved or rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bezant.errors import ConflictError
from bezant.gateway import commands
from bezant.gateway.desk import Desk
from bezant.gateway.history import History
from bezant.gateway.payments import Answered, Payments, refused, used_otherwise
from bezant.ledger.open_items import open_hold
from bezant.model.identifiers import PaymentId, new_payment_id
from bezant.model.outcomes import Outcome
from bezant.model.records import Flag, Kind, id_of
from bezant.store.views import StoredCapture

NO_PREIMAGE = bytes(32)


@dataclass(frozen=True, slots=True)
class Closing:
    """What is asked of a hold: a CAPTURE of all that is left or of an amount in minor units, or a RELEASE.

    With `keep_rest` what a capture leaves stays held for more of them, else it returns at once.
    """

    kind: Kind
    amount_minor: int | None = None
    keep_rest: bool = False
    preimage: bytes = NO_PREIMAGE
    """What opens the hold's lock."""


ALL, RELEASE = Closing(Kind.CAPTURE), Closing(Kind.RELEASE)


class Holds:
    """Closes holds as the institution, once for each id."""

    def __init__(self, desk: Desk, payments: Payments, history: History) -> None:
        self._desk, self._payments, self._history = desk, payments, history

    def close(
        self, payment: PaymentId, closing: Closing, *, identity: PaymentId | None = None
    ) -> tuple[Answered, bool]:
        """Capture or release a hold; return how that was answered, and whether it was before.

        `identity` is the id of the CAPTURE or RELEASE itself. Raises: NotFound; ConflictError ``not_held``
        where nothing is held any more, ``in_review`` for a part of a payment that waits for a person,
        ``idempotency_key_reused``; BezantError naming the outcome that refused it.
        """
        before = None if identity is None else self._payments.before(identity)
        if before is not None:
            if not self._is(before, payment, closing):
                raise used_otherwise()
            if before.outcome.refused:
                raise _not_held() if before.outcome is Outcome.HOLD_UNKNOWN else refused(before.outcome)
            return before, True
        held = self._payments.look_up(payment)
        if held.outcome not in (Outcome.HELD, Outcome.HELD_FOR_REVIEW):
            raise ConflictError(f"payment is {held.outcome.label}, nothing is held", code="not_held")
        left = open_hold(self._desk.engine.ledger, int(held.receipt["debtor_row"]), payment)
        if left is None:
            raise _not_held()
        amount = left.amount if closing.amount_minor is None else closing.amount_minor
        if held.outcome is Outcome.HELD_FOR_REVIEW and amount != left.amount:
            raise ConflictError(
                "this payment waits for review: approve or reject all of it", code="in_review"
            )
        record = commands.close_hold(
            closing.kind,
            identity or new_payment_id(self._desk.now_ms()),
            held.record,
            amount,
            keep_rest=closing.keep_rest,
            preimage=closing.preimage,
        )
        answers = self._desk.order(record, self._desk.institution_key)
        if answers.first is Outcome.HOLD_UNKNOWN:
            raise _not_held()
        if answers.first.refused:
            raise refused(answers.first)
        return self._payments.look_up(PaymentId(id_of(record[0], "id"))), False

    def approve(self, payment: PaymentId, *, identity: PaymentId | None = None) -> tuple[Answered, bool]:
        """Let a payment that waits for review go through; raises as `close` does, or ``not_in_review``."""
        return self.close(self._in_review(payment), ALL, identity=identity)

    def reject(self, payment: PaymentId, *, identity: PaymentId | None = None) -> tuple[Answered, bool]:
        """Return the reserve of a payment that waits for review; raises as `approve` does."""
        return self.close(self._in_review(payment), RELEASE, identity=identity)

    def captures(self, payment: PaymentId) -> Sequence[StoredCapture]:
        """Return what was captured of a payment, oldest first. Raises: NotFound."""
        return self._history.captures(payment)

    def _is(self, before: Answered, payment: PaymentId, closing: Closing) -> bool:
        """Return whether an earlier record is the one that is asked for again."""
        record = before.record
        if record["kind"] != closing.kind or id_of(record, "related") != payment:
            return False
        if closing.kind is Kind.RELEASE:
            return True
        keeps_rest = bool(record["flags"] & Flag.KEEP_REST)
        if keeps_rest != closing.keep_rest or record["payload_commitment"].tobytes() != closing.preimage:
            return False
        wanted = closing.amount_minor
        if wanted is None:
            wanted = self._left_before(PaymentId(id_of(record, "id")), payment)
        return int(record["amount"]) == wanted

    def _left_before(self, capture: PaymentId, payment: PaymentId) -> int:
        """Return what was left of a hold in front of one of its captures."""
        left = int(self._payments.look_up(payment).record["amount"])
        if not self._history.has_store:
            return left
        for earlier in self.captures(payment):
            if earlier.id == capture:
                break
            left -= earlier.amount
        return left

    def _in_review(self, payment: PaymentId) -> PaymentId:
        if self._payments.look_up(payment).outcome is not Outcome.HELD_FOR_REVIEW:
            raise ConflictError("this payment is not waiting for review", code="not_in_review")
        return payment


def _not_held() -> ConflictError:
    return ConflictError("it was captured, released or expired before", code="not_held")
