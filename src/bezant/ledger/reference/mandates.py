"""Mandates: leave that an account gives to pay from it, capped, to one payee or any, until revoked."""

from __future__ import annotations

from dataclasses import replace

from bezant.ledger.books import Account, Answer, Mandate, State
from bezant.ledger.reference.parties import Request, signing_mode
from bezant.ledger.standing import Standing
from bezant.model.identifiers import AuthorityId
from bezant.model.outcomes import Outcome


def set_mandate(state: State, asked: Request) -> Answer:
    # CHECK
    account, payee = state.accounts.get(asked.id("debtor")), state.accounts.get(asked.id("creditor"))
    delegate = AuthorityId(asked.id("related"))
    expires_s = int.from_bytes(asked.record["payload_commitment"][:8].tobytes(), "little")
    if account is None:
        return Answer(Outcome.DEBTOR_UNKNOWN)
    if payee is None and asked.id("creditor"):
        return Answer(Outcome.CREDITOR_UNKNOWN)
    mode = signing_mode(state, asked.signer, account)
    if mode is None:
        return Answer(Outcome.NOT_AUTHORISED)
    if payee is account:
        return Answer(Outcome.SAME_ACCOUNT)
    if int(asked.record["asset"]) != account.asset or (payee and payee.asset != account.asset):
        return Answer(Outcome.ASSET_MISMATCH)
    if asked.amount == 0:
        return Answer(Outcome.AMOUNT_ZERO)
    if Standing.CLOSED in account.standing:
        return Answer(Outcome.DEBTOR_CLOSED)
    if expires_s and asked.now_s >= expires_s:
        return Answer(Outcome.MANDATE_EXPIRED)
    if delegate not in state.authorities:
        return Answer(Outcome.HOLDER_UNKNOWN)
    if (account.row, asked.id("id")) in state.mandates:
        return Answer(Outcome.MANDATE_EXISTS)
    # POST
    state.mandates[account.row, asked.id("id")] = Mandate(
        None if payee is None else payee.row,
        delegate,
        asked.amount,
        int(asked.record["max_fee"]),
        int(asked.record["hold_for_s"]),
        asked.now_s,
        expires_s,
    )
    return Answer(Outcome.APPLIED, mode=mode, debtor=account)


def revoke_mandate(state: State, asked: Request) -> Answer:
    # CHECK
    account = state.accounts.get(asked.id("debtor"))
    if account is None:
        return Answer(Outcome.DEBTOR_UNKNOWN)
    mode = signing_mode(state, asked.signer, account)
    if mode is None:
        return Answer(Outcome.NOT_AUTHORISED)
    if (account.row, asked.id("related")) not in state.mandates:
        return Answer(Outcome.MANDATE_UNKNOWN)
    # POST
    del state.mandates[account.row, asked.id("related")]
    return Answer(Outcome.APPLIED, mode=mode, debtor=account)


def find_mandate(state: State, asked: Request, debtor: Account, creditor: Account) -> Mandate | None:
    """Return the mandate a payment names, if it is this signer's and for this payee."""
    mandate = state.mandates.get((debtor.row, asked.id("related")))
    if mandate is None or mandate.delegate != asked.signer.authority:
        return None
    return mandate if mandate.payee in (None, creditor.row) else None


def check_mandate(mandate: Mandate, now_s: int, spent: int) -> Outcome | None:
    """Return what the mandate does not allow of a payment that takes so much, its fee included."""
    if mandate.expires_s and now_s >= mandate.expires_s:
        return Outcome.MANDATE_EXPIRED
    if spent > mandate.cap:
        return Outcome.ABOVE_MANDATE
    if mandate.period_s and mandate.spent_at(now_s) + spent > mandate.period_cap:
        return Outcome.ABOVE_MANDATE_PERIOD
    return None


def spend_mandate(state: State, asked: Request, debtor: Account, mandate: Mandate, amount: int) -> None:
    """Count a payment against the period it is authorised in; without periods nothing is counted."""
    if mandate.period_s:
        spent = mandate.spent_at(asked.now_s) + amount
        state.mandates[debtor.row, asked.id("related")] = replace(
            mandate, window=mandate.window_at(asked.now_s), spent=spent
        )
