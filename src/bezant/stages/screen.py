"""May its parties be paid: a look-up, because names were matched when the parties registered."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bezant.model.outcomes import Verdict
from bezant.pipeline.batch import PaymentBatch
from bezant.stages.resources import Resources


class Screen:
    """Takes the worse of what screening said of debtor and creditor."""

    name: ClassVar = "screen"
    version: ClassVar = "names-1"
    reads: ClassVar = frozenset({"debtor_row", "creditor_row"})
    writes: ClassVar = frozenset({"screening"})
    has_fallback: ClassVar = True
    budget_us: ClassVar = 10.0
    budget_base_us: ClassVar = 100_000.0

    def __init__(self, resources: Resources) -> None:
        self._parties = resources.parties

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        batch.screening = np.maximum(
            self._parties.screening(batch.debtor_row), self._parties.screening(batch.creditor_row)
        )
        return batch

    def fall_back(self, batch: PaymentBatch) -> PaymentBatch:
        """A person looks at every payment."""
        batch.screening = np.full(len(batch), Verdict.REVIEW, np.uint8)
        return batch
