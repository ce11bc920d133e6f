"""The seeded world: one seed gives the same parties and, day by day, the same payments for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as count_from

import numpy as np

from bezant.economy.calendar import DAY_NS, SECOND_NS, Int64Array
from bezant.economy.flows import Flow, expected_per_day, honest_day
from bezant.economy.fraud import found_rings, fraud_day
from bezant.economy.parties import found_habits, found_parties
from bezant.economy.traffic import FIRST_FRAUD, Traffic, join_traffic, reference_of
from bezant.errors import InputError


@dataclass(frozen=True, slots=True)
class Pace:
    """How simulated time maps onto the time at which payments are handed in.

    From `start_ns` on, one second holds `speed` simulated seconds. Habits live in simulated
    time, so a faster pace never changes who pays whom, how much, or at what hour of *their* day.
    """

    start_ns: int
    speed: float

    def time_ns(self, simulated_ns: Int64Array) -> Int64Array:
        """Return when payments of these simulated times are handed in."""
        if self.speed == 1.0:
            return simulated_ns
        return self.start_ns + ((simulated_ns - self.start_ns) / self.speed).astype(np.int64)

    def simulated_ns(self, time_ns: Int64Array) -> Int64Array:
        """Return the simulated time at these times: what features of a live demonstration should see."""
        if self.speed == 1.0:
            return time_ns
        return self.start_ns + ((time_ns - self.start_ns) * self.speed).astype(np.int64)


class World:
    """A closed economy whose payments are labelled.

    Every day is drawn from its own generator, seeded by (seed, day), so traffic from any start
    is the same as the tail of traffic from an earlier one. `fraud_share` is the expected share of
    fraudulent payments; it is far above real life, so that a model can learn in one run.
    Raises: InputError for sizes too small to hold rings and relations.
    """

    def __init__(
        self,
        seed: int,
        consumers: int = 2_000,
        merchants: int = 200,
        firms: int = 60,
        fraud_share: float = 0.006,
        asset: str = "EUR",
    ) -> None:
        if consumers < 10 or merchants < 5 or firms < 2:
            raise InputError(
                "a world needs at least 10 consumers, 5 merchants and 2 firms", param="consumers"
            )
        if not 0.0 <= fraud_share < 0.5:
            raise InputError(f"fraud share {fraud_share} is not within 0 and 0.5", param="fraud_share")
        rng = np.random.default_rng([seed, 0])
        self.seed = seed
        self.fraud_share = fraud_share
        self.habits = found_habits(rng, consumers, merchants, firms)
        self.parties = found_parties(rng, self.habits, merchants, firms, asset)
        self.rings = found_rings(rng, consumers)
        honest = expected_per_day(self.habits)
        self.payments_per_day = honest / (1.0 - fraud_share)
        """Expected payments of an average simulated day, fraud included."""

    def pace(self, start_ns: int, payments_per_second: float | None) -> Pace:
        """Return the pace at which the world averages a rate over its week; None is its own pace."""
        if payments_per_second is None:
            return Pace(start_ns, 1.0)
        if not payments_per_second > 0.0:
            raise InputError(f"rate {payments_per_second} is not above zero", param="payments_per_second")
        return Pace(start_ns, payments_per_second * 86_400.0 / self.payments_per_day)

    def traffic(
        self,
        start_ns: int,
        *,
        count: int | None = None,
        duration_s: float | None = None,
        payments_per_second: float | None = None,
        batch: int = 8_192,
    ) -> Iterator[Traffic]:
        """Yield payments from `start_ns` on, in order, `batch` at a time (the last may be shorter).

        Ends after `count` payments or `duration_s` seconds of `time_ns`; with neither it never ends.
        Without a rate, `time_ns` is simulated time: the block time of training. With a rate, the
        same payments come at that average rate (busier at the world's noon than at its night).
        """
        pace = self.pace(start_ns, payments_per_second)
        left = count
        for part in _rebatch(self._paced(pace, duration_s), batch):
            if left is not None and left <= len(part):
                if left:
                    yield part.rows(0, left)
                return
            left = None if left is None else left - len(part)
            yield part

    def _paced(self, pace: Pace, duration_s: float | None) -> Iterator[Traffic]:
        """Yield whole days, cut at the start and, if there is one, at the end."""
        end_ns = None if duration_s is None else pace.start_ns + int(duration_s * SECOND_NS)
        first = pace.start_ns // DAY_NS
        spilled = [f for f in self._frauds(first - 1) if f.time_ns.size]
        for day in count_from(first):
            frauds = self._frauds(day)
            part = _sorted_day(
                honest_day(self._generator(day, 1), self.habits, day), frauds, spilled, day, pace
            )
            spilled = frauds
            start = int(np.searchsorted(part.simulated_ns, pace.start_ns))
            if end_ns is None or pace.time_ns(np.array([(day + 1) * DAY_NS]))[0] < end_ns:
                yield part.rows(start, len(part))
                continue
            yield part.rows(start, int(np.searchsorted(part.time_ns, end_ns)))
            return

    def _frauds(self, day: int) -> list[Flow]:
        payments = self.payments_per_day * self.fraud_share
        return fraud_day(self._generator(day, 2), self.habits, self.rings, day, payments)

    def _generator(self, day: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose, day + 1])  # Day 0 has a yesterday too.


def _sorted_day(honest: list[Flow], frauds: list[Flow], spilled: list[Flow], day: int, pace: Pace) -> Traffic:
    """Return one day's payments by time: its own, and what yesterday's episodes left for it."""
    flows = [*honest, *frauds, *spilled]
    times = np.concatenate([f.time_ns for f in flows])
    order = np.argsort(times, kind="stable")
    order = order[(times[order] >= day * DAY_NS) & (times[order] < (day + 1) * DAY_NS)]
    scenario = np.repeat(np.array([f.scenario for f in flows], np.uint8), [f.time_ns.size for f in flows])[
        order
    ]
    serial = np.uint64(day << 24) + np.arange(order.size, dtype=np.uint64)
    simulated = times[order]
    return Traffic(
        debtor=np.concatenate([f.debtor for f in flows])[order],
        creditor=np.concatenate([f.creditor for f in flows])[order],
        amount_minor=np.concatenate([f.amount_minor for f in flows])[order],
        time_ns=pace.time_ns(simulated),
        simulated_ns=simulated,
        label=(scenario >= FIRST_FRAUD).astype(np.uint8),
        scenario=scenario,
        serial=serial,
        reference=reference_of(serial),
    )


def _rebatch(parts: Iterator[Traffic], batch: int) -> Iterator[Traffic]:
    """Yield the same rows in batches of one size."""
    waiting: deque[Traffic] = deque()
    held = 0
    for part in parts:
        waiting.append(part)
        held += len(part)
        if held < batch:
            continue
        joined = join_traffic(waiting)
        whole = held - held % batch
        for start in range(0, whole, batch):
            yield joined.rows(start, start + batch)
        waiting = deque([joined.rows(whole, held)])
        held -= whole
    if held:
        yield join_traffic(waiting)
