"""The account graph, streaming: who pays whom, how fast money passes through, and what runs in circles.

Mules are seen less by one payment than by where they stand: many payers and few payees, money that
leaves as soon as it came, rings that end where they began. One account is 7 float32 and 17 uint32
values, 96 bytes whatever it does, so that everything here is approximate within that bound:

* Distinct counterparties are counted in bitmaps (linear counting, Whang et al. 1990): 64 bits since the
  beginning, good to about 200 counterparties, and 32 bits in each of two periods of three days.
* Only the last four distinct payees and payers are remembered by name; a circle that is older than
  those is not seen.
* What was received waits in pots that fade as exp(-age / 1 day) and exp(-age / 3 days). A payment
  takes from both what they hold, so that what it takes was received about that lately. The value
  received and passed on, and the time in between, are means that fade over 30 days.

Accounts' floats   0 pot of a day   1 pot of three days   2 mean age of the latter, seconds
                   3, 4 value passed on out of each   5 value received   6 mean log of seconds it stayed
Accounts' words    0-3 last payees, row + 1   4-7 last payers   8, 9 payees ever   10, 11 payers ever
                   12, 13 payees in this period, in the one before   14, 15 payers likewise
                   16 last seen, seconds

====================================  ==========================================================
feature                               what it says, before the payment itself
====================================  ==========================================================
debtor_fan_out, debtor_fan_in         log of the debtor's distinct payees, of its payers, ever
..._recent                            the same in the last three to six days
creditor_fan_out, creditor_fan_in     the creditor's, ever and recent
passed_on_1d, passed_on_3d            share of this payment that the debtor received so lately
debtor_passed_1d, debtor_passed_3d    share of what the debtor received that it passed on so soon
debtor_stay, creditor_stay            mean log of the seconds that money stays; -1: none passed on
held_for                              log of the mean seconds since that money came; -1: none waits
creditor_passed_1d, ..._3d            share of what the creditor received that it passed on so soon
paid_back                             1: the creditor has paid the debtor
circle                                somebody the creditor pays pays the debtor: how many
====================================  ==========================================================

As in `windows`, `look_rows` leaves the traces that learning would, `undo_rows` wipes them out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from bezant.intelligence.elementary import fading, log_one_plus
from bezant.intelligence.slots import exists
from bezant.model.native import KERNEL

GRAPH_FEATURES: tuple[str, ...] = (
    *(
        f"{side}_fan_{way}{span}"
        for side in ("debtor", "creditor")
        for way in ("out", "in")
        for span in ("", "_recent")
    ),
    "passed_on_1d",
    "passed_on_3d",
    "debtor_passed_1d",
    "debtor_passed_3d",
    "debtor_stay",
    "held_for",
    "creditor_passed_1d",
    "creditor_passed_3d",
    "creditor_stay",
    "paid_back",
    "circle",
)

GRAPH_FLOATS = 7
GRAPH_WORDS = 17
BYTES_PER_ACCOUNT = 4 * (GRAPH_FLOATS + GRAPH_WORDS)

POT_1D, POT_3D, POT_AGE, PASSED_1D, PASSED_3D, RECEIVED, STAY = range(GRAPH_FLOATS)
PAYEES, PAYERS, EVER_PAYEES, EVER_PAYERS, RECENT_PAYEES, RECENT_PAYERS, SEEN = 0, 4, 8, 10, 12, 14, 16
REMEMBERED = 4
"""Counterparties remembered by row, each way."""
PERIOD_S = 3 * 86_400
"""Seconds of one period of the recent bitmaps."""

GRAPH_UNDO = np.dtype(
    [
        ("touched", "<i8"),
        ("debtor", "<f4", (GRAPH_FLOATS,)),
        ("creditor", "<f4", (GRAPH_FLOATS,)),
        ("debtor_words", "<u4", (GRAPH_WORDS,)),
        ("creditor_words", "<u4", (GRAPH_WORDS,)),
    ]
)
"""What one payment found where it left its traces; `touched` 0 where it left none."""


def _estimates(bits: int) -> npt.NDArray[np.float32]:
    """Return (bits + 1,) logs of one plus the number of items that set so many bits of a bitmap."""
    clear = np.maximum(bits - np.arange(bits + 1), 0.5)  # A full one: twice as many as leave one bit clear.
    return np.log1p(-bits * np.log(clear / bits)).astype(np.float32)


_EVER = _estimates(64)
_RECENT = _estimates(32)
_MONTH = 1.0 / (30 * 86_400.0)
_PERIOD = np.int64(PERIOD_S)
_SECOND_NS = np.int64(1_000_000_000)
_LATEST = np.int64(2**32 - 1)


def new_graph(accounts: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]:
    """Return the state of accounts that nobody has paid: floats (n, 7) and words (n, 17)."""
    return np.zeros((accounts, GRAPH_FLOATS), np.float32), np.zeros((accounts, GRAPH_WORDS), np.uint32)


@njit(**KERNEL)
def _seconds(now: Any) -> Any:
    """Return nanoseconds as seconds since 1970 that fit a word: until 2106."""
    return min(max(now // _SECOND_NS, np.int64(1)), _LATEST)


@njit(**KERNEL)
def _ones(bits: Any) -> Any:
    """Return how many bits of a uint64 are set."""
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((bits * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(**KERNEL)
def _age(f: Any, w: Any, at: Any) -> None:
    """Bring an account's state to `at` seconds: pots fade and periods end; never backwards."""
    seen = np.int64(w[SEEN])
    if at <= seen:
        return
    w[SEEN] = np.uint32(at)
    if seen == 0:
        return
    # A day is a tenth of a third of 30 days: the shorter ones are powers of the longest.
    month = fading(float(at - seen) * _MONTH)
    month2 = month * month
    month4 = month2 * month2
    days3 = month4 * month4 * month2
    f[POT_1D] *= days3 * days3 * days3
    f[POT_3D] *= days3
    f[POT_AGE] += float(at - seen)
    f[PASSED_1D] *= month
    f[PASSED_3D] *= month
    f[RECEIVED] *= month
    periods = at // _PERIOD - seen // _PERIOD
    if periods > 0:
        for side in (RECENT_PAYEES, RECENT_PAYERS):
            w[side + 1] = w[side] if periods == 1 else np.uint32(0)
            w[side] = np.uint32(0)


