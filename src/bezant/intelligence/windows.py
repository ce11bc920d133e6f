"""Decayed windows over accounts and pairs: the compiled kernels, and what each feature says.

Amounts are in major units inside a logarithm, log(1 + amount). Windows are exponentially decayed:
a payment as old as the window still counts 1/e.

==========================  ==================================================================
feature                     what it says, before the payment itself
==========================  ==================================================================
amount                      log of the amount
hour_sin, hour_cos          time of day, UTC
night, weekend              1 from midnight to six; 1 on Saturday and Sunday
sent_count_W                payments the debtor sent, window W of 1h, 1d, 7d, 30d
sent_amount_W               log of the amount the debtor sent
received_count_W            payments the creditor received
received_amount_W           log of the amount the creditor received
pair_count_W                payments from this debtor to this creditor
debtor_gap, pair_gap        log of the seconds since the last one; -1: there was none
amount_over_mean            log amount less the debtor's own mean of it
amount_deviation            the same in the debtor's own standard deviations
pair_new                    1: this debtor has not paid this creditor before
new_payees_1d               creditors new to the debtor within a day
new_payee_share_7d          their share of what the debtor sent in 7 days
new_payers_1d               debtors new to the creditor within a day: fan-in
new_payer_share_7d          their share of what the creditor received in 7 days
debtor_received_1h          log of the amount the debtor received within the hour
pass_through_1h             that amount against this one, 0 to 1
pass_through_1d             the debtor's day: the smaller of in and out over the larger
creditor_sent_1d            log of the amount the creditor sent on within a day
creditor_gap                log of the seconds since the creditor last received
debtor_age, creditor_age    log of the seconds since the account was first seen; -1: never
amount_over_creditor_mean   log amount less the mean of what the creditor receives
==========================  ==================================================================

One account is 24 float32 and 3 int64 values, laid out so that a payment touches few cache lines.
A window of length w keeps a sum that decays as exp(-age / w): no buckets, no list of payments.

Accounts' floats   0-3  payments sent, per window         4-7  amount sent
                  8-11  payments received               12-15  amount received
                    16  mean of log amount sent            17  its variance         18 payments sent, ever
                 19, 20 new payees, per day and 7 days  21, 22  new payers          23 mean log received
Accounts' times      0  last sent       1  last received    2  first seen (NEVER where it has not been)

The pair table is of a fixed size (`slots`); a pair that it gave up counts as new when it comes back.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from bezant.intelligence.elementary import fading, log_one_plus, sine_of_turn
from bezant.intelligence.slots import exists, find_slot
from bezant.model.native import KERNEL

_SPANS = ("1h", "1d", "7d", "30d")

WINDOW_FEATURES: tuple[str, ...] = (
    "amount",
    "hour_sin",
    "hour_cos",
    "night",
    "weekend",
    *(f"sent_count_{span}" for span in _SPANS),
    *(f"sent_amount_{span}" for span in _SPANS),
    *(f"received_count_{span}" for span in _SPANS),
    *(f"received_amount_{span}" for span in _SPANS),
    *(f"pair_count_{span}" for span in _SPANS),
    "debtor_gap",
    "pair_gap",
    "amount_over_mean",
    "amount_deviation",
    "pair_new",
    "new_payees_1d",
    "new_payee_share_7d",
    "new_payers_1d",
    "new_payer_share_7d",
    "debtor_received_1h",
    "pass_through_1h",
    "pass_through_1d",
    "creditor_sent_1d",
    "creditor_gap",
    "debtor_age",
    "creditor_age",
    "amount_over_creditor_mean",
)

ACCOUNT_FLOATS = 24
ACCOUNT_TIMES = 3
NEVER = -(2**63)

SENT_COUNT, SENT_AMOUNT, RECEIVED_COUNT, RECEIVED_AMOUNT = 0, 4, 8, 12
MEAN, VARIANCE, PAYMENTS, PAYEES_1D, PAYEES_7D, PAYERS_1D, PAYERS_7D, RECEIVED_MEAN = range(16, 24)
LAST_SENT, LAST_RECEIVED, FIRST_SEEN = 0, 1, 2

FIRST_VARIANCE = 1.0
"""The deviation assumed before an account has a habit: about a factor of e."""
SLOWEST = 0.03
"""The weight of one payment in an old account's habit; younger ones weigh 1 / payments."""

