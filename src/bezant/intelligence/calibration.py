"""Platt scaling: from a model's margin to the probability that payments of that margin are fraud.

Source: J. Platt, "Probabilistic outputs for support vector machines" (1999), with its smoothed
targets, solved by Newton's method.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def fit_calibration(margin: npt.NDArray[np.float64], label: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Return (slope, intercept) so that 1 / (1 + exp(-(slope * margin + intercept))) is a probability.

    The slope is kept positive: a calibration never turns the order of a model around.
    """
    frauds = float(label.sum())
    honest = float(label.size) - frauds
    target = np.where(label > 0, (frauds + 1.0) / (frauds + 2.0), 1.0 / (honest + 2.0))
    slope, intercept = 1.0, 0.0
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-(slope * margin + intercept)))
        weight = np.maximum(p * (1.0 - p), 1e-12)
        off = target - p
        g0, g1 = float((off * margin).sum()), float(off.sum())
        h00 = float((weight * margin * margin).sum()) + 1e-9
        h01, h11 = float((weight * margin).sum()), float(weight.sum()) + 1e-9
        determinant = h00 * h11 - h01 * h01
        step0 = (h11 * g0 - h01 * g1) / determinant
        step1 = (h00 * g1 - h01 * g0) / determinant
        # A full Newton step can leap past the solution from far away; two units of log odds is far.
        shrink = min(1.0, 2.0 / max(abs(step0), abs(step1), 1e-300))
        slope, intercept = max(slope + shrink * step0, 1e-3), intercept + shrink * step1
        if max(abs(step0), abs(step1)) < 1e-10:
            break
    return slope, intercept
