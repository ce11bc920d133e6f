"""Days, weekdays and the hours at which people pay, all in UTC and all from a given generator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
DAY_NS = 24 * HOUR_NS

WEEKDAY_FACTOR = np.array([0.94, 0.94, 0.96, 1.0, 1.2, 1.26, 0.7])
"""How busy each weekday is for consumers, Monday first; the mean is 1."""

_SHOP_HOURS = np.array(
    [0.4, 0.2, 0.2, 0.2, 0.3, 0.7, 2, 4, 6, 6, 6, 7, 9, 8, 6, 6, 7, 9, 9, 7, 5, 4, 2, 1], dtype=np.float64
)


def weekday(day: int) -> int:
    """Return 0 for Monday to 6 for Sunday; `day` counts from 1970-01-01, a Thursday."""
    return (day + 3) % 7


def year_month(day: int) -> tuple[int, int]:
    """Return the year and the month (1-12) of a day."""
    months = int(np.datetime64(day, "D").astype("datetime64[M]").astype(np.int64))
    return 1970 + months // 12, months % 12 + 1


def day_of_month(day: int) -> int:
    """Return 1-31."""
    date = np.datetime64(day, "D")
    return int((date - date.astype("datetime64[M]")).astype(np.int64)) + 1


def shop_times(rng: np.random.Generator, day: int, count: int) -> Int64Array:
    """Return (count,) times of a day, spread as shops are busy."""
    edges = np.cumsum(_SHOP_HOURS) / _SHOP_HOURS.sum()
    hour = np.searchsorted(edges, rng.random(count), side="right").astype(np.float64)
    return within_day(day, hour + rng.random(count))


def habitual_times(rng: np.random.Generator, day: int, peak_hour: FloatArray) -> Int64Array:
    """Return one time for each peak hour (fraction of 24): seven of ten around it, the rest at shop hours."""
    around = np.mod(peak_hour + 2.2 * rng.standard_normal(peak_hour.size), 24.0)
    times = within_day(day, around)
    return np.where(rng.random(peak_hour.size) < 0.7, times, shop_times(rng, day, peak_hour.size))


def within_day(day: int, hour: FloatArray) -> Int64Array:
    """Return nanoseconds since 1970 for fractional hours of a day."""
    return np.int64(day * DAY_NS) + np.minimum((hour * HOUR_NS).astype(np.int64), DAY_NS - 1)
