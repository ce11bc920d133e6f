"""One block through the ledger: expire holds, then every record in order, chains together."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.checks import (
    EXISTS,
    EXISTS_WITH_OTHER_CONTENT,
    LINKED,
    PASSED,
    REGISTER_AUTHORITY,
    check_authentic,
    check_new,
    content_of,
    remember,
)
from bezant.ledger.kernel.commands import command
from bezant.ledger.kernel.holds import NO_SLOT, close_hold, next_due, pop_expiry, reopen_hold
from bezant.ledger.kernel.payments import (
    BLOCKED,
    CAPTURE,
    RELEASE,
    SYSTEM,
    end_hold,
    pay,
    return_reserve,
    spends_too_much,
)
from bezant.ledger.kernel.tables import NOWHERE, find, find_hold
from bezant.ledger.kernel.words import ZERO, add_wide
from bezant.model.native import KERNEL
from bezant.model.outcomes import Outcome
from bezant.model.records import NO_ROW

HOLD_EXPIRED = np.uint16(Outcome.HOLD_EXPIRED)
LINKED_FAILED, CHAIN_OPEN = np.uint16(Outcome.LINKED_FAILED), np.uint16(Outcome.CHAIN_OPEN)
FIRST_REFUSAL = np.uint16(16)
MS = np.uint64(1_000_000)

IMAGE, PLACED, CLOSED = np.uint8(0), np.uint8(1), np.uint8(2)


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


@njit(cache=True, **KERNEL)
def count_due(state, time_ns):
    """Return how many holds expire by `time_ns`, so that room for their receipts can be made."""
    if next_due(state, time_ns) == NO_SLOT:
        return 0
    due = 0
    for at in range(np.int64(state.counters[0].expiries)):
        entry = state.expiries[at]
        if entry.expires_ns <= time_ns and state.holds[entry.slot].sequence == entry.sequence:
            due += 1
    return due


@njit(cache=True, **KERNEL)
def expire_holds(state, time_ns, receipts):
    """Return every reserve whose time has come, earliest first, and answer each with a system receipt."""
    for at in range(len(receipts)):
        slot = next_due(state, time_ns)
        hold = state.holds[slot]
        debtor_row, creditor_row = hold.debtor, hold.creditor
        receipt = receipts[at]
        receipt.id_lo, receipt.id_hi, receipt.kind = hold.id_lo, hold.id_hi, np.uint16(hold.kind)
        receipt.order_index = np.uint32(NO_ROW)
        amount = hold.amount
        pop_expiry(state)
        close_hold(state, np.uint32(slot))
        return_reserve(state.accounts[debtor_row], state.accounts[creditor_row], amount)
        write_receipt(state, receipt, HOLD_EXPIRED, amount, SYSTEM, debtor_row, creditor_row)


@njit(**KERNEL)
def effect(state, record, decision, signer_row, time_ns, limits, scratch, in_chain):
    """Return (outcome, amount, mode, debtor row, creditor row, hold slot)."""
    if record.kind >= REGISTER_AUTHORITY:
        outcome, mode, row = command(state, record, signer_row, scratch)
        return outcome, ZERO, mode, row, NOWHERE, NO_SLOT
    if record.kind == CAPTURE or record.kind == RELEASE:
        return end_hold(state, record, signer_row)
    return pay(state, record, decision.verdict, signer_row, time_ns, limits, in_chain)


@njit(**KERNEL)
def answer_early(state, records, decisions, i, signer, now_ms, limits, scratch, receipt):
    """Check everything before effects and write a refusal's receipt; return (refusal or PASSED, content)."""
    signer_row, authentic, accepted = signer
    record = records[i]
    receipt.id_lo, receipt.id_hi, receipt.kind = record.id_lo, record.id_hi, record.kind
    receipt.order_index, receipt.verdict = np.uint32(i), decisions[i].verdict
    refusal = check_authentic(record, decisions[i], signer_row, authentic, accepted, now_ms, limits)
    content_lo, content_hi, first = ZERO, ZERO, np.uint16(0)
    if refusal == PASSED:
        content_lo, content_hi = content_of(i, scratch)
        refusal, first = check_new(state, record, content_lo, content_hi, signer_row, limits)
    if refusal != PASSED:
        write_receipt(state, receipt, refusal, ZERO, SYSTEM, NOWHERE, NOWHERE)
        receipt.first_outcome = first
    return refusal, content_lo, content_hi


@njit(**KERNEL)
def apply_alone(state, records, decisions, i, signer, time_ns, limits, scratch, receipt):
    """Apply one record that stands for itself."""
    refusal, content_lo, content_hi = answer_early(
        state, records, decisions, i, signer, time_ns // MS, limits, scratch, receipt
    )
    if refusal != PASSED:
        return
    record, signer_row = records[i], signer[0]
    outcome, amount, mode, debtor, creditor, _ = effect(
        state, record, decisions[i], signer_row, time_ns, limits, scratch, False
    )
    write_receipt(state, receipt, outcome, amount, mode, debtor, creditor)
    remember(state, record, content_lo, content_hi, signer_row, outcome)


@njit(**KERNEL)
def note_images(state, record, undo, count):
    """Keep both accounts as they are before a member applies; return the new number of images."""
    what, rows, accounts, _ = undo
    for side in range(2):
        lo = record.debtor_lo if side == 0 else record.creditor_lo
        hi = record.debtor_hi if side == 0 else record.creditor_hi
        row = find(state.accounts, state.account_index, lo, hi)
        if row != NOWHERE:
            what[count], rows[count] = IMAGE, row
            accounts[count] = state.accounts[row]
            count += 1
    return count


