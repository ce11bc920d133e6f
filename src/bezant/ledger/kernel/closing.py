"""Locks, captures and releases: the compiled twin of the reference's `holds`. Every effect returns
(outcome, amount, mode, debtor row, creditor row, hold slot)."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.checks import BOND, CAPTURE, KEEP_REST, NO_FLAG, TRANSFER
from bezant.ledger.kernel.fees import capture_fee_due
from bezant.ledger.kernel.holds import NO_SLOT, close_hold
from bezant.ledger.kernel.parties import (
    AMOUNT_ZERO,
    APPLIED,
    DELEGATE,
    INSTITUTION,
    NOT_AUTHORISED,
    SELF,
    SYSTEM,
    check_standing,
    find_parties,
    post,
    refuse,
    signing_mode,
)
from bezant.ledger.kernel.tables import NOWHERE, find_owned
from bezant.ledger.kernel.words import ZERO, subtract
from bezant.model.digest import hash_into
from bezant.model.native import KERNEL, RARE
from bezant.model.outcomes import Outcome
from bezant.model.records import Role

CAPTURED, RELEASED = np.uint16(Outcome.CAPTURED), np.uint16(Outcome.RELEASED)
LOCKED, CAPTURED_IN_PART = np.uint16(Outcome.LOCKED), np.uint16(Outcome.CAPTURED_IN_PART)
HOLD_UNKNOWN, HOLD_MISMATCH = np.uint16(Outcome.HOLD_UNKNOWN), np.uint16(Outcome.HOLD_MISMATCH)
AMOUNT_ABOVE_HOLD = np.uint16(Outcome.AMOUNT_ABOVE_HOLD)
PREIMAGE_MISMATCH = np.uint16(Outcome.PREIMAGE_MISMATCH)
MAY_PAY, MAY_REVIEW_HOLDS, NO_ROLE = np.uint8(Role.PAY), np.uint8(Role.REVIEW), np.uint8(0)
YES, NO = np.uint16(1), np.uint16(0)


@njit(inline="always", **KERNEL)
def return_reserve(debtor, creditor, amount):
    """Undo a reserve, or part of one, on both sides."""
    debtor.debits_pending_lo, debtor.debits_pending_hi = subtract(
        debtor.debits_pending_lo, debtor.debits_pending_hi, amount
    )
    creditor.credits_pending_lo, creditor.credits_pending_hi = subtract(
        creditor.credits_pending_lo, creditor.credits_pending_hi, amount
    )


@njit(**KERNEL)
def closing_mode(state, signer_row, reached, debtor, creditor, kind, slot):
    """Return who closes a hold; SYSTEM where the signer may not. See the reference for the rule."""
    in_review = slot != NOWHERE and state.holds[slot].kind == TRANSFER
    if (reached & (MAY_REVIEW_HOLDS if in_review else MAY_PAY)) == NO_ROLE:
        return SYSTEM
    mode = signing_mode(state, signer_row, debtor)
    if in_review:
        return mode if mode == INSTITUTION else SYSTEM
    locked = slot != NOWHERE and state.holds[slot].locked != NO
    if mode == INSTITUTION and (kind == CAPTURE or not locked):
        return mode
    if mode == SELF and kind == CAPTURE:
        return mode
    return signing_mode(state, signer_row, creditor)


@njit(**KERNEL)
def opens(lock, preimage, scratch):
    """Return whether 32 bytes hash to a hold's lock."""
    context, message, digest, _ = scratch
    for j in range(32):
        message[j] = preimage[j]
    hash_into(context, message, 32, digest)
    same = True
    for j in range(32):
        same = same and digest[j] == lock[j]
    return same


@njit(**RARE)
def lock_hold(state, record, signer_row, chain_start):
    """Lock a hold with a hash; only where the same chain placed it, so that none is ever open without."""
    # CHECK
    refusal, debtor_row, creditor_row = find_parties(state, record)
    if refusal != APPLIED:
        return refuse(refusal)
    debtor = state.accounts[debtor_row]
    slot = find_owned(state.holds, state.hold_index, record.related_lo, record.related_hi, debtor_row)
    if slot == NOWHERE or state.holds[slot].sequence <= chain_start:
        return refuse(HOLD_UNKNOWN)
    hold = state.holds[slot]
    if hold.creditor != creditor_row or record.asset != np.uint32(debtor.asset) or hold.locked != NO:
        return refuse(HOLD_MISMATCH)
    # POST
    hold.locked = YES
    for j in range(32):
        hold.lock[j] = record.payload_commitment[j]
    mode = signing_mode(state, signer_row, debtor)
    return LOCKED, ZERO, mode if mode != SYSTEM else DELEGATE, debtor_row, creditor_row, NO_SLOT


@njit(**KERNEL)
def end_hold(state, record, signer_row, reached, limits, scratch):
    """Capture up to the amount held, or release it. What a capture leaves returns at once, or stays
    held where the capture says so."""
    # CHECK
    captures, amount = record.kind == CAPTURE, record.amount
    refusal, debtor_row, creditor_row = find_parties(state, record)
    if refusal != APPLIED:
        return refuse(refusal)
    debtor, creditor = state.accounts[debtor_row], state.accounts[creditor_row]
    slot = find_owned(state.holds, state.hold_index, record.related_lo, record.related_hi, debtor_row)
    if slot != NOWHERE and state.holds[slot].kind == BOND:
        slot = NOWHERE  # A bond has its own end.
    mode = closing_mode(state, signer_row, reached, debtor, creditor, record.kind, slot)
    if mode == SYSTEM:
        return refuse(NOT_AUTHORISED)
    if captures and amount == ZERO:
        return refuse(AMOUNT_ZERO)
    if captures:
        refusal = check_standing(state, debtor, creditor)
        if refusal != APPLIED:
            return refuse(refusal)
    if slot == NOWHERE:
        return refuse(HOLD_UNKNOWN)
    hold = state.holds[slot]
    held = hold.amount
    if hold.creditor != creditor_row or record.asset != np.uint32(debtor.asset):
        return refuse(HOLD_MISMATCH)
    if captures and hold.kind == TRANSFER and amount < held:
        return refuse(HOLD_MISMATCH)
    if captures and amount > held:
        return refuse(AMOUNT_ABOVE_HOLD)
    if captures and hold.locked != NO and not opens(hold.lock, record.payload_commitment, scratch):
        return refuse(PREIMAGE_MISMATCH)
    keeps_rest = captures and (record.flags & KEEP_REST) != NO_FLAG and amount < held
    # Each part costs the creditor a fee, so into how many parts is not the payer's side to say.
    if (
        keeps_rest
        and limits.charges != ZERO
        and signing_mode(state, signer_row, creditor) == SYSTEM
        and capture_fee_due(state, limits, debtor_row, creditor_row, amount) != ZERO
    ):
        return refuse(NOT_AUTHORISED)
    # POST
    if keeps_rest:
        hold.amount = held - amount
        return_reserve(debtor, creditor, amount)
    else:
        close_hold(state, slot)
        return_reserve(debtor, creditor, held)
    if not captures:
        return RELEASED, held, mode, debtor_row, creditor_row, np.uint64(slot)
    post(debtor, creditor, amount)
    outcome = CAPTURED_IN_PART if keeps_rest else CAPTURED
    return outcome, amount, mode, debtor_row, creditor_row, np.uint64(slot)
