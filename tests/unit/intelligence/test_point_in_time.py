"""Features know nothing of the future, and a leak that is planted is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bezant.intelligence.features import COLUMN, FEATURES, FeatureState, FloatMatrix
from bezant.intelligence.history import LABEL_DELAY_NS, History, Progress, replay_features
from bezant.testing.leaks import LeakFound, check_point_in_time

HOUR_NS = 3_600 * 1_000_000_000


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bezant.intelligence.history.BATCH", 16)


def history(payments: int = 600, seed: int = 3) -> History:
    """Return some weeks of payments among few accounts, a fifth of them fraud."""
    rng = np.random.default_rng(seed)
    time_ns = 1_767_268_800 * 1_000_000_000 + np.cumsum(rng.integers(0, 4 * HOUR_NS, payments))
    return History(
        rng.integers(0, 12, payments),
        rng.integers(12, 20, payments),
        rng.integers(100, 90_000, payments).astype(np.uint64),
        time_ns,
        (rng.random(payments) < 0.2).astype(np.uint8),
        device=rng.integers(0, 6, payments).astype(np.uint64),
        terminal=rng.integers(0, 5, payments).astype(np.uint64),
    )


def test_what_training_replays_was_knowable() -> None:
    check_point_in_time(replay_features, history())


def test_labels_do_reach_the_features_once_they_are_known() -> None:
    known = replay_features(history(), lambda step, share: None)
    silent = replay_features(replace(history(), label=np.zeros(600, np.uint8)), lambda step, share: None)
    changed = (known != silent).any(axis=0)
    assert changed[COLUMN["place_frauds_7d"]]
    assert changed[COLUMN["debtor_frauds_30d"]]
    first = int(np.flatnonzero((known != silent).any(axis=1))[0])
    assert history().time_ns[first] >= history().time_ns[0] + LABEL_DELAY_NS


def test_labels_that_count_at_once_are_a_leak() -> None:
    def leaking(of: History, progress: Progress) -> FloatMatrix:
        return replay_features(replace(of, known_ns=of.time_ns - 2 * HOUR_NS), progress)

    with pytest.raises(LeakFound, match="place_"):
        check_point_in_time(leaking, history())


def test_a_state_that_has_seen_the_payments_to_come_is_a_leak() -> None:
    def leaking(of: History, progress: Progress) -> FloatMatrix:
        state = FeatureState()
        columns = (of.debtor, of.creditor, of.amount_minor, of.time_ns)
        state.learn(*columns)
        return state.compute(*columns)

    with pytest.raises(LeakFound):
        check_point_in_time(leaking, history())


@pytest.mark.parametrize("name", ["amount_over_usual", "place_honest", "debtor_fan_out"])
def test_one_leaking_feature_among_all_is_found(name: str) -> None:
    def leaking(of: History, progress: Progress) -> FloatMatrix:
        x = replay_features(of, progress)
        x[:, FEATURES.index(name)] += np.roll(of.amount_minor, -40).astype(np.float32)
        return x

    with pytest.raises(LeakFound, match=name):
        check_point_in_time(leaking, history())
