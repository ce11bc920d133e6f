"""What is usual for a payer, streaming: amounts, times of day, and how often it was left behind lately.

The account's own normal is learned robustly: a payment counts for no more than three of the account's
deviations above its mean, so that a few large frauds do not become the habit they are measured against.
One account is 12 float32 and one int64, 56 bytes.

===========================  ==================================================================
feature                      what it says, before the payment itself
===========================  ==================================================================
amount_over_usual            the amount by the debtor's mean
amount_off_usual             amount less mean, in the debtor's own deviations
usual_amount, usual_spread   log of the mean and of the deviation
amount_over_largest          the amount by the largest that was not far out of habit, which fades
recent_over_usual_fast       mean of the last two or so amounts by the mean
recent_over_usual_slow       mean of the last five or so
outliers_W                   payments far above habit, window W of 1d, 7d, 30d
quarter_share                share of the debtor's payments in this quarter of the day; -1: no habit yet
===========================  ==================================================================

As in `windows`, `look_rows` leaves the traces that learning would, `undo_rows` wipes them out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from bezant.intelligence.elementary import fading, log_one_plus
from bezant.intelligence.slots import exists
from bezant.model.native import KERNEL
from bezant.model.records import RecordArray

HABIT_FEATURES: tuple[str, ...] = (
    "amount_over_usual",
    "amount_off_usual",
    "usual_amount",
    "usual_spread",
    "amount_over_largest",
    "recent_over_usual_fast",
    "recent_over_usual_slow",
    "outliers_1d",
    "outliers_7d",
    "outliers_30d",
    "quarter_share",
)

HABIT = np.dtype(
    [
        ("payments", "<f4"),
        ("mean", "<f4"),
        ("variance", "<f4"),
        ("largest", "<f4"),
        ("fast", "<f4"),
        ("slow", "<f4"),
        ("outliers", "<f4", (3,)),
        ("quarters", "<f4", (3,)),
        ("last_ns", "<i8"),
    ]
)
"""`mean`, `variance`, `largest` in major units; `fast`, `slow` by the mean; `quarters` are shares of the
first three quarters of the day, the fourth is the rest. A row of zeros is an account without a payment."""

SLOWEST = 0.02
"""The weight of one payment in an old habit; younger ones weigh 1 / payments."""
FEW = 5
"""Payments before there is a habit to be out of."""
FAR = 2.5
"""Deviations above the mean that make an outlier."""
_MOST = 1e6
"""Ratios are cut here: an account's first cents would make anything infinite."""

_DAY = 1.0 / (86_400.0 * 1e9)
_QUARTER_NS = np.int64(21_600_000_000_000)


def new_habits(accounts: int) -> RecordArray:
    """Return the habits of accounts that have not paid."""
    return np.zeros(accounts, HABIT)


@njit(**KERNEL)
def _fades(h: Any, now: Any) -> Any:
    """Return what is left of a window's counts of 1, 7 and 30 days."""
    if h.payments == 0.0:
        return 0.0, 0.0, 0.0
    days = max(float(now - h.last_ns), 0.0) * _DAY
    return fading(days), fading(days / 7.0), fading(days / 30.0)


