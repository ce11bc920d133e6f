"""Payments and what follows them: pay, hold, capture, release, review, look up, prove."""

from __future__ import annotations

import numpy as np

from bezant.chain.receipts import Receipt, build_receipt
from bezant.errors import BezantError, ConflictError, InputError, NotFound
from bezant.gateway import commands
from bezant.gateway.accounts import Accounts
from bezant.gateway.desk import Desk
from bezant.intelligence.evidence import EVIDENCE, Replay, decode_evidence, replay
from bezant.intelligence.model import Model
from bezant.model.identifiers import AccountId, PaymentId, join, new_payment_id
from bezant.model.money import parse_minor
from bezant.model.outcomes import Outcome
from bezant.model.payment import SALT_BYTES, Payload, decode_payload
from bezant.model.records import Kind, RecordArray
from bezant.pipeline.batch import Submission
from bezant.pipeline.intake import Answers
from bezant.vault import VaultKind


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

    def submit(self, submission: Submission) -> Answers:
        """Hand in and wait until durable."""
        return self._desk.intake.call(submission)

    def close_hold(self, payment: PaymentId, kind: Kind, amount: int | None = None) -> Answers:
        """Capture all or `amount` minor units of a hold, or release it, as the institution.

        Raises: NotFound; ConflictError when it is not open any more.
        """
        record, receipt = self.find(payment)
        if receipt["outcome"] not in (Outcome.HELD, Outcome.HELD_FOR_REVIEW):
            raise ConflictError(
                f"payment {payment:032x} is {Outcome(int(receipt['outcome'])).label}, nothing is held",
                code="not_held",
            )
        minor = int(record["amount"]) if amount is None else amount
        closing = commands.close_hold(kind, self._desk.now_ms(), record, minor)
        answers = self._desk.order(closing, self._desk.institution_key)
        if answers.first is Outcome.HOLD_UNKNOWN:
            raise ConflictError(
                f"payment {payment:032x} was captured, released or expired before", code="not_held"
            )
        if answers.first.refused:
            raise BezantError(f"the ledger answers {answers.first.label}", code=answers.first.label)
        return answers

    def approve(self, payment: PaymentId) -> Answers:
        """Let a payment that waits for review go through."""
        return self.close_hold(self._in_review(payment), Kind.CAPTURE)

    def reject(self, payment: PaymentId) -> Answers:
        """Return the reserve of a payment that waits for review."""
        return self.close_hold(self._in_review(payment), Kind.RELEASE)

    def find(self, payment: PaymentId) -> tuple[np.void, np.void]:
        """Return (RECORD, RECEIPT) of a payment from ledger and journal. Raises: NotFound."""
        evidence = self._desk.engine.prove(payment)
        return evidence.records[evidence.record_index], evidence.receipts[evidence.position]

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
        _, receipt = self.find(payment)
        if receipt["outcome"] != Outcome.HELD_FOR_REVIEW:
            raise ConflictError(f"payment {payment:032x} is not waiting for review", code="not_in_review")
        return payment


def record_ids(records: RecordArray) -> list[int]:
    """Return the ids of records as integers."""
    return [join(lo, hi) for lo, hi in zip(records["id_lo"].tolist(), records["id_hi"].tolist(), strict=True)]
