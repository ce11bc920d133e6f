"""A score that a test can foresee: amounts that end in 77.77 look like fraud, no others do."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bezant.pipeline.batch import PaymentBatch
from bezant.stages.score import Score

SUSPICIOUS_MINOR = 77_77
_MODULUS = 100_00


class ScoreByAmount(Score):
    """Stands where the model stands; features are computed as ever."""

    version: ClassVar = "by-amount-1"

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        rows = self._compute(batch)
        suspicious = batch.records["amount"][rows] % np.uint64(_MODULUS) == np.uint64(SUSPICIOUS_MINOR)
        batch.score_ppm[rows] = np.where(suspicious, np.uint32(900_000), np.uint32(0))
        batch.model = bytes(16)
        return batch
