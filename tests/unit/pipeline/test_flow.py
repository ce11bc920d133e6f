"""The flow: fallbacks, budgets, generations, and failures that leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bezant.errors import BezantError, ConfigError, InvariantViolation, ModelError, StorageError
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import id_of
from bezant.pipeline.batch import PaymentBatch, join_submissions
from bezant.pipeline.flow import REST_BATCHES, STAGES, Flow
from bezant.pipeline.stage import Stage
from bezant.stages.score import Score
from bezant.stages.settle import Settle
from bezant.testing.nodes import SmallNode

SCORE_BIT = 1 << STAGES.index("score")


class Pass:
    """A stage that notes that it ran; `budget_base_us` of zero time is always broken."""

    version = "test-1"
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    budget_us = 1.0
    budget_base_us = 1e9

    def __init__(self, name: str, log: list[str], *, has_fallback: bool = True) -> None:
        self.name, self.log, self.has_fallback = name, log, has_fallback
        self.error: BaseException | None = None

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        self.log.append(self.name)
        if self.error is not None:
            raise self.error
        return batch

    def fall_back(self, batch: PaymentBatch) -> PaymentBatch:
        self.log.append(f"{self.name} fell back")
        return batch


def flow_of(log: list[str], budget_factor: float = 1.0) -> tuple[Flow, dict[str, Pass]]:
    stages = {name: Pass(name, log) for name in STAGES}
    return Flow(stages, budget_factor), stages


def empty() -> PaymentBatch:
    return join_submissions([], 0)


def test_stages_run_in_order_and_exactly_those() -> None:
    log: list[str] = []
    flow, stages = flow_of(log)
    flow.run(empty())
    assert log == list(STAGES)
    fewer: dict[str, Stage] = {name: stages[name] for name in STAGES[1:]}
    for wrong in (fewer, {**stages, "bonus": Pass("bonus", log)}):
        with pytest.raises(ConfigError, match="exactly the stages"):
            Flow(wrong)


def test_a_failing_stage_falls_back_and_its_bit_is_set() -> None:
    log: list[str] = []
    flow, stages = flow_of(log)
    stages["score"].error = ModelError("no model")
    batch = flow.run(empty())
    assert log[3:6] == ["score", "score fell back", "decide"]
    assert batch.fallback == SCORE_BIT
    told = flow.telemetry["score"]
    assert (told.failures, told.fallbacks, told.batches) == (1, 1, 1)
    stages["score"].error = None
    assert flow.run(empty()).fallback == 0, "a failure does not rest the stage"


def test_a_stage_without_fallback_refuses_the_batch() -> None:
    log: list[str] = []
    flow, stages = flow_of(log)
    stages["admit"].has_fallback, stages["admit"].error = False, StorageError("full")
    with pytest.raises(StorageError, match="full"):
        flow.run(empty())
    assert log == ["authenticate", "admit"]


def test_a_broken_invariant_is_never_met_with_a_fallback() -> None:
    log: list[str] = []
    flow, stages = flow_of(log)
    stages["score"].error = InvariantViolation("books differ")
    with pytest.raises(InvariantViolation):
        flow.run(empty())
    assert "score fell back" not in log


def test_a_stage_that_broke_its_budget_rests() -> None:
    log: list[str] = []
    flow, stages = flow_of(log)
    stages["score"].budget_base_us = -1.0
    bits = []
    for turn in range(REST_BATCHES + 2):
        bits.append(flow.run(empty()).fallback)
        if turn == 0:
            stages["score"].budget_base_us = 1e9
    assert bits == [0, *[SCORE_BIT] * REST_BATCHES, 0]
    assert flow.telemetry["score"].over_budget == 1
    # One that cannot fall back goes on, however slow it is.
    stages["settle"].has_fallback, stages["settle"].budget_base_us = False, -1.0
    log.clear()
    flow.run(empty()), flow.run(empty())
    assert log.count("settle") == 2


def test_budgets_can_be_lifted_and_stretched() -> None:
    for factor, fallbacks in ((0.0, 0), (1.0, SCORE_BIT), (1e18, 0)):
        flow, stages = flow_of([], factor)
        stages["score"].budget_base_us = stages["score"].budget_us = 1e-9
        flow.run(empty())
        assert flow.run(empty()).fallback == fallbacks, factor


def test_a_replaced_stage_makes_a_new_generation() -> None:
    log: list[str] = []
    flow, _ = flow_of(log)
    begun = flow.begin(empty())
    assert flow.replace(Pass("score", log)) == 2
    assert flow.finish(begun).generation == 1, "a batch ends with the stages it began with"
    assert flow.run(empty()).generation == flow.generation == 2
    assert flow.replace(Pass("score", log), Pass("decide", log)) == 3, "together they make one"
    with pytest.raises(ConfigError, match="is not a stage"):
        flow.replace(Pass("scores", log))


def test_generation_and_fallback_stand_in_the_decision(small: SmallNode) -> None:
    class Broken(Score):
        def __call__(self, batch: PaymentBatch) -> PaymentBatch:
            raise RuntimeError("the scorer is gone")

    small.pay()
    first = small.node.flow.generation
    assert small.node.flow.replace(Broken(small.node.resources)) == first + 1
    identity, answers = small.pay()
    block = next(small.node.engine.blocks_from(answers.height))
    (row,) = [row for row, r in enumerate(block.records) if id_of(r, "id") == identity]
    decision = block.decisions[row]
    assert (decision["generation"], decision["fallback"]) == (first + 1, SCORE_BIT)
    assert decision["model"].tobytes() == bytes(16), "rules gave the score"
    assert small.node.payments.evidence(identity)["fallback"] == SCORE_BIT
    assert small.node.replace_stage("score", "bezant.stages.score:Score") == first + 2
    _, answers = small.pay()
    block = next(small.node.engine.blocks_from(answers.height))
    assert (block.decisions["generation"], block.decisions["fallback"]) == (first + 2, 0)


def test_swaps_while_payments_flow_lose_none(small: SmallNode) -> None:
    stop, swapped, first = threading.Event(), [], small.node.flow.generation

    def swap() -> None:
        while not stop.is_set():
            swapped.append(small.node.replace_stage("score", "bezant.stages.score:Score"))

    swapper = threading.Thread(target=swap)
    swapper.start()
    answers = [small.pay("0.01")[1].first for _ in range(60)]
    stop.set()
    swapper.join()
    # Many like payments at one moment may well be reviewed; none is lost.
    assert set(answers) <= {Outcome.APPLIED, Outcome.HELD_FOR_REVIEW}
    assert swapped == list(range(first + 1, first + 1 + len(swapped)))
    assert len(swapped) > 1


def test_a_failing_settle_refuses_the_batch_whole(small: SmallNode) -> None:
    class Stuck(Settle):
        def __call__(self, batch: PaymentBatch) -> PaymentBatch:
            raise StorageError("the disk is full", code="disk_full")

    before = small.balance(small.alice), small.node.engine.app_hash
    small.node.flow.replace(Stuck(small.node.resources))
    with pytest.raises(BezantError) as caught:
        small.node.intake.call(small.submission(small.transfers(3)))
    assert caught.value.code == "disk_full"
    assert (small.balance(small.alice), small.node.engine.app_hash) == before
    small.node.replace_stage("settle", "bezant.stages.settle:Settle")
    assert small.pay()[1].first is Outcome.APPLIED


NEW_PROCESS = """
import sys
from types import SimpleNamespace
import numpy as np
from bezant.intelligence import aspects, forest
from bezant.intelligence.features import FeatureState
from bezant.intelligence.model import Model
from bezant.stages.score import Score
kernels = aspects.look, forest._score_rows
print(*(len(kernel.signatures) for kernel in kernels))
model, scales = Model.load(sys.argv[1]), np.array([0, 2])
given = {"features": FeatureState(), "instruments": None}
Score(SimpleNamespace(**given, model=model, scales=scales, executor=None))
print(*(len(kernel.signatures) for kernel in kernels))
"""


def test_compiled_code_is_loaded_before_the_first_payment(model_file: Path) -> None:
    """It takes longer than the stage's budget, after which rules would score the next 16 batches."""
    done = subprocess.run(
        [sys.executable, "-c", NEW_PROCESS, str(model_file)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["0 0", "1 1"]


def test_without_a_model_rules_decide_and_say_so(tmp_path: Path) -> None:
    with SmallNode(tmp_path / "node") as small:
        identity, answers = small.pay("9000.00")
        evidence = small.node.payments.evidence(identity)
        assert evidence["fallback"] == SCORE_BIT
        assert evidence["verdict"] in (Verdict.ALLOW, Verdict.REVIEW)
        assert answers.receipts["verdict"][0] == evidence["verdict"]
        assert not evidence["model"].any()


class Still:
    """Says in the log when it is entered and left, as the stages say that they ran."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def __enter__(self) -> None:
        self.log.append("(")

    def __exit__(self, *_: object) -> None:
        self.log.append(")")


def test_stages_judge_while_the_ledger_is_still_and_settle_outside() -> None:
    log: list[str] = []
    flow = Flow({name: Pass(name, log) for name in STAGES}, still=Still(log))
    flow.run(join_submissions([], 1))
    assert " ".join(log) == "authenticate ( admit screen score decide route ) settle notify"
    log.clear()
    flow.rehearse(join_submissions([], 1))
    assert " ".join(log) == "( authenticate admit screen score decide route )"
