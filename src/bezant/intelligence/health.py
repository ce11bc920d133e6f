"""Signs that a scorer has stopped telling payments apart."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag

import numpy as np
import numpy.typing as npt

from bezant.intelligence.features import FloatMatrix
from bezant.intelligence.scored import Scored

ENOUGH = 64
"""Rows of one batch below which equal answers prove nothing."""
STEADY = 1_024
"""Payments in a row, of at least half as many kinds, that no scorer which tells them apart scores alike."""


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


class Pulse:
    """Finds a model that scores everything alike where batches are too small to show it one by one."""

    def __init__(self, on_constant: Callable[[bytes, str], None]) -> None:
        """`on_constant` hears the model's name and what it does, once each time."""
        self._on_constant = on_constant
        self._model = b""
        self._score = -1
        self._alike: list[FloatMatrix] = []

    def look(self, seen: Scored) -> None:
        if not any(seen.model):
            return
        differs = np.flatnonzero(seen.score_ppm != seen.score_ppm[0])
        if seen.model != self._model or len(differs) or int(seen.score_ppm[0]) != self._score:
            last = int(differs[-1]) + 1 if len(differs) else 0
            self._model, self._score, self._alike = seen.model, int(seen.score_ppm[-1]), [seen.x[last:]]
        else:
            self._alike.append(seen.x)
        if sum(len(x) for x in self._alike) < STEADY:
            return
        kinds = len(np.unique(np.concatenate(self._alike), axis=0))
        self._alike = []
        if kinds >= STEADY // 2:
            self._on_constant(
                seen.model, f"it gave {kinds} different payments in a row the same score, {self._score} ppm"
            )
