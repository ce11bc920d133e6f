"""The debtor's own normal: learned robustly, forgotten slowly."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.intelligence.features import FEATURES, FeatureState
from bezant.intelligence.habits import FAR, FEW

S = 1_000_000_000
DAY = 86_400 * S
NOON = 1_767_268_800 * S  # Thursday 2026-01-01 12:00 UTC


def after(amounts: list[int], asked: int, at: int = NOON, later: int = 3_600 * S) -> dict[str, float]:
    """Return the features of a payment of `asked` cents, `later` after an hourly history of amounts."""
    state, count = FeatureState(), len(amounts)
    times = at + np.arange(count) * 3_600 * S
    state.learn([1] * count, [2] * count, amounts, times)
    x = state.compute([1], [2], [asked], [int(times[-1]) + later])
    return dict(zip(FEATURES, x[0].tolist(), strict=True))


def test_an_amount_is_measured_by_the_accounts_own_mean_and_deviation() -> None:
    f = after([900, 1_100] * 40, 2_000)
    assert f["usual_amount"] == pytest.approx(np.log1p(10.0), abs=0.01)
    assert f["usual_spread"] == pytest.approx(np.log1p(1.0), abs=0.1)
    assert f["amount_over_usual"] == pytest.approx(20 / 11, rel=0.02)
    assert f["amount_off_usual"] == pytest.approx(10 / np.sqrt(2.0), rel=0.1)
    assert f["amount_over_largest"] == pytest.approx(20 / 12, rel=0.05)


def test_one_large_fraud_does_not_become_the_habit() -> None:
    honest = after([900, 1_100] * 40, 2_000)
    robbed = after([900, 1_100] * 40 + [500_000], 2_000)
    assert robbed["usual_amount"] == pytest.approx(honest["usual_amount"], abs=0.05)
    assert robbed["amount_over_usual"] > 1.5
    assert robbed["outliers_1d"] == pytest.approx(1.0, abs=0.05)
    assert robbed["recent_over_usual_fast"] > 10 * honest["recent_over_usual_fast"]


def test_outliers_need_a_habit_and_fade() -> None:
    assert after([100] * (FEW - 1) + [100_000], 100)["outliers_30d"] == 0.0
    assert after([100] * FEW + [100_000], 100)["outliers_30d"] == pytest.approx(1.0, abs=0.01)
    far = 100 + int(100 * (FAR + 0.5) * np.sqrt(1.0 + 0.05))
    assert after([100] * 60 + [far], 100)["outliers_7d"] == pytest.approx(1.0, abs=0.02)
    week_later = after([100] * FEW + [100_000], 100, later=7 * DAY)
    assert week_later["outliers_7d"] == pytest.approx(np.exp(-1), rel=0.01)
    assert week_later["outliers_1d"] < 0.001


def test_a_quarter_of_the_day_that_is_never_used_has_no_share() -> None:
    state = FeatureState()
    noons = NOON + np.arange(60) * DAY
    state.learn([1] * 60, [2] * 60, [1_000] * 60, noons)
    shares = {}
    for hour in (3, 9, 13, 20):
        at = int(noons[-1]) + DAY + (hour - 12) * 3_600 * S
        shares[hour] = float(state.compute([1], [2], [1_000], [at])[0, FEATURES.index("quarter_share")])
    assert shares[3] == shares[9] == 0.0
    assert shares[13] == pytest.approx(1.0, abs=1e-5)
    assert shares[20] == pytest.approx(0.0, abs=1e-5)


def test_an_account_without_payments_has_no_habit() -> None:
    f = dict(zip(FEATURES, FeatureState().compute([1], [2], [500], [NOON])[0].tolist(), strict=True))
    assert f["quarter_share"] == -1.0
    assert f["amount_off_usual"] == f["usual_amount"] == f["outliers_30d"] == 0.0
