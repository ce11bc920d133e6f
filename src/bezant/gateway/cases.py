"""Cases: what people do about payments that wait for them, and what became of each.

Approving, rejecting and labelling are ordered, and the chain proves them. What people say beside it, and to
whom they pass a case on, is sealed for the payer in the vault, durable before anything is ordered: it goes
when the payer is erased. One token opens the interface, so `by` is who somebody says to be.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from bezant.errors import ConflictError, NotFound, VaultError
from bezant.gateway.desk import Desk
from bezant.gateway.events import render_time
from bezant.gateway.history import History
from bezant.gateway.holds import Holds
from bezant.gateway.labels import Labels, label_id
from bezant.gateway.payments import Answered, Payments, used_otherwise
from bezant.ledger.open_items import open_hold
from bezant.model.identifiers import PaymentId, parse_payment_id, render_payment_id
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, Label, id_of
from bezant.stages.resources import ERASED
from bezant.store import PaymentStatus
from bezant.vault import VaultKind

MOST_ENTRIES: Final = 100
"""What one case may gather; whoever needs more talks elsewhere."""
Deed = Literal["escalated", "approved", "rejected", "labelled"]
_CLOSED_BY: Final[dict[Kind, Deed]] = {Kind.CAPTURE: "approved", Kind.RELEASE: "rejected"}


@dataclass(frozen=True, slots=True)
class Remark:
    """What somebody says beside what they do: who they are, and why. Both may be empty."""

    by: str = ""
    note: str = ""


NOTHING_SAID: Final = Remark()


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was done about a case, as the vault keeps it.

    `identity` is the id of what was ordered, or of the request; what was never ordered did not happen.
    """

    at_ns: int
    did: Deed
    identity: str
    by: str = ""
    note: str = ""
    to: str = ""


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """One line of a case's history: a deed, how the payment was first answered, ``lapsed`` or ``refunded``.

    `height` is the block that proves it, 0 for what is in the vault alone and for what time did.
    """

    at_ns: int
    did: str
    height: int = 0
    by: str = ""
    note: str = ""
    to: str = ""
    label: Label | None = None