@njit(**KERNEL)
def roll_back(state, undo, count):
    """Undo a chain's members, newest change first."""
    what, rows, accounts, holds = undo
    for at in range(count - 1, -1, -1):
        if what[at] == IMAGE:
            state.accounts[rows[at]] = accounts[at]
        elif what[at] == PLACED:
            close_hold(state, rows[at])
        else:
            reopen_hold(state, rows[at], holds[at])


@njit(**KERNEL)
def apply_chain(
    state, records, decisions, start, end, is_open, signer, time_ns, limits, scratch, undo, receipts
):
    """Apply records `start..end` all or nothing; see the reference for who is answered what."""
    what, rows, _, hold_images = undo
    now_ms, signer_row = time_ns // MS, signer[0]
    first_remembered = np.int64(state.counters[0].ids)
    changes, failed_at = 0, start if is_open else -1
    i = end if is_open else start
    while i < end:
        record, receipt = records[i], receipts[i]
        refusal, content_lo, content_hi = answer_early(
            state, records, decisions, i, signer, now_ms, limits, scratch, receipt
        )
        if refusal != PASSED:
            failed_at = i
            break
        closes = record.kind == CAPTURE or record.kind == RELEASE
        changes = note_images(state, record, undo, changes)
        if closes:
            slot_before = hold_slot(state, record)
            if slot_before != NOWHERE:
                hold_images[changes] = state.holds[slot_before]
        outcome, amount, mode, debtor, creditor, slot = effect(
            state, record, decisions[i], signer_row, time_ns, limits, scratch, True
        )
        write_receipt(state, receipt, outcome, amount, mode, debtor, creditor)
        if outcome >= FIRST_REFUSAL:
            failed_at = i
            break
        if slot != NO_SLOT:
            what[changes], rows[changes] = (CLOSED if closes else PLACED), np.uint32(slot)
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
def hold_slot(state, record):
    """Return the slot of the hold a capture or release names, NOWHERE if there is none."""
    debtor = find(state.accounts, state.account_index, record.debtor_lo, record.debtor_hi)
    if debtor == NOWHERE:
        return NOWHERE
    return find_hold(state.holds, state.hold_index, record.related_lo, record.related_hi, debtor)


@njit(**KERNEL)
def clear_receipt(receipt):
    receipt.debtor_row, receipt.creditor_row = NOWHERE, NOWHERE
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


@njit(cache=True, **KERNEL)
def apply_records(
    state,
    records,
    decisions,
    authorisations,
    signer_rows,
    authentic,
    accepted,
    time_ns,
    limits,
    scratch,
    undo,
    receipts,
):
    """Apply every record of a block and write its receipt.

    records, decisions, receipts (n,); authorisations, signer_rows, authentic, accepted (m,); scratch
    what to hash with (context, message, digest) and the records' leaf hashes as words (n, 4). Room in
    the tables has been made before.
    """
    for a in range(len(authorisations)):
        signer = (signer_rows[a], authentic[a], accepted[a])
        i = np.int64(authorisations[a].first)
        last = i + np.int64(authorisations[a].count)
        while i < last:
            end = i
            while end < last and (records[end].flags & LINKED) != np.uint16(0):
                end += 1
            if end == i:
                apply_alone(state, records, decisions, i, signer, time_ns, limits, scratch, receipts[i])
                i += 1
                continue
            is_open = end == last
            end = min(end + 1, last)
            apply_chain(
                state,
                records,
                decisions,
                i,
                end,
                is_open,
                signer,
                time_ns,
                limits,
                scratch,
                undo,
                receipts,
            )
            i = end


@njit(cache=True, **KERNEL)
def find_rows(table, index, lo, hi, out):
    """Write the row of every id, NOWHERE where there is none; (n,) each."""
    for i in range(len(lo)):
        out[i] = find(table, index, lo[i], hi[i])


@njit(cache=True, **KERNEL)
def sum_books(state, sums):
    """Add the books up into ``sums`` (assets, 10) u64; return the first account row below its limit, or -1.

    Columns are pairs (low, high): debits pending, debits posted, credits pending, credits
    posted, open holds. Sums of sums are taken modulo 2**128, which cannot hide a difference
    smaller than that.
    """
    below = -1
    for row in range(np.int64(state.counters[0].accounts)):
        a = state.accounts[row]
        s = sums[a.asset]
        s[0], s[1], _ = add_wide(s[0], s[1], a.debits_pending_lo, a.debits_pending_hi)
        s[2], s[3], _ = add_wide(s[2], s[3], a.debits_posted_lo, a.debits_posted_hi)
        s[4], s[5], _ = add_wide(s[4], s[5], a.credits_pending_lo, a.credits_pending_hi)
        s[6], s[7], _ = add_wide(s[6], s[7], a.credits_posted_lo, a.credits_posted_hi)
        if below < 0 and spends_too_much(a, ZERO):
            below = row
    for slot in range(np.int64(state.counters[0].holds)):
        hold = state.holds[slot]
        if hold.sequence != ZERO:
            s = sums[state.accounts[hold.debtor].asset]
            s[8], s[9], _ = add_wide(s[8], s[9], hold.amount, ZERO)
    return below
