"""The flow of a payment, on one page.

    authenticate   whose signature is it, and does it verify
    admit          is it well formed, in time, and new
    screen         may its parties be paid (a look-up; names were matched when they registered)
    score          how likely is it fraud
    decide         allow, review or block
    route          which way does the value go
    settle         seal the evidence, order, apply, make durable
    notify         tell whoever waits, once it is durable

A batch goes through them in this order. Where a stage fails its declared fallback takes its
place for this batch, and where it broke its budget for the next sixteen; the Decision says so.
Where a stage in front of settle has no safe fallback the batch is refused whole and nothing has
happened; after settle it was ordered, and whoever waits is told to query it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from bezant.errors import ConfigError, InvariantViolation
from bezant.pipeline.batch import PaymentBatch
from bezant.pipeline.stage import Fallback, Stage
from bezant.pipeline.telemetry import StageTelemetry

STAGES = ("authenticate", "admit", "screen", "score", "decide", "route", "settle", "notify")
FIRST_IN_ORDER = 1
"""Position of the first stage that must see batches one after another."""
SETTLE = STAGES.index("settle")
REST_BATCHES = 16
"""For how many batches a stage that broke its budget rests before it is tried again."""


@dataclass(frozen=True, slots=True)
class Line:
    """The stages of one generation."""

    generation: int
    stages: Mapping[str, Stage]


class Flow:
    """The stages in order, and what they have done.

    One thread begins batches and another may finish them, so that signatures of the next batch are checked
    while this one is scored and settled; any thread may replace a stage. A batch keeps the stages it
    began with, so a swap falls between two batches by itself.
    """

    def __init__(
        self,
        stages: Mapping[str, Stage],
        budget_factor: float = 1.0,
        still: AbstractContextManager[object] | None = None,
    ) -> None:
        """`budget_factor` times its budget is what a stage may take; 0 lifts the bound. `still` is held while
        stages judge, so that ledger and features are of one moment to them; waiting for it is no stage's
        time. None where nothing moves meanwhile."""
        missing = [name for name in STAGES if name not in stages]
        if missing or len(stages) != len(STAGES):
            raise ConfigError(f"a flow needs exactly the stages {', '.join(STAGES)}; missing: {missing}")
        self._budget_factor = budget_factor
        self._swap = threading.Lock()
        self._still = still or nullcontext()
        self._line = Line(1, dict(stages))
        self._resting: dict[str, int] = {}
        self.telemetry = {name: StageTelemetry() for name in STAGES}

    @property
    def stages(self) -> Mapping[str, Stage]:
        return dict(self._line.stages)

    @property
    def generation(self) -> int:
        """Grows with every replaced stage; recorded in every Decision."""
        return self._line.generation

    def replace(self, *stages: Stage) -> int:
        """Put stages in the place of those of their names, between two batches and all at once; return the
        generation."""
        for stage in stages:
            if stage.name not in STAGES:
                raise ConfigError(f"{stage.name!r} is not a stage; the flow has {', '.join(STAGES)}")
        with self._swap:
            new = {stage.name: stage for stage in stages}
            self._line = Line(self._line.generation + 1, {**self._line.stages, **new})
            for name in new:
                self._resting.pop(name, None)
                self.telemetry[name] = StageTelemetry()
            return self._line.generation

    def run(self, batch: PaymentBatch) -> PaymentBatch:
        """Return the batch with every column filled. Raises what the first failing stage without a
        fallback raised; nothing of the batch was ordered then, unless its `block` is set."""
        return self.finish(self.begin(batch))

    def begin(self, batch: PaymentBatch) -> PaymentBatch:
        """Run the stages that do not depend on the batches before: signatures."""
        line = self._line
        batch.generation, batch.stages = line.generation, line.stages
        return self._steps(batch, 0, FIRST_IN_ORDER)

    def finish(self, batch: PaymentBatch) -> PaymentBatch:
        """Run the rest, which sees everything that earlier batches changed."""
        with self._still:
            batch = self._steps(batch, FIRST_IN_ORDER, SETTLE)
        return self._steps(batch, SETTLE, len(STAGES))

    def rehearse(self, batch: PaymentBatch) -> PaymentBatch:
        """Run the stages that only judge, up to routing; nothing is ordered, counted or told."""
        line = self._line
        batch.generation, batch.stages = line.generation, line.stages
        with self._still:
            for position, name in enumerate(STAGES[:SETTLE]):
                batch = self._judge(line.stages[name], position, batch)
        return batch

    @staticmethod
    def _judge(stage: Stage, position: int, batch: PaymentBatch) -> PaymentBatch:
        try:
            return stage(batch)
        except InvariantViolation:
            raise
        except Exception:
            if not isinstance(stage, Fallback):
                raise
            batch.fallback |= 1 << position
            return stage.fall_back(batch)

    def _steps(self, batch: PaymentBatch, start: int, stop: int) -> PaymentBatch:
        stages, payments, refused = batch.stages, len(batch), batch.refused_count
        for position in range(start, stop):
            stage = stages[STAGES[position]]
            telemetry = self.telemetry[stage.name]
            started = time.perf_counter_ns()
            batch = self._step(stage, position, batch, telemetry)
            elapsed = time.perf_counter_ns() - started
            before = refused
            if "refused" in stage.writes:
                refused = batch.refused_count
            telemetry.note(elapsed, payments, refused - before)
            self._watch_budget(stage, telemetry, elapsed, payments)
        return batch

    def _step(
        self, stage: Stage, position: int, batch: PaymentBatch, telemetry: StageTelemetry
    ) -> PaymentBatch:
        if self._rests(stage.name):
            return self._fall_back(stage, position, batch)
        try:
            return stage(batch)
        except InvariantViolation:
            raise
        except Exception:
            telemetry.failures += 1
            if not stage.has_fallback:
                raise
            return self._fall_back(stage, position, batch)

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
        allowed_us = (stage.budget_base_us + stage.budget_us * payments) * self._budget_factor
        if not self._budget_factor or elapsed_ns / 1000 <= allowed_us:
            return
        telemetry.over_budget += 1
        if stage.has_fallback and not self._resting.get(stage.name):
            self._resting[stage.name] = REST_BATCHES
