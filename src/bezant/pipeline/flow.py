"""The flow of a payment, on one page.

    authenticate   whose signature is it, and does it verify
    admit          is it well formed, in time, and new
    screen         may its parties be paid (a look-up; names were matched when they registered)
    score          how likely is it fraud
    decide         allow, review or block
    route          which way does the value go
    settle         seal the evidence, order, apply, make durable
    notify         tell whoever waits, once it is durable

A batch goes through them in this order. A stage that fails, or that took longer than its
budget the time before, is replaced for this batch by its declared fallback, and the Decision
says so. Where a stage has no safe fallback the batch is refused whole and nothing has happened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import numpy as np

from bezant.errors import ConfigError, InvariantViolation
from bezant.pipeline.batch import PENDING, PaymentBatch
from bezant.pipeline.stage import Fallback, Stage
from bezant.pipeline.telemetry import StageTelemetry

STAGES = ("authenticate", "admit", "screen", "score", "decide", "route", "settle", "notify")
REST_BATCHES = 16
"""For how many batches a stage that broke its budget rests before it is tried again."""


class Flow:
    """The stages in order, and what they have done. One thread runs it; any may replace a stage."""

    def __init__(self, stages: Mapping[str, Stage]) -> None:
        missing = [name for name in STAGES if name not in stages]
        if missing or len(stages) != len(STAGES):
            raise ConfigError(f"a flow needs exactly the stages {', '.join(STAGES)}; missing: {missing}")
        self._stages = dict(stages)
        self._swap = threading.Lock()
        self._resting: dict[str, int] = {}
        self.generation = 1
        """Grows with every replaced stage; recorded in every Decision."""
        self.telemetry = {name: StageTelemetry() for name in STAGES}

    @property
    def stages(self) -> Mapping[str, Stage]:
        return dict(self._stages)

    def replace(self, stage: Stage) -> int:
        """Put a stage in the place of the one of its name, between two batches; return the generation."""
        if stage.name not in STAGES:
            raise ConfigError(f"{stage.name!r} is not a stage; the flow has {', '.join(STAGES)}")
        with self._swap:
            self._stages[stage.name] = stage
            self._resting.pop(stage.name, None)
            self.telemetry[stage.name] = StageTelemetry()
            self.generation += 1
            return self.generation

    def run(self, batch: PaymentBatch) -> PaymentBatch:
        """Return the batch with every column filled. Raises what the first failing stage without a
        fallback raised; then nothing of the batch was ordered."""
        with self._swap:
            batch.generation = self.generation
            for position, name in enumerate(STAGES):
                batch = self._step(self._stages[name], position, batch)
        return batch

    def _step(self, stage: Stage, position: int, batch: PaymentBatch) -> PaymentBatch:
        telemetry = self.telemetry[stage.name]
        before = int(np.count_nonzero(batch.refused != PENDING))
        started = time.perf_counter_ns()
        if self._rests(stage.name):
            batch = self._fall_back(stage, position, batch)
        else:
            try:
                batch = stage(batch)
            except InvariantViolation:
                raise
            except Exception:
                telemetry.failures += 1
                if not stage.has_fallback:
                    raise
                batch = self._fall_back(stage, position, batch)
        elapsed = time.perf_counter_ns() - started
        refused = int(np.count_nonzero(batch.refused != PENDING)) - before
        telemetry.note(elapsed, len(batch), refused)
        self._watch_budget(stage, telemetry, elapsed, len(batch))
        return batch

    def _fall_back(self, stage: Stage, position: int, batch: PaymentBatch) -> PaymentBatch:
        if not isinstance(stage, Fallback):
            raise InvariantViolation(f"stage {stage.name} {stage.version} declares a fallback and has none")
        batch.fallback |= 1 << position
        self.telemetry[stage.name].fallbacks += 1
        return stage.fall_back(batch)

    def _rests(self, name: str) -> bool:
        left = self._resting.get(name, 0)
        if left:
            self._resting[name] = left - 1
        return left > 0

    def _watch_budget(self, stage: Stage, telemetry: StageTelemetry, elapsed_ns: int, payments: int) -> None:
        if elapsed_ns / 1000 <= stage.budget_base_us + stage.budget_us * payments:
            return
        telemetry.over_budget += 1
        if stage.has_fallback and not self._resting.get(stage.name):
            self._resting[stage.name] = REST_BATCHES
