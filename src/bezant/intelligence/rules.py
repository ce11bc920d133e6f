"""The fallback scorer: used when the model is missing, too slow, or answers nonsense.

Points for each reason that the features show, with limits tighter than a model's, so that
losing the model holds more payments and never opens the gate. Rules ask for review; they never block.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bezant.errors import ModelError
from bezant.intelligence.features import FEATURES, FloatMatrix
from bezant.intelligence.reasons import ReasonArray, Reasons, observe

REVIEW_PPM = 350_000
"""Rule scores from here on are reviewed. Measured on four simulated worlds: 1.9 % of all payments and
57 % of the fraud once a month has passed; 4.3 % of payments in the first month, when every payee is new."""
MOST_PPM = 950_000

POINTS_PPM = {
    Reasons.NEW_PAYEE: 100_000,
    Reasons.MANY_NEW_PAYEES: 200_000,
    Reasons.BURST: 120_000,
    Reasons.AMOUNT_OUT_OF_HABIT: 200_000,
    Reasons.LARGE_AMOUNT: 120_000,
    Reasons.PASS_THROUGH: 280_000,
    Reasons.FAN_IN: 150_000,
    Reasons.CREDITOR_FORWARDS: 120_000,
    Reasons.NIGHT: 100_000,
    Reasons.NEW_ACCOUNT: 50_000,
}


def score_rules(x: FloatMatrix) -> tuple[npt.NDArray[np.uint32], ReasonArray]:
    """Return scores (n,) uint32 in parts per million and reason bits (n,) uint32 for x (n, F).

    A row with a feature that is no finite number gets REVIEW_PPM at least: what cannot be judged is
    looked at. Raises: ModelError for another shape.
    """
    if x.ndim != 2 or x.shape[1] != len(FEATURES):
        raise ModelError(f"features of shape {x.shape} do not suit rules on {len(FEATURES)}")
    bits = observe(x)
    score = np.zeros(len(x), np.uint32)
    for reason, points in POINTS_PPM.items():
        score += np.where(bits & np.uint32(reason), np.uint32(points), np.uint32(0))
    score = np.minimum(score, np.uint32(MOST_PPM))
    unreadable = ~np.isfinite(x).all(axis=1)
    score[unreadable] = np.maximum(score[unreadable], np.uint32(REVIEW_PPM))
    return score, bits | np.uint32(Reasons.RULES_DECIDED)
