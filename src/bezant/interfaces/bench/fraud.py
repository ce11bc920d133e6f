"""The fraud model on the handbook's own protocol, beside what was published for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bezant.errors import InputError
from bezant.intelligence.features import FEATURES, FloatMatrix
from bezant.intelligence.forest import parse_forest
from bezant.intelligence.history import History, replay_features
from bezant.intelligence.prequential import DAY_NS, WEEK, Quality, fold, judge
from bezant.intelligence.training import LEAVES, TREES, grow
from bezant.interfaces.bench.machine import describe_machine
from bezant.interfaces.files.cards import CardFile
from bezant.interfaces.histories import history_of_file

PUBLISHED: dict[str, tuple[float, float, float]] = {
    "decision tree": (0.797, 0.579, 0.284),
    "logistic regression": (0.868, 0.623, 0.297),
    "random forest": (0.870, 0.678, 0.299),
    "XGBoost": (0.869, 0.687, 0.303),
    "feed-forward network": (0.876, 0.675, 0.303),
    "LSTM": (0.876, 0.665, 0.297),
}
"""AUC ROC, average precision, card precision at 100: the handbook's, four folds, a week of training."""
TEST_STARTS = (date(2018, 7, 25), date(2018, 8, 1), date(2018, 8, 8), date(2018, 8, 15))
"""The first days of training of the folds that those figures are of."""
CHOICE_STARTS = (date(2018, 6, 20), date(2018, 6, 27), date(2018, 7, 4), date(2018, 7, 11), date(2018, 7, 18))
"""Folds on which features and the shape of the trees were chosen; the others were not looked at for that."""
LONGER = 70
"""Days of the longer history."""

Note = Callable[[str, float], None]


def run_fraud_bench(path: Path, *, seed: int, starts: Sequence[date] = (), note: Note) -> dict[str, object]:
    """Return the report on a file of labelled card payments, ready for JSON.

    `starts` are the first days of training; without any, the published folds. Raises: InputError for a
    file without labels, or one that ends before a fold does.
    """
    history = history_of_file(CardFile(path))
    card = history.debtor.astype(np.int64)
    day = history.time_ns // DAY_NS
    x = replay_features(history, note)
    chosen = tuple(starts) or TEST_STARTS
    lengths = {"a week of training": WEEK, f"{LONGER} days of training": LONGER}
    results: dict[str, object] = {}
    for position, (name, days) in enumerate(lengths.items()):
        folds: dict[str, Quality] = {}
        for number, start in enumerate(chosen):
            note(f"{name}, from {start}", (position + number / len(chosen)) / len(lengths))
            folds[str(start)] = _run_fold(history, card, day, x, start, days, seed)
        mean = Quality.mean(list(folds.values()))
        results[name] = {"mean": _rounded(mean), "folds": {start: _rounded(q) for start, q in folds.items()}}
    return {
        "machine": describe_machine(),
        "data": {"file": path.name, "payments": len(history), "frauds": int(history.label.sum())},
        "protocol": "a week for labels, a week of test; cards of known fraud are left out; simulated data",
        "model": {"trees": TREES, "leaves": LEAVES, "features": len(FEATURES), "seed": seed},
        "chosen_on_folds_from": [str(start) for start in CHOICE_STARTS],
        "folds_from": [str(start) for start in chosen],
        "results": results,
        "perfect_card_precision": round(_perfect(card, day, history.label, chosen), 4),
        "published": {name: dict(zip(_FIGURES, figures, strict=True)) for name, figures in PUBLISHED.items()},
    }


_FIGURES = ("area_under_roc", "average_precision", "card_precision")


def _run_fold(
    history: History,
    card: npt.NDArray[np.int64],
    day: npt.NDArray[np.int64],
    x: FloatMatrix,
    start: date,
    days: int,
    seed: int,
) -> Quality:
    first = _day_number(start)
    if first + 3 * WEEK - 1 > day[-1]:
        last = datetime.fromtimestamp(int(day[-1]) * 86_400, UTC).date()
        raise InputError(
            f"a fold that trains from {start} is judged until {start + timedelta(days=3 * WEEK - 1)}, "
            f"and the file ends on {last}",
            code="fold_beyond_file",
        )
    rows = fold(day, card, history.label, first, days)
    text, _ = grow(x[rows.train], history.label[rows.train], seed, lambda step, share: None)
    # By the kernel that serves, not by the library that trained.
    margin, _ = parse_forest(text, len(FEATURES)).score(x[rows.test], 1.0, 0.0)
    return judge(day[rows.test], card[rows.test], history.label[rows.test], margin)


def _perfect(
    card: npt.NDArray[np.int64],
    day: npt.NDArray[np.int64],
    label: npt.NDArray[np.uint8],
    starts: Sequence[date],
) -> float:
    """Return the card precision of scores that are the labels themselves: what nobody can exceed."""
    values = []
    for start in starts:
        test = fold(day, card, label, _day_number(start)).test
        values.append(judge(day[test], card[test], label[test], label[test].astype(float)).card_precision)
    return float(np.mean(values))


def _rounded(quality: Quality) -> dict[str, float]:
    return {figure: round(value, 4) for figure, value in asdict(quality).items()}


def _day_number(day: date) -> int:
    return (day - date(1970, 1, 1)).days
