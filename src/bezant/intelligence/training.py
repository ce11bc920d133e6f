"""From a labelled history to a model: features as served, trees, calibration, thresholds.

The split is by time, never by chance: the oldest 60 % grow the trees, the next 20 % calibrate and
set thresholds, the newest 20 % are only measured. The same history and seed give the same file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bezant.errors import ModelError
from bezant.intelligence import metrics
from bezant.intelligence.calibration import fit_calibration
from bezant.intelligence.features import FEATURES, FeatureState, FloatMatrix
from bezant.intelligence.forest import parse_forest
from bezant.intelligence.model import Metrics, Model, ModelCard
from bezant.intelligence.reference import describe

Progress = Callable[[str, float], None]
"""Called with the name of a step and how much of it is done, 0 to 1."""

TREES = 200
LEAVES = 8
MAX_DEPTH = 6
"""Bounds the steps of every walk; see `forest`. Small trees and many: chosen on the card payments' folds
before 2018-07-25, where 300 of 16 leaves, or fewer features, were no better."""
BATCH = 1_000
LABEL_DELAY_NS = 7 * 86_400 * 1_000_000_000
"""When a fraud becomes known, where a history does not say: a week later, as in the fraud handbook."""
TRAINED, VALIDATED = 0.6, 0.8


@dataclass(frozen=True, slots=True)
class History:
    """Settled payments in order of time, as columns (n,), and which of them were fraud.

    `debtor`, `creditor` are account rows; `amount_minor` in minor units of an asset with `scale`
    decimals; `time_ns` since 1970; `label` 1 for fraud. `known_ns` (n,) is when a label became known; a
    week after its payment where it is empty. `device` and `terminal` are 64-bit keys, empty where there
    are none.
    """

    debtor: npt.NDArray[np.integer]
    creditor: npt.NDArray[np.integer]
    amount_minor: npt.NDArray[np.uint64]
    time_ns: npt.NDArray[np.int64]
    label: npt.NDArray[np.uint8]
    scale: int = 2
    known_ns: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    device: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    terminal: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    def __len__(self) -> int:
        return self.debtor.size


def train(
    history: History,
    seed: int,
    progress: Progress | None = None,
    *,
    source: str = "history",
    trees: int = TREES,
    leaves: int = LEAVES,
) -> Model:
    """Return a model learned from a history.

    Raises: ModelError where there is too little to learn from: under 1,000 payments, or no fraud in
    one of the three parts.
    """
    report = progress or (lambda step, share: None)
    x = replay_features(history, report)
    return fit(x, history.label, history.time_ns, seed, report, source=source, trees=trees, leaves=leaves)


def replay_features(history: History, progress: Progress) -> FloatMatrix:
    """Return X (n, F) as serving would have computed it: batch after batch, and a label when it is known.

    A label that becomes known within a batch counts from the next one on: later than it might, never earlier.
    """
    state, total = FeatureState(), len(history)
    x = np.empty((total, len(FEATURES)), np.float32)
    labels = _Labels(history)
    for start in range(0, total, BATCH):
        rows = slice(start, start + BATCH)
        labels.tell(state, int(history.time_ns[start]))
        columns = (
            history.debtor[rows],
            history.creditor[rows],
            history.amount_minor[rows],
            history.time_ns[rows],
        )
        device = history.device[rows] if history.device.size else None
        terminal = history.terminal[rows] if history.terminal.size else None
        x[rows] = state.compute(*columns, scale=history.scale, device=device, terminal=terminal)
        state.learn(*columns, scale=history.scale, device=device, terminal=terminal)
        progress("features", min(start + BATCH, total) / total)
    return x


class _Labels:
    """The frauds of a history in the order in which they become known."""

    def __init__(self, history: History) -> None:
        frauds = np.flatnonzero(history.label)
        known = history.known_ns if history.known_ns.size else history.time_ns + LABEL_DELAY_NS
        self._rows = frauds[np.argsort(known[frauds], kind="stable")]
        self._known_ns = known[self._rows]
        self._history = history
        self._told = 0

    def tell(self, state: FeatureState, now_ns: int) -> None:
        """Tell the state of every fraud that is known by now and was not told before."""
        until = int(np.searchsorted(self._known_ns, now_ns, side="right"))
        if until == self._told:
            return
        rows, history = self._rows[self._told : until], self._history
        state.label(
            history.debtor[rows],
            history.creditor[rows],
            history.time_ns[rows],
            self._known_ns[self._told : until],
            terminal=history.terminal[rows] if history.terminal.size else None,
        )
        self._told = until


def fit(
    x: FloatMatrix,
    label: npt.NDArray[np.uint8],
    time_ns: npt.NDArray[np.int64],
    seed: int,
    progress: Progress,
    *,
    source: str,
    features: tuple[str, ...] = FEATURES,
    trees: int = TREES,
    leaves: int = LEAVES,
) -> Model:
    """Return a model of x (n, F) in order of time; see `train` for what it raises."""
    total = len(x)
    first, second = int(total * TRAINED), int(total * VALIDATED)
    if total < 1_000 or not all(part.any() for part in (label[:first], label[first:second], label[second:])):
        raise ModelError(
            f"{total} payments with {int(label.sum())} frauds are too few to train, validate and test on; "
            "use a longer history",
            code="history_too_short",
        )
    text, library = grow(x[:first], label[:first], seed, progress, features, trees, leaves)
    forest = parse_forest(text, len(features))
    margin, _ = forest.score(x[first:second], 1.0, 0.0)
    slope, intercept = fit_calibration(margin, label[first:second])
    validated = forest.score(x[first:second], slope, intercept)[1]
    block_ppm = metrics.block_threshold(label[first:second], validated)
    review_ppm = metrics.review_threshold(validated, block_ppm)
    tested = forest.score(x[second:], slope, intercept)[1]
    progress("calibration", 1.0)
    card = ModelCard(
        source=source,
        seed=seed,
        features=features,
        trees=len(forest.feature),
        leaves=leaves,
        trained_from_ns=int(time_ns[0]),
        trained_to_ns=int(time_ns[first - 1]),
        validated_to_ns=int(time_ns[second - 1]),
        tested_to_ns=int(time_ns[-1]),
        payments_trained=first,
        frauds_trained=int(label[:first].sum()),
        payments_validated=second - first,
        frauds_validated=int(label[first:second].sum()),
        slope=slope,
        intercept=intercept,
        review_ppm=review_ppm,
        block_ppm=block_ppm,
        metrics=measure(label[second:], tested, review_ppm, block_ppm),
        library=library,
        reference=describe(x[:first], validated),
    )
    return Model.build(card, text)


def measure(
    label: npt.NDArray[np.uint8], score_ppm: npt.NDArray[np.uint32], review_ppm: int, block_ppm: int
) -> Metrics:
    """Return the metrics of scores (n,) against labels (n,) at two thresholds."""
    blocked = score_ppm >= block_ppm
    flagged = blocked | (score_ppm >= review_ppm)
    reviewed = flagged & ~blocked
    return Metrics(
        payments=label.size,
        frauds=int(label.sum()),
        expected_frauds=round(float(score_ppm.sum(dtype=np.uint64)) / 1e6, 2),
        area_under_roc=_rounded(metrics.area_under_roc(label, score_ppm)),
        average_precision=_rounded(metrics.average_precision(label, score_ppm)),
        review_share=round(float(reviewed.mean()), 6),
        block_share=round(float(blocked.mean()), 6),
        recall=_share(flagged, label),
        review_precision=_share(label, reviewed),
        block_precision=_share(label, blocked),
    )


def grow(
    x: FloatMatrix,
    label: npt.NDArray[np.uint8],
    seed: int,
    progress: Progress,
    features: tuple[str, ...] = FEATURES,
    trees: int = TREES,
    leaves: int = LEAVES,
) -> tuple[str, str]:
    """Return a LightGBM text and the library's version; one thread, so that sums have one order."""
    import lightgbm  # Takes 0.7 s to import, and only training needs it.

    parameters = {
        "objective": "binary",
        "num_leaves": leaves,
        "max_depth": MAX_DEPTH,
        "learning_rate": 0.05,
        "min_data_in_leaf": 30,
        "lambda_l2": 5.0,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "feature_fraction": 0.5,
        "use_missing": False,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed % 2**31,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(x, label, feature_name=list(features))
    booster = lightgbm.train(
        parameters, data, trees, callbacks=[lambda step: progress("trees", (step.iteration + 1) / trees)]
    )
    return booster.model_to_string(), f"lightgbm {lightgbm.__version__}"


def _share(of: npt.NDArray[np.generic], among: npt.NDArray[np.generic]) -> float | None:
    """Return how much of `among` is also in `of`; None where it is empty."""
    members = among.astype(bool)
    return round(float(of.astype(bool)[members].mean()), 4) if members.any() else None


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 5)
