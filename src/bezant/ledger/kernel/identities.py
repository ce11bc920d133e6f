"""Remembered ids: rows in the order they came, found through pages that are never built anew.

A page is so many rows in a row and the part of the index that finds them, so a table fills page after
page and neither rows nor index ever move. An index entry is a row of its page (20 bits, one more than the
row, so that zero is empty) and 12 bits of the id's hash, which keep nearly every look at a row that is
another's away. A page also knows the times that its ids name: an id of now is looked for only where there
are others of now.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.tables import NOWHERE, following, mix, place
from bezant.model.native import ENTRY, KERNEL

_ROW_BITS = np.uint32(20)
_ROW = np.uint32((1 << 20) - 1)
_TAG = np.uint64(0xFFF)
_VACANT = np.uint32(0)
_MS = np.uint64(16)


@njit(inline="always", **KERNEL)
def _tag(spread):
    return np.uint32(spread & _TAG) << _ROW_BITS


@njit(**KERNEL)
def find_remembered(table, index, pages, used, lo, hi, authority):
    """Return the row of a remembered (authority, id) among `used` rows, NOWHERE if there is none."""
    if used == np.uint64(0):
        return NOWHERE
    made_ms = hi >> _MS
    count = np.uint64(len(pages))
    rows, slots = np.uint64(len(table)) // count, np.uint64(len(index)) // count
    spread = mix(lo, hi)
    tag, home = _tag(spread), place(spread, slots)
    page = (used - np.uint64(1)) // rows + np.uint64(1)
    while page > np.uint64(0):
        page -= np.uint64(1)
        known = pages[page]
        if known.first_ms <= made_ms and made_ms <= known.last_ms:
            base, at = page * slots, home
            entry = index[base + at]
            while entry != _VACANT:
                if entry & ~_ROW == tag:
                    row = page * rows + np.uint64(entry & _ROW) - np.uint64(1)
                    seen = table[row]
                    if seen.id_lo == lo and seen.id_hi == hi and seen.authority == authority:
                        return np.uint32(row)
                at = following(at, slots)
                entry = index[base + at]
        if made_ms > known.before_ms:
            break
    return NOWHERE


@njit(**KERNEL)
def home_of(index, pages, rows, used, lo, hi):
    """Return the place in the index where an id would be entered next, among pages of `rows` rows in all."""
    count = np.uint64(len(pages))
    slots = np.uint64(len(index)) // count
    page = min(used // (np.uint64(rows) // count), count - np.uint64(1))
    return page * slots + place(mix(lo, hi), slots)


@njit(**KERNEL)
def enter_id(table, index, pages, row, lo, hi):
    """Enter row `row`, the first that is not in the index yet."""
    count = np.uint64(len(pages))
    rows, slots = np.uint64(len(table)) // count, np.uint64(len(index)) // count
    page = row // rows
    known, made_ms = pages[page], hi >> _MS
    inside = row - page * rows
    if inside == np.uint64(0):
        known.first_ms = known.last_ms = made_ms
        if page > np.uint64(0):
            earlier = pages[page - np.uint64(1)]
            known.before_ms = max(earlier.before_ms, earlier.last_ms)
    known.first_ms, known.last_ms = min(known.first_ms, made_ms), max(known.last_ms, made_ms)
    spread = mix(lo, hi)
    base, at = page * slots, place(spread, slots)
    while index[base + at] != _VACANT:
        at = following(at, slots)
    index[base + at] = _tag(spread) | (np.uint32(inside) + np.uint32(1))


@njit(**ENTRY)
def enter_ids(table, index, pages, used):
    """Enter the first `used` rows into an empty index."""
    for row in range(np.uint64(used)):
        enter_id(table, index, pages, np.uint64(row), table[row].id_lo, table[row].id_hi)
