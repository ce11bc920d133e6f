"""Mandates: the compiled twin of the reference's `mandates`."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.parties import (
    AMOUNT_ZERO,
    APPLIED,
    ASSET_MISMATCH,
    CLOSED,
    CREDITOR_UNKNOWN,
    DEBTOR_CLOSED,
    DEBTOR_UNKNOWN,
    FREE,
    NOT_AUTHORISED,
    SAME_ACCOUNT,
    SYSTEM,
    signing_mode,
)
from bezant.ledger.kernel.tables import NOWHERE, find, find_owned, insert, owned_key, remove_owned
from bezant.ledger.kernel.words import ONE, ZERO, word_at
from bezant.model.native import KERNEL, RARE
from bezant.model.outcomes import Outcome

MANDATE_EXPIRED, ABOVE_MANDATE = np.uint16(Outcome.MANDATE_EXPIRED), np.uint16(Outcome.ABOVE_MANDATE)
ABOVE_MANDATE_PERIOD = np.uint16(Outcome.ABOVE_MANDATE_PERIOD)
MANDATE_UNKNOWN, MANDATE_EXISTS = np.uint16(Outcome.MANDATE_UNKNOWN), np.uint16(Outcome.MANDATE_EXISTS)
HOLDER_UNKNOWN = np.uint16(Outcome.HOLDER_UNKNOWN)
NO_PERIOD = np.uint32(0)


@njit(**RARE)
def set_mandate(state, record, signer_row, now_s):
    """Return (outcome, mode, account row)."""
    # CHECK
    row = find(state.accounts, state.account_index, record.debtor_lo, record.debtor_hi)
    if row == NOWHERE:
        return DEBTOR_UNKNOWN, SYSTEM, NOWHERE
    payee = NOWHERE
    if record.creditor_lo != ZERO or record.creditor_hi != ZERO:
        payee = find(state.accounts, state.account_index, record.creditor_lo, record.creditor_hi)
        if payee == NOWHERE:
            return CREDITOR_UNKNOWN, SYSTEM, NOWHERE
    account = state.accounts[row]
    mode = signing_mode(state, signer_row, account)
    if mode == SYSTEM:
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    if payee == row:
        return SAME_ACCOUNT, SYSTEM, NOWHERE
    if record.asset != np.uint32(account.asset):
        return ASSET_MISMATCH, SYSTEM, NOWHERE
    if payee != NOWHERE and state.accounts[payee].asset != account.asset:
        return ASSET_MISMATCH, SYSTEM, NOWHERE
    if record.amount == ZERO:
        return AMOUNT_ZERO, SYSTEM, NOWHERE
    if (account.standing & CLOSED) != FREE:
        return DEBTOR_CLOSED, SYSTEM, NOWHERE
    expires_s = word_at(record.payload_commitment, 0)
    if expires_s != ZERO and now_s >= expires_s:
        return MANDATE_EXPIRED, SYSTEM, NOWHERE
    delegate = find(state.authorities, state.authority_index, record.related_lo, record.related_hi)
    if delegate == NOWHERE:
        return HOLDER_UNKNOWN, SYSTEM, NOWHERE
    if find_owned(state.mandates, state.mandate_index, record.id_lo, record.id_hi, row) != NOWHERE:
        return MANDATE_EXISTS, SYSTEM, NOWHERE
    # POST
    at = state.counters[0].mandates
    state.counters[0].mandates += ONE
    mandate = state.mandates[at]
    mandate.id_lo, mandate.id_hi, mandate.debtor = record.id_lo, record.id_hi, row
    mandate.payee, mandate.delegate = payee, delegate
    mandate.cap, mandate.period_cap, mandate.period_s = record.amount, record.max_fee, record.hold_for_s
    mandate.expires_s, mandate.start_s = expires_s, now_s
    mandate.window, mandate.spent = ZERO, ZERO
    insert(state.mandate_index, owned_key(mandate.id_lo, mandate.id_hi, row), np.uint32(at))
    return APPLIED, mode, row


@njit(**RARE)
def revoke_mandate(state, record, signer_row):
    """Return (outcome, mode, account row). The last row moves into the gap, so that none stands empty."""
    # CHECK
    row = find(state.accounts, state.account_index, record.debtor_lo, record.debtor_hi)
    if row == NOWHERE:
        return DEBTOR_UNKNOWN, SYSTEM, NOWHERE
    mode = signing_mode(state, signer_row, state.accounts[row])
    if mode == SYSTEM:
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    mandates, index = state.mandates, state.mandate_index
    at = find_owned(mandates, index, record.related_lo, record.related_hi, row)
    if at == NOWHERE:
        return MANDATE_UNKNOWN, SYSTEM, NOWHERE
    # POST
    remove_owned(mandates, index, at)
    state.counters[0].mandates -= ONE
    last = np.uint32(state.counters[0].mandates)
    if last != at:
        remove_owned(mandates, index, last)
        mandates[at] = mandates[last]
        moved = mandates[at]
        insert(index, owned_key(moved.id_lo, moved.id_hi, moved.debtor), at)
    return APPLIED, mode, row


@njit(**KERNEL)
def find_mandate(state, record, debtor_row, creditor_row, signer_row):
    """Return the row of the mandate a payment names, NOWHERE unless it is this signer's for this payee."""
    at = find_owned(state.mandates, state.mandate_index, record.related_lo, record.related_hi, debtor_row)
    if at == NOWHERE or state.mandates[at].delegate != signer_row:
        return NOWHERE
    payee = state.mandates[at].payee
    return at if payee == NOWHERE or payee == creditor_row else NOWHERE


@njit(**KERNEL)
def window_at(mandate, now_s):
    return (now_s - mandate.start_s) // np.uint64(mandate.period_s)


@njit(**KERNEL)
def spent_at(mandate, now_s):
    """Return what counts against the cap of the period that `now_s` lies in."""
    return mandate.spent if window_at(mandate, now_s) == mandate.window else ZERO


@njit(**KERNEL)
def check_mandate(mandate, amount, now_s):
    """Return APPLIED, or what the mandate does not allow."""
    if mandate.expires_s != ZERO and now_s >= mandate.expires_s:
        return MANDATE_EXPIRED
    if amount > mandate.cap:
        return ABOVE_MANDATE
    if mandate.period_s != NO_PERIOD and amount > mandate.period_cap - spent_at(mandate, now_s):
        return ABOVE_MANDATE_PERIOD
    return APPLIED


@njit(**KERNEL)
def spend_mandate(mandate, amount, now_s):
    """Count a payment against the period it is authorised in; without periods nothing is counted."""
    if mandate.period_s != NO_PERIOD:
        mandate.spent = spent_at(mandate, now_s) + amount
        mandate.window = window_at(mandate, now_s)
