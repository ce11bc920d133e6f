"""A stage that becomes slower, found long before it breaks its budget.

What telemetry counted is read from time to time, so that watching costs a payment nothing. Batches of like
size are compared with one another: a larger one takes longer, and load is no drift.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bezant.intelligence.adwin import Adwin
from bezant.pipeline.telemetry import StageTelemetry

SLOWER = 1.25
"""By what a stage has to be slower than before; being faster is no trouble."""
DOUBLINGS = 8.0
"""Latencies are watched from a sixteenth to sixteen times what was first seen."""

OnSlower = Callable[[str, float, float], None]
"""Hears the stage, and its microseconds a batch before and now."""


@dataclass(slots=True)
class _Reading:
    """What the counters of a stage were; `telemetry` is another object once the stage was replaced."""

    telemetry: StageTelemetry
    batches: int
    payments: int
    busy_ns: int


@dataclass(slots=True)
class _Window:
    """Batches of one stage and size: latencies in doublings around the first, as numbers from 0 to 1."""

    centre: float
    adwin: Adwin

    def update(self, latency_us: float) -> tuple[float, float] | None:
        place = (math.log2(max(latency_us, 1e-3)) - self.centre) / DOUBLINGS + 0.5
        change = self.adwin.update([min(max(place, 0.0), 1.0)])
        return None if change is None else (self._us(change.before), self._us(change.after))

    def _us(self, place: float) -> float:
        return float(2.0 ** ((place - 0.5) * DOUBLINGS + self.centre))


class LatencyWatch:
    """Reads the counters of every stage whenever `sample` is called; several times a second is meant."""

    def __init__(self, telemetry: Callable[[], Mapping[str, StageTelemetry]], on_slower: OnSlower) -> None:
        self._telemetry, self._on_slower = telemetry, on_slower
        self._readings: dict[str, _Reading] = {}
        self._windows: dict[tuple[str, int], _Window] = {}

    def sample(self) -> None:
        for name, now in self._telemetry().items():
            reading = _Reading(now, now.batches, now.payments, now.busy_ns)
            before = self._readings.get(name)
            self._readings[name] = reading
            if before is None or before.telemetry is not now:
                self._windows = {key: window for key, window in self._windows.items() if key[0] != name}
            elif reading.batches > before.batches:
                self._compare(name, before, reading)

    def _compare(self, name: str, before: _Reading, now: _Reading) -> None:
        batches = now.batches - before.batches
        latency_us = (now.busy_ns - before.busy_ns) / batches / 1_000
        size = ((now.payments - before.payments) // batches).bit_length()
        window = self._windows.get((name, size))
        if window is None:
            window = self._windows[name, size] = _Window(math.log2(max(latency_us, 1e-3)), Adwin())
        change = window.update(latency_us)
        if change is not None and change[1] >= SLOWER * change[0]:
            self._on_slower(name, *change)
