"""The fallback scorer, its reasons, and the signs of a sick one."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.errors import ModelError
from bezant.intelligence.features import COLUMN, FEATURES, FeatureState, FloatMatrix
from bezant.intelligence.health import ENOUGH, STEADY, Pulse, Symptom, is_constant, symptoms
from bezant.intelligence.metrics import area_under_roc
from bezant.intelligence.model import Model
from bezant.intelligence.reasons import Reasons, observe
from bezant.intelligence.rules import MOST_PPM, POINTS_PPM, REVIEW_PPM, score_rules
from bezant.intelligence.scored import Scored

from .conftest import Judged

S = 1_000_000_000
NOON = 1_767_268_800 * S
DAY = 86_400 * S


def habitual() -> FeatureState:
    """A customer (1) who pays the same shop (2) about 10.00 every noon."""
    state = FeatureState()
    for day in range(40):
        state.learn([1], [2], [1_000 + 50 * (day % 3)], [NOON + day * DAY])
    return state


def test_a_habit_raises_nothing() -> None:
    score, bits = score_rules(habitual().compute([1], [2], [1_020], [NOON + 40 * DAY]))
    assert Reasons(int(bits[0])) == Reasons.RULES_DECIDED
    assert score[0] == 0


@pytest.mark.parametrize(
    ("payments", "reason"),
    [
        ([(1, 9, 1_000, 0)], Reasons.NEW_PAYEE),
        ([(1, 9, 1_000, 0), (1, 8, 1_000, 60), (1, 7, 1_000, 120)], Reasons.MANY_NEW_PAYEES),
        ([(1, 2, 1_000, 0), (1, 2, 1_000, 60), (1, 2, 1_000, 120)], Reasons.BURST),
        ([(1, 2, 9_000, 0)], Reasons.AMOUNT_OUT_OF_HABIT),
        ([(1, 2, 200_000, 0)], Reasons.LARGE_AMOUNT),
        ([(5, 6, 50_000, 0), (6, 7, 48_000, 300)], Reasons.PASS_THROUGH),
        ([(20, 9, 5_000, 0), (21, 9, 5_000, 9), (22, 9, 5_000, 20)], Reasons.FAN_IN),
        ([(5, 6, 50_000, 0), (6, 7, 48_000, 300), (8, 6, 20_000, 900)], Reasons.CREDITOR_FORWARDS),
        ([(1, 2, 1_000, 14 * 3_600)], Reasons.NIGHT),
        ([(50, 2, 1_000, 0)], Reasons.NEW_ACCOUNT),
    ],
)
def test_each_reason_is_raised_by_its_story(
    payments: list[tuple[int, int, int, int]], reason: Reasons
) -> None:
    debtor, creditor, amount, after_s = (np.array(c) for c in zip(*payments, strict=True))
    x = habitual().compute(debtor, creditor, amount, NOON + 40 * DAY + after_s * S)
    assert reason in Reasons(int(observe(x)[-1]))


def test_reasons_have_words_for_people() -> None:
    assert Reasons.NIGHT.words == ["The payment was made at night."]
    everything = Reasons(sum(int(r) for r in Reasons))
    assert len(set(everything.words)) == len(Reasons)
    assert Reasons(0).words == []


def test_rules_find_fraud_and_ask_for_little(judged: Judged) -> None:
    score, bits = score_rules(judged.x)
    review = score >= REVIEW_PPM
    assert area_under_roc(judged.label, score) > 0.85
    assert review.mean() < 0.05
    assert review[judged.label == 1].mean() > 8 * review.mean()
    assert (bits & np.uint32(Reasons.RULES_DECIDED)).all()


def test_scores_are_the_points_of_their_reasons(judged: Judged) -> None:
    score, bits = score_rules(judged.x[:200])
    for points, reasons in zip(score.tolist(), bits.tolist(), strict=True):
        assert points == min(MOST_PPM, sum(p for r, p in POINTS_PPM.items() if r & reasons))
    assert score.dtype == bits.dtype == np.uint32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_unreadable_features_are_reviewed(value: float) -> None:
    x = habitual().compute([1, 1], [2, 2], [1_020] * 2, [NOON + 40 * DAY] * 2)
    x[1, COLUMN["amount"]] = value
    score, _ = score_rules(x)
    assert (score[0] >= REVIEW_PPM, score[1] >= REVIEW_PPM) == (False, True)


def test_rules_refuse_another_shape() -> None:
    with pytest.raises(ModelError):
        score_rules(np.zeros((2, 3), np.float32))


def test_a_working_model_is_healthy(model: Model, judged: Judged) -> None:
    assert symptoms(judged.x[:1_000], *model.examine(judged.x[:1_000])) == Symptom(0)


def sick(n: int) -> tuple[FloatMatrix, np.ndarray, np.ndarray]:
    x = np.arange(n * len(FEATURES), dtype=np.float32).reshape(n, -1)
    return x, np.linspace(-3, 3, n), np.arange(n, dtype=np.uint32)


def test_each_symptom_is_found() -> None:
    x, margin, score = sick(200)
    assert symptoms(x, margin, score) == Symptom(0)
    assert symptoms(x, np.full(200, -2.5), score) == Symptom.CONSTANT
    assert symptoms(x, np.where(margin > 0, np.nan, margin), score) == Symptom.MARGIN_NOT_FINITE
    assert symptoms(x, margin, score + np.uint32(1_000_000)) == Symptom.SCORE_OUT_OF_RANGE
    x[3, 3] = np.inf
    assert symptoms(x, margin, score) == Symptom.FEATURES_NOT_FINITE


def test_equal_payments_or_few_may_score_alike() -> None:
    x, _, score = sick(200)
    assert symptoms(np.repeat(x[:1], 200, axis=0), np.full(200, -2.5), score) == Symptom(0)
    assert symptoms(x[: ENOUGH - 1], np.full(ENOUGH - 1, -2.5), score[: ENOUGH - 1]) == Symptom(0)


def many(model: Model, x: np.ndarray, count: int) -> Scored:
    ids = np.zeros(count, np.uint64)
    return Scored(ids, ids, np.repeat(x, count, axis=0), np.full(count, 7, np.uint32), model.name)


def test_like_payments_of_one_score_do_not_make_a_model_a_constant(model: Model, judged: Judged) -> None:
    """A payroll, or somebody who would like the model to be taken out."""
    told: list[bytes] = []
    pulse = Pulse(lambda: model, lambda name, why: told.append(name))
    for _ in range(5):
        pulse.look(many(model, judged.x[:1], STEADY))
    assert not is_constant(model)
    assert told == []


def test_a_model_that_tells_nothing_apart_is_told_of_once_enough_was_seen(
    model: Model, judged: Judged
) -> None:
    constant = Model.build(model.card, model.trees)
    constant.forest.value[:] = 0.01
    told: list[bytes] = []
    pulse = Pulse(lambda: constant, lambda name, why: told.append(name))
    for _ in range(STEADY // 2 - 1):
        pulse.look(many(constant, judged.x[:1], 2))
    assert told == []
    pulse.look(many(constant, judged.x[:1], 2))
    assert told == [constant.name]
    assert is_constant(constant)
