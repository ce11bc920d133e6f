"""Champion against challenger at equal alert budget, with intervals.

Both are allowed to alert on the same share of all payments that they scored, each on those it finds most
suspicious; what counts is what their alerts catch among the payments that were labelled since. Intervals are
percentiles of a paired bootstrap over the labelled payments: each resample judges both models by the same
ones, with the thresholds held where all of the traffic put them.

Source: B. Efron, R. Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 13 and 16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.float64]

RESAMPLES = 2_000
_AT_A_TIME = 20
LEVEL = 0.95
SEED = 1_007


@dataclass(frozen=True, slots=True)
class Interval:
    """A value that was measured, and its bounds at LEVEL; None where nothing can be said."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        return self.low is not None and self.high is not None and not self.low <= 0.0 <= self.high


@dataclass(frozen=True, slots=True)
class Judged:
    """One model: the lowest score that it alerts on, what share of known frauds its alerts catch, and what
    share of its labelled alerts are fraud."""

    threshold_ppm: int
    recall: Interval
    precision: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """`payments` that both scored, `labelled` of them, `frauds` of those; `budget` is a share of payments.

    Differences are challenger less champion: above zero the challenger is better.
    """

    payments: int
    labelled: int
    frauds: int
    budget: float
    champion: Judged
    challenger: Judged
    recall_difference: Interval
    precision_difference: Interval


def compare(
    champion_ppm: npt.NDArray[np.uint32],
    challenger_ppm: npt.NDArray[np.uint32],
    weight: npt.NDArray[np.uint32],
    fraud: npt.NDArray[np.int8],
    budget: float,
    seed: int = SEED,
) -> Comparison:
    """Return how two models that scored the same payments (n,) compare.

    `weight` is how many payments a row stands for; `fraud` 1, 0, or -1 where no label is known.
    """
    weights = weight.astype(np.float64)
    alerts = [alert_shares(scores, weights, budget) for scores in (champion_ppm, challenger_ppm)]
    known = fraud >= 0
    truth = (fraud[known] == 1).astype(np.float64) * weights[known]
    parts = [truth]
    for alert in alerts:
        parts += [alert[known] * truth, alert[known] * weights[known]]
    measured = _judge(np.ones((1, len(truth))), parts)
    resampled = _resampled(parts, seed)
    names = ("recall", "precision")
    intervals = {
        (model, name): _interval(measured[2 * model + at][0], resampled[2 * model + at])
        for model in (0, 1)
        for at, name in enumerate(names)
    }
    judged = [
        Judged(threshold_of(scores, alert), intervals[model, "recall"], intervals[model, "precision"])
        for model, (scores, alert) in enumerate(zip((champion_ppm, challenger_ppm), alerts, strict=True))
    ]
    differences = [
        _interval(measured[2 + at][0] - measured[at][0], resampled[2 + at] - resampled[at])
        for at in range(len(names))
    ]
    return Comparison(
        payments=int(weights.sum()),
        labelled=int(known.sum()),
        frauds=int((fraud == 1).sum()),
        budget=budget,
        champion=judged[0],
        challenger=judged[1],
        recall_difference=differences[0],
        precision_difference=differences[1],
    )


def alert_shares(scores: npt.NDArray[np.uint32], weights: Column, budget: float) -> Column:
    """Return by row how much of it is alerted on (n,), 0 to 1, so that the budget is spent exactly.

    Rows of the score at which it runs out share what is left, as if drawn among them by chance.
    """
    alerted = np.zeros(len(scores))
    if not len(scores):
        return alerted
    values, group = np.unique(scores, return_inverse=True)
    in_group = np.bincount(group, weights, len(values))
    above = np.cumsum(in_group[::-1])[::-1] - in_group
    share = np.clip((budget * weights.sum() - above) / in_group, 0.0, 1.0)
    alerted[:] = share[group]
    return alerted


def threshold_of(scores: npt.NDArray[np.uint32], alerted: Column) -> int:
    """Return the lowest score that is alerted on at all, 1,000,001 where none is."""
    found = scores[alerted > 0.0]
    return int(found.min()) if len(found) else 1_000_001


def _resampled(parts: list[Column], seed: int) -> list[Column]:
    """Return recall and precision of champion, then challenger, (RESAMPLES,) each."""
    random, labelled = np.random.default_rng(seed), len(parts[0])
    if not labelled:
        return [np.full(RESAMPLES, np.nan)] * 4
    drawn = []
    for _ in range(RESAMPLES // _AT_A_TIME):
        rows = random.integers(labelled, size=(_AT_A_TIME, labelled))
        rows += np.arange(_AT_A_TIME)[:, None] * labelled
        counts = np.bincount(rows.ravel(), minlength=_AT_A_TIME * labelled)
        drawn.append(_judge(counts.reshape(_AT_A_TIME, labelled).astype(np.float64), parts))
    return [np.concatenate(column) for column in zip(*drawn, strict=True)]


def _judge(counts: Column, parts: list[Column]) -> list[Column]:
    """Return recall and precision of both models where labelled payment m was drawn counts[b, m] times."""
    truth, *alerts = (counts @ part for part in parts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return [caught / of for caught, alerted in (alerts[:2], alerts[2:]) for of in (truth, alerted)]


def _interval(value: float, resampled: Column) -> Interval:
    if np.isnan(value):
        return Interval(None, None, None)
    usable = resampled[~np.isnan(resampled)]
    edges = np.quantile(usable, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)) if len(usable) else (np.nan, np.nan)
    low, high = (None if np.isnan(edge) else round(float(edge), 4) for edge in edges)
    return Interval(round(float(value), 4), low, high)
