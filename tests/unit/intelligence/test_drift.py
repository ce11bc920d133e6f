"""Drift of inputs, scores and labels is told once, against what the model's card says of its training."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bezant.intelligence.drift import DRIFTED, PATIENCE, WINDOW, Drift, DriftLog, DriftWatch
from bezant.intelligence.model import Model
from bezant.intelligence.reference import Bins, bins_of, stability_index
from bezant.intelligence.scored import Scored
from bezant.model.records import Kind, Label, id_of
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK

from .conftest import Judged


def seen(model: Model, x: np.ndarray) -> Scored:
    ids = np.arange(len(x), dtype=np.uint64)
    return Scored(ids, ids, x, model.score(x), model.name)


@pytest.fixture
def log() -> DriftLog:
    return DriftLog(lambda: 77)


def subjects(log: DriftLog, measure: str) -> list[str]:
    return [event.subject for event in log.events if event.measure == measure]


def like_training(model: Model, count: int) -> np.ndarray:
    """Return inputs drawn bin by bin from the reference, each column for itself."""
    reference, random = model.card.reference, np.random.default_rng(4)
    assert reference is not None
    columns = []
    for bins in reference.inputs:
        values = np.array([*bins.edges[:1], *bins.edges]) if bins.edges else np.zeros(1)
        values[0] -= 1.0
        columns.append(random.choice(values, count, p=np.array(bins.shares) / sum(bins.shares)))
    return np.stack(columns, axis=1).astype(np.float32)


def test_inputs_as_in_training_are_no_drift_and_one_that_changes_is_named_once(
    model: Model, log: DriftLog
) -> None:
    watch = DriftWatch(lambda: model, log)
    usual = like_training(model, WINDOW)
    watch.look(seen(model, usual[:300]))
    assert watch.indices == {}, "too few to say anything"
    for _ in range(8):
        watch.look(seen(model, usual[:500]))
    inputs = {name: index for name, index in watch.indices.items() if name != "score"}
    assert inputs.keys() == set(model.card.features)
    assert max(inputs.values()) < 0.1
    column = next(i for i, bins in enumerate(model.card.reference.inputs) if len(bins.shares) >= 8)
    moved = usual.copy()
    moved[:, column] = model.card.reference.inputs[column].edges[-1]
    for _ in range(16):
        watch.look(seen(model, moved[:500]))
    name = model.card.features[column]
    assert watch.indices[name] > DRIFTED
    assert subjects(log, "psi").count(name) == 1, "told once, not at every look"
    event = next(one for one in log.events if one.subject == name)
    assert event == Drift("model.drift", name, "psi", DRIFTED, watch_index(log, name), 77)


def test_a_restart_does_not_tell_again_what_was_told(model: Model, log: DriftLog, tmp_path: Path) -> None:
    memory = tmp_path / "drift.json"
    usual = like_training(model, 500)
    moved = usual.copy()
    column = model.card.features.index("amount")
    moved[:, column] = moved[:, column].max()

    def a_window(watch: DriftWatch, x: np.ndarray) -> int:
        for _ in range(WINDOW // 500):
            watch.look(seen(model, x))
        return subjects(log, "psi").count("amount")

    assert a_window(DriftWatch(lambda: model, log, memory), moved) == 1
    watch = DriftWatch(lambda: model, log, memory)
    assert a_window(watch, moved) == 1
    a_window(watch, usual)
    assert a_window(watch, moved) == 2, "it was as in training again in between"
    memory.write_bytes(b"{")
    assert a_window(DriftWatch(lambda: model, log, memory), moved) == 3, "what cannot be read says nothing"


def watch_index(log: DriftLog, name: str) -> float:
    return next(one.after for one in log.events if one.subject == name)


def test_scores_that_rise_are_found(model: Model, judged: Judged, log: DriftLog) -> None:
    watch = DriftWatch(lambda: model, log)
    usual = seen(model, judged.x[:2_000])
    random = np.random.default_rng(1)
    for _ in range(8):
        order = random.permutation(2_000)
        watch.look(with_scores(usual, usual.score_ppm[order]))
    assert "score" not in subjects(log, "adwin")
    watch.look(with_scores(usual, np.minimum(usual.score_ppm * 30 + 500, 1_000_000)))
    event = next(one for one in log.events if (one.subject, one.measure) == ("score", "adwin"))
    assert event.after > 2 * event.before


def test_a_young_network_has_not_drifted_until_it_had_time_to_grow_old(model: Model, log: DriftLog) -> None:
    watch = DriftWatch(lambda: model, log)
    old = like_training(model, 500)
    young = old.copy()
    young[:, model.card.features.index("debtor_age")] = -1.0
    moved = model.card.features.index("amount")
    young[:, moved] = old[:, moved].max()
    a_window = WINDOW // 500
    for turn in range(a_window * 5):
        watch.look(with_scores(seen(model, young), np.full(500, 10 if turn < a_window else 900_000)))
    assert watch.indices["amount"] > DRIFTED, "shown"
    assert log.events == [], "and not told"
    for _ in range(a_window):
        watch.look(seen(model, old))
    assert log.events == [], "what has grown old is as in training"
    grown = old.copy()
    grown[:, moved] = old[:, moved].max()
    for _ in range(a_window):
        watch.look(seen(model, grown))
    assert subjects(log, "psi") == ["amount"]


def test_a_network_that_stays_young_is_told_of_in_the_end(model: Model, log: DriftLog) -> None:
    watch = DriftWatch(lambda: model, log)
    young = like_training(model, 500)
    young[:, model.card.features.index("debtor_age")] = -1.0
    for _ in range((PATIENCE - 1) * WINDOW // 500):
        watch.look(seen(model, young))
    assert log.events == []
    for _ in range(WINDOW // 500):
        watch.look(seen(model, young))
    assert "debtor_age" in subjects(log, "psi")


def with_scores(like: Scored, score_ppm: np.ndarray) -> Scored:
    """Return the same payments with other scores."""
    return Scored(like.id_lo, like.id_hi, like.x, score_ppm.astype(np.uint32), like.model)


def test_another_champion_begins_anew_and_rules_are_not_watched(
    model: Model, judged: Judged, log: DriftLog
) -> None:
    other = Model.build(msgspec.structs.replace(model.card, source="other"), model.trees)
    champion = [model]
    watch = DriftWatch(lambda: champion[0], log)
    x = np.concatenate([judged.x[:500]] * 5)
    for _ in range(5):
        watch.look(seen(model, x))
    assert watch.indices
    rules = Scored(*(np.zeros(9, np.uint64),) * 2, x[:9], np.zeros(9, np.uint32), bytes(16))
    watch.look(rules)
    assert watch.indices
    watch.look(seen(other, x))
    assert watch.indices, "one that is not champion is not watched"
    champion[0] = other
    watch.look(seen(other, x[:10]))
    assert watch.indices == {}


def test_a_model_without_a_reference_is_watched_by_its_scores_alone(
    model: Model, judged: Judged, log: DriftLog
) -> None:
    old = Model.build(msgspec.structs.replace(model.card, reference=None), model.trees)
    watch = DriftWatch(lambda: old, log)
    for _ in range(6):
        watch.look(seen(old, judged.x[:1_000]))
    assert watch.indices == {}


def test_a_card_without_a_reference_has_the_digest_it_had(model: Model, tmp_path: Path) -> None:
    old = Model.build(msgspec.structs.replace(model.card, reference=None), model.trees)
    old.save(tmp_path / "old.model")
    assert b"reference" not in (tmp_path / "old.model").read_bytes()
    assert Model.load(tmp_path / "old.model").digest == old.digest


def test_more_fraud_among_the_labels_is_found(log: DriftLog, model: Model) -> None:
    world, watch = BlockScribe(), DriftWatch(lambda: model, log)
    paid = world.transfer(world.alice, world.bob, 5)
    world.commit((BANK, paid))

    def label(frauds: int, of: int) -> None:
        rows = [
            world.pays(
                Kind.LABEL,
                world.alice,
                world.bob,
                Label.FRAUD if number % of < frauds else Label.GENUINE,
                related=id_of(paid[0], "id"),
            )
            for number in range(100)
        ]
        watch.follow(world.commit((BANK, np.concatenate(rows))))

    for _ in range(8):
        label(1, 20)
    assert log.events == []
    for _ in range(4):
        label(8, 20)
    assert {(event.kind, event.subject) for event in log.events} == {("model.drift", "labels")}
    assert log.events[0].after > log.events[0].before
    heard: list[Drift] = []
    log.listeners.append(heard.append)
    log.tell("stage.drift", "score", "adwin", 1.0, 2.0)
    assert [event.kind for event in heard] == ["stage.drift"]
    assert log.count == len(log.events)


def test_bins_hold_what_they_say() -> None:
    values = np.concatenate([np.zeros(500), np.arange(500)])
    bins = bins_of(values)
    assert sum(bins.shares) == pytest.approx(1.0, abs=1e-5)
    assert len(bins.shares) == len(bins.edges) + 1
    assert (bins.count(values) / 1_000).tolist() == pytest.approx(bins.shares, abs=1e-6)
    assert stability_index(bins, bins.count(values)) == pytest.approx(0.0, abs=1e-9)
    assert bins_of(np.zeros(50)) == Bins((), (1.0,))
    assert bins_of(np.zeros(0)) == Bins((), (1.0,))
    assert bins.count(np.array([-1e9, 1e9])).tolist()[:: len(bins.edges)] == [1, 1]


def test_the_index_is_the_formula() -> None:
    expected = Bins((0.5,), (0.5, 0.5))
    assert stability_index(expected, np.array([80, 20])) == pytest.approx(
        0.3 * math.log(0.8 / 0.5) - 0.3 * math.log(0.2 / 0.5)
    )
    assert stability_index(expected, np.array([0, 0])) == 0.0
    assert math.isfinite(stability_index(expected, np.array([100, 0])))
