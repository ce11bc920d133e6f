"""One block through the ledger: expire holds, then every record in order, chains together."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.chains import apply_chain
from bezant.ledger.kernel.checks import HOLD, LINKED
from bezant.ledger.kernel.closing import return_reserve
from bezant.ledger.kernel.effects import apply_alone, write_receipt
from bezant.ledger.kernel.holds import NO_SLOT, close_hold, next_due, pop_expiry
from bezant.ledger.kernel.identities import home_of
from bezant.ledger.kernel.parties import SYSTEM
from bezant.ledger.kernel.tables import NOWHERE, find, following, mix, owned_key, place
from bezant.model.native import ENTRY, KERNEL, LINE, fetch_at
from bezant.model.outcomes import Outcome
from bezant.model.records import NO_ROW

FETCHED = 128
"""Records whose memory is asked for ahead: 50 KB, which every cache holds."""
PROBES = 3
"""Entries of the index of accounts whose rows are asked for: nearly every account is among the first."""
HOLD_EXPIRED = np.uint16(Outcome.HOLD_EXPIRED)


@njit(**ENTRY)
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


@njit(**ENTRY)
def expire_holds(state, time_ns, receipts):
    """Return every reserve whose time has come, earliest first, and answer each with a system receipt."""
    for at in range(len(receipts)):
        slot = next_due(state, time_ns)
        hold = state.holds[slot]
        debtor_row, creditor_row = hold.debtor, hold.creditor
        receipt = receipts[at]
        receipt.id_lo, receipt.id_hi, receipt.kind = hold.id_lo, hold.id_hi, hold.kind
        receipt.order_index = np.uint32(NO_ROW)
        amount = hold.amount
        pop_expiry(state)
        close_hold(state, np.uint32(slot))
        return_reserve(state.accounts[debtor_row], state.accounts[creditor_row], amount)
        write_receipt(state, receipt, HOLD_EXPIRED, amount, SYSTEM, debtor_row, creditor_row)


@njit(**KERNEL)
def fetch(state, records, start, end):
    """Ask for the memory that records to come will need, each step for what the one before it found.

    Among millions of accounts and ids a payment would wait for every look; asked for beforehand, many are on
    their way at once. Where ids will be entered and accounts are named comes first, then the beginnings of
    the rows that stand there, then the rest of the right ones, and where a hold will be entered.
    """
    accounts, index, used = state.accounts, state.account_index, state.counters[0].ids
    size = np.uint64(len(index))
    for i in range(start, end):
        record = records[i]
        home = home_of(state.id_index, state.id_pages, len(state.ids), used, record.id_lo, record.id_hi)
        fetch_at(state.id_index, home, 0)
        for lo, hi in ((record.debtor_lo, record.debtor_hi), (record.creditor_lo, record.creditor_hi)):
            fetch_at(index, place(mix(lo, hi), size), 0)
    for i in range(start, end):
        record = records[i]
        for lo, hi in ((record.debtor_lo, record.debtor_hi), (record.creditor_lo, record.creditor_hi)):
            at = place(mix(lo, hi), size)
            for _ in range(PROBES):
                row = index[at]
                if row == NOWHERE:
                    break
                fetch_at(accounts, row, 0)
                at = following(at, size)
    for i in range(start, end):
        record = records[i]
        debtor_row = fetch_rest(accounts, index, record.debtor_lo, record.debtor_hi)
        fetch_rest(accounts, index, record.creditor_lo, record.creditor_hi)
        if record.kind == HOLD and debtor_row != NOWHERE:
            home = place(owned_key(record.id_lo, record.id_hi, debtor_row), np.uint64(len(state.hold_index)))
            fetch_at(state.hold_index, home, 0)


@njit(inline="always", **KERNEL)
def fetch_rest(accounts, index, lo, hi):
    """Ask for what an account's row has behind its beginning; return the row, NOWHERE without one."""
    row = find(accounts, index, lo, hi)
    if row != NOWHERE:
        fetch_at(accounts, row, LINE)
        fetch_at(accounts, row, accounts.itemsize - 1)
    return row


@njit(**ENTRY)
def apply_records(
    state,
    records,
    decisions,
    history,
    authorisations,
    signer_rows,
    authentic,
    accepted,
    reached,
    time_ns,
    limits,
    scratch,
    undo,
    receipts,
):
    """Apply every record of a block and write its receipt.

    records, decisions, receipts (n,); history the originals and their row by record; authorisations,
    signer_rows, authentic, accepted, reached (m,) as `judge_groups` found them; scratch what to hash
    with (context, message, digest) and the records' leaf hashes as words (n, 4). Room in the tables
    has been made before.
    """
    fetched = 0
    for a in range(len(authorisations)):
        signer = (signer_rows[a], authentic[a], accepted[a], reached[a])
        i = np.int64(authorisations[a].first)
        last = i + np.int64(authorisations[a].count)
        while i < last:
            if i >= fetched:
                fetched = min(i + FETCHED, len(records))
                fetch(state, records, i, fetched)
            end = i
            while end < last and (records[end].flags & LINKED) != np.uint16(0):
                end += 1
            if end == i:
                apply_alone(
                    state, records, decisions, i, history, signer, time_ns, limits, scratch, receipts[i]
                )
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
                history,
                signer,
                time_ns,
                limits,
                scratch,
                undo,
                receipts,
            )
            i = end
