"""Training, the model file, and scores that agree with LightGBM bit for bit."""

from __future__ import annotations

import ctypes
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from bezant.economy.training import train_on_economy
from bezant.errors import ModelError
from bezant.intelligence.calibration import fit_calibration
from bezant.intelligence.features import FEATURES
from bezant.intelligence.forest import FEW, LANES, parse_forest
from bezant.intelligence.history import History
from bezant.intelligence.metrics import area_under_roc, average_precision
from bezant.intelligence.model import Model
from bezant.intelligence.training import fit, train

from .conftest import Judged


def test_fraud_is_learned(model: Model, judged: Judged) -> None:
    """On simulated time after training, and in a world the model never saw."""
    assert model.card.metrics.area_under_roc is not None
    assert model.card.metrics.area_under_roc > 0.9
    score = model.score(judged.x)
    assert area_under_roc(judged.label, score) > 0.9
    assert average_precision(judged.label, score) > 20 * judged.label.mean()


def test_scores_are_probabilities(model: Model, judged: Judged) -> None:
    """The frauds a model expects in another world are within a factor of two of those that are there."""
    expected = model.score(judged.x).sum() / 1e6
    assert 0.5 < expected / judged.label.sum() < 2.0


def test_same_seed_same_file_other_seed_other_file(model: Model, tmp_path: Path) -> None:
    steps: list[tuple[str, float]] = []
    again = train_on_economy(
        5, 30_000, tmp_path / "a.model", lambda step, share: steps.append((step, share)), attackers=False
    )
    assert again.digest == model.digest
    assert again.card == model.card
    assert train_on_economy(6, 30_000, attackers=False).digest != model.digest
    assert list(dict.fromkeys(step for step, _ in steps)) == ["features", "trees", "calibration"]
    assert all(0.0 < share <= 1.0 for _, share in steps)


def test_the_card_says_what_was_done(model: Model) -> None:
    card = model.card
    assert card.features == FEATURES
    assert (card.trees, card.leaves, card.seed) == (200, 8, 5)
    assert card.payments_trained + card.payments_validated + card.metrics.payments == 30_000
    assert card.trained_from_ns < card.trained_to_ns < card.validated_to_ns < card.tested_to_ns
    assert 0 < card.review_ppm < card.block_ppm
    assert card.metrics.review_share <= 0.015


def test_margins_equal_lightgbm_bit_for_bit(model: Model, judged: Judged) -> None:
    booster = lightgbm.Booster(model_str=model.trees)
    x = judged.x[:3_003]
    oracle = booster.predict(x, raw_score=True, num_threads=1)
    assert model.examine(x)[0].tobytes() == oracle.tobytes()


def test_margins_equal_lightgbms_single_row_path(model: Model, judged: Judged) -> None:
    booster = lightgbm.Booster(model_str=model.trees)
    library, handle = lightgbm.basic._LIB, ctypes.c_void_p()
    row, out, length = np.empty(len(FEATURES), np.float32), np.empty(1), ctypes.c_int64()
    made = library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle,
        ctypes.c_int(1),  # raw score
        ctypes.c_int(0),
        ctypes.c_int(-1),
        ctypes.c_int(0),  # float32
        ctypes.c_int32(len(FEATURES)),
        ctypes.c_char_p(b"num_threads=1"),
        ctypes.byref(handle),
    )
    assert made == 0
    for i in range(200):
        row[:] = judged.x[i]
        library.LGBM_BoosterPredictForMatSingleRowFast(
            handle,
            row.ctypes.data_as(ctypes.c_void_p),
            ctypes.byref(length),
            out.ctypes.data_as(ctypes.POINTER(ctypes.c_double)),
        )
        assert model.examine(judged.x[i : i + 1])[0][0] == out[0]
    library.LGBM_FastConfigFree(handle)


def test_values_on_a_threshold_go_the_way_lightgbm_goes(model: Model, judged: Judged) -> None:
    forest, x = model.forest, np.repeat(judged.x[:1], 2_000, axis=0)
    inner = np.argwhere(np.isfinite(forest.threshold))[:1_000]
    for k, (tree, node) in enumerate(inner):
        bound = forest.threshold[tree, node]
        x[2 * k, forest.feature[tree, node]] = bound
        x[2 * k + 1, forest.feature[tree, node]] = np.nextafter(bound, np.float32(np.inf))
    oracle = lightgbm.Booster(model_str=model.trees).predict(x, raw_score=True, num_threads=1)
    assert model.examine(x)[0].tobytes() == oracle.tobytes()


