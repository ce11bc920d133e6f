"""Open-addressing indexes over the rows of the tables: linear probing, rows never move.

An index holds u32 row numbers; keys stay in the tables. Accounts and authorities are only added; what an
account owns (holds, mandates, refunds) is also removed, by shifting back, so that no tombstones pile up.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.state import EMPTY
from bezant.model.native import ENTRY, KERNEL

NOWHERE = np.uint32(EMPTY)
_M1 = np.uint64(0xFF51AFD7ED558CCD)
_M2 = np.uint64(0xC4CEB9FE1A85EC53)
_S33 = np.uint64(33)
_S32 = np.uint64(32)


@njit(inline="always", **KERNEL)
def mix(lo, hi):
    """Return a well-spread u64 of a 128-bit key (the finaliser of MurmurHash3)."""
    h = lo ^ (hi * np.uint64(0x9E3779B97F4A7C15))
    h ^= h >> _S33
    h *= _M1
    h ^= h >> _S33
    h *= _M2
    h ^= h >> _S33
    return h


@njit(inline="always", **KERNEL)
def place(spread, size):
    """Return where a spread key belongs in an index of any size: its upper half scaled, not masked,
    so that an index need not be a power of two and wastes no room."""
    return ((spread >> _S32) * size) >> _S32


@njit(inline="always", **KERNEL)
def following(at, size):
    """Return the place after `at`, around the end."""
    return at + np.uint64(1) if at + np.uint64(1) < size else np.uint64(0)


@njit(inline="always", **KERNEL)
def distance(start, end, size):
    """Return how many steps lead from `start` to `end`, around the end."""
    return end - start if end >= start else end + size - start


@njit(**KERNEL)
def find(table, index, lo, hi):
    """Return the row of an account or authority id, NOWHERE if there is none."""
    size = np.uint64(len(index))
    at = place(mix(lo, hi), size)
    while True:
        row = index[at]
        if row == NOWHERE or (table[row].id_lo == lo and table[row].id_hi == hi):
            return row
        at = following(at, size)


@njit(**KERNEL)
def insert(index, spread, row):
    """Enter a row at the first free place from where its spread key belongs."""
    size = np.uint64(len(index))
    at = place(spread, size)
    while index[at] != NOWHERE:
        at = following(at, size)
    index[at] = row


@njit(inline="always", **KERNEL)
def owned_key(lo, hi, debtor):
    return mix(lo ^ (np.uint64(debtor) << np.uint64(32)), hi)


@njit(**KERNEL)
def find_owned(table, index, lo, hi, debtor):
    """Return the row of a hold, mandate or refund by its id and its account's row, NOWHERE if none."""
    size = np.uint64(len(index))
    at = place(owned_key(lo, hi, debtor), size)
    while True:
        slot = index[at]
        if slot == NOWHERE:
            return slot
        entry = table[slot]
        if entry.id_lo == lo and entry.id_hi == hi and entry.debtor == debtor:
            return slot
        at = following(at, size)


@njit(**KERNEL)
def remove_owned(table, index, slot):
    """Take a hold, mandate or refund out of its index and close the gap it leaves."""
    size = np.uint64(len(index))
    entry = table[slot]
    gap = place(owned_key(entry.id_lo, entry.id_hi, entry.debtor), size)
    while index[gap] != slot:
        gap = following(gap, size)
    at = gap
    while True:
        at = following(at, size)
        moved = index[at]
        if moved == NOWHERE:
            break
        other = table[moved]
        home = place(owned_key(other.id_lo, other.id_hi, other.debtor), size)
        # An entry may fill the gap unless its home lies cyclically behind the gap.
        if distance(home, at, size) >= distance(gap, at, size):
            index[gap] = moved
            gap = at
    index[gap] = NOWHERE


@njit(**ENTRY)
def fill_index(table, count, index):
    """Enter rows 0..count of accounts or authorities into an empty index."""
    for row in range(count):
        insert(index, mix(table[row].id_lo, table[row].id_hi), np.uint32(row))


@njit(**ENTRY)
def fill_hold_index(holds, count, index):
    """Enter every open hold (sequence not 0) into an empty index."""
    for slot in range(count):
        hold = holds[slot]
        if hold.sequence != np.uint64(0):
            insert(index, owned_key(hold.id_lo, hold.id_hi, hold.debtor), np.uint32(slot))


@njit(**ENTRY)
def fill_owned_index(table, count, index):
    """Enter rows 0..count of mandates or refunds into an empty index."""
    for row in range(count):
        entry = table[row]
        insert(index, owned_key(entry.id_lo, entry.id_hi, entry.debtor), np.uint32(row))
