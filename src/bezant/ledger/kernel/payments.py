"""Value moves: the compiled twin of the reference's `payments`. Every effect returns (outcome, amount,
mode, debtor row, creditor row, hold slot)."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.checks import ALLOW, BLOCK, HOLD, MAY_REVIEW, NO_FLAG, REVIEW, UNDER_MANDATE
from bezant.ledger.kernel.fees import WITHOUT_END, check_fee, fee_due
from bezant.ledger.kernel.holds import NO_SLOT, open_hold
from bezant.ledger.kernel.mandates import check_mandate, find_mandate, spend_mandate
from bezant.ledger.kernel.parties import (
    APPLIED,
    DELEGATE,
    FREE,
    INSTITUTION,
    NOT_AUTHORISED,
    POLICY_FORBIDS,
    SYSTEM,
    check_standing,
    check_sums,
    check_value,
    find_parties,
    name_standing,
    payer_mode,
    post,
    refuse,
)
from bezant.ledger.kernel.tables import NOWHERE, find_owned, insert, owned_key
from bezant.ledger.kernel.words import ONE, ZERO, add
from bezant.ledger.standing import Policy
from bezant.model.native import KERNEL, RARE
from bezant.model.outcomes import Outcome

HELD, HELD_FOR_REVIEW = np.uint16(Outcome.HELD), np.uint16(Outcome.HELD_FOR_REVIEW)
BLOCKED, REVIEW_NOT_PERMITTED = np.uint16(Outcome.BLOCKED), np.uint16(Outcome.REVIEW_NOT_PERMITTED)
ORIGINAL_UNKNOWN = np.uint16(Outcome.ORIGINAL_UNKNOWN)
REFUND_WINDOW_CLOSED = np.uint16(Outcome.REFUND_WINDOW_CLOSED)
HOLD_EXISTS, ABOVE_ORIGINAL = np.uint16(Outcome.HOLD_EXISTS), np.uint16(Outcome.ABOVE_ORIGINAL)
MAY_CLAW_BACK = np.uint16(Policy.CLAWBACK)

NO_ASSET = np.uint32(0)
NS_PER_S, NS_PER_MS = np.uint64(1_000_000_000), np.uint64(1_000_000)
ALONE = np.uint64(0xFFFFFFFFFFFFFFFF)
"""In place of the hold sequence in front of a chain: the record stands for itself."""


@njit(**KERNEL)
def pay(state, record, verdict, signer_row, time_ns, limits, chain_start):
    """Post a transfer, or place the hold that a HOLD or a review asks for."""
    # CHECK
    in_review = verdict == REVIEW
    if verdict == BLOCK:
        return refuse(BLOCKED)
    may_review = (record.flags & MAY_REVIEW) != NO_FLAG
    if in_review and (record.kind == HOLD or chain_start != ALONE or not may_review):
        return refuse(REVIEW_NOT_PERMITTED)
    refusal, debtor_row, creditor_row = find_parties(state, record)
    if refusal != APPLIED:
        return refuse(refusal)
    debtor, creditor = state.accounts[debtor_row], state.accounts[creditor_row]
    amount, mandate_row = record.amount, NOWHERE
    holds, fee = record.kind == HOLD or in_review, ZERO
    if limits.charges != ZERO and not holds:
        fee = fee_due(state, limits, debtor_row, creditor_row, amount)
    # What somebody else may spend of an account, the fee is part of.
    spent = amount + fee if amount + fee >= amount else WITHOUT_END
    if (record.flags & UNDER_MANDATE) == NO_FLAG:
        mode = payer_mode(state, signer_row, debtor, spent)
    else:
        mandate_row = find_mandate(state, record, debtor_row, creditor_row, signer_row)
        mode = DELEGATE if mandate_row != NOWHERE else SYSTEM
    if mode == SYSTEM:
        return refuse(NOT_AUTHORISED)
    refusal = check_value(record, debtor, creditor, debtor_row == creditor_row)
    if refusal != APPLIED:
        return refuse(refusal)
    refusal = check_standing(state, debtor, creditor)
    if refusal != APPLIED:
        return refuse(refusal)
    if holds and find_owned(state.holds, state.hold_index, record.id_lo, record.id_hi, debtor_row) != NOWHERE:
        return refuse(HOLD_EXISTS)
    if mandate_row != NOWHERE:
        refusal = check_mandate(state.mandates[mandate_row], spent, time_ns // NS_PER_S)
        if refusal != APPLIED:
            return refuse(refusal)
    refusal = check_sums(debtor, creditor, amount, debtor.credit_limit)
    if fee != ZERO:
        refusal = check_fee(refusal, debtor, amount, fee, record.max_fee)
    if refusal != APPLIED:
        return refuse(refusal)
    # POST
    if mandate_row != NOWHERE:
        spend_mandate(state.mandates[mandate_row], spent, time_ns // NS_PER_S)
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


@njit(**RARE)
def reverse(state, record, verdict, original, signer_row, time_ns):
    """Pay back all or part of an earlier payment, never more in all than it was."""
    # CHECK
    if verdict != ALLOW:
        return refuse(BLOCKED if verdict == BLOCK else REVIEW_NOT_PERMITTED)
    back = original.debtor_lo == record.creditor_lo and original.debtor_hi == record.creditor_hi
    back = back and original.creditor_lo == record.debtor_lo and original.creditor_hi == record.debtor_hi
    if original.asset == NO_ASSET or not back:
        return refuse(ORIGINAL_UNKNOWN)
    until_ms = (record.related_hi >> np.uint64(16)) + state.assets[original.asset].refund_window_ms
    if time_ns // NS_PER_MS > until_ms:
        return refuse(REFUND_WINDOW_CLOSED)
    refusal, debtor_row, creditor_row = find_parties(state, record)
    if refusal != APPLIED:
        return refuse(refusal)
    debtor, creditor = state.accounts[debtor_row], state.accounts[creditor_row]
    amount = record.amount
    mode = payer_mode(state, signer_row, debtor, amount)
    if mode == SYSTEM:
        return refuse(NOT_AUTHORISED)
    refusal = check_value(record, debtor, creditor, debtor_row == creditor_row)
    if refusal == APPLIED:
        refusal = check_standing(state, debtor, creditor)
    if refusal == APPLIED:
        refusal = check_sums(debtor, creditor, amount, debtor.credit_limit)
    if refusal != APPLIED:
        return refuse(refusal)
    lo, hi = record.related_lo, record.related_hi
    at = find_owned(state.refunds, state.refund_index, lo, hi, creditor_row)
    left = original.amount
    if at != NOWHERE:
        left = state.refunds[at].original - state.refunds[at].refunded
    if amount > left:
        return refuse(ABOVE_ORIGINAL)
    # POST
    if at == NOWHERE:
        at = np.uint32(state.counters[0].refunds)
        state.counters[0].refunds += ONE
        entry = state.refunds[at]
        entry.id_lo, entry.id_hi, entry.debtor = lo, hi, creditor_row
        entry.original, entry.refunded, entry.until_ms = original.amount, ZERO, until_ms
        insert(state.refund_index, owned_key(lo, hi, creditor_row), at)
    state.refunds[at].refunded += amount
    post(debtor, creditor, amount)
    return APPLIED, amount, mode, debtor_row, creditor_row, NO_SLOT


@njit(**RARE)
def claw_back(state, record, signer_row):
    """Take up to the available positive balance to the issuer, from a frozen account or in a pause too."""
    # CHECK
    refusal, debtor_row, creditor_row = find_parties(state, record)
    if refusal != APPLIED:
        return refuse(refusal)
    debtor, creditor = state.accounts[debtor_row], state.accounts[creditor_row]
    asset, amount = state.assets[debtor.asset], record.amount
    own = state.authorities[signer_row].institution
    if own != asset.issuer or creditor.institution != asset.issuer:
        return refuse(NOT_AUTHORISED)
    refusal = check_value(record, debtor, creditor, debtor_row == creditor_row)
    if refusal == APPLIED and (asset.policy & MAY_CLAW_BACK) == FREE:
        refusal = POLICY_FORBIDS
    if refusal == APPLIED:
        refusal = name_standing(FREE, creditor.standing)
    if refusal == APPLIED:
        refusal = check_sums(debtor, creditor, amount, ZERO)
    if refusal != APPLIED:
        return refuse(refusal)
    # POST
    post(debtor, creditor, amount)
    return APPLIED, amount, INSTITUTION, debtor_row, creditor_row, NO_SLOT