class Cases:
    """Passes on, approves and rejects what waits for review, and remembers who said what of it."""

    def __init__(
        self, desk: Desk, payments: Payments, history: History, holds: Holds, labels: Labels
    ) -> None:
        self._desk, self._payments, self._history = desk, payments, history
        self._holds, self._labels = holds, labels
        self._writing = threading.Lock()
        self.on_escalated: Callable[[dict[int, int]], None] = lambda since_ns: None
        """Hears by payment id since when it is passed on; the read model lists by it."""

    def escalate(
        self, payment: PaymentId, to: str, remark: Remark, identity: PaymentId
    ) -> tuple[Entry, bool]:
        """Pass a payment in review on to somebody; return the entry, and whether it was made before.

        Raises: NotFound; ConflictError ``not_in_review``, ``not_held`` where it is decided by now,
        ``already_escalated`` to the same, ``case_full``; VaultError ``erased``.
        """
        answered = self._reviewed(payment)
        with self._writing:
            entries = self._entries(payment)
            before = _of(entries, identity)
            if before is not None:
                if (before.did, before.to, before.by, before.note) != (
                    "escalated",
                    to,
                    remark.by,
                    remark.note,
                ):
                    raise used_otherwise()
                return before, True
            self._check_open(answered)
            last = next((one for one in reversed(entries) if one.did == "escalated"), None)
            if last is not None and last.to == to:
                raise ConflictError(
                    f"it was passed on to {to} at {render_time(last.at_ns)} already{_by(last.by)}",
                    code="already_escalated",
                )
            entry = self._append(payment, entries, "escalated", identity, remark, to)
        self.on_escalated({payment: entry.at_ns})
        return entry, False

    def approve(
        self,
        payment: PaymentId,
        *,
        identity: PaymentId,
        label: Label | None = None,
        remark: Remark = NOTHING_SAID,
    ) -> tuple[Answered, bool]:
        """Let a payment in review go through, and label it where a label is given.

        Raises: NotFound; ConflictError ``not_in_review``, ``not_held`` saying who decided it before,
        ``idempotency_key_reused``, ``case_full``; VaultError; BezantError naming the outcome.
        """
        return self._close(payment, "approved", identity, label, remark)

    def reject(
        self,
        payment: PaymentId,
        *,
        identity: PaymentId,
        label: Label | None = None,
        remark: Remark = NOTHING_SAID,
    ) -> tuple[Answered, bool]:
        """Return the reserve of a payment in review, and label it; raises as `approve` does."""
        return self._close(payment, "rejected", identity, label, remark)

    def label(
        self, payment: PaymentId, said: Label, identity: PaymentId, remark: Remark = NOTHING_SAID
    ) -> tuple[Answered, bool]:
        """Say what a payment was, in review or not; raises as `Labels.say` does, or ``case_full``."""
        self._labels.check(payment)
        self._say(payment, "labelled", identity, remark)
        return self._labels.say(payment, said, identity)

    def history(self, payment: PaymentId) -> list[CaseEvent]:
        """Return what happened to a payment since it was held, oldest first.

        What was said of it is left out once its payer was erased. Raises: NotFound, Overloaded.
        """
        first = self._payments.look_up(payment)
        said = {one.identity: one for one in self._readable(payment)}
        found = [CaseEvent(first.time_ns, first.outcome.label, first.height)]
        found += [
            CaseEvent(one.at_ns, one.did, 0, one.by, one.note, one.to)
            for one in said.values()
            if one.did == "escalated"
        ]
        labelled = {self._height_of(one): one for one in said.values() if one.did == "labelled"}
        for label in self._history.labels(payment):
            entry = labelled.get(label.height)
            remark = (entry.by, entry.note) if entry is not None else ("", "")
            found.append(CaseEvent(label.created_ns, "labelled", label.height, *remark, label=label.label))
        stored = self._history.queries().payment(payment)
        if stored.closed_by is not None:
            closing = self._payments.look_up(stored.closed_by)
            entry = said.get(render_payment_id(stored.closed_by))
            remark = (entry.by, entry.note) if entry is not None else ("", "")
            did = _CLOSED_BY[Kind(int(closing.record["kind"]))]
            found.append(CaseEvent(closing.time_ns, did, closing.height, *remark))
        elif stored.status is PaymentStatus.EXPIRED:
            found.append(CaseEvent(stored.updated_ns, "lapsed"))
        found += [
            CaseEvent(refund.created_ns, "refunded", refund.height)
            for refund in self._history.refunds(payment)
        ]
        return sorted(found, key=lambda event: event.at_ns)

    def escalated_to(self, payment: PaymentId) -> str:
        """Return to whom a case was passed on last; empty where it was not, or its payer was erased."""
        passed_on = [one.to for one in self._readable(payment) if one.did == "escalated"]
        return passed_on[-1] if passed_on else ""

    def load_escalations(self) -> None:
        """Tell the read model which cases were passed on: a power cut may have taken what it was told."""
        since_ns: dict[int, int] = {}
        for row in self._desk.vault.entries(VaultKind.CASE):
            for entry in _decode(row.text):
                if entry.did == "escalated":
                    since_ns.setdefault(row.id, entry.at_ns)
        if since_ns:
            self.on_escalated(since_ns)

    # Within.

    def _close(
        self,
        payment: PaymentId,
        did: Deed,
        identity: PaymentId,
        label: Label | None,
        remark: Remark,
    ) -> tuple[Answered, bool]:
        answered = self._reviewed(payment)
        if self._payments.before(identity) is None:
            self._check_open(answered)
        self._say(payment, did, identity, remark)
        close = self._holds.approve if did == "approved" else self._holds.reject
        try:
            closed = close(payment, identity=identity)
        except ConflictError as error:
            # Somebody else was faster by less than it takes to look.
            raise self._decided(payment) if error.code == "not_held" else error from None
        if label is not None:
            self._labels.say(payment, label, label_id(identity))
        return closed

    def _check_open(self, answered: Answered) -> None:
        payment = PaymentId(id_of(answered.record, "id"))
        if open_hold(self._desk.engine.ledger, int(answered.receipt["debtor_row"]), payment) is None:
            raise self._decided(payment)

    def _decided(self, payment: PaymentId) -> ConflictError:
        """Return the error that tells who comes second what became of a case."""
        told = "captured, released or expired before"
        if self._history.has_store:
            last = [one for one in self.history(payment) if one.did in ("approved", "rejected", "lapsed")]
            if last:
                told = f"{last[-1].did} at {render_time(last[-1].at_ns)}{_by(last[-1].by)}"
        return ConflictError(f"this case was decided by then: it was {told}", code="not_held")

    def _reviewed(self, payment: PaymentId) -> Answered:
        answered = self._payments.look_up(payment)
        if answered.outcome is not Outcome.HELD_FOR_REVIEW:
            raise ConflictError("this payment is not waiting for review", code="not_in_review")
        return answered

    def _say(self, payment: PaymentId, did: Deed, identity: PaymentId, remark: Remark) -> None:
        """Seal what is said beside something that is about to be ordered under an id."""
        if remark == NOTHING_SAID:
            return
        with self._writing:
            entries = self._entries(payment)
            before = _of(entries, identity)
            if before is not None and (before.did, before.by, before.note) == (did, remark.by, remark.note):
                return
            if before is not None or self._payments.before(identity) is not None:
                raise used_otherwise()
            self._append(payment, entries, did, identity, remark)

    def _append(
        self,
        payment: PaymentId,
        entries: Sequence[Entry],
        did: Deed,
        identity: PaymentId,
        remark: Remark,
        to: str = "",
    ) -> Entry:
        if len(entries) >= MOST_ENTRIES:
            raise ConflictError(
                f"{MOST_ENTRIES} things were said of this case already; decide it", code="case_full"
            )
        receipt, vault = self._payments.look_up(payment).receipt, self._desk.vault
        (party,) = self._desk.parties.parties(receipt["debtor_row"].reshape(1)).tolist()
        if party == ERASED:
            raise VaultError(
                "the payer was erased, and nothing more is kept of this case: leave out who you are and why",
                code="erased",
            )
        entry = Entry(self._desk.now_ns(), did, render_payment_id(identity), remark.by, remark.note, to)
        vault.sync(vault.seal_text(VaultKind.CASE, payment, party, _ENCODER.encode([*entries, entry])))
        return entry

    def _entries(self, payment: PaymentId) -> list[Entry]:
        try:
            return _decode(self._desk.vault.read(VaultKind.CASE, payment))
        except NotFound:
            return []

    def _readable(self, payment: PaymentId) -> list[Entry]:
        try:
            return self._entries(payment)
        except VaultError:
            return []

    def _height_of(self, entry: Entry) -> int:
        """Return the block that ordered what an entry tells of, 0 where none did."""
        try:
            return self._payments.look_up(parse_payment_id(entry.identity)).height
        except NotFound:
            return 0


_ENCODER: Final = msgspec.json.Encoder()


def _of(entries: Sequence[Entry], identity: PaymentId) -> Entry | None:
    return next((one for one in entries if one.identity == render_payment_id(identity)), None)


def _decode(text: bytes) -> list[Entry]:
    return msgspec.json.decode(text, type=list[Entry])


def _by(name: str) -> str:
    return f" by {name}" if name else ""
