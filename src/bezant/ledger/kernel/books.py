"""Reading the tables: rows of ids, and the books added up."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.parties import CLOSED, FREE, is_empty, spends_too_much
from bezant.ledger.kernel.tables import find
from bezant.ledger.kernel.words import ZERO, add_wide
from bezant.model.native import ENTRY


@njit(**ENTRY)
def find_rows(table, index, lo, hi, out):
    """Write the row of every id, NOWHERE where there is none; (n,) each."""
    for i in range(len(lo)):
        out[i] = find(table, index, lo[i], hi[i])


@njit(**ENTRY)
def sum_books(state, sums):
    """Add the books up into ``sums`` (assets, 10) u64; return the first account row that is below its
    limit, or closed and not empty, or -1.

    Columns are pairs (low, high): debits pending, debits posted, credits pending, credits
    posted, open holds. Sums of sums are taken modulo 2**128, which cannot hide a difference
    smaller than that.
    """
    wrong = -1
    for row in range(np.int64(state.counters[0].accounts)):
        a = state.accounts[row]
        s = sums[a.asset]
        s[0], s[1], _ = add_wide(s[0], s[1], a.debits_pending_lo, a.debits_pending_hi)
        s[2], s[3], _ = add_wide(s[2], s[3], a.debits_posted_lo, a.debits_posted_hi)
        s[4], s[5], _ = add_wide(s[4], s[5], a.credits_pending_lo, a.credits_pending_hi)
        s[6], s[7], _ = add_wide(s[6], s[7], a.credits_posted_lo, a.credits_posted_hi)
        closed_full = (a.standing & CLOSED) != FREE and not is_empty(a)
        if wrong < 0 and (closed_full or spends_too_much(a, ZERO, a.credit_limit)):
            wrong = row
    for slot in range(np.int64(state.counters[0].holds)):
        hold = state.holds[slot]
        if hold.sequence != ZERO:
            s = sums[state.accounts[hold.debtor].asset]
            s[8], s[9], _ = add_wide(s[8], s[9], hold.amount, ZERO)
    return wrong
