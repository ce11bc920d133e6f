"""Who may do what, and what keeps value from moving: the compiled twin of the reference's `parties`."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.holds import NO_SLOT
from bezant.ledger.kernel.tables import NOWHERE, find
from bezant.ledger.kernel.words import ZERO, above, add, add_wide, overflows
from bezant.ledger.standing import Standing
from bezant.model.native import ENTRY, KERNEL
from bezant.model.outcomes import Outcome, SigningMode

APPLIED = np.uint16(Outcome.APPLIED)
DEBTOR_UNKNOWN, CREDITOR_UNKNOWN = np.uint16(Outcome.DEBTOR_UNKNOWN), np.uint16(Outcome.CREDITOR_UNKNOWN)
NOT_AUTHORISED, SAME_ACCOUNT = np.uint16(Outcome.NOT_AUTHORISED), np.uint16(Outcome.SAME_ACCOUNT)
ASSET_MISMATCH, AMOUNT_ZERO = np.uint16(Outcome.ASSET_MISMATCH), np.uint16(Outcome.AMOUNT_ZERO)
ASSET_PAUSED, POLICY_FORBIDS = np.uint16(Outcome.ASSET_PAUSED), np.uint16(Outcome.POLICY_FORBIDS)
DEBTOR_FROZEN, CREDITOR_FROZEN = np.uint16(Outcome.DEBTOR_FROZEN), np.uint16(Outcome.CREDITOR_FROZEN)
DEBTOR_CLOSED, CREDITOR_CLOSED = np.uint16(Outcome.DEBTOR_CLOSED), np.uint16(Outcome.CREDITOR_CLOSED)
DEBTOR_NOT_APPROVED = np.uint16(Outcome.DEBTOR_NOT_APPROVED)
CREDITOR_NOT_APPROVED = np.uint16(Outcome.CREDITOR_NOT_APPROVED)
OVERFLOW, INSUFFICIENT_FUNDS = np.uint16(Outcome.OVERFLOW), np.uint16(Outcome.INSUFFICIENT_FUNDS)
BALANCE_LIMIT = np.uint16(Outcome.BALANCE_LIMIT)

SYSTEM, SELF = np.uint8(SigningMode.SYSTEM), np.uint8(SigningMode.SELF)
INSTITUTION, DELEGATE = np.uint8(SigningMode.INSTITUTION), np.uint8(SigningMode.DELEGATE)

FREE = np.uint16(0)
FROZEN = np.uint16(Standing.FROZEN | Standing.FROZEN_BY_ISSUER | Standing.COLLECTS)
CLOSED, NOT_APPROVED = np.uint16(Standing.CLOSED), np.uint16(Standing.NOT_APPROVED)


@njit(inline="always", **KERNEL)
def refuse(outcome):
    """Return an effect that moves nothing: (outcome, amount, mode, debtor row, creditor row, hold slot)."""
    return outcome, ZERO, SYSTEM, NOWHERE, NOWHERE, NO_SLOT


@njit(**KERNEL)
def find_parties(state, record):
    """Return (APPLIED or which account is not known, debtor row, creditor row)."""
    debtor_row = find(state.accounts, state.account_index, record.debtor_lo, record.debtor_hi)
    if debtor_row == NOWHERE:
        return DEBTOR_UNKNOWN, NOWHERE, NOWHERE
    creditor_row = find(state.accounts, state.account_index, record.creditor_lo, record.creditor_hi)
    if creditor_row == NOWHERE:
        return CREDITOR_UNKNOWN, NOWHERE, NOWHERE
    return APPLIED, debtor_row, creditor_row


@njit(inline="always", **KERNEL)
def signing_mode(state, signer_row, account):
    """Return INSTITUTION or SELF, SYSTEM where the signer has no say over the account."""
    if state.authorities[signer_row].institution == account.institution:
        return INSTITUTION
    return SELF if account.authority == signer_row else SYSTEM


@njit(**KERNEL)
def payer_mode(state, signer_row, account, amount):
    """Return in which capacity the signer pays; the delegate only up to its cap."""
    mode = signing_mode(state, signer_row, account)
    if mode == SYSTEM and account.delegate == signer_row and amount <= account.delegate_cap:
        return DELEGATE
    return mode


@njit(inline="always", **KERNEL)
def check_value(record, debtor, creditor, same):
    """Return APPLIED, or why this amount of this asset makes no payment between two accounts."""
    if same:
        return SAME_ACCOUNT
    if debtor.asset != creditor.asset or np.uint32(debtor.asset) != record.asset:
        return ASSET_MISMATCH
    return AMOUNT_ZERO if record.amount == ZERO else APPLIED


@njit(inline="always", **KERNEL)
def check_standing(state, debtor, creditor):
    """Return APPLIED, or why the issuer or an institution keeps value from moving now."""
    if state.assets[debtor.asset].paused != FREE:
        return ASSET_PAUSED
    if (debtor.standing | creditor.standing) == FREE:
        return APPLIED
    return name_standing(debtor.standing, creditor.standing)


@njit(**ENTRY)
def name_standing(debtor, creditor):
    """Return the lowest refusal that two accounts' standings ask for, APPLIED where there is none."""
    if (debtor & FROZEN) != FREE:
        return DEBTOR_FROZEN
    if (creditor & FROZEN) != FREE:
        return CREDITOR_FROZEN
    if (debtor & CLOSED) != FREE:
        return DEBTOR_CLOSED
    if (creditor & CLOSED) != FREE:
        return CREDITOR_CLOSED
    if (debtor & NOT_APPROVED) != FREE:
        return DEBTOR_NOT_APPROVED
    return CREDITOR_NOT_APPROVED if (creditor & NOT_APPROVED) != FREE else APPLIED


