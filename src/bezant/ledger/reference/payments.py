"""Value moves: transfers, what reverses them, and what an issuer takes back."""

from __future__ import annotations

from dataclasses import replace

from bezant.ledger.books import Account, Answer, Refund, State
from bezant.ledger.reference.fees import NO_FEE, fee_due
from bezant.ledger.reference.holds import place_hold
from bezant.ledger.reference.mandates import check_mandate, find_mandate, spend_mandate
from bezant.ledger.reference.parties import (
    Request,
    check_fee,
    check_standing,
    check_sums,
    check_value,
    find_parties,
    institution,
    post,
    signing_mode,
)
from bezant.ledger.standing import Policy
from bezant.model.identifiers import payment_time_ms
from bezant.model.money import U64_MAX
from bezant.model.outcomes import Outcome, SigningMode, Verdict
from bezant.model.records import Flag, Kind, id_of


def pay(state: State, asked: Request) -> Answer:
    """Post a transfer, or place the hold that a HOLD or a review asks for."""
    # CHECK
    flags, in_review = Flag(int(asked.record["flags"])), asked.verdict is Verdict.REVIEW
    if asked.verdict is Verdict.BLOCK:
        return Answer(Outcome.BLOCKED)
    in_chain = asked.chain_start is not None
    if in_review and (asked.kind is Kind.HOLD or in_chain or Flag.MAY_REVIEW not in flags):
        return Answer(Outcome.REVIEW_NOT_PERMITTED)
    found = find_parties(state, asked)
    if isinstance(found, Outcome):
        return Answer(found)
    debtor, creditor = found
    holds = asked.kind is Kind.HOLD or in_review
    fee, collector = NO_FEE if holds else fee_due(state, asked.genesis, debtor, creditor, asked.amount)
    # What somebody else may spend of an account, the fee is part of.
    spent = min(asked.amount + fee, U64_MAX)
    mandate = find_mandate(state, asked, debtor, creditor) if Flag.UNDER_MANDATE in flags else None
    mode = SigningMode.DELEGATE if mandate else None
    if Flag.UNDER_MANDATE not in flags:
        mode = _payer_mode(state, asked, debtor, spent)
    if mode is None:
        return Answer(Outcome.NOT_AUTHORISED)
    refusal = check_value(asked, debtor, creditor) or check_standing(state, debtor, creditor)
    if refusal is not None:
        return Answer(refusal)
    if holds and (debtor.row, asked.id("id")) in state.holds:
        return Answer(Outcome.HOLD_EXISTS)
    refusal = check_mandate(mandate, asked.now_s, spent) if mandate else None
    if refusal is not None:
        return Answer(refusal)
    refusal = check_sums(debtor, creditor, asked.amount, debtor.credit_limit)
    refusal = check_fee(refusal, debtor, asked.amount, fee, int(asked.record["max_fee"]))
    if refusal is not None:
        return Answer(refusal)
    # POST
    if mandate:
        spend_mandate(state, asked, debtor, mandate, spent)
    if holds:
        return place_hold(state, asked, debtor, creditor, mode)
    post(debtor, creditor, asked.amount)
    if collector is not None:
        post(debtor, collector, fee)
    answer = Answer(Outcome.APPLIED, asked.amount, mode, debtor, creditor)
    return replace(answer, fee=fee, collector=collector)


def reverse(state: State, asked: Request) -> Answer:
    """Pay back all or part of an earlier payment, never more in all than it was."""
    # CHECK
    if asked.verdict is Verdict.BLOCK:
        return Answer(Outcome.BLOCKED)
    if asked.verdict is Verdict.REVIEW:
        return Answer(Outcome.REVIEW_NOT_PERMITTED)
    original, asset = asked.original, int(asked.original["asset"])
    came_from, went_to = id_of(original, "debtor"), id_of(original, "creditor")
    if asset == 0 or (came_from, went_to) != (asked.id("creditor"), asked.id("debtor")):
        return Answer(Outcome.ORIGINAL_UNKNOWN)
    window_ms = asked.genesis.assets[asset - 1].refund_window_s * 1000
    until_ms = payment_time_ms(asked.id("related")) + window_ms
    if asked.time_ns // 1_000_000 > until_ms:
        return Answer(Outcome.REFUND_WINDOW_CLOSED)
    found = find_parties(state, asked)
    if isinstance(found, Outcome):
        return Answer(found)
    debtor, creditor = found
    mode = _payer_mode(state, asked, debtor, asked.amount)
    if mode is None:
        return Answer(Outcome.NOT_AUTHORISED)
    refusal = (
        check_value(asked, debtor, creditor)
        or check_standing(state, debtor, creditor)
        or check_sums(debtor, creditor, asked.amount, debtor.credit_limit)
    )
    if refusal is not None:
        return Answer(refusal)
    key = creditor.row, asked.id("related")
    before = state.refunds.get(key) or Refund(int(original["amount"]), 0, until_ms)
    if before.refunded_minor + asked.amount > before.original_minor:
        return Answer(Outcome.ABOVE_ORIGINAL)
    # POST
    state.refunds[key] = Refund(before.original_minor, before.refunded_minor + asked.amount, until_ms)
    post(debtor, creditor, asked.amount)
    return Answer(Outcome.APPLIED, asked.amount, mode, debtor, creditor)


def claw_back(state: State, asked: Request) -> Answer:
    """Take up to the available positive balance to the issuer, from a frozen account or in a pause too."""
    # CHECK
    found = find_parties(state, asked)
    if isinstance(found, Outcome):
        return Answer(found)
    debtor, creditor = found
    issuer = asked.issuer(debtor.asset)
    if institution(state, asked.signer) != issuer or creditor.institution != issuer:
        return Answer(Outcome.NOT_AUTHORISED)
    refusal = check_value(asked, debtor, creditor)
    if refusal is None and not asked.declares(debtor.asset, Policy.CLAWBACK):
        refusal = Outcome.POLICY_FORBIDS
    refusal = (
        refusal
        or check_standing(state, None, creditor)
        or check_sums(debtor, creditor, asked.amount, credit_limit=0)
    )
    if refusal is not None:
        return Answer(refusal)
    # POST
    post(debtor, creditor, asked.amount)
    return Answer(Outcome.APPLIED, asked.amount, SigningMode.INSTITUTION, debtor, creditor)


def _payer_mode(state: State, asked: Request, debtor: Account, spent: int) -> SigningMode | None:
    """Return in which capacity the signer pays: the delegate only up to its cap, the fee included."""
    mode = signing_mode(state, asked.signer, debtor)
    if mode is None and debtor.delegate == asked.signer.authority and spent <= debtor.delegate_cap:
        return SigningMode.DELEGATE
    return mode