UNDO = np.dtype(
    [
        ("slot", "<i8"),
        ("key", "<u8"),
        ("pair_time", "<i8"),
        ("pair", "<f4", (4,)),
        ("debtor", "<f4", (ACCOUNT_FLOATS,)),
        ("creditor", "<f4", (ACCOUNT_FLOATS,)),
        ("debtor_times", "<i8", (ACCOUNT_TIMES,)),
        ("creditor_times", "<i8", (ACCOUNT_TIMES,)),
    ]
)
"""What one payment found where it left its traces; `slot` -1 where it left none."""

_WEEK = 1.0 / (7 * 86_400.0 * 1e9)
_MONTH = 1.0 / (30 * 86_400.0 * 1e9)
_DAY_NS = np.int64(86_400_000_000_000)
_PER_DAY = 1.0 / (86_400.0 * 1e9)
_HOUR_NS = np.int64(3_600_000_000_000)
_NEVER = np.int64(NEVER)


@njit(**KERNEL)
def pair_key(debtor: Any, creditor: Any) -> Any:
    """Return the key of a pair of account rows in the pair table."""
    return (np.uint64(debtor) << np.uint64(32)) | np.uint64(creditor + 1)


@njit(**KERNEL)
def _age(last: Any, now: Any) -> Any:
    """Nanoseconds since `last`; 0 where the clock stepped back; a century where there was nothing."""
    if last == _NEVER:
        return 3.2e18
    return max(float(now - last), 0.0)


@njit(**KERNEL)
def _decays(age: Any) -> Any:
    """Return exp(-age / window) for the four windows.

    An exponential costs as much as a dozen products, and a day is 24 hours and a seventh of a week:
    the two shorter windows are powers of the third.
    """
    month = fading(age * _MONTH)
    week = fading(age * _WEEK)
    week2 = week * week
    day = week2 * week2 * week2 * week
    day2 = day * day
    day4 = day2 * day2
    day8 = day4 * day4
    return day8 * day8 * day8, day, week, month


@njit(**KERNEL)
def _log_gap(last: Any, now: Any) -> Any:
    """Log of one plus the seconds since `last`, -1 where there was nothing."""
    if last == _NEVER:
        return -1.0
    return log_one_plus(max(float(now - last), 0.0) * 1e-9)


@njit(**KERNEL)
def _faded(dt: Any, ct: Any, pair_last: Any, now: Any) -> Any:
    """Return the decays since the debtor last paid, the creditor last received and the pair last met."""
    return (
        _decays(_age(dt[LAST_SENT], now)),
        _decays(_age(ct[LAST_RECEIVED], now)),
        _decays(_age(pair_last, now)),
    )


