"""128-bit counters as two u64 words, every addition checked. Constants are typed: an untyped one
would turn a u64 sum into a signed one, or into a float."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.model.native import KERNEL

ZERO = np.uint64(0)
ONE = np.uint64(1)


@njit(inline="always", **KERNEL)
def add(lo, hi, amount):
    """Return (lo, hi) + amount; the caller has checked that it fits."""
    total = lo + amount
    return total, hi + (ONE if total < lo else ZERO)


@njit(inline="always", **KERNEL)
def subtract(lo, hi, amount):
    """Return (lo, hi) - amount; the caller has checked that it is not negative."""
    return lo - amount, hi - (ONE if lo < amount else ZERO)


@njit(inline="always", **KERNEL)
def add_wide(a_lo, a_hi, b_lo, b_hi):
    """Return (lo, hi, overflowed) of a sum of two 128-bit numbers."""
    lo = a_lo + b_lo
    carry = ONE if lo < a_lo else ZERO
    hi = a_hi + b_hi
    over = hi < a_hi
    hi_carried = hi + carry
    return lo, hi_carried, over or hi_carried < hi


@njit(inline="always", **KERNEL)
def above(a_lo, a_hi, b_lo, b_hi):
    """Return whether a > b."""
    return a_hi > b_hi or (a_hi == b_hi and a_lo > b_lo)


@njit(inline="always", **KERNEL)
def overflows(pending_lo, pending_hi, posted_lo, posted_hi, amount):
    """Return whether pending + posted + amount + 2**64 leaves 128 bits.

    The spare 2**64 is what lets a limit be added to a counter later without another check.
    """
    lo, hi, over = add_wide(pending_lo, pending_hi, posted_lo, posted_hi)
    if over:
        return True
    lo, hi, over = add_wide(lo, hi, amount, ONE)
    return over


@njit(inline="always", **KERNEL)
def word_at(text, start):
    """Return eight little-endian bytes as u64."""
    value = ZERO
    for i in range(8):
        value |= np.uint64(text[start + i]) << np.uint64(8 * i)
    return value


@njit(**KERNEL)
def put_word(text, start, value, width):
    """Write the lower `width` bytes of a u64, little-endian."""
    for i in range(width):
        text[start + i] = np.uint8((value >> np.uint64(8 * i)) & np.uint64(0xFF))
