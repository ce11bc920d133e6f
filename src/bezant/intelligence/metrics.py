"""How good scores are, and where to put the thresholds; plain numpy, ties handled exactly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

NEVER_PPM = 1_000_001
"""A threshold that no score reaches."""


def area_under_roc(label: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """Return the chance that a fraud scores above an honest payment, ties half; nan for one class."""
    truth, value = np.asarray(label).astype(bool), np.asarray(score)
    frauds, honest = int(truth.sum()), int((~truth).sum())
    if not frauds or not honest:
        return float("nan")
    _, group, sizes = np.unique(value, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(sizes) - (sizes - 1) / 2.0
    return float((middle_rank[group][truth].sum() - frauds * (frauds + 1) / 2.0) / (frauds * honest))


def average_precision(label: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """Return the area under the precision-recall steps; nan without frauds."""
    hits, flagged = _flagged_by_threshold(label, score)[1:]
    if not hits.size or not hits[-1]:
        return float("nan")
    return float((np.diff(hits, prepend=0) / hits[-1] * (hits / flagged)).sum())


def block_threshold(
    label: npt.ArrayLike, score_ppm: npt.ArrayLike, precision: float = 0.9, least: int = 20
) -> int:
    """Return the lowest score from which on at least `precision` is fraud, over `least` payments or more.

    NEVER_PPM where no score is that sure.
    """
    value, hits, flagged = _flagged_by_threshold(label, score_ppm)
    sure = np.flatnonzero((flagged >= least) & (hits >= precision * flagged))
    return int(value[sure[-1]]) if sure.size else NEVER_PPM


def review_threshold(score_ppm: npt.ArrayLike, block_ppm: int, budget: float = 0.005) -> int:
    """Return the lowest score with no more than `budget` of all payments from it up to `block_ppm`."""
    scores = np.asarray(score_ppm)
    value, _, flagged = _flagged_by_threshold(np.zeros(scores.size), np.where(scores >= block_ppm, 0, scores))
    within = np.flatnonzero((flagged <= budget * scores.size) & (value > 0))
    return int(value[within[-1]]) if within.size else min(block_ppm, NEVER_PPM)


def _flagged_by_threshold(
    label: npt.ArrayLike, score: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return distinct scores from the highest down, with frauds and payments at or above each."""
    value = np.asarray(score).astype(np.float64)
    order = np.argsort(-value, kind="stable")
    ranked = value[order]
    last = (
        np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if ranked.size else np.empty(0, np.int64)
    )
    hits = np.cumsum(np.asarray(label).astype(np.int64)[order])
    return ranked[last], hits[last], (last + 1).astype(np.int64)