@njit(**KERNEL)
def _quarter(now: Any) -> Any:
    return (now // _QUARTER_NS) % np.int64(4)


@njit(**KERNEL)
def _deviations(h: Any, amount: Any) -> Any:
    """Return how far an amount is from the mean, in deviations; one unit of money is added to those."""
    if h.payments == 0.0:
        return 0.0
    return min(max((amount - h.mean) / math.sqrt(float(h.variance) + 1.0), -_MOST), _MOST)


@njit(**KERNEL)
def _read(x: Any, h: Any, amount: Any, now: Any) -> None:
    """Fill one row of features from a debtor's habit."""
    x[0] = min(amount / (h.mean + 1.0), _MOST)
    x[1] = _deviations(h, amount)
    x[2] = log_one_plus(float(h.mean))
    x[3] = log_one_plus(math.sqrt(float(h.variance)))
    x[4] = min(amount / (h.largest + 1.0), _MOST)
    x[5] = h.fast
    x[6] = h.slow
    day, week, month = _fades(h, now)
    x[7] = h.outliers[0] * day
    x[8] = h.outliers[1] * week
    x[9] = h.outliers[2] * month
    if h.payments == 0.0:
        x[10] = -1.0
        return
    quarter = _quarter(now)
    if quarter < 3:
        x[10] = h.quarters[quarter]
    else:
        x[10] = max(1.0 - h.quarters[0] - h.quarters[1] - h.quarters[2], 0.0)


@njit(**KERNEL)
def _absorb(h: Any, amount: Any, now: Any) -> None:
    """Apply one payment to its debtor's habit."""
    away = _deviations(h, amount)
    outlier = 1.0 if away > FAR and h.payments >= FEW else 0.0
    day, week, month = _fades(h, now)
    h.outliers[0] = h.outliers[0] * day + outlier
    h.outliers[1] = h.outliers[1] * week + outlier
    h.outliers[2] = h.outliers[2] * month + outlier

    ratio = min(amount / (h.mean + 1.0), _MOST) if h.payments > 0.0 else 1.0
    h.fast += 0.5 * (ratio - h.fast) if h.payments > 0.0 else 1.0
    h.slow += 0.2 * (ratio - h.slow) if h.payments > 0.0 else 1.0

    counted = amount
    if h.payments >= FEW:
        counted = min(amount, h.mean + 3.0 * math.sqrt(float(h.variance) + 1.0))
    h.largest = max(h.largest * 0.99, counted)
    weight = max(1.0 / (h.payments + 1.0), SLOWEST)
    off = counted - h.mean
    if h.payments > 0.0:
        h.variance = (1.0 - weight) * (h.variance + weight * off * off)
    else:
        h.variance = 0.25 * amount * amount  # A first guess: half of the first amount.
    h.mean += weight * off
    quarter = _quarter(now)
    for k in range(3):
        h.quarters[k] += weight * ((1.0 if quarter == k else 0.0) - h.quarters[k])
    h.payments += 1.0
    h.last_ns = max(h.last_ns, now)


@njit(**KERNEL)
def look_rows(
    habits: Any, debtor: Any, creditor: Any, amount: Any, now: Any, blank: Any, saved: Any, x: Any
) -> None:
    """Fill x (n, 11): each row sees the state and the rows before it, which leave their traces; `saved` (n,)
    HABIT takes what `undo_rows` needs to wipe them out.

    Columns are (n,): account rows int64, amounts in major units float64, nanoseconds int64. Where
    debtor or creditor is negative or NO_ROW there is no account: such a row leaves no trace.
    """
    for i in range(debtor.size):
        a = debtor[i]
        if not exists(a):
            _read(x[i], blank[0], amount[i], now[i])
            continue
        _read(x[i], habits[a], amount[i], now[i])
        if exists(creditor[i]):
            saved[i] = habits[a]
            _absorb(habits[a], amount[i], now[i])


@njit(**KERNEL)
def undo_rows(habits: Any, debtor: Any, creditor: Any, saved: Any) -> None:
    """Bring back the state from before `look_rows`: backwards, so that a row touched twice ends with its
    oldest value."""
    for i in range(debtor.size - 1, -1, -1):
        if exists(debtor[i]) and exists(creditor[i]):
            habits[debtor[i]] = saved[i]


@njit(**KERNEL)
def learn_rows(habits: Any, debtor: Any, creditor: Any, amount: Any, now: Any, settled: Any) -> None:
    """Apply the settled rows in order."""
    for i in range(debtor.size):
        if settled[i] and exists(debtor[i]) and exists(creditor[i]):
            _absorb(habits[debtor[i]], amount[i], now[i])
