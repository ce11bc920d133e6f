"""Fees on payments that settle: the compiled twin of the reference's `fees`. Where no asset has any, a
payment compares one number and goes on."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.fees import PPM
from bezant.ledger.kernel.checks import TRANSFER
from bezant.ledger.kernel.parties import (
    APPLIED,
    CLOSED,
    FREE,
    INSUFFICIENT_FUNDS,
    OVERFLOW,
    holds_too_much,
    post,
    spends_too_much,
)
from bezant.ledger.kernel.words import ZERO, overflows
from bezant.model.money import U64_MAX
from bezant.model.native import KERNEL, RARE
from bezant.model.outcomes import Outcome

CAPTURED, CAPTURED_IN_PART = np.uint16(Outcome.CAPTURED), np.uint16(Outcome.CAPTURED_IN_PART)
FEE_ABOVE_MAX = np.uint16(Outcome.FEE_ABOVE_MAX)
FLAT, SHARE, LEAST, MOST, COLLECTOR = 0, 1, 2, 3, 4
"""Columns of `Limits.fees`."""
MILLION, WITHOUT_END = np.uint64(PPM), np.uint64(U64_MAX)


@njit(**KERNEL)
def quote(schedule, amount):
    """Return what a row of `Limits.fees` charges for an amount."""
    share = amount // MILLION * schedule[SHARE] + amount % MILLION * schedule[SHARE] // MILLION
    charged = schedule[FLAT] + share
    if charged < share or charged > schedule[MOST]:
        charged = schedule[MOST]
    return charged if charged > schedule[LEAST] else schedule[LEAST]


@njit(**RARE)
def fee_due(state, limits, debtor_row, creditor_row, amount):
    """Return what a payment is charged, 0 for nothing."""
    debtor, creditor = state.accounts[debtor_row], state.accounts[creditor_row]
    schedule = limits.fees[debtor.asset]
    row = schedule[COLLECTOR]
    if row >= np.uint64(len(state.accounts)) or (state.accounts[row].standing & CLOSED) != FREE:
        return ZERO
    if row == np.uint64(debtor_row) or row == np.uint64(creditor_row):
        return ZERO
    if debtor.credit_limit == WITHOUT_END or creditor.credit_limit == WITHOUT_END:
        return ZERO
    fee, collector = quote(schedule, amount), state.accounts[row]
    if overflows(
        collector.credits_pending_lo,
        collector.credits_pending_hi,
        collector.credits_posted_lo,
        collector.credits_posted_hi,
        fee,
    ):
        return ZERO
    return ZERO if holds_too_much(collector, fee, collector.balance_limit) else fee


@njit(**RARE)
def capture_fee_due(state, limits, debtor_row, creditor_row, amount):
    """Return what a capture is charged, out of what it brings."""
    fee, payer = fee_due(state, limits, debtor_row, creditor_row, amount), state.accounts[creditor_row]
    fee = amount if amount < fee else fee
    if overflows(
        payer.debits_pending_lo,
        payer.debits_pending_hi,
        payer.debits_posted_lo,
        payer.debits_posted_hi,
        fee,
    ):
        return ZERO
    return fee


@njit(**RARE)
def check_fee(refusal, debtor, amount, fee, max_fee):
    """Return the lowest of what refuses a payment without its fee, and what refuses it with it."""
    if refusal == OVERFLOW or refusal == INSUFFICIENT_FUNDS:
        return refusal
    spent = amount + fee
    if spent < amount or overflows(
        debtor.debits_pending_lo,
        debtor.debits_pending_hi,
        debtor.debits_posted_lo,
        debtor.debits_posted_hi,
        spent,
    ):
        return OVERFLOW
    if spends_too_much(debtor, spent, debtor.credit_limit):
        return INSUFFICIENT_FUNDS
    if refusal != APPLIED:
        return refusal
    return FEE_ABOVE_MAX if fee > max_fee else APPLIED


@njit(**RARE)
def charge(state, limits, kind, outcome, debtor_row, creditor_row, amount):
    """Charge a payment that settled, and return (the fee, the row of the account that it went to)."""
    captured = outcome == CAPTURED or outcome == CAPTURED_IN_PART
    if not captured and (kind != TRANSFER or outcome != APPLIED):
        return ZERO, np.uint32(0)
    if captured:
        payer = state.accounts[creditor_row]
        fee = capture_fee_due(state, limits, debtor_row, creditor_row, amount)
    else:
        payer = state.accounts[debtor_row]
        fee = fee_due(state, limits, debtor_row, creditor_row, amount)
    if fee == ZERO:
        return ZERO, np.uint32(0)
    row = np.uint32(limits.fees[payer.asset, COLLECTOR])
    post(payer, state.accounts[row], fee)
    return fee, row
