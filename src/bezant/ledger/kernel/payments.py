"""Transfers, holds, captures, releases: the compiled twin of the reference's effects."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.checks import (
    BLOCK,
    CAPTURE,
    HOLD,
    MAY_REVIEW,
    RELEASE,
    REVIEW,
    TRANSFER,
)
from bezant.ledger.kernel.holds import NO_SLOT, close_hold, open_hold
from bezant.ledger.kernel.tables import NOWHERE, find, find_hold
from bezant.ledger.kernel.words import ZERO, above, add, add_wide, overflows, subtract
from bezant.model.native import KERNEL
from bezant.model.outcomes import Outcome, SigningMode

APPLIED, HELD = np.uint16(Outcome.APPLIED), np.uint16(Outcome.HELD)
HELD_FOR_REVIEW = np.uint16(Outcome.HELD_FOR_REVIEW)
CAPTURED, RELEASED = np.uint16(Outcome.CAPTURED), np.uint16(Outcome.RELEASED)
BLOCKED, REVIEW_NOT_PERMITTED = np.uint16(Outcome.BLOCKED), np.uint16(Outcome.REVIEW_NOT_PERMITTED)
DEBTOR_UNKNOWN, CREDITOR_UNKNOWN = np.uint16(Outcome.DEBTOR_UNKNOWN), np.uint16(Outcome.CREDITOR_UNKNOWN)
NOT_AUTHORISED, SAME_ACCOUNT = np.uint16(Outcome.NOT_AUTHORISED), np.uint16(Outcome.SAME_ACCOUNT)
ASSET_MISMATCH, AMOUNT_ZERO = np.uint16(Outcome.ASSET_MISMATCH), np.uint16(Outcome.AMOUNT_ZERO)
DEBTOR_FROZEN, CREDITOR_FROZEN = np.uint16(Outcome.DEBTOR_FROZEN), np.uint16(Outcome.CREDITOR_FROZEN)
HOLD_UNKNOWN, HOLD_MISMATCH = np.uint16(Outcome.HOLD_UNKNOWN), np.uint16(Outcome.HOLD_MISMATCH)
AMOUNT_ABOVE_HOLD, HOLD_EXISTS = np.uint16(Outcome.AMOUNT_ABOVE_HOLD), np.uint16(Outcome.HOLD_EXISTS)
OVERFLOW, INSUFFICIENT_FUNDS = np.uint16(Outcome.OVERFLOW), np.uint16(Outcome.INSUFFICIENT_FUNDS)
BALANCE_LIMIT = np.uint16(Outcome.BALANCE_LIMIT)

SYSTEM, SELF = np.uint8(SigningMode.SYSTEM), np.uint8(SigningMode.SELF)
INSTITUTION, DELEGATE = np.uint8(SigningMode.INSTITUTION), np.uint8(SigningMode.DELEGATE)
FREE = np.uint16(0)
NS_PER_S = np.uint64(1_000_000_000)


@njit(inline="always", **KERNEL)
def signing_mode(state, signer_row, account):
    """Return INSTITUTION or SELF, SYSTEM where the signer has no say over the account."""
    if state.authorities[signer_row].institution == np.uint64(account.institution):
        return INSTITUTION
    return SELF if account.authority == signer_row else SYSTEM


@njit(**KERNEL)
def payer_mode(state, signer_row, account, amount):
    mode = signing_mode(state, signer_row, account)
    if mode == SYSTEM and account.delegate == signer_row and amount <= account.delegate_cap:
        return DELEGATE
    return mode


@njit(**KERNEL)
def closing_mode(state, signer_row, debtor, creditor, kind, slot):
    """Return who closes a hold; SYSTEM where the signer may not. See the reference for the rule."""
    mode = signing_mode(state, signer_row, debtor)
    reviewed = slot != NOWHERE and state.holds[slot].kind == np.uint32(TRANSFER)
    if mode == INSTITUTION or reviewed:
        return mode if mode == INSTITUTION else SYSTEM
    if mode == SELF and kind == CAPTURE:
        return mode
    return signing_mode(state, signer_row, creditor)


@njit(**KERNEL)
def check_sums(debtor, creditor, amount):
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
    if spends_too_much(debtor, amount):
        return INSUFFICIENT_FUNDS
    if creditor.balance_limit != ZERO:
        lo, hi, _ = add_wide(
            creditor.credits_posted_lo,
            creditor.credits_posted_hi,
            creditor.credits_pending_lo,
            creditor.credits_pending_hi,
        )
        lo, hi = add(lo, hi, amount)
        most_lo, most_hi = add(creditor.debits_posted_lo, creditor.debits_posted_hi, creditor.balance_limit)
        if above(lo, hi, most_lo, most_hi):
            return BALANCE_LIMIT
    return APPLIED


@njit(**KERNEL)
def spends_too_much(account, amount):
    """Return whether debits, reserved ones and `amount` exceed credits and the credit limit."""
    lo, hi, _ = add_wide(
        account.debits_posted_lo,
        account.debits_posted_hi,
        account.debits_pending_lo,
        account.debits_pending_hi,
    )
    lo, hi = add(lo, hi, amount)
    most_lo, most_hi = add(account.credits_posted_lo, account.credits_posted_hi, account.credit_limit)
    return above(lo, hi, most_lo, most_hi)


@njit(**KERNEL)
def pay(state, record, verdict, signer_row, time_ns, limits, in_chain):
    """Post a transfer, or place a hold. Return (outcome, amount, mode, debtor row, creditor row, slot)."""
    # CHECK
    nothing = ZERO
    in_review = verdict == REVIEW
    if verdict == BLOCK:
        return BLOCKED, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    may_review = (record.flags & MAY_REVIEW) != FREE
    if in_review and (record.kind == HOLD or in_chain or not may_review):
        return REVIEW_NOT_PERMITTED, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    debtor_row = find(state.accounts, state.account_index, record.debtor_lo, record.debtor_hi)
    if debtor_row == NOWHERE:
        return DEBTOR_UNKNOWN, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    creditor_row = find(state.accounts, state.account_index, record.creditor_lo, record.creditor_hi)
    if creditor_row == NOWHERE:
        return CREDITOR_UNKNOWN, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    debtor, creditor = state.accounts[debtor_row], state.accounts[creditor_row]
    amount = record.amount
    mode = payer_mode(state, signer_row, debtor, amount)
    if mode == SYSTEM:
        return NOT_AUTHORISED, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    if debtor_row == creditor_row:
        return SAME_ACCOUNT, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    if debtor.asset != creditor.asset or np.uint32(debtor.asset) != record.asset:
        return ASSET_MISMATCH, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    if amount == ZERO:
        return AMOUNT_ZERO, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    if debtor.frozen != FREE:
        return DEBTOR_FROZEN, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    if creditor.frozen != FREE:
        return CREDITOR_FROZEN, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    holds = record.kind == HOLD or in_review
    if holds and find_hold(state.holds, state.hold_index, record.id_lo, record.id_hi, debtor_row) != NOWHERE:
        return HOLD_EXISTS, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    refusal = check_sums(debtor, creditor, amount)
    if refusal != APPLIED:
        return refusal, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    # POST
    if not holds:
        post(debtor, creditor, amount)
        return APPLIED, amount, mode, debtor_row, creditor_row, NO_SLOT
    hold_ns = limits.review_for_ns if in_review else np.uint64(record.hold_for_s) * NS_PER_S
    slot = open_hold(state, record, debtor_row, creditor_row, time_ns + hold_ns)
    debtor.debits_pending_lo, debtor.debits_pending_hi = add(
        debtor.debits_pending_lo, debtor.debits_pending_hi, amount
    )
    creditor.credits_pending_lo, creditor.credits_pending_hi = add(
        creditor.credits_pending_lo, creditor.credits_pending_hi, amount
    )
    outcome = HELD_FOR_REVIEW if in_review else HELD
    return outcome, amount, mode, debtor_row, creditor_row, slot


@njit(inline="always", **KERNEL)
def post(debtor, creditor, amount):
    """Move posted value; every sum has been checked."""
    debtor.debits_posted_lo, debtor.debits_posted_hi = add(
        debtor.debits_posted_lo, debtor.debits_posted_hi, amount
    )
    creditor.credits_posted_lo, creditor.credits_posted_hi = add(
        creditor.credits_posted_lo, creditor.credits_posted_hi, amount
    )


@njit(inline="always", **KERNEL)
def return_reserve(debtor, creditor, amount):
    """Undo a reserve on both sides."""
    debtor.debits_pending_lo, debtor.debits_pending_hi = subtract(
        debtor.debits_pending_lo, debtor.debits_pending_hi, amount
    )
    creditor.credits_pending_lo, creditor.credits_pending_hi = subtract(
        creditor.credits_pending_lo, creditor.credits_pending_hi, amount
    )


@njit(**KERNEL)
def end_hold(state, record, signer_row):
    """Capture or release. Return (outcome, amount, mode, debtor row, creditor row, slot)."""
    # CHECK
    nothing, kind = ZERO, record.kind
    debtor_row = find(state.accounts, state.account_index, record.debtor_lo, record.debtor_hi)
    if debtor_row == NOWHERE:
        return DEBTOR_UNKNOWN, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    creditor_row = find(state.accounts, state.account_index, record.creditor_lo, record.creditor_hi)
    if creditor_row == NOWHERE:
        return CREDITOR_UNKNOWN, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    debtor, creditor = state.accounts[debtor_row], state.accounts[creditor_row]
    slot = find_hold(state.holds, state.hold_index, record.related_lo, record.related_hi, debtor_row)
    mode = closing_mode(state, signer_row, debtor, creditor, kind, slot)
    if mode == SYSTEM:
        return NOT_AUTHORISED, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    amount = record.amount
    if kind == CAPTURE and amount == ZERO:
        return AMOUNT_ZERO, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    if kind == CAPTURE and debtor.frozen != FREE:
        return DEBTOR_FROZEN, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    if kind == CAPTURE and creditor.frozen != FREE:
        return CREDITOR_FROZEN, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    if slot == NOWHERE:
        return HOLD_UNKNOWN, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    held = state.holds[slot].amount
    if state.holds[slot].creditor != creditor_row or record.asset != np.uint32(debtor.asset):
        return HOLD_MISMATCH, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    if kind == CAPTURE and state.holds[slot].kind == np.uint32(TRANSFER) and amount < held:
        return HOLD_MISMATCH, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    if kind == CAPTURE and amount > held:
        return AMOUNT_ABOVE_HOLD, nothing, SYSTEM, NOWHERE, NOWHERE, NO_SLOT
    # POST
    close_hold(state, slot)
    return_reserve(debtor, creditor, held)
    if kind == RELEASE:
        return RELEASED, held, mode, debtor_row, creditor_row, np.uint64(slot)
    post(debtor, creditor, amount)
    return CAPTURED, amount, mode, debtor_row, creditor_row, np.uint64(slot)
