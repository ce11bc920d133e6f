"""Two models at equal alert budget: budgets are spent exactly, and intervals say what is not known."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.intelligence.comparison import Comparison, alert_shares, compare

ONE = np.ones(1_000, np.uint32)


def scores_of(*groups: tuple[int, int]) -> np.ndarray:
    """Return so many payments of each score."""
    return np.concatenate([np.full(count, score, np.uint32) for count, score in groups])


def judge(champion: np.ndarray, challenger: np.ndarray, fraud: np.ndarray, budget: float) -> Comparison:
    return compare(champion, challenger, np.ones(len(fraud), np.uint32), fraud.astype(np.int8), budget)


@pytest.mark.parametrize("budget", [0.0005, 0.005, 0.1, 0.55, 1.0])
def test_a_budget_is_spent_exactly_whatever_ties_there_are(budget: float) -> None:
    scores = scores_of((3, 900_000), (40, 500_000), (957, 10))
    weights = np.where(scores == 10, 16.0, 1.0)
    spent = (alert_shares(scores, weights, budget) * weights).sum()
    assert spent == pytest.approx(budget * weights.sum())
    assert (np.diff(alert_shares(scores, weights, budget)) <= 0).all(), "the most suspicious first"


def test_the_better_model_is_seen_and_by_how_much() -> None:
    fraud = np.concatenate([np.ones(40), np.zeros(960)])
    good = np.where(fraud == 1, 900_000, 1_000).astype(np.uint32)
    bad = np.where(np.arange(1_000) % 25 == 0, 900_000, 1_000).astype(np.uint32)
    found = judge(bad, good, fraud, 0.04)
    assert (found.payments, found.labelled, found.frauds) == (1_000, 1_000, 40)
    assert (found.challenger.recall.value, found.challenger.precision.value) == (1.0, 1.0)
    assert found.champion.recall.value == pytest.approx(2 / 40)
    assert found.recall_difference.value == pytest.approx(0.95)
    assert found.recall_difference.excludes_zero
    assert found.recall_difference.low is not None
    assert found.recall_difference.low < 0.95 < (found.recall_difference.high or 0)
    assert judge(good, bad, fraud, 0.04).recall_difference.value == pytest.approx(-0.95)


def test_like_models_do_not_differ() -> None:
    random = np.random.default_rng(5)
    fraud = (random.random(2_000) < 0.1).astype(float)
    one = (np.where(fraud == 1, 300_000, 0) + random.integers(0, 400_000, 2_000)).astype(np.uint32)
    same = judge(one, one, fraud, 0.05)
    assert (same.recall_difference.value, same.recall_difference.low, same.recall_difference.high) == (
        0,
        0,
        0,
    )
    other = (np.where(fraud == 1, 300_000, 0) + random.integers(0, 400_000, 2_000)).astype(np.uint32)
    assert not judge(one, other, fraud, 0.05).recall_difference.excludes_zero


def test_an_interval_covers_as_often_as_it_says() -> None:
    """Of 200 worlds in which two models catch frauds alike, about one in twenty tells them apart."""
    random, apart = np.random.default_rng(11), 0
    for _ in range(200):
        fraud = np.concatenate([np.ones(200), np.zeros(600)])
        pair = [
            np.where((fraud == 1) & (random.random(800) < 0.5), 900_000, random.integers(1, 1_000, 800))
            for _ in range(2)
        ]
        one, other = (scores.astype(np.uint32) for scores in pair)
        apart += judge(one, other, fraud, 0.2).recall_difference.excludes_zero
    assert 1 <= apart <= 24


def test_only_labelled_payments_are_judged_and_all_share_the_budget() -> None:
    fraud = np.concatenate([np.ones(10), np.zeros(10), np.full(980, -1)])
    scores = np.concatenate([np.full(20, 500_000), np.full(980, 900_000)]).astype(np.uint32)
    found = judge(scores, scores, fraud, 0.5)
    assert (found.labelled, found.frauds) == (20, 10)
    assert found.champion.recall.value == 0.0, "the budget went to what nobody labelled"
    assert found.champion.precision.value is None


def test_without_labels_nothing_is_claimed() -> None:
    found = judge(ONE, ONE, np.full(1_000, -1), 0.005)
    for interval in (found.champion.recall, found.recall_difference, found.precision_difference):
        assert (interval.value, interval.low, interval.high) == (None, None, None)
        assert not interval.excludes_zero
    nothing = judge(ONE[:0], ONE[:0], ONE[:0], 0.005)
    assert (nothing.payments, nothing.champion.threshold_ppm) == (0, 1_000_001)


def test_a_row_counts_for_as_many_payments_as_it_stands_for() -> None:
    fraud, scores = np.array([1, 1, 0, 0], np.int8), np.array([9, 5, 5, 1], np.uint32)
    weight = np.array([1, 16, 16, 1], np.uint32)
    by_weight = compare(scores, scores, weight, fraud, 0.6)
    one_by_one = compare(
        *(np.repeat(column, weight) for column in (scores, scores)), ONE[:34], np.repeat(fraud, weight), 0.6
    )
    assert by_weight.payments == one_by_one.payments == 34
    assert by_weight.champion.recall.value == one_by_one.champion.recall.value
    assert by_weight.champion.precision.value == one_by_one.champion.precision.value