@njit(**KERNEL)
def check_sums(debtor, creditor, amount, credit_limit):
    """Return APPLIED, or which sum, limit or balance does not allow the amount."""
    if overflows(
        debtor.debits_pending_lo,
        debtor.debits_pending_hi,
        debtor.debits_posted_lo,
        debtor.debits_posted_hi,
        amount,
    ):
        return OVERFLOW
    if overflows(
        creditor.credits_pending_lo,
        creditor.credits_pending_hi,
        creditor.credits_posted_lo,
        creditor.credits_posted_hi,
        amount,
    ):
        return OVERFLOW
    if spends_too_much(debtor, amount, credit_limit):
        return INSUFFICIENT_FUNDS
    return BALANCE_LIMIT if holds_too_much(creditor, amount, creditor.balance_limit) else APPLIED


@njit(**KERNEL)
def spends_too_much(account, amount, credit_limit):
    """Return whether debits, reserved ones and `amount` exceed credits and the credit limit."""
    lo, hi, _ = add_wide(
        account.debits_posted_lo,
        account.debits_posted_hi,
        account.debits_pending_lo,
        account.debits_pending_hi,
    )
    lo, hi = add(lo, hi, amount)
    most_lo, most_hi = add(account.credits_posted_lo, account.credits_posted_hi, credit_limit)
    return above(lo, hi, most_lo, most_hi)


@njit(**KERNEL)
def holds_too_much(account, amount, balance_limit):
    """Return whether credits, expected ones and `amount` exceed debits and the limit, 0 for none."""
    if balance_limit == ZERO:
        return False
    lo, hi, _ = add_wide(
        account.credits_posted_lo,
        account.credits_posted_hi,
        account.credits_pending_lo,
        account.credits_pending_hi,
    )
    lo, hi = add(lo, hi, amount)
    most_lo, most_hi = add(account.debits_posted_lo, account.debits_posted_hi, balance_limit)
    return above(lo, hi, most_lo, most_hi)


@njit(inline="always", **KERNEL)
def is_empty(account):
    """Return whether the balance is zero and nothing is pending."""
    pending = account.debits_pending_lo | account.debits_pending_hi
    pending |= account.credits_pending_lo | account.credits_pending_hi
    return (
        pending == ZERO
        and account.debits_posted_lo == account.credits_posted_lo
        and account.debits_posted_hi == account.credits_posted_hi
    )


@njit(inline="always", **KERNEL)
def post(debtor, creditor, amount):
    """Move posted value; every sum has been checked."""
    debtor.debits_posted_lo, debtor.debits_posted_hi = add(
        debtor.debits_posted_lo, debtor.debits_posted_hi, amount
    )
    creditor.credits_posted_lo, creditor.credits_posted_hi = add(
        creditor.credits_posted_lo, creditor.credits_posted_hi, amount
    )
