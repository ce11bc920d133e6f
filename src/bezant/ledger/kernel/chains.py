"""Linked chains: all or nothing, what is undone, and what each member of a failed one is answered."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.checks import (
    CAPTURE,
    EXISTS,
    EXISTS_WITH_OTHER_CONTENT,
    NO_FLAG,
    PASSED,
    RELEASE,
    REVERSE,
    UNDER_MANDATE,
    content_of,
    remember,
)
from bezant.ledger.kernel.effects import MS, answer_early, effect, write_receipt
from bezant.ledger.kernel.fees import COLLECTOR, charge
from bezant.ledger.kernel.holds import NO_SLOT, close_hold, reopen_hold
from bezant.ledger.kernel.parties import SYSTEM
from bezant.ledger.kernel.payments import BLOCKED
from bezant.ledger.kernel.tables import NOWHERE, find, find_owned, remove_owned
from bezant.ledger.kernel.words import ONE, ZERO
from bezant.model.native import KERNEL
from bezant.model.outcomes import Outcome

LINKED_FAILED, CHAIN_OPEN = np.uint16(Outcome.LINKED_FAILED), np.uint16(Outcome.CHAIN_OPEN)
FIRST_REFUSAL = np.uint16(16)

IMAGE, PLACED, ENDED, SPENT = np.uint8(0), np.uint8(1), np.uint8(2), np.uint8(3)
REFUNDED, FIRST_REFUND = np.uint8(4), np.uint8(5)
"""What an entry of the undo list is: an account as it was, a hold that was placed, one that was captured or
released with its image before, a mandate's or a refund's counts before, a refund entry that is new."""


@njit(**KERNEL)
def note_before(state, record, limits, undo, count):
    """Keep what a member may change as it is before it applies; return the new number of entries.

    Kept are both accounts, the one that collects fees, the hold a capture or release names, the counts of the
    mandate a payment is under and of the refunds a reversal adds to. What turns out not to have changed is
    restored to itself.
    """
    what, rows, accounts, holds, counts = undo
    debtor_row = find(state.accounts, state.account_index, record.debtor_lo, record.debtor_hi)
    creditor_row = find(state.accounts, state.account_index, record.creditor_lo, record.creditor_hi)
    for row in (debtor_row, creditor_row):
        if row != NOWHERE:
            what[count], rows[count] = IMAGE, row
            accounts[count] = state.accounts[row]
            count += 1
    if limits.charges != ZERO and np.int64(record.asset) < len(limits.fees):
        row = np.uint32(limits.fees[record.asset, COLLECTOR])
        if row != NOWHERE:
            what[count], rows[count] = IMAGE, row
            accounts[count] = state.accounts[row]
            count += 1
    lo, hi = record.related_lo, record.related_hi
    if record.kind == CAPTURE or record.kind == RELEASE:
        at = find_owned(state.holds, state.hold_index, lo, hi, debtor_row)
        if at != NOWHERE:
            what[count], rows[count] = ENDED, at
            holds[count] = state.holds[at]
            count += 1
    elif record.kind == REVERSE:
        at = find_owned(state.refunds, state.refund_index, lo, hi, creditor_row)
        what[count], rows[count] = (REFUNDED if at != NOWHERE else FIRST_REFUND), at
        counts[count, 0] = state.counters[0].refunds
        if at != NOWHERE:
            counts[count, 0] = state.refunds[at].refunded
        count += 1
    elif (record.flags & UNDER_MANDATE) != NO_FLAG:
        at = find_owned(state.mandates, state.mandate_index, lo, hi, debtor_row)
        if at != NOWHERE:
            what[count], rows[count] = SPENT, at
            counts[count, 0], counts[count, 1] = state.mandates[at].window, state.mandates[at].spent
            count += 1
    return count


@njit(**KERNEL)
def roll_back(state, undo, count):
    """Undo a chain's members, newest change first."""
    what, rows, accounts, holds, counts = undo
    for at in range(count - 1, -1, -1):
        row = rows[at]
        if what[at] == IMAGE:
            state.accounts[row] = accounts[at]
        elif what[at] == PLACED:
            close_hold(state, row)
        elif what[at] == ENDED:
            if state.holds[row].sequence == ZERO:
                reopen_hold(state, row, holds[at])
            else:
                state.holds[row].amount = holds[at].amount
        elif what[at] == SPENT:
            state.mandates[row].window, state.mandates[row].spent = counts[at, 0], counts[at, 1]
        elif what[at] == REFUNDED:
            state.refunds[row].refunded = counts[at, 0]
        elif state.counters[0].refunds > counts[at, 0]:
            state.counters[0].refunds -= ONE
            last = np.uint32(state.counters[0].refunds)
            remove_owned(state.refunds, state.refund_index, last)


