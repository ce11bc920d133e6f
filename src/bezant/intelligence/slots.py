"""Bounded tables: open addressing within buckets of eight slots, of a fixed size.

A full bucket gives up what was used longest ago. Keys are not zero, times are nanoseconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from bezant.model.native import KERNEL
from bezant.model.records import NO_ROW

BUCKET = 8
_SLOTS = np.int64(BUCKET)
_NO_ROW = np.int64(NO_ROW)


def slots_for(wanted: int) -> int:
    """Return the size of a table of at least `wanted` slots: a power of two, one bucket or more."""
    return max(BUCKET, 1 << (wanted - 1).bit_length())


@njit(**KERNEL)
def exists(row: Any) -> Any:
    """Whether an account row is one: neither negative nor NO_ROW."""
    return row >= 0 and row < _NO_ROW


@njit(**KERNEL)
def mixed(key: Any) -> Any:
    """Return the bits of a uint64 spread evenly (the finaliser of SplitMix64, shortened)."""
    spread = key * np.uint64(0x9E3779B97F4A7C15)
    spread ^= spread >> np.uint64(29)
    spread *= np.uint64(0xBF58476D1CE4E5B9)
    return spread ^ (spread >> np.uint64(32))


@njit(**KERNEL)
def first_slot(keys: Any, key: Any) -> Any:
    """Return the first slot of the bucket that a key belongs in."""
    buckets = np.uint64(keys.size // _SLOTS)
    return np.int64(mixed(key) & (buckets - np.uint64(1))) * _SLOTS


@njit(**KERNEL)
def find_slot(keys: Any, times: Any, key: Any) -> Any:
    """Return (slot, known): the key's slot, or the one it would take: an empty or the oldest one."""
    first: Any = first_slot(keys, key)
    oldest = first
    for slot in range(first, first + _SLOTS):
        if keys[slot] == key:
            return slot, True
        if keys[slot] == np.uint64(0):
            return slot, False
        if times[slot] < times[oldest]:
            oldest = slot
    return oldest, False
