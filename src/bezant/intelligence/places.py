"""What is known of fraud, by place: the terminal a payment was made at, else the account it was paid to.

Labels come days after their payments (`labelling`), and nothing here knows of a fraud before its label. A
payment that nobody complained of for a week counts as honest: receipts wait a week in eight buckets of a
day each.
A place is remembered from its first known fraud on; accounts always keep their eight buckets, so that
their honest receipts count from the week before. Accounts take 24 bytes each; the table of places is of a
fixed size, 88 bytes a slot, and a full bucket gives up the place whose last fraud became known longest ago.

=====================  ==================================================================
feature                what it says, before the payment itself
=====================  ==================================================================
debtor_frauds_30d      known frauds that the debtor suffered, window of 30 days
place_frauds_W         known frauds at the place, window W of 1d, 7d, 30d since they became known
place_last_fraud       log of the seconds since its last known fraud was paid; -1: none
place_first_fraud      since the first of the series; three honest payments end a series
place_series           known frauds of the series
place_honest           honest payments known since the last known fraud
place_fraud_share      the series against both
place_risk_fast        share of frauds among what became known, the last three or so
place_risk_slow        the last ten or so
=====================  ==================================================================
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from bezant.intelligence.elementary import fading, log_one_plus
from bezant.intelligence.slots import exists, find_slot
from bezant.model.native import KERNEL

PLACE_FEATURES: tuple[str, ...] = (
    "debtor_frauds_30d",
    "place_frauds_1d",
    "place_frauds_7d",
    "place_frauds_30d",
    "place_last_fraud",
    "place_first_fraud",
    "place_series",
    "place_honest",
    "place_fraud_share",
    "place_risk_fast",
    "place_risk_slow",
)

STANDING = np.dtype(
    [
        ("day", "<i4"),
        ("watched", "u1"),
        ("reserved", "u1", (3,)),
        ("recent", "u1", (8,)),
        ("suffered", "<f4"),
        ("suffered_s", "<u4"),
    ]
)
"""One account: `recent` are receipts by day since 1970 modulo eight, up to `day`; `watched` 1 where frauds
are known at it; `suffered` are known frauds of its own at `suffered_s`, seconds since 1970."""

PLACE = np.dtype(
    [
        ("last_fraud_ns", "<i8"),
        ("first_fraud_ns", "<i8"),
        ("frauds", "<f4", (3,)),
        ("series", "<f4"),
        ("honest", "<f4"),
        ("risk", "<f4", (2,)),
        ("day", "<i4"),
        ("recent", "<u2", (8,)),
        ("reserved", "<u8"),
    ]
)
"""One place; `frauds` as of the time its last fraud became known, which the table keeps beside its key, and
all zero where every one of them was taken back."""

TRACE = np.dtype(
    [
        ("standing", STANDING),
        ("slots", "<i8", (2,)),
    ]
)

DAYS = 8
"""Buckets of a day: seven whole days and the one that is under way."""
BYTES_PER_ACCOUNT = STANDING.itemsize
BYTES_PER_PLACE = 8 + 8 + PLACE.itemsize

_TERMINAL = np.uint64(1 << 63)
SECOND_NS = np.int64(1_000_000_000)
_DAY_NS = np.int64(86_400_000_000_000)
DAY = 1.0 / (86_400.0 * 1e9)
_MONTH_S = 1.0 / (30 * 86_400.0)
FAST, SLOW = 0.3, 0.1
_FAST_RATE, _SLOW_RATE = -math.log(1.0 - FAST), -math.log(1.0 - SLOW)
_MOST_RECENT = np.int64(255)
_NOWHERE = np.int64(-1)


@njit(**KERNEL)
def account_key(row: Any) -> Any:
    return np.uint64(row) + np.uint64(1)


@njit(**KERNEL)
def terminal_key(terminal: Any) -> Any:
    return terminal | _TERMINAL


@njit(**KERNEL)
def day_of(now: Any) -> Any:
    return now // _DAY_NS


@njit(**KERNEL)
def pass_days(place: Any, today: Any) -> None:
    """Bring a place to a day: what nobody complained of for a week was honest."""
    behind = today - np.int64(place.day)
    if behind <= 0:
        return
    for step in range(1, min(behind, DAYS) + 1):
        bucket = (np.int64(place.day) + step) % DAYS
        count = float(place.recent[bucket])
        if count > 0.0:
            place.recent[bucket] = np.uint16(0)
            place.honest += count
            place.risk[0] *= fading(count * _FAST_RATE)
            place.risk[1] *= fading(count * _SLOW_RATE)
    place.day = np.int32(today)


@njit(**KERNEL)
def count_receipt(place: Any, today: Any) -> None:
    """Note a payment at a place that was brought to its day."""
    bucket = max(np.int64(place.day), today) % DAYS
    place.recent[bucket] += np.uint16(place.recent[bucket] < np.uint16(65535))


@njit(**KERNEL)
def _count_standing(standing: Any, today: Any) -> None:
    """Note a payment that an account received, in its own buckets."""
    behind = today - np.int64(standing.day)
    if behind > 0:
        for step in range(1, min(behind, DAYS) + 1):
            standing.recent[(np.int64(standing.day) + step) % DAYS] = np.uint8(0)
        standing.day = np.int32(today)
    bucket = np.int64(standing.day) % DAYS
    standing.recent[bucket] += np.uint8(standing.recent[bucket] < np.uint8(255))


@njit(**KERNEL)
def _gap(then: Any, now: Any) -> Any:
    return log_one_plus(max(float(now - then), 0.0) * 1e-9)


@njit(**KERNEL)
def _read_nothing(x: Any) -> None:
    for k in range(1, 11):
        x[k] = 0.0
    x[4] = -1.0
    x[5] = -1.0


@njit(**KERNEL)
def _read_place(x: Any, place: Any, known_ns: Any, now: Any) -> None:
    days = max(float(now - known_ns), 0.0) * DAY
    x[1] = place.frauds[0] * fading(days)
    x[2] = place.frauds[1] * fading(days / 7.0)
    x[3] = place.frauds[2] * fading(days / 30.0)
    x[4] = _gap(place.last_fraud_ns, now)
    x[5] = _gap(place.first_fraud_ns, now)
    x[6] = place.series
    x[7] = place.honest
    x[8] = place.series / (place.series + place.honest + 1.0)
    x[9] = place.risk[0]
    x[10] = place.risk[1]


@njit(**KERNEL)
def suffered(standing: Any, now: Any) -> Any:
    if standing.suffered == 0.0:
        return 0.0
    return standing.suffered * fading(
        max(float(now // SECOND_NS - np.int64(standing.suffered_s)), 0.0) * _MONTH_S
    )


@njit(**KERNEL)
def _slots_of(standing: Any, keys: Any, known_ns: Any, creditor: Any, terminal: Any) -> Any:
    """Return the slots of a payment's account and terminal, NOWHERE where no fraud is known."""
    account, at = _NOWHERE, _NOWHERE
    if exists(creditor) and standing[creditor].watched:
        slot, known = find_slot(keys, known_ns, account_key(creditor))
        if known:
            account = slot
    if terminal != np.uint64(0):
        slot, known = find_slot(keys, known_ns, terminal_key(terminal))
        if known:
            at = slot
    return account, at