@njit(**KERNEL)
def _fan(w: Any, ever: Any, recent: Any) -> Any:
    """Return (ever, recent): the logs of distinct counterparties on one side."""
    bits = np.uint64(w[ever]) | (np.uint64(w[ever + 1]) << np.uint64(32))
    lately = np.uint64(w[recent] | w[recent + 1])
    return _EVER[_ones(bits)], _RECENT[_ones(lately)]


@njit(**KERNEL)
def _share(part: Any, whole: Any) -> Any:
    return min(part / whole, 1.0) if whole > 0.0 else 0.0


@njit(**KERNEL)
def _remembers(w: Any, side: Any, name: Any) -> Any:
    found = False
    for k in range(REMEMBERED):
        found |= w[side + k] == name
    return found


@njit(**KERNEL)
def _read(x: Any, df: Any, dw: Any, cf: Any, cw: Any, debtor: Any, creditor: Any, amount: Any) -> None:
    """Fill one row of features from a debtor's and a creditor's state, both brought to its time."""
    x[0], x[1] = _fan(dw, EVER_PAYEES, RECENT_PAYEES)
    x[2], x[3] = _fan(dw, EVER_PAYERS, RECENT_PAYERS)
    x[4], x[5] = _fan(cw, EVER_PAYEES, RECENT_PAYEES)
    x[6], x[7] = _fan(cw, EVER_PAYERS, RECENT_PAYERS)
    x[8] = _share(df[POT_1D], amount)
    x[9] = _share(df[POT_3D], amount)
    x[10] = _share(df[PASSED_1D], df[RECEIVED])
    x[11] = _share(df[PASSED_3D], df[RECEIVED])
    x[12] = df[STAY] if df[PASSED_3D] > 0.0 else -1.0
    x[13] = log_one_plus(float(df[POT_AGE])) if df[POT_3D] > 0.0 else -1.0
    x[14] = _share(cf[PASSED_1D], cf[RECEIVED])
    x[15] = _share(cf[PASSED_3D], cf[RECEIVED])
    x[16] = cf[STAY] if cf[PASSED_3D] > 0.0 else -1.0
    x[17] = 0.0
    x[18] = 0.0
    if not (exists(debtor) and exists(creditor)):
        return
    if _remembers(dw, PAYERS, np.uint32(creditor + 1)) or _remembers(cw, PAYEES, np.uint32(debtor + 1)):
        x[17] = 1.0
    through = 0.0
    for k in range(REMEMBERED):
        name = cw[PAYEES + k]
        if name != np.uint32(0) and _remembers(dw, PAYERS, name):
            through += 1.0
    x[18] = through


