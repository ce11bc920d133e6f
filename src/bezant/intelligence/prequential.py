"""The fraud-detection handbook's test: train on some days, wait for their labels, judge the days after.

Source: Le Borgne, Siblini, Lebichot, Bontempi, "Reproducible Machine Learning for Credit Card Fraud
Detection" (2022), its prequential validation. A fold trains on `days` days that end at the same moment
whatever their number, waits a week, in which labels become known, and judges the seven days after that. On
each of them cards whose fraud was known by the day before are left out, and of the rest a hundred can be
looked into.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bezant.intelligence import metrics

DAY_NS = 86_400 * 1_000_000_000
WEEK = 7
"""Days of training in the published figures, of label delay, and of a test."""
CARDS_A_DAY = 100

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows to train on and rows to judge, in order of time."""

    train: Rows
    test: Rows


@dataclass(frozen=True, slots=True)
class Quality:
    """What scores are worth on one fold's test: area under ROC, average precision, card precision at 100."""

    area_under_roc: float
    average_precision: float
    card_precision: float

    @classmethod
    def mean(cls, folds: list[Quality]) -> Quality:
        return cls(
            float(np.mean([one.area_under_roc for one in folds])),
            float(np.mean([one.average_precision for one in folds])),
            float(np.mean([one.card_precision for one in folds])),
        )


def fold(
    day: npt.NDArray[np.int64],
    card: npt.NDArray[np.integer],
    label: npt.NDArray[np.uint8],
    start: int,
    days: int = WEEK,
) -> Fold:
    """Return the fold whose week of training begins on day `start`; `days` reach further back from its end.

    Columns are (n,): day numbers, cards, 1 for fraud. Cards are left out by what the week of training and
    the days since have shown, so that folds of any `days` judge the same payments.
    """
    end = start + WEEK
    train = np.flatnonzero((day >= end - days) & (day < end))
    known = np.unique(card[(day >= start) & (day < end) & (label > 0)])
    test: list[Rows] = []
    for ahead in range(WEEK):
        known = np.union1d(known, card[(day == end + ahead - 1) & (label > 0)])
        rows = np.flatnonzero(day == end + WEEK + ahead)
        test.append(rows[~np.isin(card[rows], known)])
    return Fold(train, np.concatenate(test))


def judge(
    day: npt.NDArray[np.int64],
    card: npt.NDArray[np.integer],
    label: npt.NDArray[np.uint8],
    score: npt.NDArray[np.floating],
) -> Quality:
    """Return the quality of scores (n,) of one fold's test rows, columns (n,) alike."""
    return Quality(
        metrics.area_under_roc(label, score),
        metrics.average_precision(label, score),
        card_precision(day, card, label, score),
    )


def card_precision(
    day: npt.NDArray[np.int64],
    card: npt.NDArray[np.integer],
    label: npt.NDArray[np.uint8],
    score: npt.NDArray[np.floating],
    top: int = CARDS_A_DAY,
) -> float:
    """Return the mean over days of the share of the `top` cards that were compromised that day.

    Cards are ranked by their highest score of the day; one that was found is not looked into again.
    """
    found = np.zeros(0, card.dtype)
    shares: list[float] = []
    for today in np.unique(day):
        rows = np.flatnonzero((day == today) & ~np.isin(card, found))
        ranked = rows[np.argsort(-score[rows], kind="stable")]
        cards, first = np.unique(card[ranked], return_index=True)
        looked = cards[np.argsort(first)][:top]
        hit = looked[np.isin(looked, card[rows][label[rows] > 0])]
        shares.append(len(hit) / top)
        found = np.union1d(found, hit)
    return float(np.mean(shares))