@njit(**KERNEL)
def look_rows(
    standing: Any, keys: Any, known_ns: Any, places: Any, debtor: Any, creditor: Any, terminal: Any, now: Any,
    saved: Any, saved_places: Any, x: Any,
) -> None:  # fmt: skip
    """Fill x (n, 11): each row sees the state and the rows before it, which leave their traces; `saved` (n,)
    TRACE and `saved_places` (2n,) PLACE take what `undo_rows` needs to wipe them out.

    Columns are (n,): account rows int64, terminals uint64 (0: none), nanoseconds int64. Where debtor or
    creditor is negative or NO_ROW there is no account: such a row leaves no trace.
    """
    for i in range(debtor.size):
        a, b, today = debtor[i], creditor[i], day_of(now[i])
        account, at = _slots_of(standing, keys, known_ns, b, terminal[i])
        before = saved[i]
        before.slots[0] = account
        before.slots[1] = at
        for k in range(2):
            slot = before.slots[k]
            if slot >= 0:
                saved_places[2 * i + k] = places[slot]
                pass_days(places[slot], today)
        x[i, 0] = suffered(standing[a], now[i]) if exists(a) else 0.0
        seen = at if at >= 0 and places[at].frauds[2] > 0.0 else account
        if seen >= 0 and places[seen].frauds[2] > 0.0:
            _read_place(x[i], places[seen], known_ns[seen], now[i])
        else:
            _read_nothing(x[i])
        if exists(a) and exists(b):
            before.standing.day = standing[b].day
            for k in range(DAYS):
                before.standing.recent[k] = standing[b].recent[k]
            _count_standing(standing[b], today)
            for k in range(2):
                if before.slots[k] >= 0:
                    count_receipt(places[before.slots[k]], today)
        else:
            for k in range(1, -1, -1):
                if before.slots[k] >= 0:
                    places[before.slots[k]] = saved_places[2 * i + k]
                before.slots[k] = _NOWHERE


@njit(**KERNEL)
def undo_rows(standing: Any, places: Any, debtor: Any, creditor: Any, saved: Any, saved_places: Any) -> None:
    """Bring back the state from before `look_rows`: backwards, so that a row touched twice ends with its
    oldest value."""
    for i in range(debtor.size - 1, -1, -1):
        b, before = creditor[i], saved[i]
        if not (exists(debtor[i]) and exists(b)):
            continue
        standing[b].day = before.standing.day
        for k in range(DAYS):
            standing[b].recent[k] = before.standing.recent[k]
        for k in range(1, -1, -1):
            if before.slots[k] >= 0:
                places[before.slots[k]] = saved_places[2 * i + k]


@njit(**KERNEL)
def learn_rows(
    standing: Any, keys: Any, known_ns: Any, places: Any, debtor: Any, creditor: Any, terminal: Any, now: Any,
    settled: Any,
) -> None:  # fmt: skip
    """Count the settled rows in order, as receipts that nobody has complained of yet."""
    for i in range(debtor.size):
        if not (settled[i] and exists(debtor[i]) and exists(creditor[i])):
            continue
        today = day_of(now[i])
        account, at = _slots_of(standing, keys, known_ns, creditor[i], terminal[i])
        for slot in (account, at):
            if slot >= 0:
                pass_days(places[slot], today)
                count_receipt(places[slot], today)
        _count_standing(standing[creditor[i]], today)
