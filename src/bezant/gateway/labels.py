"""Labels: what payments turned out to be, said by whoever may review them, as ordered records."""

from __future__ import annotations

from collections.abc import Sequence

from bezant.chain.storage.originals import MADE, was_refused
from bezant.errors import ConflictError
from bezant.gateway import commands
from bezant.gateway.desk import Desk
from bezant.gateway.history import History
from bezant.gateway.payments import Answered, Payments
from bezant.model.digest import TAG_LABEL, sha256
from bezant.model.identifiers import AuthorityId, PaymentId, id_bytes, new_payment_id, payment_time_ms
from bezant.model.keys import authority_id
from bezant.model.records import Label
from bezant.store.views import StoredLabel


class Labels:
    """Labels payments as the institution, once for each id."""

    def __init__(self, desk: Desk, payments: Payments, history: History) -> None:
        self._desk, self._payments, self._history = desk, payments, history

    @property
    def authority(self) -> AuthorityId:
        """Who says so."""
        return authority_id(self._desk.institution_key.public)

    def say(self, payment: PaymentId, label: Label, identity: PaymentId) -> tuple[Answered, bool]:
        """Say what a payment was; return how that was answered, and whether it was before.

        `identity` is the id of the LABEL itself. Of a payment that was refused the LABEL names the debtor
        alone, and features learn of it only where it was decided, from the evidence there. Raises: NotFound;
        ConflictError ``not_labelled`` for what is no payment or was never authentic,
        ``idempotency_key_reused``; BezantError naming the outcome.
        """
        original = self.check(payment)
        record = commands.label(identity, original.record, label, refused=original.outcome.refused)
        return self._payments.carry_out_once(record, self._desk.institution_key)

    def check(self, payment: PaymentId) -> Answered:
        """Return a payment as it was answered, if it can be labelled; raises as `say` does."""
        original = self._payments.look_up(payment)
        kind = int(original.record["kind"])
        if (kind, original.outcome) not in MADE and not was_refused(kind, original.outcome):
            raise ConflictError(
                f"it is {original.outcome.label}: only a payment that its payer signed can be labelled",
                code="not_labelled",
            )
        return original

    def of(self, payment: PaymentId) -> Sequence[StoredLabel]:
        """Return what a payment was said to be, oldest first; the last counts. Raises: NotFound."""
        return self._history.labels(payment)


def label_id(closing: PaymentId) -> PaymentId:
    """Return the id of the LABEL that goes with an approval or rejection: a UUIDv7 of the same time, so that
    the same request asked again has the same two ids."""
    random = int.from_bytes(sha256(TAG_LABEL, id_bytes(closing))[:10], "big")
    return new_payment_id(payment_time_ms(closing), random)