@njit(**KERNEL)
def _read(
    x: Any, d: Any, dt: Any, c: Any, ct: Any, pair: Any, pair_last: Any, faded: Any, amount: Any, now: Any
) -> None:
    """Fill one row of features from a debtor's, a creditor's and a pair's state before the payment."""
    log_amount = log_one_plus(amount)
    turn = float(now % _DAY_NS) * _PER_DAY
    hour = now % _DAY_NS // _HOUR_NS
    x[0] = log_amount
    x[1] = sine_of_turn(turn)
    x[2] = sine_of_turn(turn + 0.25)
    x[3] = 1.0 if hour < 6 else 0.0
    x[4] = 1.0 if (now // _DAY_NS + 3) % 7 >= 5 else 0.0

    sent, got, met = faded
    for w in range(4):
        x[5 + w] = d[SENT_COUNT + w] * sent[w]
        x[9 + w] = log_one_plus(d[SENT_AMOUNT + w] * sent[w])
        x[13 + w] = c[RECEIVED_COUNT + w] * got[w]
        x[17 + w] = log_one_plus(c[RECEIVED_AMOUNT + w] * got[w])
        x[21 + w] = pair[w] * met[w]

    x[25] = _log_gap(dt[LAST_SENT], now)
    x[26] = _log_gap(pair_last, now)
    if d[PAYMENTS] > 0.0:
        x[27] = log_amount - d[MEAN]
        x[28] = (log_amount - d[MEAN]) / math.sqrt(d[VARIANCE] + 0.05)
    else:
        x[27] = 0.0
        x[28] = 0.0
    x[29] = 1.0 if pair_last == _NEVER else 0.0
    x[30] = d[PAYEES_1D] * sent[1]
    x[31] = d[PAYEES_7D] * sent[2] / (d[SENT_COUNT + 2] * sent[2] + 1.0)
    x[32] = c[PAYERS_1D] * got[1]
    x[33] = c[PAYERS_7D] * got[2] / (c[RECEIVED_COUNT + 2] * got[2] + 1.0)

    # What the debtor itself received lately, against what it pays now: money passing through.
    arrived = _decays(_age(dt[LAST_RECEIVED], now))
    hour_in = d[RECEIVED_AMOUNT] * arrived[0]
    x[34] = log_one_plus(hour_in)
    x[35] = hour_in / (hour_in + amount + 1.0)
    day_in = d[RECEIVED_AMOUNT + 1] * arrived[1]
    day_out = d[SENT_AMOUNT + 1] * sent[1] + amount
    x[36] = min(day_out, day_in) / (max(day_out, day_in) + 1.0)
    left = _decays(_age(ct[LAST_SENT], now))
    x[37] = log_one_plus(c[SENT_AMOUNT + 1] * left[1])
    x[38] = _log_gap(ct[LAST_RECEIVED], now)
    x[39] = _log_gap(dt[FIRST_SEEN], now)
    x[40] = _log_gap(ct[FIRST_SEEN], now)
    x[41] = log_amount - c[RECEIVED_MEAN] if ct[LAST_RECEIVED] != _NEVER else 0.0


@njit(**KERNEL)
def _absorb(
    d: Any, dt: Any, c: Any, ct: Any, pair: Any, pair_last: Any, new: Any, faded: Any, amount: Any, now: Any
) -> Any:
    """Apply one payment to the state; returns the pair's new time. `new`: the pair was not known."""
    log_amount = log_one_plus(amount)
    novelty = 1.0 if new else 0.0
    sent, got, met = faded
    for w in range(4):
        d[SENT_COUNT + w] = d[SENT_COUNT + w] * sent[w] + 1.0
        d[SENT_AMOUNT + w] = d[SENT_AMOUNT + w] * sent[w] + amount
        c[RECEIVED_COUNT + w] = c[RECEIVED_COUNT + w] * got[w] + 1.0
        c[RECEIVED_AMOUNT + w] = c[RECEIVED_AMOUNT + w] * got[w] + amount
        pair[w] = pair[w] * met[w] + 1.0
    d[PAYEES_1D] = d[PAYEES_1D] * sent[1] + novelty
    d[PAYEES_7D] = d[PAYEES_7D] * sent[2] + novelty
    c[PAYERS_1D] = c[PAYERS_1D] * got[1] + novelty
    c[PAYERS_7D] = c[PAYERS_7D] * got[2] + novelty

    weight = max(1.0 / (d[PAYMENTS] + 1.0), SLOWEST)
    if d[PAYMENTS] > 0.0:
        off = log_amount - d[MEAN]
        d[MEAN] += weight * off
        d[VARIANCE] = (1.0 - weight) * (d[VARIANCE] + weight * off * off)
    else:
        d[MEAN] = log_amount
        d[VARIANCE] = FIRST_VARIANCE
    d[PAYMENTS] += 1.0
    if ct[LAST_RECEIVED] == _NEVER:
        c[RECEIVED_MEAN] = log_amount
    else:
        c[RECEIVED_MEAN] += SLOWEST * (log_amount - c[RECEIVED_MEAN])

    # A time that steps back never makes anything look older than it was.
    dt[LAST_SENT] = max(dt[LAST_SENT], now)
    ct[LAST_RECEIVED] = max(ct[LAST_RECEIVED], now)
    if dt[FIRST_SEEN] == _NEVER:
        dt[FIRST_SEEN] = now
    if ct[FIRST_SEEN] == _NEVER:
        ct[FIRST_SEEN] = now
    return max(pair_last, now)


@njit(**KERNEL)
def _apply(
    accounts: Any, times: Any, keys: Any, pair_times: Any, pairs: Any, debtor: Any, creditor: Any,
    slot: Any, known: Any, key: Any, faded: Any, amount: Any, now: Any,
) -> None:  # fmt: skip
    if not known:
        keys[slot] = key
        pair_times[slot] = _NEVER
        for w in range(4):
            pairs[slot, w] = np.float32(0.0)
    pair_times[slot] = _absorb(
        accounts[debtor], times[debtor], accounts[creditor], times[creditor],
        pairs[slot], pair_times[slot], not known, faded, amount, now,
    )  # fmt: skip


@njit(**KERNEL)
def look_rows(
    accounts: Any, times: Any, keys: Any, pair_times: Any, pairs: Any, debtor: Any, creditor: Any,
    amount: Any, now: Any, blank: Any, blank_times: Any, undo: Any, x: Any,
) -> None:  # fmt: skip
    """Fill x (n, F): each row sees the state and the rows before it, which leave their traces; `undo` (n,)
    UNDO takes what `undo_rows` needs to wipe them out.

    Where debtor or creditor is negative or NO_ROW there is no account: such a row reads a blank one
    and leaves no trace.
    """
    for i in range(debtor.size):
        a, b = debtor[i], creditor[i]
        before = undo[i]
        if not (exists(a) and exists(b)):
            d, dt = (accounts[a], times[a]) if exists(a) else (blank, blank_times)
            c, ct = (accounts[b], times[b]) if exists(b) else (blank, blank_times)
            faded = _faded(dt, ct, _NEVER, now[i])
            _read(x[i], d, dt, c, ct, blank[:4], _NEVER, faded, amount[i], now[i])
            before.slot = np.int64(-1)
            continue
        key = pair_key(a, b)
        slot, known = find_slot(keys, pair_times, key)
        before.slot = slot
        before.key = keys[slot]
        before.pair_time = pair_times[slot]
        for w in range(4):
            before.pair[w] = pairs[slot, w]
        for k in range(ACCOUNT_FLOATS):
            before.debtor[k] = accounts[a, k]
            before.creditor[k] = accounts[b, k]
        for k in range(ACCOUNT_TIMES):
            before.debtor_times[k] = times[a, k]
            before.creditor_times[k] = times[b, k]
        pair, pair_last = (pairs[slot], pair_times[slot]) if known else (blank[:4], _NEVER)
        faded = _faded(times[a], times[b], pair_last, now[i])
        _read(x[i], accounts[a], times[a], accounts[b], times[b], pair, pair_last, faded, amount[i], now[i])
        _apply(accounts, times, keys, pair_times, pairs, a, b, slot, known, key, faded, amount[i], now[i])


@njit(**KERNEL)
def undo_rows(
    accounts: Any, times: Any, keys: Any, pair_times: Any, pairs: Any, debtor: Any, creditor: Any, undo: Any
) -> None:
    """Bring back the state from before `look_rows`: backwards, so that a row touched twice ends with its
    oldest value."""
    for i in range(debtor.size - 1, -1, -1):
        before = undo[i]
        slot = before.slot
        if slot < 0:
            continue
        a, b = debtor[i], creditor[i]
        keys[slot] = before.key
        pair_times[slot] = before.pair_time
        for w in range(4):
            pairs[slot, w] = before.pair[w]
        for k in range(ACCOUNT_FLOATS):
            accounts[a, k] = before.debtor[k]
            accounts[b, k] = before.creditor[k]
        for k in range(ACCOUNT_TIMES):
            times[a, k] = before.debtor_times[k]
            times[b, k] = before.creditor_times[k]


@njit(**KERNEL)
def learn_rows(
    accounts: Any, times: Any, keys: Any, pair_times: Any, pairs: Any, debtor: Any, creditor: Any,
    amount: Any, now: Any, settled: Any,
) -> None:  # fmt: skip
    """Apply the settled rows in order."""
    for i in range(debtor.size):
        a, b = debtor[i], creditor[i]
        if not (settled[i] and exists(a) and exists(b)):
            continue
        key = pair_key(a, b)
        slot, known = find_slot(keys, pair_times, key)
        faded = _faded(times[a], times[b], pair_times[slot] if known else _NEVER, now[i])
        _apply(accounts, times, keys, pair_times, pairs, a, b, slot, known, key, faded, amount[i], now[i])
