"""An alert budget: at most so many reviews in any 24 hours, those that are expected to save the most.

What would be reviewed is counted by expected loss, hour by hour. The bar is the least loss above which the
last day had no more than the budget, so it follows whatever is paid now. Where a burst comes that the last
day says nothing of, the budget itself is the bound. What is not reviewed for it passes: a budget never
touches what is blocked, or what a listed name or the fallback of a stage holds. The counts lie in a file that
is mapped into memory, so that a restart goes on where the last run ended, however that ended; a power cut
may take those of the last half minute.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from bezant.intelligence.metrics import NEVER_PPM
from bezant.model.records import RecordArray

HOUR_NS = 3_600 * 1_000_000_000
HOURS = 25
"""The hour that runs and the 24 before it: no 24 hours lie outside."""
_STEPS = 16
"""Bars between a loss and its double."""
_BARS = 61 * _STEPS
_NO_LIMIT = 2**63

U64Array = npt.NDArray[np.uint64]

COUNTS = np.dtype(
    [
        ("magic", "S8"),
        ("hour", "<i8"),
        ("taken", "<i8", (HOURS,)),
        ("wanted", "<i8", (HOURS, _BARS)),
    ]
)
"""By hour, the newest of them numbered since 1970: what was reviewed, and what would have been, by bar."""
_MAGIC = b"BZALERT1"


def open_counts(path: Path, now_ns: int) -> RecordArray:
    """Return the counts (1,) that a file keeps, or new ones where it is none of this layout, or of another
    time: counts of the future would never pass."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists() or path.stat().st_size != COUNTS.itemsize
    with path.open("w+b" if fresh else "r+b") as file:
        file.truncate(COUNTS.itemsize)
    counts = np.memmap(path, COUNTS, "r+", shape=(1,))
    latest = now_ns // HOUR_NS + HOURS
    sound = counts["magic"][0] == _MAGIC and 0 <= counts["hour"][0] <= latest
    if not sound or (counts["taken"] < 0).any() or (counts["wanted"] < 0).any():
        counts[:] = np.zeros(1, COUNTS)
        counts["magic"] = _MAGIC
    return counts


class AlertBudget:
    """Counts of one node, in memory or where `open_counts` keeps them. One thread at a time asks."""

    def __init__(self, per_day: int, counts: RecordArray | None = None) -> None:
        self._per_day = per_day
        kept = np.zeros(1, COUNTS) if counts is None else counts
        self._wanted, self._taken, self._hours = kept["wanted"][0], kept["taken"][0], kept["hour"]

    def bar(self, loss_minor: U64Array, time_ns: int) -> int:
        """Return the least expected loss that is reviewed now, and count those of (n,) that reach it.

        `loss_minor` are the expected losses, in minor units, of all that would be reviewed without a budget.
        """
        self._pass_hours(time_ns // HOUR_NS)
        now = int(self._hours[0]) % HOURS
        np.add.at(self._wanted[now], _bar_of(loss_minor), 1)
        least = max(self._usual(), self._for_room(loss_minor, self._per_day - int(self._taken.sum())))
        self._taken[now] += int(np.count_nonzero(loss_minor >= np.uint64(least)))
        return least

    def _pass_hours(self, hour: int) -> None:
        last = int(self._hours[0])
        for passed in range(max(last + 1, hour - HOURS + 1), hour + 1):
            self._wanted[passed % HOURS], self._taken[passed % HOURS] = 0, 0
        self._hours[0] = max(last, hour)

    def _usual(self) -> int:
        """Return the least loss from which on the last day wanted no more reviews than the budget."""
        from_top = np.cumsum(self._wanted.sum(axis=0)[::-1])
        over = np.flatnonzero(from_top > self._per_day)
        # The highest bar that does not fit is out with all below it.
        return 0 if not len(over) else _least_of(_BARS - int(over[0]))

    @staticmethod
    def _for_room(loss_minor: U64Array, room: int) -> int:
        """Return the least loss that lets no more than `room` of these through; equals stay out together."""
        if len(loss_minor) <= room:
            return 0
        if room <= 0:
            return _NO_LIMIT
        ranked = np.sort(loss_minor)[::-1]
        return int(ranked[room]) + 1


def alert_threshold(bar_minor: int, loss_minor: U64Array) -> npt.NDArray[np.uint32]:
    """Return the lowest scores (n,) whose expected loss reaches a bar; NEVER_PPM where none does.

    `loss_minor` (n,) is what is lost if a payment is fraud, up to 10**18.
    """
    if bar_minor == 0:
        return np.zeros(len(loss_minor), np.uint32)
    # Few rows, and numbers beyond 64 bits: Python's integers.
    found = [-(-bar_minor * 1_000_000 // loss) if loss else NEVER_PPM for loss in loss_minor.tolist()]
    return np.array([min(ppm, NEVER_PPM) for ppm in found], np.uint32)


def _bar_of(value: U64Array) -> npt.NDArray[np.intp]:
    """Return the bar (n,) of each value: themselves up to 16, then 16 to each doubling."""
    left, exponent = value.copy(), np.zeros(len(value), np.uint64)
    for shift in (32, 16, 8, 4, 2, 1):
        large = left >= np.uint64(2 * _STEPS) << np.uint64(shift - 1)
        left[large] >>= np.uint64(shift)
        exponent[large] += np.uint64(shift)
    inner = np.where(exponent > 0, exponent * np.uint64(_STEPS) + left, left)
    return np.minimum(inner, np.uint64(_BARS - 1)).astype(np.intp)


def _least_of(bar: int) -> int:
    """Return the least value of a bar."""
    if bar < 2 * _STEPS:
        return bar
    return (_STEPS + bar % _STEPS) << (bar // _STEPS - 1)
