"""ADWIN: a window over a stream of numbers that shrinks as soon as its older part differs from its newer.

As long as nothing changes the window grows, kept as buckets of 1, 2, 4 … numbers, so that its memory and the
cost of a number grow with the logarithm of its length. Where some division of it into an older and a newer
part has means that differ by more than chance would allow, the older part is dropped: the mean has changed.

Source: A. Bifet, R. Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing" (SIAM SDM 2007):
ADWIN2, with the bound of its section 4.1 for the variance observed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from bezant.model.native import ENTRY, RARE

DELTA = 0.002
"""How likely it is at most that a change is found at a moment where there is none."""
IN_A_ROW = 5
"""Buckets of one size; one more, and the oldest two become one of twice the size."""
ROWS = 32
CLOCK = 32
"""Numbers between two looks for a change."""
LEAST = 5
"""Numbers in the older and the newer part at least."""
WIDTH, TOTAL, VARIANCE, SINCE, LOST, LOST_TOTAL = range(6)


@dataclass(frozen=True, slots=True)
class Change:
    """The mean of what was dropped, and of what is left."""

    before: float
    after: float


class Adwin:
    """One stream of numbers from 0 to 1. Its state is 5 kB."""

    def __init__(self, delta: float = DELTA) -> None:
        self._delta = delta
        self._counts = np.zeros(ROWS, np.int64)
        self._sums = np.zeros((ROWS, IN_A_ROW + 1))
        self._variances = np.zeros((ROWS, IN_A_ROW + 1))
        self._window = np.zeros(LOST_TOTAL + 1)

    @property
    def width(self) -> int:
        """How many numbers the window holds."""
        return int(self._window[WIDTH])

    @property
    def mean(self) -> float:
        """The mean of the window, 0 where it is empty."""
        return float(self._window[TOTAL] / self._window[WIDTH]) if self.width else 0.0

    def update(self, values: npt.ArrayLike) -> Change | None:
        """Take numbers (n,) in order; return the change found among them, None where there is none."""
        ready = np.ascontiguousarray(values, np.float64).reshape(-1)
        self._window[LOST] = self._window[LOST_TOTAL] = 0.0
        _feed(ready, self._counts, self._sums, self._variances, self._window, self._delta)
        lost = self._window[LOST]
        return Change(float(self._window[LOST_TOTAL] / lost), self.mean) if lost else None


@njit(**ENTRY)
def _feed(values: Any, counts: Any, sums: Any, variances: Any, window: Any, delta: Any) -> None:
    """Enter numbers (n,), drop what no longer fits, and note in `window` how many that were and their sum."""
    for value in values:
        if window[WIDTH] > 0.0:
            apart = value - window[TOTAL] / window[WIDTH]
            window[VARIANCE] += window[WIDTH] * apart * apart / (window[WIDTH] + 1.0)
        window[WIDTH] += 1.0
        window[TOTAL] += value
        sums[0, counts[0]], variances[0, counts[0]] = value, 0.0
        counts[0] += 1
        _compress(counts, sums, variances)
        window[SINCE] += 1.0
        if window[SINCE] >= CLOCK:
            window[SINCE] = 0.0
            while _differs(counts, sums, window, delta):
                _drop_oldest(counts, sums, variances, window)


@njit(**RARE)
def _compress(counts: Any, sums: Any, variances: Any) -> None:
    """Join the oldest two buckets of every row that has one too many; position 0 of a row is its oldest."""
    row = 0
    while counts[row] > IN_A_ROW and row + 1 < ROWS:
        size = 2.0**row
        apart = (sums[row, 0] - sums[row, 1]) / size
        at = counts[row + 1]
        sums[row + 1, at] = sums[row, 0] + sums[row, 1]
        variances[row + 1, at] = variances[row, 0] + variances[row, 1] + size * apart * apart / 2.0
        counts[row + 1] += 1
        _remove_oldest_two(counts, sums, variances, row)
        row += 1


@njit(**RARE)
def _remove_oldest_two(counts: Any, sums: Any, variances: Any, row: Any) -> None:
    for at in range(2, counts[row]):
        sums[row, at - 2], variances[row, at - 2] = sums[row, at], variances[row, at]
    counts[row] -= 2


@njit(**RARE)
def _differs(counts: Any, sums: Any, window: Any, delta: Any) -> Any:
    """Return whether some older part of the window has another mean than the newer rest."""
    width = window[WIDTH]
    if width < 2 * LEAST:
        return False
    confidence = math.log(2.0 * math.log(width) / delta)
    variance = window[VARIANCE] / width
    older, older_sum = 0.0, 0.0
    for row in range(ROWS - 1, -1, -1):
        for at in range(counts[row]):
            older += 2.0**row
            older_sum += sums[row, at]
            newer = width - older
            if newer < LEAST:
                return False
            if older < LEAST:
                continue
            inverse = 1.0 / older + 1.0 / newer
            bound = math.sqrt(2.0 * inverse * variance * confidence) + 2.0 / 3.0 * inverse * confidence
            if abs(older_sum / older - (window[TOTAL] - older_sum) / newer) > bound:
                return True
    return False


@njit(**RARE)
def _drop_oldest(counts: Any, sums: Any, variances: Any, window: Any) -> None:
    row = ROWS - 1
    while counts[row] == 0:
        row -= 1
    size, total, variance = 2.0**row, sums[row, 0], variances[row, 0]
    window[WIDTH] -= size
    window[TOTAL] -= total
    window[LOST] += size
    window[LOST_TOTAL] += total
    apart = total / size - window[TOTAL] / window[WIDTH]
    lost = variance + size * window[WIDTH] * apart * apart / (size + window[WIDTH])
    window[VARIANCE] = max(window[VARIANCE] - lost, 0.0)
    for at in range(1, counts[row]):
        sums[row, at - 1], variances[row, at - 1] = sums[row, at], variances[row, at]
    counts[row] -= 1
