"""Signs that a scorer has stopped telling payments apart."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag

import numpy as np
import numpy.typing as npt

from bezant.intelligence.features import FloatMatrix
from bezant.intelligence.model import Model
from bezant.intelligence.scored import Scored

ENOUGH = 64
"""Rows of one batch below which equal answers prove nothing."""
STEADY = 1_024
"""Payments in a row of one score that make a model be asked whether it tells anything apart."""
PROBES = 256


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
    """Finds a model that scores everything alike where batches are too small to show it one by one.

    Many like payments of one payer may well score alike. So what looks like a constant is asked about
    payments on both sides of whatever its trees ask: only who answers those alike too tells nothing apart.
    """

    def __init__(
        self, champion: Callable[[], Model | None], on_constant: Callable[[bytes, str], None]
    ) -> None:
        """`on_constant` hears the model's name and what it does."""
        self._champion, self._on_constant = champion, on_constant
        self._model, self._score, self._alike = b"", -1, 0

    def look(self, seen: Scored) -> None:
        """Take payments that a model scored, in order."""
        if not any(seen.model):
            return
        differs = np.flatnonzero(seen.score_ppm != seen.score_ppm[0])
        if seen.model != self._model or len(differs) or int(seen.score_ppm[0]) != self._score:
            last = int(differs[-1]) + 1 if len(differs) else 0
            self._model, self._score = seen.model, int(seen.score_ppm[-1])
            self._alike = len(seen.score_ppm) - last
        else:
            self._alike += len(seen.score_ppm)
        if self._alike < STEADY:
            return
        alike, self._alike = self._alike, 0
        champion = self._champion()
        if champion is not None and champion.name == seen.model and is_constant(champion):
            self._on_constant(
                seen.model, f"it gave {alike} payments in a row, and whatever else it was asked, one score"
            )


def is_constant(model: Model) -> bool:
    """Return whether a model answers alike on both sides of whatever its trees ask."""
    random, forest = np.random.default_rng(PROBES), model.forest
    x = np.zeros((PROBES, len(model.card.features)), np.float32)
    for column in range(x.shape[1]):
        asked = forest.threshold[(forest.feature == column) & np.isfinite(forest.threshold)]
        if len(asked):
            x[:, column] = random.choice(asked, PROBES)
    above = random.random(x.shape) < 0.5
    margin, _ = model.examine(np.where(above, np.nextafter(x, np.float32(np.inf)), x))
    return bool((margin == margin[0]).all())
