"""The handbook's protocol: which rows are trained on and judged, and what a day's hundred cards find."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.intelligence.prequential import Quality, card_precision, fold, judge

DAYS = np.arange(30)


def columns(frauds: dict[int, tuple[int, ...]], cards: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return day, card, label: every card pays once a day; `frauds` are {day: cards}."""
    day, card = np.repeat(DAYS, cards), np.tile(np.arange(cards), len(DAYS))
    label = np.array([c in frauds.get(int(d), ()) for d, c in zip(day, card, strict=True)], np.uint8)
    return day, card, label


def test_training_ends_a_week_before_the_test() -> None:
    day, card, label = columns({})
    rows = fold(day, card, label, 3)
    assert (day[rows.train].min(), day[rows.train].max()) == (3, 9)
    assert (day[rows.test].min(), day[rows.test].max()) == (17, 23)


def test_a_longer_history_reaches_back_and_judges_the_same() -> None:
    day, card, label = columns({4: (1,)})
    week, month = fold(day, card, label, 10), fold(day, card, label, 10, 15)
    assert (day[month.train].min(), day[month.train].max()) == (2, 16)
    assert month.test.tolist() == week.test.tolist()


def test_cards_are_left_out_from_the_day_on_which_their_fraud_is_known() -> None:
    day, card, label = columns({5: (0,), 9: (1,), 10: (2,), 16: (3,)})
    rows = fold(day, card, label, 3).test
    judged = {c: set(day[rows][card[rows] == c].tolist()) for c in range(4)}
    # Training shows cards 0 and 1. A fraud of day 10 is known on day 18, a week and a day later.
    assert judged[0] == judged[1] == set()
    assert judged[2] == {17}
    # One of day 16 is known on the 24th, after the test.
    assert judged[3] == set(range(17, 24))


def test_a_day_has_a_hundred_cards_and_what_is_found_is_not_looked_into_again() -> None:
    day, card, label = columns({0: (2,), 1: (2, 3)})
    keep = day < 2
    day, card, label = day[keep], card[keep], label[keep]
    score = np.array([0.9, 0.1, 0.8, 0.2, 0.3, 0.2, 0.9, 0.8])
    # Day 0: cards 0 and 2 are looked into, 2 is found. Day 1: 2 is out, so 3 and 0 are, and 3 is found.
    assert card_precision(day, card, label, score, top=2) == pytest.approx(0.5)


def test_a_card_counts_once_a_day_by_its_highest_score() -> None:
    day, card = np.zeros(4, np.int64), np.array([0, 0, 0, 1])
    label, score = np.array([0, 1, 0, 0], np.uint8), np.array([0.9, 0.1, 0.8, 0.5])
    assert card_precision(day, card, label, score, top=1) == 1.0
    assert card_precision(day, card, label, score, top=2) == 0.5


def test_quality_is_the_mean_of_folds() -> None:
    day, card, label = columns({3: (1,)})
    perfect = judge(day, card, label, label.astype(float))
    assert (perfect.area_under_roc, perfect.average_precision) == (1.0, 1.0)
    mean = Quality.mean([perfect, Quality(0.5, 0.0, 0.0)])
    assert (mean.area_under_roc, mean.average_precision) == (0.75, 0.5)
