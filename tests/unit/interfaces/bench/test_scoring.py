"""The bench of scoring: what it measures adds up, and it says of which model."""

from __future__ import annotations

import pytest

from bezant.economy.training import train_on_economy
from bezant.interfaces.bench import scoring


def test_figures_are_of_the_model_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "WARM", 2_000)
    monkeypatch.setattr(scoring, "train_on_economy", lambda seed: train_on_economy(seed, 30_000))
    steps: list[str] = []
    report = scoring.run_scoring_bench(singles=50, batches=3, accounts=200, seed=1, note=steps.append)
    assert report["model"] == {"trees": 200, "leaves": 8, "features": 89}
    one, many = report["one_payment"], report["batches_of_1024"]
    assert isinstance(one, dict)
    assert isinstance(many, dict)
    assert 0 < one["features_p50_us"] + one["trees_p50_us"] <= 2 * one["p99_us"]
    assert many["p50_us"] < one["p50_us"]
    assert len(steps) == 4
