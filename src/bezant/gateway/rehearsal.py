"""What would become of a payment: the judging stages and the ledger's checks, without an order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bezant.intelligence.reasons import Reasons
from bezant.ledger.batch import NS_PER_S
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.kernel.parties import name_standing
from bezant.ledger.open_items import OpenMandate, is_paused, mandates_of
from bezant.model.identifiers import AuthorityId, join
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import NO_ROW, Flag, Kind, id_of
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
    amount, mandate = int(record["amount"]), None
    if record["flags"] & Flag.UNDER_MANDATE:
        mandate = _mandate(batch, ledger, gateway)
        may_pay = mandate is not None
    else:
        may_pay = ledger.authority_row(gateway) == int(debtor["delegate"])
        may_pay = may_pay and amount <= int(debtor["delegate_cap"])
    if not may_pay:
        return Outcome.NOT_AUTHORISED
    refusal = _standing(debtor, creditor, is_paused(ledger, int(debtor["asset"])))
    if refusal is None and mandate is not None:
        refusal = _above(mandate, amount, batch.received_ns // NS_PER_S)
    if refusal is None:
        refusal = _sums(debtor, creditor, amount)
    if refusal is not None:
        return refusal
    if reviewed:
        return Outcome.HELD_FOR_REVIEW
    return Outcome.HELD if record["kind"] == Kind.HOLD else Outcome.APPLIED


def _mandate(batch: PaymentBatch, ledger: ColumnarLedger, gateway: AuthorityId) -> OpenMandate | None:
    """Return the mandate that a payment names, if it is the gateway's and for this payee."""
    record = batch.records[0]
    for mandate in mandates_of(ledger, int(batch.debtor_row[0])):
        if mandate.id == id_of(record, "related") and mandate.delegate == gateway:
            return mandate if mandate.payee in (None, id_of(record, "creditor")) else None
    return None


def _standing(debtor: Any, creditor: Any, paused: bool) -> Outcome | None:
    """Return why two accounts (dtype ACCOUNT) make no payment, None where they do."""
    if debtor["id_lo"] == creditor["id_lo"] and debtor["id_hi"] == creditor["id_hi"]:
        return Outcome.SAME_ACCOUNT
    if paused:
        return Outcome.ASSET_PAUSED
    standing = int(name_standing(debtor["standing"], creditor["standing"]))
    return Outcome(standing) if standing != Outcome.APPLIED else None


def _above(mandate: OpenMandate, amount: int, now_s: int) -> Outcome | None:
    """Return what a mandate does not allow."""
    if mandate.expires_s and now_s >= mandate.expires_s:
        return Outcome.MANDATE_EXPIRED
    if amount > mandate.cap:
        return Outcome.ABOVE_MANDATE
    if mandate.period_s and mandate.spent_at(now_s) + amount > mandate.period_cap:
        return Outcome.ABOVE_MANDATE_PERIOD
    return None


def _sums(debtor: Any, creditor: Any, amount: int) -> Outcome | None:
    """Return which limit of two accounts does not allow an amount."""
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