@njit(**KERNEL)
def _meet(w: Any, side: Any, ever: Any, recent: Any, other: Any) -> None:
    """Note a counterparty: in the bitmaps, and first among those remembered."""
    # Rows are consecutive numbers, and one product would spread them more evenly than chance does.
    mixed = np.uint64(other + 1) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    bit = mixed >> np.uint64(58)
    one = np.uint32(np.uint64(1) << (bit & np.uint64(31)))
    w[ever + np.int64(bit >> np.uint64(5))] |= one
    w[recent] |= one
    name = np.uint32(other + 1)
    moved = name
    for k in range(REMEMBERED):
        held = w[side + k]
        w[side + k] = moved
        if held == name:
            return
        moved = held


@njit(**KERNEL)
def _absorb(df: Any, dw: Any, cf: Any, cw: Any, debtor: Any, creditor: Any, amount: Any) -> None:
    """Apply one payment to two accounts brought to its time."""
    day, days3 = min(amount, float(df[POT_1D])), min(amount, float(df[POT_3D]))
    df[POT_1D] -= day
    df[POT_3D] -= days3
    df[PASSED_1D] += day
    df[PASSED_3D] += days3
    if days3 > 0.0:
        # Weighed by value against what the mean holds so far.
        df[STAY] += (log_one_plus(float(df[POT_AGE])) - df[STAY]) * _share(days3, float(df[PASSED_3D]))
    cf[RECEIVED] += amount
    cf[POT_1D] += amount
    cf[POT_3D] += amount
    cf[POT_AGE] *= 1.0 - _share(amount, float(cf[POT_3D]))
    _meet(dw, PAYEES, EVER_PAYEES, RECENT_PAYEES, creditor)
    _meet(cw, PAYERS, EVER_PAYERS, RECENT_PAYERS, debtor)


@njit(**KERNEL)
def _copy(f: Any, w: Any, floats: Any, words: Any, row: Any) -> None:
    """Fill one account's state from the tables, with nothing where it does not exist."""
    known = exists(row)
    for k in range(GRAPH_FLOATS):
        f[k] = floats[row, k] if known else np.float32(0.0)
    for k in range(GRAPH_WORDS):
        w[k] = words[row, k] if known else np.uint32(0)


@njit(**KERNEL)
def look_rows(
    floats: Any, words: Any, debtor: Any, creditor: Any, amount: Any, now: Any, undo: Any, x: Any
) -> None:
    """Fill x (n, 19): each row sees the state and the rows before it, which leave their traces; `undo` (n,)
    GRAPH_UNDO takes what `undo_rows` needs to wipe them out.

    Columns are (n,): account rows int64, amounts in major units float64, nanoseconds int64. Where
    debtor or creditor is negative or NO_ROW there is no account: such a row leaves no trace.
    """
    for i in range(debtor.size):
        a, b, at, before = debtor[i], creditor[i], _seconds(now[i]), undo[i]
        df, dw, cf, cw = before.debtor, before.debtor_words, before.creditor, before.creditor_words
        _copy(df, dw, floats, words, a)
        _copy(cf, cw, floats, words, b)
        if not (exists(a) and exists(b)):
            # What is noted here is a copy, and free to be brought to now.
            _age(df, dw, at)
            _age(cf, cw, at)
            _read(x[i], df, dw, cf, cw, a, b, amount[i])
            before.touched = np.int64(0)
            continue
        before.touched = np.int64(1)
        _age(floats[a], words[a], at)
        _age(floats[b], words[b], at)
        _read(x[i], floats[a], words[a], floats[b], words[b], a, b, amount[i])
        _absorb(floats[a], words[a], floats[b], words[b], a, b, amount[i])


@njit(**KERNEL)
def undo_rows(floats: Any, words: Any, debtor: Any, creditor: Any, undo: Any) -> None:
    """Bring back the state from before `look_rows`: backwards, so that a row touched twice ends with its
    oldest value."""
    for i in range(debtor.size - 1, -1, -1):
        before = undo[i]
        if before.touched == 0:
            continue
        a, b = debtor[i], creditor[i]
        for k in range(GRAPH_FLOATS):
            floats[a, k] = before.debtor[k]
            floats[b, k] = before.creditor[k]
        for k in range(GRAPH_WORDS):
            words[a, k] = before.debtor_words[k]
            words[b, k] = before.creditor_words[k]


@njit(**KERNEL)
def learn_rows(
    floats: Any, words: Any, debtor: Any, creditor: Any, amount: Any, now: Any, settled: Any
) -> None:
    """Apply the settled rows in order."""
    for i in range(debtor.size):
        a, b = debtor[i], creditor[i]
        if not (settled[i] and exists(a) and exists(b)):
            continue
        at = _seconds(now[i])
        _age(floats[a], words[a], at)
        _age(floats[b], words[b], at)
        _absorb(floats[a], words[a], floats[b], words[b], a, b, amount[i])
