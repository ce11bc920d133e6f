"""Payments: make one, reserve one, look it up, prove it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bezant.chain.receipts import Receipt, build_receipt
from bezant.errors import BezantError, ConflictError, InputError, NotFound, VaultError
from bezant.gateway.accounts import Accounts
from bezant.gateway.desk import Desk
from bezant.gateway.instructions import Instruction, allow_fees, lock_id, records_of
from bezant.gateway.rehearsal import Rehearsal, conclude
from bezant.intelligence.conditions import Facts
from bezant.intelligence.evidence import EVIDENCE, decode_evidence
from bezant.intelligence.explanation import Explanation, explain
from bezant.intelligence.explanation import Payment as Stated
from bezant.intelligence.model import Model
from bezant.intelligence.replay import Replay, replay
from bezant.intelligence.rulebook import EMPTY, Books
from bezant.model.identifiers import AccountId, PaymentId, new_payment_id, payment_time_ms
from bezant.model.keys import SigningKey, authority_id
from bezant.model.money import Asset, parse_minor
from bezant.model.outcomes import Outcome
from bezant.model.payment import SALT_BYTES, Payload, decode_payload
from bezant.model.records import RECORD, Kind, RecordArray, id_of
from bezant.pipeline.batch import Submission, join_submissions
from bezant.pipeline.intake import Answers
from bezant.vault import VaultKind

PATIENCE_S = 60.0
_LOCK = int(Kind.LOCK)
_SIGNED_BESIDE_TEXT = [name for name in RECORD.names or () if name not in ("payload_commitment", "max_fee")]
"""What the same request asked again has in common; the fee that is signed for follows from the rules."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One record and how it was answered: rows of RECORD and RECEIPT, and its block.

    `height` is 0, and the receipt zeros, where a stage refused it before ordering.
    """

    record: np.void
    receipt: np.void
    outcome: Outcome
    height: int
    time_ns: int


def answered_rows(submission: Submission, answers: Answers) -> list[Answered]:
    """Return what became of each payment of a submission; a LOCK is part of the hold in front of it."""
    ordered = answers.receipts["id_hi"] != 0
    return [
        Answered(record, receipt, Outcome(outcome), answers.height if known else 0, answers.time_ns)
        for record, receipt, outcome, known, kind in zip(
            submission.records,
            answers.receipts,
            answers.outcome.tolist(),
            ordered.tolist(),
            submission.records["kind"].tolist(),
            strict=True,
        )
        if kind != _LOCK
    ]


class Payments:
    """Turns what a customer asks for into signed records, and answers about them."""

    def __init__(self, desk: Desk, accounts: Accounts) -> None:
        self._desk, self._accounts = desk, accounts

    def instruct(
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
        mandate: int = 0,
        hashlock: bytes = b"",
    ) -> Instruction:
        """Return what a customer asks for, checked as far as one can without the ledger.

        Raises: AmountError, InputError for an asset that is not known here, or a lock on nothing held.
        """
        known = self._accounts.asset(asset)
        minor = _positive(parse_minor(amount, known.scale))
        made = identity or new_payment_id(self._desk.now_ms())
        if hashlock and not (hold_for_s and any(hashlock)):
            raise InputError(
                "a hashlock is the SHA-256 of a secret, and locks a payment that is held: set hold_for_s",
                code="hashlock_invalid",
                param="hashlock",
            )
        return Instruction(
            made,
            debtor,
            creditor,
            known.number,
            minor,
            payload,
            hold_for_s,
            may_review,
            mandate,
            hashlock,
        )

    def issue(
        self, creditor: AccountId, amount: str, asset: str, *, identity: PaymentId | None = None
    ) -> Instruction:
        """Return a payment of new money from the issuer's treasury; the institution has to sign it.

        Raises: AmountError, InputError; NotFound for an unknown creditor account.
        """
        self._accounts.row(creditor)
        treasury = self._accounts.treasury(self._accounts.asset(asset))
        return self.instruct(treasury, creditor, amount, asset, identity=identity)

    def sign(self, instructions: Sequence[Instruction], *, by_institution: bool = False) -> Submission:
        """Return up to 1,024 payments under one signature: the gateway's, under the debtors' mandates,
        or the institution's. Each can be proved without the others."""
        records, texts = records_of(instructions)
        allow_fees(records, self._desk.engine.ledger.in_force.fees)
        key = self._desk.institution_key if by_institution else self._desk.gateway_key
        return self._desk.sign(records, key, texts)

    def prepare(
        self,
        debtor: AccountId,
        creditor: AccountId,
        amount: str,
        asset: str,
        *,
        payload: Payload | None = None,
    ) -> Submission:
        """Return one payment, signed by the gateway and ready to submit; raises as `instruct` does."""
        return self.sign([self.instruct(debtor, creditor, amount, asset, payload=payload)])

    def rehearse(self, instruction: Instruction) -> Rehearsal:
        """Return what would become of a payment now, without ordering it."""
        desk = self._desk
        batch = join_submissions([self.sign([instruction])], desk.now_ns())
        gateway = authority_id(desk.gateway_key.public)
        return conclude(desk.intake.flow.rehearse(batch), desk.engine.ledger, gateway)

    def submit(self, submission: Submission) -> Answers:
        """Hand in and wait until durable."""
        return self._desk.intake.call(submission)

    def minor(self, payment: PaymentId, amount: str) -> int:
        """Return a decimal amount in minor units of a payment's asset. Raises: NotFound, AmountError."""
        asset = int(self.look_up(payment).record["asset"])
        return parse_minor(amount, self._desk.engine.genesis.assets[asset - 1].scale)

    def look_up(self, payment: PaymentId) -> Answered:
        """Return a payment as it was first answered, from ledger and journal. Raises: NotFound."""
        evidence = self._desk.engine.find(payment)
        receipt = evidence.receipts[evidence.position]
        return Answered(
            evidence.records[evidence.record_index],
            receipt,
            Outcome(int(receipt["outcome"])),
            evidence.height,
            evidence.time_ns,
        )

    def before(self, identity: PaymentId) -> Answered | None:
        """Return what was answered under an id, None if it was never used.

        What is applied and not durable yet is waited for: the ledger knows of it already, and would refuse
        for reasons that its own effect made. Raises: UnknownOutcome where that takes too long.
        """
        engine = self._desk.engine
        if (found := self._known(identity)) is None:
            engine.wait_durable(engine.height, PATIENCE_S)
            found = self._known(identity)
        return found

    def _known(self, identity: PaymentId) -> Answered | None:
        """Return what was answered under an id, None if it was never used, as far as that is durable.

        Raises: NotFound ``before_beginning`` where it was used and only members that are longer there can say
        for what.
        """
        try:
            return self.look_up(identity)
        except NotFound as error:
            if error.code == "before_beginning":
                raise
            return None

    def carry_out(self, record: RecordArray, key: SigningKey, text: bytes = b"") -> Answered:
        """Order one record whose id was never used; return how it was answered. `text` is its sealed text.

        Raises: BezantError naming the outcome that refused it.
        """
        answers = self.submit(self._desk.sign(record, key, (text,)))
        if answers.first.refused and answers.first is not Outcome.EXISTS:
            raise refused(answers.first)
        return self.look_up(PaymentId(id_of(record[0], "id")))

    def carry_out_once(self, record: RecordArray, key: SigningKey) -> tuple[Answered, bool]:
        """Order one record unless it was before; return how it was answered, and whether that was before.

        Raises: BezantError naming the outcome that refused it; ConflictError where the id was used for
        something else.
        """
        before = self.before(PaymentId(id_of(record[0], "id")))
        if before is None:
            return self.carry_out(record, key), False
        if before.record.tobytes() != record.tobytes():
            raise used_otherwise()
        if before.outcome.refused:
            raise refused(before.outcome)
        return before, True

    def recall(self, instruction: Instruction) -> Answered | None:
        """Return how this very payment was answered before; None if its id was never used.

        The salt of its texts differs each time records are made, so texts are compared as the vault
        has them; where they were erased, or another gateway took them, only what the ledger holds can be.
        Raises: ConflictError when the id was used for something else.
        """
        before = self.before(instruction.identity)
        if before is None:
            return None
        record = records_of([instruction])[0][0]
        same = all(before.record[name] == record[name] for name in _SIGNED_BESIDE_TEXT)
        if not (same and self._same_lock(instruction)):
            raise used_otherwise()
        taken_elsewhere = before.record["payload_commitment"].any() and not self._knows_texts(before)
        if not taken_elsewhere and not self.has_texts(instruction.identity, instruction.payload):
            raise used_otherwise()
        return before

    def _knows_texts(self, answered: Answered) -> bool:
        """Return whether this gateway sealed the texts of a payment; one that another took has them there."""
        try:
            return self.payload(id_of(answered.record, "id")) is not None
        except VaultError:
            return True

    def find(self, payment: PaymentId) -> tuple[np.void, np.void]:
        """Return (RECORD, RECEIPT) of a payment from ledger and journal. Raises: NotFound."""
        found = self.look_up(payment)
        return found.record, found.receipt

    def receipt(
        self,
        payment: PaymentId,
        *,
        open_debtor: bool = False,
        open_creditor: bool = False,
        open_decision: bool = False,
    ) -> Receipt:
        """Return the receipt file's content, with what is to be opened in it. Raises: NotFound."""
        evidence = self._desk.engine.prove(payment)
        checkpoint = self._desk.notary.witnessed(evidence.height)
        return build_receipt(
            evidence,
            open_debtor=open_debtor,
            open_creditor=open_creditor,
            open_decision=open_decision,
            checkpoint=checkpoint,
        )

    def payload(self, payment: int) -> Payload | None:
        """Return the texts of a payment, None where it has none. Raises: VaultError code ``erased``."""
        try:
            sealed = self._desk.vault.read(VaultKind.PAYLOAD, payment)
        except NotFound:
            return None
        return decode_payload(sealed[SALT_BYTES:])

    def end_to_end_ids(self, payments: Sequence[int]) -> dict[int, str]:
        """Return those of many payments that have one, whose party was not erased, and that can be read."""
        try:
            sealed = self._desk.vault.read_many(VaultKind.PAYLOAD, payments)
        except VaultError:
            # A row that was altered: what stands beside it is read one by one.
            return {id_: text for id_ in payments if (text := self._end_to_end_id(id_))}
        return {id_: decode_payload(text[SALT_BYTES:]).end_to_end_id for id_, text in sealed.items()}

    def _end_to_end_id(self, payment: int) -> str:
        try:
            payload = self.payload(payment)
        except VaultError:
            return ""
        return payload.end_to_end_id if payload else ""

    def evidence(self, payment: PaymentId) -> np.void:
        """Return the decision's evidence, dtype EVIDENCE. Raises: NotFound, VaultError."""
        return decode_evidence(self._evidence_row(payment))[0]

    def replay_decision(
        self, payment: PaymentId, named: Callable[[bytes], Model | None], books: Books = lambda name: EMPTY
    ) -> Replay:
        """Compute a decision again, bit for bit, with the model and the rules that it names.

        Raises: NotFound, VaultError, ModelError.
        """
        row = self._evidence_row(payment)
        (evidence,) = decode_evidence(row)
        model, book = named(evidence["model"].tobytes()[:16]), books(evidence["rulebook"].tobytes())
        return replay(row[0], model, book, self._facts(payment, evidence) if book.rules else None)

    def explain(self, payment: PaymentId, named: Callable[[bytes], Model | None]) -> Explanation:
        """Return why a payment scored as it did, from its record and the evidence alone.

        Raises: NotFound, VaultError, ModelError.
        """
        evidence, (record, _) = self.evidence(payment), self.find(payment)
        asset = self._desk.engine.genesis.assets[int(record["asset"]) - 1]
        signed_ns = payment_time_ms(payment) * 1_000_000
        about = Stated(int(record["amount"]), Asset(asset.number, asset.code, asset.scale), signed_ns)
        model = named(evidence["model"].tobytes()[:16])
        return explain(model, evidence["x"].reshape(1, -1), about)

    def _facts(self, payment: PaymentId, evidence: np.void) -> Facts:
        """Return what rules may ask about a payment."""
        record, receipt = self.find(payment)
        of = self._desk.parties.parties
        debtor, creditor = (of(receipt[f"{side}_row"].reshape(1)) for side in ("debtor", "creditor"))
        countries = (evidence[f"{side}_country"].reshape(1) for side in ("debtor", "creditor"))
        return Facts(record.reshape(1), evidence["x"].reshape(1, -1), debtor, creditor, *countries)

    def _evidence_row(self, payment: PaymentId) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        sealed = self._desk.vault.read(VaultKind.EVIDENCE, payment)
        return np.frombuffer(sealed, np.uint8).reshape(1, EVIDENCE.itemsize)

    def has_texts(self, payment: int, payload: Payload | None) -> bool:
        """Return whether these are a payment's texts, as far as anybody may still know."""
        try:
            return (self.payload(payment) or None) == (payload or None)
        except VaultError:
            return True

    def _same_lock(self, instruction: Instruction) -> bool:
        if not instruction.hashlock:
            return True
        lock = self.before(lock_id(instruction.identity))
        return lock is not None and lock.record["payload_commitment"].tobytes() == instruction.hashlock


def refused(outcome: Outcome) -> BezantError:
    """Return the error of an outcome that refused."""
    return BezantError(f"the ledger answers {outcome.label}", code=outcome.label)


def used_otherwise() -> ConflictError:
    return ConflictError(
        "this key was used before for something else; use a new key", code="idempotency_key_reused"
    )


def _positive(minor: int) -> int:
    if minor == 0:
        raise InputError("the amount must be more than zero", code="amount_zero", param="amount")
    return minor
