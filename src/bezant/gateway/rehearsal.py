"""What would become of a payment: the judging stages and the ledger's checks, without an order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bezant.intelligence.reasons import Reasons
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.kernel.parties import name_standing
from bezant.model.identifiers import AuthorityId, join
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import NO_ROW, Flag, Kind
from bezant.pipeline.batch import PENDING, PaymentBatch


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The answer to expect now; `score` is a probability, `reasons` are sentences."""

    outcome: Outcome
    verdict: Verdict
    score: float
    reasons: tuple[str, ...]


def conclude(batch: PaymentBatch, ledger: ColumnarLedger, gateway: AuthorityId) -> Rehearsal:
    """Return what a judged batch of one payment signed by the gateway would be answered."""
    verdict = Verdict(int(batch.decisions["verdict"][0]))
    reasons = tuple(Reasons(int(batch.reasons[0])).words)
    return Rehearsal(
        _outcome(batch, ledger, gateway, verdict), verdict, int(batch.score_ppm[0]) / 1e6, reasons
    )


def _outcome(batch: PaymentBatch, ledger: ColumnarLedger, gateway: AuthorityId, verdict: Verdict) -> Outcome:
    """Check in the order of the ledger's outcomes; a mandate of the debtor's is what signs."""
    record = batch.records[0]
    if batch.refused[0] != PENDING:
        return Outcome(int(batch.refused[0]))
    reviewed = verdict is Verdict.REVIEW
    if verdict is Verdict.BLOCK:
        return Outcome.BLOCKED
    if reviewed and (record["kind"] == Kind.HOLD or not record["flags"] & Flag.MAY_REVIEW):
        return Outcome.REVIEW_NOT_PERMITTED
    if batch.debtor_row[0] == NO_ROW:
        return Outcome.DEBTOR_UNKNOWN
    if batch.creditor_row[0] == NO_ROW:
        return Outcome.CREDITOR_UNKNOWN
    accounts = ledger.accounts
    debtor, creditor = accounts[batch.debtor_row[0]], accounts[batch.creditor_row[0]]
    if ledger.authority_row(gateway) != int(debtor["delegate"]):
        return Outcome.NOT_AUTHORISED
    refusal = _refusal(debtor, creditor, int(record["amount"]))
    if refusal is not None:
        return refusal
    if reviewed:
        return Outcome.HELD_FOR_REVIEW
    return Outcome.HELD if record["kind"] == Kind.HOLD else Outcome.APPLIED


def _refusal(debtor: Any, creditor: Any, amount: int) -> Outcome | None:
    """Return what the two accounts (dtype ACCOUNT) refuse, None where they allow the amount."""
    if amount > int(debtor["delegate_cap"]):
        return Outcome.NOT_AUTHORISED
    if debtor["id_lo"] == creditor["id_lo"] and debtor["id_hi"] == creditor["id_hi"]:
        return Outcome.SAME_ACCOUNT
    standing = int(name_standing(debtor["standing"], creditor["standing"]))
    if standing != Outcome.APPLIED:
        return Outcome(standing)
    spent = _counter(debtor, "debits_posted") + _counter(debtor, "debits_pending") + amount
    if spent > _counter(debtor, "credits_posted") + int(debtor["credit_limit"]):
        return Outcome.INSUFFICIENT_FUNDS
    held = _counter(creditor, "credits_posted") + _counter(creditor, "credits_pending") + amount
    limit = int(creditor["balance_limit"])
    if limit and held > _counter(creditor, "debits_posted") + limit:
        return Outcome.BALANCE_LIMIT
    return None


def _counter(account: Any, name: str) -> int:
    return join(account[f"{name}_lo"], account[f"{name}_hi"])