@pytest.mark.parametrize("leaves", [2, 9, 127])
def test_small_and_large_trees_agree_with_lightgbm_in_batches_of_any_size(leaves: int) -> None:
    rng = np.random.default_rng(leaves)
    x = rng.normal(size=(2_000, 7)).astype(np.float32)
    label = (x[:, 0] * x[:, 1] + rng.normal(size=2_000) > 0.5).astype(int)
    quiet = {"verbosity": -1, "num_threads": 1, "use_missing": False}
    grown = {"objective": "binary", "num_leaves": leaves, "min_data_in_leaf": 2, "seed": 1}
    booster = lightgbm.train({**quiet, **grown}, lightgbm.Dataset(x, label), 11)
    forest = parse_forest(booster.model_to_string(), 7)
    assert forest.feature.shape == (11, 2 * leaves - 1)
    oracle = booster.predict(x, raw_score=True, num_threads=1)
    for size in (1, FEW - 1, FEW, LANES - 1, LANES, LANES + FEW - 1, LANES + FEW, 3 * LANES):
        assert forest.score(x[:size], 1.0, 0.0)[0].tobytes() == oracle[:size].tobytes()


def test_what_is_no_number_goes_the_same_way_in_any_batch(model: Model, judged: Judged) -> None:
    x = judged.x[: 2 * LANES].copy()
    rng = np.random.default_rng(1)
    odd = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    where = rng.random(x.shape) < 0.3
    x[where] = rng.choice(odd, int(where.sum()))
    assert np.isnan(x).any(axis=1).all()
    singly = np.concatenate([model.examine(x[i : i + 1])[0] for i in range(len(x))])
    assert model.examine(x)[0].tobytes() == singly.tobytes()
    assert singly.tobytes() != model.examine(np.nan_to_num(x))[0].tobytes()


def test_a_row_scores_the_same_in_any_batch_on_any_thread(model: Model, judged: Judged) -> None:
    x = judged.x[:517]
    whole = model.score(x)
    assert np.concatenate([model.score(x[i : i + 1]) for i in range(517)]).tobytes() == whole.tobytes()
    assert model.score(np.asfortranarray(x)).tobytes() == whole.tobytes()
    with ThreadPoolExecutor(4) as pool:
        assert all(s.tobytes() == whole.tobytes() for s in pool.map(lambda _: model.score(x), range(40)))


def test_scores_keep_the_order_of_margins(model: Model, judged: Judged) -> None:
    margin, score = model.examine(judged.x)
    order = np.argsort(margin, kind="stable")
    assert (np.diff(score[order].astype(np.int64)) >= 0).all()
    assert score.dtype == np.uint32
    assert score.max() <= 1_000_000
    assert len(np.unique(score)) > 500


