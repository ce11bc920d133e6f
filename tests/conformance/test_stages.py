"""One suite over every built-in stage, and over stages that break each of its rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bezant.errors import ConfigError
from bezant.model.outcomes import Outcome
from bezant.model.records import RECORD
from bezant.pipeline.batch import PENDING, PaymentBatch
from bezant.pipeline.conformance import check_stage
from bezant.pipeline.flow import STAGES
from bezant.stages.decide import Decide
from bezant.stages.notify import Notify
from bezant.stages.policy import Policy
from bezant.testing.nodes import SmallNode

SALTED = {"decide": ("evidence", "decisions")}
WITH_EFFECTS = ("settle", "notify")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[SmallNode]:
    with SmallNode(tmp_path_factory.mktemp("town") / "node", model=model_file) as town:
        yield town


@pytest.mark.parametrize("name", STAGES)
def test_a_built_in_stage_conforms(town: SmallNode, name: str) -> None:
    heard: list[PaymentBatch] = []
    stage = town.node.flow.stages[name]
    resources = town.node.resources
    if name == "notify":
        # Nobody waits for these batches, so the intake is not told of them.
        stage = Notify(dataclasses.replace(resources, announce=heard.append))
    if name == "decide":
        # Who passes as control is drawn by lot.
        stage = Decide(dataclasses.replace(resources, policy=Policy(control_share=0.0)))

    def make(count: int) -> PaymentBatch:
        town.tick()
        return town.batch_before(name, count)

    check_stage(stage, make, repeatable=name not in WITH_EFFECTS, salted=SALTED.get(name, ()))
    assert bool(heard) == (name == "notify")


class Planted:
    """A screening stage that conforms; each test breaks one thing."""

    name = "screen"
    version = "planted-1"
    reads = frozenset({"debtor_row"})
    writes = frozenset({"screening"})
    has_fallback = True
    budget_us = 10.0
    budget_base_us = 10_000.0

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        batch.screening = (batch.debtor_row == 7).astype(np.uint8)
        return batch

    def fall_back(self, batch: PaymentBatch) -> PaymentBatch:
        batch.screening = np.full(len(batch), 1, np.uint8)
        return batch


class NoFallback:
    """The same without one, whatever it declares."""

    name, version, reads, writes = "screen", "planted-2", Planted.reads, Planted.writes
    has_fallback, budget_us, budget_base_us = True, 10.0, 10_000.0
    __call__ = Planted.__call__


def _adds_a_row(self: Planted, batch: PaymentBatch) -> PaymentBatch:
    return dataclasses.replace(batch, records=np.zeros(len(batch) + 1, RECORD))


def _short_column(self: Planted, batch: PaymentBatch) -> PaymentBatch:
    batch.screening = np.zeros(len(batch) // 2, np.uint8)
    return batch


def _writes_elsewhere(self: Planted, batch: PaymentBatch) -> PaymentBatch:
    batch.score_ppm[:] = 1
    return batch


def _alters_the_payment(self: Planted, batch: PaymentBatch) -> PaymentBatch:
    batch.records["amount"] += np.uint64(1)
    return batch


def _peeks(self: Planted, batch: PaymentBatch) -> PaymentBatch:
    batch.screening = (batch.creditor_row > 0).astype(np.uint8)
    return batch


def _guesses(self: Planted, batch: PaymentBatch) -> PaymentBatch:
    batch.screening = np.random.default_rng().integers(0, 2, len(batch)).astype(np.uint8)
    return batch


def _fails_on_nothing(self: Planted, batch: PaymentBatch) -> PaymentBatch:
    batch.screening[:] = batch.debtor_row.max()
    return batch


def _waves_through(self: Planted, batch: PaymentBatch) -> PaymentBatch:
    batch.screening = np.zeros(len(batch), np.uint8)
    return batch


def _forgives(self: Planted, batch: PaymentBatch) -> PaymentBatch:
    batch.refused[batch.refused == Outcome.EXPIRED] = PENDING
    return batch


Act = Callable[[Planted, PaymentBatch], PaymentBatch]


@pytest.mark.parametrize(
    ("act", "attribute", "why"),
    [
        (_adds_a_row, "__call__", "returned"),
        (_short_column, "__call__", "rows in 'screening'"),
        (_writes_elsewhere, "__call__", "reads columns it does not declare"),
        (_alters_the_payment, "__call__", "does not declare"),
        (_peeks, "__call__", "reads columns it does not declare: \\['creditor_row'\\]"),
        (_guesses, "__call__", "the second time"),
        (_fails_on_nothing, "__call__", "on 0 payments raised"),
        (_fails_on_nothing, "fall_back", "its fallback on 0 payments raised"),
        (_waves_through, "fall_back", "lets parties through unscreened"),
    ],
)
def test_a_stage_that_breaks_a_rule_is_named(town: SmallNode, act: Act, attribute: str, why: str) -> None:
    bad = type("Bad", (Planted,), {attribute: act})()
    with pytest.raises(ConfigError, match=why) as caught:
        check_stage(bad, lambda count: town.batch_before("screen", count))
    assert caught.value.code == "stage_unfit"


def test_the_planted_stage_conforms_until_it_is_broken(town: SmallNode) -> None:
    check_stage(Planted(), lambda count: town.batch_before("screen", count))


def test_undeclared_writes_and_forgiven_refusals_are_found(town: SmallNode) -> None:
    greedy = type("Greedy", (Planted,), {"__call__": _writes_elsewhere, "reads": frozenset({"score_ppm"})})
    with pytest.raises(ConfigError, match="changed 'score_ppm'"):
        check_stage(greedy(), lambda count: town.batch_before("screen", count))
    kind = type("Kind", (Planted,), {"__call__": _forgives, "writes": frozenset({"screening", "refused"})})
    with pytest.raises(ConfigError, match="took a refusal back"):
        check_stage(kind(), lambda count: town.batch_before("screen", count))


@pytest.mark.parametrize(
    ("attribute", "value", "why"),
    [
        ("name", "scren", "is not one of"),
        ("version", "", "no version"),
        ("reads", frozenset({"debtor"}), "do not exist"),
        ("writes", frozenset({"records"}), "not a stage's to write"),
        ("budget_us", 0.0, "positive"),
        ("has_fallback", False, "fall_back"),
    ],
)
def test_a_false_declaration_is_refused(town: SmallNode, attribute: str, value: object, why: str) -> None:
    bad = type("Bad", (Planted,), {attribute: value})()
    with pytest.raises(ConfigError, match=why):
        check_stage(bad, lambda count: town.batch_before("screen", count))


def test_a_declared_fallback_must_exist(town: SmallNode) -> None:
    with pytest.raises(ConfigError, match="has no fall_back"):
        check_stage(NoFallback(), lambda count: town.batch_before("screen", count))
