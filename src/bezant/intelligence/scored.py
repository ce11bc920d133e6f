"""Payments that one model scored, as those see them who look at scores afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bezant.intelligence.features import FloatMatrix


@dataclass(frozen=True, slots=True)
class Scored:
    """Columns in order: ids (n,) each, features x (n, F), scores (n,).

    `model` is the first half of its digest, zeros where rules gave the scores.
    """

    id_lo: npt.NDArray[np.uint64]
    id_hi: npt.NDArray[np.uint64]
    x: FloatMatrix
    score_ppm: npt.NDArray[np.uint32]
    model: bytes
