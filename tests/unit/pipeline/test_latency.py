"""A stage that becomes slower is told of, while load and speed are not."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.pipeline.latency import LatencyWatch
from bezant.pipeline.telemetry import StageTelemetry


class Bench:
    """One stage whose batches a test makes up."""

    def __init__(self) -> None:
        self.telemetry = {"score": StageTelemetry()}
        self.told: list[tuple[str, float, float]] = []
        self.watch = LatencyWatch(lambda: self.telemetry, lambda *event: self.told.append(event))
        self._random = np.random.default_rng(9)

    def run(self, samples: int, latency_us: float, payments: int = 1) -> None:
        for _ in range(samples):
            for _ in range(3):
                noisy = latency_us * float(self._random.uniform(0.8, 1.25))
                self.telemetry["score"].note(int(noisy * 1_000), payments, 0)
            self.watch.sample()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_takes_twice_as_long_is_told(bench: Bench) -> None:
    bench.run(400, 300.0)
    assert bench.told == []
    bench.run(200, 600.0)
    assert len(bench.told) >= 1
    stage, before, after = bench.told[0]
    assert stage == "score"
    assert before == pytest.approx(300, rel=0.2)
    assert after > 1.25 * before


def test_larger_batches_are_no_drift(bench: Bench) -> None:
    bench.run(300, 300.0)
    bench.run(300, 3_000.0, payments=1_000)
    bench.run(300, 300.0)
    assert bench.told == []


def test_a_stage_that_becomes_faster_is_no_trouble(bench: Bench) -> None:
    bench.run(300, 600.0)
    bench.run(300, 200.0)
    assert bench.told == []


def test_a_stage_that_was_replaced_is_not_compared_with_the_one_before(bench: Bench) -> None:
    bench.run(300, 300.0)
    bench.telemetry["score"] = StageTelemetry()
    bench.run(300, 2_000.0)
    assert bench.told == []


def test_a_pause_tells_nothing(bench: Bench) -> None:
    bench.run(300, 300.0)
    for _ in range(500):
        bench.watch.sample()
    bench.run(10, 300.0)
    assert bench.told == []
