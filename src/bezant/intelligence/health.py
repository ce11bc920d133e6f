"""Signs that a scorer has stopped telling payments apart."""

from __future__ import annotations

from enum import IntFlag

import numpy as np
import numpy.typing as npt

from bezant.intelligence.features import FloatMatrix

ENOUGH = 64
"""Rows below which equal answers prove nothing."""


class Symptom(IntFlag):
    """What is wrong with one batch of scores; zero is healthy."""

    FEATURES_NOT_FINITE = 1
    MARGIN_NOT_FINITE = 2
    SCORE_OUT_OF_RANGE = 4
    CONSTANT = 8
    """Payments that differ all got the same margin."""


def symptoms(x: FloatMatrix, margin: npt.NDArray[np.float64], score_ppm: npt.NDArray[np.uint32]) -> Symptom:
    """Return what is wrong with margins (n,) and scores (n,) for features x (n, F); 0 if nothing is."""
    found = Symptom(0)
    if not np.isfinite(x).all():
        found |= Symptom.FEATURES_NOT_FINITE
    if not np.isfinite(margin).all():
        found |= Symptom.MARGIN_NOT_FINITE
    if (score_ppm > 1_000_000).any():
        found |= Symptom.SCORE_OUT_OF_RANGE
    if len(x) >= ENOUGH and (margin == margin[0]).all() and (x != x[0]).any(axis=1).sum() >= ENOUGH // 2:
        found |= Symptom.CONSTANT
    return found
