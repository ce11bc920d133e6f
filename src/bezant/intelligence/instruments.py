"""How familiar a payer is with what it pays with and where: the device, and the terminal.

Both are known by 64-bit keys that the gateway derives from what the payment says (0: it says nothing).
One table of a fixed size holds what is remembered of (debtor, device), of (debtor, terminal) and of
devices themselves, 20 bytes a slot; a full bucket gives up what was used longest ago, which is new when
it comes back.

=====================  ==================================================================
feature                what it says, before the payment itself
=====================  ==================================================================
device_new             1: the debtor has not used this device before; -1: none is named
device_count_30d       payments of the debtor on it, window of 30 days
device_gap             log of the seconds since the last one; -1: there was none
device_payers_30d      debtors new to the device, window of 30 days
terminal_new           as device_new
terminal_count_30d     payments of the debtor at it, window of 30 days
=====================  ==================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from bezant.intelligence.elementary import fading, log_one_plus
from bezant.intelligence.slots import exists, find_slot, mixed
from bezant.model.native import KERNEL

INSTRUMENT_FEATURES: tuple[str, ...] = (
    "device_new",
    "device_count_30d",
    "device_gap",
    "device_payers_30d",
    "terminal_new",
    "terminal_count_30d",
)

BYTES_PER_SLOT = 8 + 8 + 4
TOUCHED = np.dtype(
    [
        ("slots", "<i8", (3,)),
        ("keys", "<u8", (3,)),
        ("times", "<i8", (3,)),
        ("counts", "<f4", (3,)),
    ]
)
"""What one payment found in the slots of its pair with the device, the device, its pair with the terminal;
a slot of -1 was not touched."""

_NONE = np.uint64(0)
_NOWHERE = np.int64(-1)
_MONTH = 1.0 / (30 * 86_400.0 * 1e9)


@njit(**KERNEL)
def _key(debtor: Any, instrument: Any, role: Any) -> Any:
    """Return the key of a device with a debtor (role 1), a device (2), a terminal with a debtor (3)."""
    party = np.uint64(0) if role == 2 else np.uint64(debtor) + np.uint64(1)
    return mixed(instrument + np.uint64(role)) ^ mixed(party) | np.uint64(1)


@njit(**KERNEL)
def _find(keys: Any, times: Any, debtor: Any, instrument: Any, role: Any) -> Any:
    """Return (slot, known), (NOWHERE, False) where nothing is named."""
    if instrument == _NONE or (role != 2 and not exists(debtor)):
        return _NOWHERE, False
    return find_slot(keys, times, _key(debtor, instrument, role))


@njit(**KERNEL)
def _lasting(counts: Any, times: Any, slot: Any, now: Any) -> Any:
    return counts[slot] * fading(max(float(now - times[slot]), 0.0) * _MONTH)


@njit(**KERNEL)
def _count(keys: Any, times: Any, counts: Any, slot: Any, known: Any, key: Any, now: Any, more: Any) -> None:
    """Add to a slot, or take it for a new key."""
    if known:
        counts[slot] = _lasting(counts, times, slot, now) + more
        times[slot] = max(times[slot], now)
    else:
        keys[slot] = key
        counts[slot] = np.float32(more)
        times[slot] = now


@njit(**KERNEL)
def _keep(before: Any, k: Any, keys: Any, times: Any, counts: Any, slot: Any) -> None:
    before.slots[k] = slot
    if slot >= 0:
        before.keys[k] = keys[slot]
        before.times[k] = times[slot]
        before.counts[k] = counts[slot]


@njit(**KERNEL)
def _absorb(
    keys: Any, times: Any, counts: Any, debtor: Any, device: Any, terminal: Any, now: Any, before: Any
) -> None:
    """Apply one payment; `before` takes what it found. One slot is settled after the other, because the
    second may be the one that the first took."""
    for k in range(3):
        before.slots[k] = _NOWHERE
    own, familiar = _find(keys, times, debtor, device, 1)
    _keep(before, 0, keys, times, counts, own)
    if own >= 0:
        _count(keys, times, counts, own, familiar, _key(debtor, device, 1), now, 1.0)
    shared, known = _find(keys, times, debtor, device, 2)
    _keep(before, 1, keys, times, counts, shared)
    if shared >= 0:
        _count(keys, times, counts, shared, known, _key(debtor, device, 2), now, 0.0 if familiar else 1.0)
    at, met = _find(keys, times, debtor, terminal, 3)
    _keep(before, 2, keys, times, counts, at)
    if at >= 0:
        _count(keys, times, counts, at, met, _key(debtor, terminal, 3), now, 1.0)


@njit(**KERNEL)
def _read(
    x: Any, keys: Any, times: Any, counts: Any, debtor: Any, device: Any, terminal: Any, now: Any
) -> None:
    own, familiar = _find(keys, times, debtor, device, 1)
    shared, known = _find(keys, times, debtor, device, 2)
    at, met = _find(keys, times, debtor, terminal, 3)
    named = device != _NONE
    x[0] = (0.0 if familiar else 1.0) if named else -1.0
    x[1] = _lasting(counts, times, own, now) if familiar else 0.0
    x[2] = log_one_plus(max(float(now - times[own]), 0.0) * 1e-9) if familiar else -1.0
    x[3] = _lasting(counts, times, shared, now) if known else 0.0
    x[4] = (0.0 if met else 1.0) if terminal != _NONE else -1.0
    x[5] = _lasting(counts, times, at, now) if met else 0.0


@njit(**KERNEL)
def look_rows(
    keys: Any, times: Any, counts: Any, debtor: Any, creditor: Any, device: Any, terminal: Any, now: Any,
    saved: Any, x: Any,
) -> None:  # fmt: skip
    """Fill x (n, 6): each row sees the state and the rows before it, which leave their traces; `saved` (n,)
    TOUCHED takes what `undo_rows` needs to wipe them out.

    Columns are (n,): account rows int64, keys uint64, nanoseconds int64. Where debtor or creditor is
    negative or NO_ROW there is no account: such a row leaves no trace.
    """
    for i in range(debtor.size):
        a, d, t = debtor[i], device[i], terminal[i]
        _read(x[i], keys, times, counts, a, d, t, now[i])
        if exists(a) and exists(creditor[i]):
            _absorb(keys, times, counts, a, d, t, now[i], saved[i])


@njit(**KERNEL)
def undo_rows(keys: Any, times: Any, counts: Any, debtor: Any, creditor: Any, saved: Any) -> None:
    """Bring back the state from before `look_rows`: backwards, so that a slot touched twice ends with its
    oldest value."""
    for i in range(debtor.size - 1, -1, -1):
        if not (exists(debtor[i]) and exists(creditor[i])):
            continue
        before = saved[i]
        for k in range(2, -1, -1):
            slot = before.slots[k]
            if slot >= 0:
                keys[slot] = before.keys[k]
                times[slot] = before.times[k]
                counts[slot] = before.counts[k]


@njit(**KERNEL)
def learn_rows(
    keys: Any, times: Any, counts: Any, debtor: Any, creditor: Any, device: Any, terminal: Any, now: Any,
    settled: Any, scratch: Any,
) -> None:  # fmt: skip
    """Apply the settled rows in order; `scratch` (1,) TOUCHED is written to."""
    for i in range(debtor.size):
        if settled[i] and exists(debtor[i]) and exists(creditor[i]):
            _absorb(keys, times, counts, debtor[i], device[i], terminal[i], now[i], scratch[0])