def test_save_and_load(model: Model, judged: Judged, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "fraud.model"
    model.save(path)
    loaded = Model.load(path)
    assert (loaded.digest, loaded.card, loaded.trees) == (model.digest, model.card, model.trees)
    assert loaded.score(judged.x).tobytes() == model.score(judged.x).tobytes()
    content = path.read_bytes().rpartition(b"sha256 ")[0]
    assert hashlib.sha256(content).digest() == model.digest
    assert [p.name for p in path.parent.iterdir()] == ["fraud.model"]


@pytest.mark.parametrize("where", ["card", "leaf", "seal", "cut", "appended"])
def test_a_tampered_file_is_refused(model: Model, tmp_path: Path, where: str) -> None:
    path = tmp_path / "fraud.model"
    model.save(path)
    data = bytearray(path.read_bytes())
    match where:
        case "card":
            data = data.replace(b'"seed":5', b'"seed":6')
        case "leaf":
            place = data.index(b"leaf_value=") + 14
            data[place] = ord("9") if data[place] != ord("9") else ord("8")
        case "seal":
            data[-3] = ord("0") if data[-3] != ord("0") else ord("1")
        case "cut":
            del data[len(data) // 2 : len(data) // 2 + 40]
        case "appended":
            data += b"\nTree=100\n"
    path.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="train a new model") as caught:
        Model.load(path)
    assert caught.value.code == "model_altered"


def test_unusable_files_say_what_to_do(model: Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="train one") as caught:
        Model.load(tmp_path / "none.model")
    assert caught.value.code == "model_missing"
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ModelError) as caught:
        Model.load(tmp_path / "text")
    assert caught.value.code == "model_format"
    model.save(tmp_path / "m")
    with pytest.raises(ModelError) as caught:
        Model.load(tmp_path / "m", features=("amount",))
    assert caught.value.code == "model_features"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"num_class=1", b"num_class=3"),
        (b"decision_type=2 ", b"decision_type=9 "),
        (b"split_feature=", b"split_feature=x"),
        (b"left_child=", b"left_chill="),
    ],
)
def test_sealed_nonsense_is_refused_too(model: Model, tmp_path: Path, old: bytes, new: bytes) -> None:
    """A digest says that a file is whole, not that it is a model we can walk."""
    path = tmp_path / "fraud.model"
    model.save(path)
    content = path.read_bytes().rpartition(b"sha256 ")[0].replace(old, new, 1)
    path.write_bytes(content + b"sha256 " + hashlib.sha256(content).hexdigest().encode() + b"\n")
    with pytest.raises(ModelError):
        Model.load(path)


def test_features_of_another_shape_are_refused(model: Model) -> None:
    for shape in ((3, 5), (len(FEATURES),)):
        with pytest.raises(ModelError, match="shape"):
            model.score(np.zeros(shape, np.float32))


def test_too_short_a_history_is_refused() -> None:
    few = History(*(np.zeros(10, t) for t in (np.int32, np.int32, np.uint64, np.int64, np.uint8)))
    with pytest.raises(ModelError) as caught:
        train(few, 1)
    assert caught.value.code == "history_too_short"


def test_trees_that_learned_nothing_are_walked() -> None:
    """LightGBM grows single leaves from constant features; the forest takes them."""
    x = np.zeros((2_000, len(FEATURES)), np.float32)
    label = (np.arange(2_000) % 100 == 0).astype(np.uint8)
    model = fit(x, label, np.arange(2_000), 1, lambda step, share: None, source="constant")
    assert len(np.unique(model.score(x))) == 1
    assert int(model.score(x)[0]) == pytest.approx(10_000, rel=0.3)


def test_categorical_and_multiclass_trees_are_refused() -> None:
    rng = np.random.default_rng(1)
    x, quiet = rng.integers(0, 9, (500, 2)).astype(np.float64), {"verbosity": -1, "num_threads": 1}
    y = np.isin(x[:, 0], (1, 4, 6)).astype(int)
    categorical = lightgbm.train(
        {**quiet, "objective": "binary", "min_data_per_group": 5},
        lightgbm.Dataset(x, y, categorical_feature=[0]),
        2,
    )
    with pytest.raises(ModelError, match="numerical"):
        parse_forest(categorical.model_to_string(), 2)
    many = lightgbm.train(
        {**quiet, "objective": "multiclass", "num_class": 3}, lightgbm.Dataset(x, x[:, 1] % 3), 2
    )
    with pytest.raises(ModelError, match="binary"):
        parse_forest(many.model_to_string(), 2)


def test_calibration_finds_the_line_it_was_made_with() -> None:
    rng = np.random.default_rng(2)
    margin = rng.normal(-3.0, 2.0, 60_000)
    label = (rng.random(60_000) < 1 / (1 + np.exp(-(0.7 * margin + 0.4)))).astype(np.uint8)
    slope, intercept = fit_calibration(margin, label)
    assert (slope, intercept) == (pytest.approx(0.7, abs=0.03), pytest.approx(0.4, abs=0.06))


def test_calibration_never_turns_the_order_around() -> None:
    margin = np.linspace(-3, 3, 1_000)
    slope, _ = fit_calibration(margin, (margin < 0).astype(np.uint8))
    assert slope > 0.0
