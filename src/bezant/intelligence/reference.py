"""What inputs and scores looked like where a model was trained, kept in its card, and how far others are off.

The population stability index compares shares of the same bins: the sum of (observed - expected) times
ln(observed / expected). By convention under 0.1 is no change to speak of, from 0.25 on it is another
population.

Source: N. Siddiqi, "Credit Risk Scorecards" (2006), chapter 9.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from bezant.intelligence.features import FloatMatrix

BINS = 10
LEAST_SHARE = 1e-4
"""Taken for the share of a bin that is empty: a logarithm needs one."""
Counts = npt.NDArray[np.int64]


class Bins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ascending inner edges, each the first value of the bin above it; shares of all bins, one more."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]

    def count(self, values: npt.NDArray[np.floating | np.integer]) -> Counts:
        """Return how many of the values (n,) are in each bin."""
        places = np.searchsorted(np.array(self.edges, np.float64), values.astype(np.float64), side="right")
        return np.bincount(places, minlength=len(self.shares))


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bins of every input in the order of the card's features, and of the scores in parts per million."""

    inputs: tuple[Bins, ...]
    score: Bins


def describe(x: FloatMatrix, score_ppm: npt.NDArray[np.uint32]) -> Reference:
    """Return the reference of inputs (n, F) and of scores (m,)."""
    return Reference(tuple(bins_of(x[:, column]) for column in range(x.shape[1])), bins_of(score_ppm))


def bins_of(values: npt.NDArray[np.floating | np.integer]) -> Bins:
    """Return about BINS bins of like share; fewer where many values are the same."""
    if not len(values):
        return Bins((), (1.0,))
    ready = values.astype(np.float64)
    inner = np.quantile(ready, np.arange(1, BINS) / BINS, method="lower")
    edges = tuple(float(edge) for edge in np.unique(inner) if edge > ready.min())
    counts = Bins(edges, (0.0,) * (len(edges) + 1)).count(ready)
    return Bins(edges, tuple(round(float(share), 6) for share in counts / len(ready)))


def stability_index(expected: Bins, observed: Counts) -> float:
    """Return the population stability index of counts by bin; 0 where nothing was observed."""
    total = int(observed.sum())
    if not total:
        return 0.0
    shares = np.maximum(observed / total, LEAST_SHARE)
    wanted = np.maximum(np.array(expected.shares), LEAST_SHARE)
    return float(((shares - wanted) * np.log(shares / wanted)).sum())
