"""Metrics against small tables worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bezant.intelligence.metrics import (
    NEVER_PPM,
    area_under_roc,
    average_precision,
    block_threshold,
    review_threshold,
)


@pytest.mark.parametrize(
    ("label", "score", "area", "precision"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], 1.0, 1.0),
        ([1, 1, 0, 0], [1, 2, 3, 4], 0.0, (1 / 3 + 2 / 4) / 2),
        ([0, 1, 0, 1], [1, 2, 3, 4], 0.75, (1 + 2 / 3) / 2),
        ([0, 1, 0, 1], [5, 5, 5, 5], 0.5, 0.5),
        ([0, 1, 1], [1, 1, 2], 0.75, (1 + 2 / 3) / 2),
    ],
)
def test_ranking(label: list[int], score: list[int], area: float, precision: float) -> None:
    assert area_under_roc(label, score) == pytest.approx(area)
    assert average_precision(label, score) == pytest.approx(precision)


def test_one_class_has_no_ranking() -> None:
    assert math.isnan(area_under_roc([0, 0], [1, 2]))
    assert math.isnan(average_precision([0, 0], [1, 2]))


def test_block_is_the_lowest_sure_score() -> None:
    score = np.arange(1_000)
    label = (score >= 900).astype(np.uint8)
    assert block_threshold(label, score, precision=1.0) == 900
    assert block_threshold(label, score, precision=0.5) == 800
    assert block_threshold(np.zeros(1_000), score) == NEVER_PPM
    assert block_threshold(label, score, precision=1.0, least=101) == NEVER_PPM


def test_review_spends_its_budget_below_the_block() -> None:
    score = np.arange(1_000)
    assert review_threshold(score, NEVER_PPM, budget=0.01) == 990
    assert review_threshold(score, 900, budget=0.01) == 890
    tied = np.where(score < 500, 10, 20)
    assert review_threshold(tied, NEVER_PPM, budget=0.01) == NEVER_PPM
