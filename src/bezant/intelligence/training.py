"""From a labelled history to a model: features as served, trees, calibration, thresholds.

The split is by time, never by chance: the oldest 60 % grow the trees, the next 20 % calibrate and
set thresholds, the newest 20 % are only measured. The same history and seed give the same file.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from bezant.errors import ModelError
from bezant.intelligence import metrics
from bezant.intelligence.calibration import fit_calibration
from bezant.intelligence.costs import Costs, compare
from bezant.intelligence.features import COLUMN, FEATURES, FloatMatrix
from bezant.intelligence.forest import parse_forest
from bezant.intelligence.history import History, Progress, replay_features
from bezant.intelligence.model import Metrics, Model, ModelCard
from bezant.intelligence.reference import describe

TREES = 200
LEAVES = 8
MAX_DEPTH = 6
"""Bounds the steps of every walk; see `forest`. Small trees and many: chosen on the card payments' folds
before 2018-07-25, where 300 of 16 leaves, or fewer features, were no better."""
TRAINED, VALIDATED = 0.6, 0.8


def train(
    history: History,
    seed: int,
    progress: Progress | None = None,
    *,
    source: str = "history",
    trees: int = TREES,
    leaves: int = LEAVES,
    costs: Costs | None = None,
) -> Model:
    """Return a model learned from a history; its card says what its decisions cost, where `costs` are given.

    Those are of payments in the asset that costs are in; a history that names no assets is all in it.

    Raises: ModelError where there is too little to learn from: under 1,000 payments, or no fraud in
    one of the three parts.
    """
    report = progress or (lambda step, share: None)
    x = replay_features(history, report)
    judged = history.judged if history.judged.size else slice(None)
    x, label, time_ns = x[judged], history.label[judged], history.time_ns[judged]
    model = fit(x, label, time_ns, seed, report, source=source, trees=trees, leaves=leaves)
    if costs is None:
        return model
    newest = np.arange(int(len(x) * VALIDATED), len(x))
    rows = newest
    if history.asset.size:
        rows = newest[history.asset[judged][newest] == costs.asset.encode()]
    priced = compare(
        costs,
        label[rows],
        model.score(x[rows]),
        history.amount_minor[judged][rows],
        x[rows, COLUMN["pair_new"]] > 0,
        model.card.review_ppm,
        model.card.block_ppm,
    )
    priced = msgspec.structs.replace(priced, other_assets=len(newest) - len(rows))
    return Model.build(msgspec.structs.replace(model.card, costs=priced), model.trees)


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