@njit(inline="always", **KERNEL)
def apply_chain(
    state,
    records,
    decisions,
    start,
    end,
    is_open,
    history,
    signer,
    time_ns,
    limits,
    scratch,
    undo,
    receipts,
):
    """Apply records `start..end` all or nothing; see the reference for who is answered what."""
    what, rows, _, _, _ = undo
    now_ms, signer_row = time_ns // MS, signer[0]
    chain_start = state.counters[0].hold_sequence
    first_remembered = np.int64(state.counters[0].ids)
    changes, failed_at = np.int64(0), start if is_open else -1
    i = end if is_open else start
    while i < end:
        record, receipt = records[i], receipts[i]
        refusal, content_lo, content_hi = answer_early(
            state, records, decisions, i, signer, now_ms, limits, scratch, receipt
        )
        if refusal != PASSED:
            failed_at = i
            break
        changes = note_before(state, record, limits, undo, changes)
        outcome, amount, mode, debtor, creditor, slot = effect(
            state, records, decisions, i, history, signer, time_ns, limits, scratch, chain_start
        )
        if limits.charges != ZERO:
            receipt.fee, receipt.fee_row = charge(
                state, limits, record.kind, outcome, debtor, creditor, amount
            )
        write_receipt(state, receipt, outcome, amount, mode, debtor, creditor)
        if outcome >= FIRST_REFUSAL:
            failed_at = i
            break
        if slot != NO_SLOT and record.kind != CAPTURE and record.kind != RELEASE:
            what[changes], rows[changes] = PLACED, np.uint32(slot)
            changes += 1
        remember(state, record, content_lo, content_hi, signer_row, outcome)
        i += 1
    if failed_at < 0:
        return
    roll_back(state, undo, changes)
    for row in range(first_remembered, np.int64(state.counters[0].ids)):
        state.ids[row].outcome = LINKED_FAILED
    refuse_members(
        state, records, decisions, start, end, is_open, failed_at, signer, now_ms, limits, scratch, receipts
    )


@njit(**KERNEL)
def clear_receipt(receipt):
    receipt.debtor_row, receipt.creditor_row = NOWHERE, NOWHERE
    receipt.fee, receipt.fee_row = ZERO, np.uint32(0)
    for side in (receipt.debtor_side, receipt.creditor_side):
        side.debits_pending_lo = side.debits_pending_hi = side.debits_posted_lo = side.debits_posted_hi = ZERO
        side.credits_pending_lo = side.credits_pending_hi = ZERO
        side.credits_posted_lo = side.credits_posted_hi = ZERO


@njit(**KERNEL)
def refuse_members(
    state, records, decisions, start, end, is_open, failed_at, signer, now_ms, limits, scratch, receipts
):
    """Answer the members of a failed chain: each its own refusal if it had one, else the chain's.

    A member that exists is looked up again: its twin may stand in this very chain, undone since.
    """
    cause = CHAIN_OPEN if is_open else LINKED_FAILED
    for i in range(start, end):
        receipt = receipts[i]
        if i < failed_at and not is_open:
            clear_receipt(receipt)
            write_receipt(state, receipt, cause, ZERO, SYSTEM, NOWHERE, NOWHERE)
            continue
        exists = receipt.outcome == EXISTS or receipt.outcome == EXISTS_WITH_OTHER_CONTENT
        if i == failed_at and not is_open and not exists:
            if receipt.outcome >= BLOCKED:
                content_lo, content_hi = content_of(i, scratch)
                remember(state, records[i], content_lo, content_hi, signer[0], receipt.outcome)
            continue
        refusal, content_lo, content_hi = answer_early(
            state, records, decisions, i, signer, now_ms, limits, scratch, receipt
        )
        if refusal == PASSED:
            write_receipt(state, receipt, cause, ZERO, SYSTEM, NOWHERE, NOWHERE)
            remember(state, records[i], content_lo, content_hi, signer[0], cause)
