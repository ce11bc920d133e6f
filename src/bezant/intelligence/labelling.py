"""What labels do: a fraud is entered where it was paid to and for who paid it, once, and can be taken back.

A payment that was made is honest unless somebody says otherwise. One that was refused is neither: nobody
complains of what did not happen. So it counts as what it is called, fraud or honest, from then on.

The payments that were called something that counts are remembered in a table of a fixed size, 17 bytes a
slot, so that one that is called so again counts once, and the last word is what counts. A full bucket
gives up the label that is oldest; that one cannot be taken back any more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from bezant.intelligence.elementary import fading
from bezant.intelligence.places import (
    DAY,
    DAYS,
    FAST,
    SECOND_NS,
    SLOW,
    account_key,
    day_of,
    pass_days,
    suffered,
    terminal_key,
)
from bezant.intelligence.slots import exists, find_slot, mixed
from bezant.model.native import KERNEL

BYTES_PER_LABEL = 8 + 8 + 1

_GENUINE, _FRAUD = np.uint8(0), np.uint8(1)
_COUNTED = (np.uint8(2), np.uint8(4))
"""Added to _GENUINE where that made an honest payment of it, at the account and at the terminal: only there
is anything to undo when it is called fraud after all."""
_SERIES_ENDS = 3.0
_LATEST_S = np.int64(2**32 - 1)
_MONTH_S = 1.0 / (30 * 86_400.0)
_WINDOWS = (1.0, 7.0, 30.0)


@njit(**KERNEL)
def _label_key(debtor: Any, payment: Any) -> Any:
    """Return the key of a payment with its debtor: ids are chosen by who pays."""
    return mixed(payment) ^ mixed(np.uint64(debtor) + np.uint64(1)) | np.uint64(1)


@njit(**KERNEL)
def _seconds(now: Any) -> Any:
    return np.uint32(min(max(now // SECOND_NS, np.int64(0)), _LATEST_S))


@njit(**KERNEL)
def _enter(place: Any, known_before_ns: Any, paid_ns: Any, now: Any, first: Any, refused: Any) -> None:
    """Enter a fraud into a place that was brought to the day on which it became known; `first`: none is
    known of it. `refused`: it was tried, and is among no receipts."""
    days = max(float(now - known_before_ns), 0.0) * DAY
    for w in range(3):
        place.frauds[w] = (0.0 if first else place.frauds[w] * fading(days / _WINDOWS[w])) + 1.0
    if first or place.honest >= _SERIES_ENDS:
        place.first_fraud_ns = paid_ns
        place.series = np.float32(0.0)
        place.last_fraud_ns = paid_ns
    place.last_fraud_ns = max(place.last_fraud_ns, paid_ns)
    place.first_fraud_ns = min(place.first_fraud_ns, paid_ns)
    place.series += 1.0
    place.honest = np.float32(0.0)
    place.risk[0] += FAST * (1.0 - place.risk[0])
    place.risk[1] += SLOW * (1.0 - place.risk[1])
    # It waits among the receipts of its day, if that has not passed; it must not count as honest then.
    paid_on = day_of(paid_ns)
    bucket = paid_on % DAYS
    waits = np.int64(place.day) - DAYS < paid_on <= np.int64(place.day) and place.recent[bucket] > 0
    if waits and not refused:
        place.recent[bucket] -= np.uint16(1)


@njit(**KERNEL)
def _take_back(place: Any, known_last_ns: Any, paid_ns: Any, known_ns: Any) -> None:
    """Undo `_enter` for a fraud that was known at `known_ns`, and count an honest payment instead.

    Exact but for what came in between: the honest payments that it had set back stay forgotten.
    """
    days = max(float(known_last_ns - known_ns), 0.0) * DAY
    for w in range(3):
        place.frauds[w] = max(place.frauds[w] - fading(days / _WINDOWS[w]), 0.0)
    if paid_ns >= place.first_fraud_ns:
        place.series = max(place.series - 1.0, 0.0)
    if place.last_fraud_ns == paid_ns:
        place.last_fraud_ns = place.first_fraud_ns
    elif place.first_fraud_ns == paid_ns:
        place.first_fraud_ns = place.last_fraud_ns
    # (risk - rate) / (1 - rate) undoes the fraud; an honest payment then takes the share (1 - rate) of it.
    place.risk[0] = max(place.risk[0] - FAST, 0.0)
    place.risk[1] = max(place.risk[1] - SLOW, 0.0)
    place.honest += 1.0
    if place.series == 0.0 and place.frauds[2] < 0.5:
        for w in range(3):
            place.frauds[w] = np.float32(0.0)


@njit(**KERNEL)
def _say_fraud(
    standing: Any, keys: Any, known_ns: Any, places: Any, b: Any, terminal: Any, paid_ns: Any, now: Any,
    refused: Any,
) -> None:  # fmt: skip
    """Enter a fraud where it was paid to: at the account (k = 0), and at the terminal if one is named."""
    today = day_of(now)
    for k in range(2):
        if (k == 0 and not exists(b)) or (k == 1 and terminal == np.uint64(0)):
            continue
        key = account_key(b) if k == 0 else terminal_key(terminal)
        slot, known = find_slot(keys, known_ns, key)
        place = places[slot]
        if not known:
            keys[slot] = key
            place.day = standing[b].day if k == 0 else np.int32(today)
            for bucket in range(DAYS):
                place.recent[bucket] = np.uint16(standing[b].recent[bucket]) if k == 0 else np.uint16(0)
        if k == 0:
            standing[b].watched = np.uint8(1)
        pass_days(place, today)
        first = not known or place.frauds[2] == 0.0
        if first:
            place.honest = np.float32(0.0)
            place.risk[0] = np.float32(0.0)
            place.risk[1] = np.float32(0.0)
        _enter(place, known_ns[slot], paid_ns, now, first, refused)
        known_ns[slot] = max(known_ns[slot], now) if known else now


@njit(**KERNEL)
def _say_genuine(
    standing: Any, keys: Any, known_ns: Any, places: Any, b: Any, terminal: Any, paid_ns: Any, told_ns: Any,
) -> Any:  # fmt: skip
    """Take a fraud back where it was entered at `told_ns`, if that place is still remembered; return where it
    counts as honest now."""
    counted = _GENUINE
    for k in range(2):
        if (k == 0 and not exists(b)) or (k == 1 and terminal == np.uint64(0)):
            continue
        slot, known = find_slot(keys, known_ns, account_key(b) if k == 0 else terminal_key(terminal))
        if known and places[slot].frauds[2] > 0.0:
            _take_back(places[slot], known_ns[slot], paid_ns, told_ns)
            counted |= _COUNTED[k]
    return counted


@njit(**KERNEL)
def _say_honest(standing: Any, keys: Any, known_ns: Any, places: Any, b: Any, terminal: Any) -> Any:
    """Count a payment that was refused and honest where frauds are known, as if it had been made; return
    where it was counted."""
    counted = _GENUINE
    for k in range(2):
        if (k == 0 and not exists(b)) or (k == 1 and terminal == np.uint64(0)):
            continue
        slot, known = find_slot(keys, known_ns, account_key(b) if k == 0 else terminal_key(terminal))
        if known and places[slot].frauds[2] > 0.0:
            places[slot].honest += 1.0
            places[slot].risk[0] *= 1.0 - FAST
            places[slot].risk[1] *= 1.0 - SLOW
            counted |= _COUNTED[k]
    return counted


@njit(**KERNEL)
def _unsay_honest(keys: Any, known_ns: Any, places: Any, b: Any, terminal: Any, counted: Any) -> None:
    """Undo what was counted as honest, where that place is still remembered."""
    for k in range(2):
        if not counted & _COUNTED[k]:
            continue
        slot, known = find_slot(keys, known_ns, account_key(b) if k == 0 else terminal_key(terminal))
        if known and places[slot].frauds[2] > 0.0:
            places[slot].honest = max(places[slot].honest - 1.0, 0.0)
            places[slot].risk[0] = min(places[slot].risk[0] / (1.0 - FAST), 1.0)
            places[slot].risk[1] = min(places[slot].risk[1] / (1.0 - SLOW), 1.0)


@njit(**KERNEL)
def label_rows(
    standing: Any, keys: Any, known_ns: Any, places: Any, label_keys: Any, label_times: Any, said: Any,
    debtor: Any, creditor: Any, terminal: Any, payment: Any, fraud: Any, refused: Any, paid_ns: Any, now: Any,
) -> None:  # fmt: skip
    """Learn in this order that payments (n,) made at `paid_ns` were `fraud`, or were not, as becomes known
    at `now`. `payment` are 64 bits of their ids; one of 0 is always a payment of its own. Those `refused`
    were tried, and are not among what their accounts paid and received: until they are called something
    they count as neither."""
    for i in range(debtor.size):
        a, b, at = debtor[i], creditor[i], terminal[i]
        entry, told = np.int64(-1), False
        if payment[i] != np.uint64(0):
            entry, told = find_slot(label_keys, label_times, _label_key(a, payment[i]))
        called_fraud = told and said[entry] == _FRAUD
        counts_as_honest = (told or not refused[i]) and not called_fraud
        if called_fraud if fraud[i] else counts_as_honest:
            continue
        now_said = _FRAUD
        if fraud[i]:
            if told:
                _unsay_honest(keys, known_ns, places, b, at, said[entry])
            if exists(a):
                standing[a].suffered = suffered(standing[a], now[i]) + 1.0
                standing[a].suffered_s = _seconds(now[i])
            _say_fraud(standing, keys, known_ns, places, b, at, paid_ns[i], now[i], refused[i])
        elif not called_fraud:
            now_said = _say_honest(standing, keys, known_ns, places, b, at)
        else:
            if exists(a):
                share = fading(max(float(now[i] - label_times[entry]), 0.0) * 1e-9 * _MONTH_S)
                standing[a].suffered = max(suffered(standing[a], now[i]) - share, 0.0)
                standing[a].suffered_s = _seconds(now[i])
            now_said = _say_genuine(standing, keys, known_ns, places, b, at, paid_ns[i], label_times[entry])
        if entry >= 0:
            label_keys[entry] = _label_key(a, payment[i])
            label_times[entry] = now[i]
            said[entry] = now_said
