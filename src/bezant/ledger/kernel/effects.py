"""One record: what is checked early, its effect, its receipt."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.checks import (
    BOND,
    CAPTURE,
    CLAWBACK,
    FIRST_COMMAND,
    HOLD,
    LABEL,
    LOCK,
    PASSED,
    RELEASE,
    TRANSFER,
    UNBOND,
    check_authentic,
    check_new,
    content_of,
    remember,
)
from bezant.ledger.kernel.closing import end_hold, lock_hold
from bezant.ledger.kernel.commands import command
from bezant.ledger.kernel.fees import charge
from bezant.ledger.kernel.holds import NO_SLOT
from bezant.ledger.kernel.learning import label
from bezant.ledger.kernel.parties import SYSTEM
from bezant.ledger.kernel.payments import ALONE, claw_back, pay, reverse
from bezant.ledger.kernel.stake import bond, unbond
from bezant.ledger.kernel.tables import NOWHERE
from bezant.ledger.kernel.words import ZERO
from bezant.model.native import KERNEL

MS = np.uint64(1_000_000)


@njit(**KERNEL)
def copy_side(side, account):
    side.debits_pending_lo, side.debits_pending_hi = account.debits_pending_lo, account.debits_pending_hi
    side.debits_posted_lo, side.debits_posted_hi = account.debits_posted_lo, account.debits_posted_hi
    side.credits_pending_lo, side.credits_pending_hi = account.credits_pending_lo, account.credits_pending_hi
    side.credits_posted_lo, side.credits_posted_hi = account.credits_posted_lo, account.credits_posted_hi


@njit(**KERNEL)
def write_receipt(state, receipt, outcome, amount, mode, debtor_row, creditor_row):
    """Fill the ledger's answer; balances only where something happened."""
    receipt.outcome, receipt.amount, receipt.mode = outcome, amount, mode
    receipt.debtor_row, receipt.creditor_row = debtor_row, creditor_row
    if debtor_row != NOWHERE:
        copy_side(receipt.debtor_side, state.accounts[debtor_row])
    if creditor_row != NOWHERE:
        copy_side(receipt.creditor_side, state.accounts[creditor_row])


@njit(**KERNEL)
def effect(state, records, decisions, i, history, signer, time_ns, limits, scratch, chain_start):
    """Return (outcome, amount, mode, debtor row, creditor row, hold slot).

    `history` is the block's originals and, by record, the row of its own; `chain_start` the hold
    sequence in front of the chain the record is in, ALONE where it is in none.
    """
    record, signer_row = records[i], signer[0]
    kind = record.kind
    if kind == TRANSFER or kind == HOLD:
        return pay(state, record, decisions[i].verdict, signer_row, time_ns, limits, chain_start)
    if kind == CAPTURE or kind == RELEASE:
        return end_hold(state, record, signer_row, signer[3], limits, scratch)
    if kind >= FIRST_COMMAND:
        outcome, mode, row = command(state, record, signer_row, time_ns, limits, scratch)
        return outcome, ZERO, mode, row, NOWHERE, NO_SLOT
    if kind == LOCK:
        return lock_hold(state, record, signer_row, chain_start)
    if kind == CLAWBACK:
        return claw_back(state, record, signer_row)
    if kind == BOND:
        return bond(state, record, signer_row, limits)
    if kind == UNBOND:
        return unbond(state, record, signer_row, time_ns, limits)
    originals, original_rows = history
    original = originals[original_rows[i]]
    if kind == LABEL:
        return label(state, record, original, signer_row)
    return reverse(state, record, decisions[i].verdict, original, signer_row, time_ns)


@njit(**KERNEL)
def answer_early(state, records, decisions, i, signer, now_ms, limits, scratch, receipt):
    """Check everything before effects and write a refusal's receipt; return (refusal or PASSED, content)."""
    record = records[i]
    receipt.id_lo, receipt.id_hi, receipt.kind = record.id_lo, record.id_hi, record.kind
    receipt.order_index, receipt.verdict = np.uint32(i), decisions[i].verdict
    refusal = check_authentic(record, decisions[i], signer, now_ms, limits)
    content_lo, content_hi, first = ZERO, ZERO, np.uint16(0)
    if refusal == PASSED:
        content_lo, content_hi = content_of(i, scratch)
        refusal, first = check_new(state, record, content_lo, content_hi, signer[0], limits)
    if refusal != PASSED:
        write_receipt(state, receipt, refusal, ZERO, SYSTEM, NOWHERE, NOWHERE)
        receipt.first_outcome = first
    return refusal, content_lo, content_hi


@njit(inline="always", **KERNEL)
def apply_alone(state, records, decisions, i, history, signer, time_ns, limits, scratch, receipt):
    """Apply one record that stands for itself."""
    refusal, content_lo, content_hi = answer_early(
        state, records, decisions, i, signer, time_ns // MS, limits, scratch, receipt
    )
    if refusal != PASSED:
        return
    outcome, amount, mode, debtor, creditor, _ = effect(
        state, records, decisions, i, history, signer, time_ns, limits, scratch, ALONE
    )
    if limits.charges != ZERO:
        receipt.fee, receipt.fee_row = charge(
            state, limits, records[i].kind, outcome, debtor, creditor, amount
        )
    write_receipt(state, receipt, outcome, amount, mode, debtor, creditor)
    remember(state, records[i], content_lo, content_hi, signer[0], outcome)
