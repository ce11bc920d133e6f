"""Payments and what follows them: pay, hold, capture, release, review, look up, prove."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bezant.chain.receipts import Receipt, build_receipt
from bezant.errors import BezantError, ConflictError, InputError, NotFound, VaultError
from bezant.gateway import commands
from bezant.gateway.accounts import Accounts
from bezant.gateway.desk import Desk
from bezant.intelligence.evidence import EVIDENCE, Replay, decode_evidence, replay
from bezant.intelligence.model import Model
from bezant.model.identifiers import AccountId, PaymentId, join, new_payment_id
from bezant.model.money import parse_minor
from bezant.model.outcomes import Outcome
from bezant.model.payment import SALT_BYTES, Payload, decode_payload
from bezant.model.records import RECORD, Kind, RecordArray, id_of
from bezant.pipeline.batch import Submission
from bezant.pipeline.intake import Answers
from bezant.vault import VaultKind

_SIGNED_BESIDE_TEXT = [name for name in RECORD.names or () if name != "payload_commitment"]


@dataclass(frozen=True, slots=True)
class Answered:
    """One record and what the ledger answered it first: rows of RECORD and RECEIPT, and its block."""

    record: np.void
    receipt: np.void
    height: int
    time_ns: int

    @property
    def outcome(self) -> Outcome:
        return Outcome(int(self.receipt["outcome"]))


class Payments:
    """Turns what a customer asks for into signed records, and answers about them."""

    def __init__(self, desk: Desk, accounts: Accounts) -> None:
        self._desk, self._accounts = desk, accounts

    def prepare(
        self,
        debtor: AccountId,
        creditor: AccountId,
        amount: str,
        asset: str,
        *,
        payload: Payload | None = None,
        identity: PaymentId | None = None,
        hold_for_s: int = 0,
        may_review: bool = True,
    ) -> Submission:
        """Return a payment signed by the gateway under the debtor's mandate, ready to submit.

        Raises: AmountError, InputError for an asset that is not known here.
        """
        known = self._accounts.asset(asset)
        minor = parse_minor(amount, known.scale)
        if minor == 0:
            raise InputError("the amount must be more than zero", code="amount_zero", param="amount")
        sealed, commitment = commands.seal_payload(payload)
        record = commands.transfer(
            identity or new_payment_id(self._desk.now_ms()),
            debtor,
            creditor,
            known.number,
            minor,
            commitment=commitment,
            hold_for_s=hold_for_s,
            may_review=may_review,
        )
        return self._desk.sign(record, self._desk.gateway_key, (sealed,))

    def prepare_issue(
        self, creditor: AccountId, amount: str, asset: str, *, identity: PaymentId | None = None
    ) -> Submission:
        """Return a payment of new money from the issuer's treasury, signed by the institution.

        Raises: AmountError, InputError; NotFound for an unknown creditor account.
        """
        known = self._accounts.asset(asset)
        minor = parse_minor(amount, known.scale)
        self._accounts.row(creditor)
        record = commands.transfer(
            identity or new_payment_id(self._desk.now_ms()),
            self._accounts.treasury(known),
            creditor,
            known.number,
            minor,
        )
        return self._desk.sign(record, self._desk.institution_key)

    def submit(self, submission: Submission) -> Answers:
        """Hand in and wait until durable."""
        return self._desk.intake.call(submission)

    def close_hold(
        self,
        payment: PaymentId,
        kind: Kind,
        amount: int | None = None,
        *,
        identity: PaymentId | None = None,
    ) -> Answers:
        """Capture all or `amount` minor units of a hold, or release it, as the institution.

        `identity` is the id of the CAPTURE or RELEASE itself: asking again under the same one answers
        EXISTS and changes nothing. Raises: NotFound; ConflictError when it is not open any more.
        """
        held = self.look_up(payment)
        if held.outcome not in (Outcome.HELD, Outcome.HELD_FOR_REVIEW):
            raise ConflictError(f"payment is {held.outcome.label}, nothing is held", code="not_held")
        minor = int(held.record["amount"]) if amount is None else amount
        made = identity or new_payment_id(self._desk.now_ms())
        closing = commands.close_hold(kind, made, held.record, minor)
        answers = self._desk.order(closing, self._desk.institution_key)
        if answers.first is Outcome.HOLD_UNKNOWN:
            raise ConflictError("it was captured, released or expired before", code="not_held")
        if answers.first.refused and answers.first is not Outcome.EXISTS:
            raise BezantError(f"the ledger answers {answers.first.label}", code=answers.first.label)
        return answers

    def closed_before(self, identity: PaymentId, payment: PaymentId, kind: Kind) -> Answered | None:
        """Return the CAPTURE or RELEASE of that id, if it was made before for this payment.

        Raises: ConflictError when the id was used for something else.
        """
        try:
            before = self.look_up(identity)
        except NotFound:
            return None
        if before.record["kind"] != kind or id_of(before.record, "related") != payment:
            raise ConflictError(
                "this key was used before for something else; use a new key", code="idempotency_key_reused"
            )
        return None if before.outcome.refused else before

    def minor(self, payment: PaymentId, amount: str) -> int:
        """Return a decimal amount in minor units of a payment's asset. Raises: NotFound, AmountError."""
        asset = int(self.look_up(payment).record["asset"])
        return parse_minor(amount, self._desk.engine.genesis.assets[asset - 1].scale)

    def approve(self, payment: PaymentId, *, identity: PaymentId | None = None) -> Answers:
        """Let a payment that waits for review go through."""
        return self.close_hold(self._in_review(payment), Kind.CAPTURE, identity=identity)

    def reject(self, payment: PaymentId, *, identity: PaymentId | None = None) -> Answers:
        """Return the reserve of a payment that waits for review."""
        return self.close_hold(self._in_review(payment), Kind.RELEASE, identity=identity)

    def look_up(self, payment: PaymentId) -> Answered:
        """Return a payment as it was first answered, from ledger and journal. Raises: NotFound."""
        evidence = self._desk.engine.prove(payment)
        return Answered(
            evidence.records[evidence.record_index],
            evidence.receipts[evidence.position],
            evidence.height,
            evidence.time_ns,
        )

    def recall(self, submission: Submission) -> Answered | None:
        """Return how a payment with this id and content was answered before; None if it never was.

        The salt of its texts differs each time a payment is prepared, so texts are compared as the
        vault has them; once erased, only what the ledger holds can be. Raises: ConflictError when
        the id was used for something else.
        """
        record = submission.records[0]
        identity = PaymentId(id_of(record, "id"))
        try:
            before = self.look_up(identity)
        except NotFound:
            return None
        same = all(before.record[name] == record[name] for name in _SIGNED_BESIDE_TEXT)
        if not same or not self._same_texts(identity, submission.payloads):
            raise ConflictError(
                "this key was used before for a payment with other content; use a new key",
                code="idempotency_key_reused",
            )
        return before

    def find(self, payment: PaymentId) -> tuple[np.void, np.void]:
        """Return (RECORD, RECEIPT) of a payment from ledger and journal. Raises: NotFound."""
        found = self.look_up(payment)
        return found.record, found.receipt

    def receipt(
        self, payment: PaymentId, *, open_debtor: bool = False, open_creditor: bool = False
    ) -> Receipt:
        """Return the receipt file's content. Raises: NotFound."""
        evidence = self._desk.engine.prove(payment)
        return build_receipt(evidence, open_debtor=open_debtor, open_creditor=open_creditor)

    def payload(self, payment: int) -> Payload | None:
        """Return the texts of a payment, None where it has none. Raises: VaultError code ``erased``."""
        try:
            sealed = self._desk.vault.read(VaultKind.PAYLOAD, payment)
        except NotFound:
            return None
        return decode_payload(sealed[SALT_BYTES:])

    def evidence(self, payment: PaymentId) -> np.void:
        """Return the decision's evidence, dtype EVIDENCE. Raises: NotFound, VaultError."""
        return decode_evidence(self._evidence_row(payment))[0]

    def replay_decision(self, payment: PaymentId, model: Model | None) -> Replay:
        """Compute a decision's score again, bit for bit."""
        return replay(self._evidence_row(payment)[0], model)

    def _evidence_row(self, payment: PaymentId) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        sealed = self._desk.vault.read(VaultKind.EVIDENCE, payment)
        return np.frombuffer(sealed, np.uint8).reshape(1, EVIDENCE.itemsize)

    def _in_review(self, payment: PaymentId) -> PaymentId:
        if self.look_up(payment).outcome is not Outcome.HELD_FOR_REVIEW:
            raise ConflictError("this payment is not waiting for review", code="not_in_review")
        return payment

    def _same_texts(self, payment: PaymentId, payloads: tuple[bytes, ...]) -> bool:
        wanted = decode_payload(payloads[0][SALT_BYTES:]) if payloads and payloads[0] else None
        try:
            return self.payload(payment) == wanted
        except VaultError:
            return True


def record_ids(records: RecordArray) -> list[int]:
    """Return the ids of records as integers."""
    return [join(lo, hi) for lo, hi in zip(records["id_lo"].tolist(), records["id_hi"].tolist(), strict=True)]
