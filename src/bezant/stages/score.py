"""How likely is it fraud: the model on streaming features, the rules where there is no model."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bezant.chain.sharing import work_together
from bezant.errors import ModelError
from bezant.intelligence.features import FEATURES, FeatureState, FloatMatrix
from bezant.intelligence.health import symptoms
from bezant.intelligence.model import Model
from bezant.intelligence.rules import score_rules
from bezant.model.records import NO_ROW
from bezant.pipeline.batch import PaymentBatch
from bezant.stages.resources import Resources

SHARED_FROM = 512
"""From this many payments on, two threads walk the trees."""


class Score:
    """Pure: learning happens elsewhere, from committed blocks."""

    name: ClassVar = "score"
    version: ClassVar = "lightgbm-1"
    reads: ClassVar = frozenset({"records", "payloads", "debtor_row", "creditor_row", "refused"})
    writes: ClassVar = frozenset({"device", "terminal", "features", "score_ppm", "reasons", "model"})
    has_fallback: ClassVar = True
    budget_us: ClassVar = 200.0
    budget_base_us: ClassVar = 100_000.0

    def __init__(self, resources: Resources) -> None:
        self._features: FeatureState = resources.features
        self._model: Model | None = resources.model
        self._scales = resources.scales
        self._instruments = resources.instruments
        self._executor = resources.executor
        self._load_kernels()

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        if self._model is None:
            raise ModelError("no model is loaded; payments are judged by rules", code="model_missing")
        rows = self._compute(batch)
        if len(rows):
            x = batch.features if len(rows) == len(batch) else batch.features[rows]
            margin, score = self._examine(self._model, x)
            sick = symptoms(x, margin, score)
            if sick:
                raise ModelError(f"the model answers nonsense: {sick!r}", code="model_nonsense")
            batch.score_ppm[rows] = score
        batch.model = self._model.name
        return batch

    def _examine(
        self, model: Model, x: FloatMatrix
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint32]]:
        """Walk the trees, of a large batch together with another thread; a row's score is the same in any
        batch, on any thread."""
        helpers = 1 if len(x) >= SHARED_FROM else 0
        return model.examine(x, lambda work: work_together(work, self._executor, helpers))

    def fall_back(self, batch: PaymentBatch) -> PaymentBatch:
        rows = self._compute(batch)
        batch.score_ppm[rows], batch.reasons[rows] = score_rules(batch.features[rows])
        batch.model = bytes(16)
        return batch

    def _load_kernels(self) -> None:
        """Load compiled code now: the first payments would wait for it, and the stage break its budget."""
        state = FeatureState(accounts=1, pairs=1)
        x = state.compute([0], [0], [1], [0])
        state.learn([0], [0], [1], [0], np.zeros(1, np.bool_))
        score_rules(x)
        if self._model is not None:
            self._model.examine(x)

    def _compute(self, batch: PaymentBatch) -> npt.NDArray[np.intp]:
        known = (batch.debtor_row != NO_ROW) & (batch.creditor_row != NO_ROW)
        rows = (batch.pays & known).nonzero()[0]
        batch.device, batch.terminal = self._instruments.read(batch.payloads)
        # A batch that goes whole is not chosen from, which would copy every column.
        chosen = rows if len(rows) < len(batch) else slice(None)
        scale = self._scales[np.minimum(batch.records["asset"][chosen], len(self._scales) - 1)]
        x = self._features.compute(
            batch.debtor_row[chosen].astype(np.int64),
            batch.creditor_row[chosen].astype(np.int64),
            batch.records["amount"][chosen],
            batch.time_ns[chosen],
            scale=scale,
            device=batch.device[chosen],
            terminal=batch.terminal[chosen],
        )
        if len(rows) == len(batch):
            batch.features = x
        else:
            batch.features = np.zeros((len(batch), len(FEATURES)), np.float32)
            batch.features[rows] = x
        return rows
