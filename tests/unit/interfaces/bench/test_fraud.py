"""The bench of the fraud model, on a small file made here."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bezant.errors import InputError
from bezant.interfaces.bench.fraud import PUBLISHED, run_fraud_bench

CARDS, TERMINALS, DAYS, A_DAY = 5_000, 60, 36, 400


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write payments of which those above 200 are fraud, and all at three terminals for a while."""
    rng = np.random.default_rng(1)
    n = DAYS * A_DAY
    day = np.repeat(np.arange(DAYS), A_DAY)
    terminal, amount = rng.integers(0, TERMINALS, n), rng.integers(500, 9_000, n)
    amount = np.where(rng.random(n) < 0.003, amount + 20_000, amount)
    bad = (terminal < 3) & (day > 5)
    path = tmp_path_factory.mktemp("cards") / "cards.parquet"
    pl.DataFrame(
        {
            "tx_id": np.arange(n),
            "ts": np.sort(day * 86_400 + rng.integers(0, 86_400, n)),
            "customer_id": rng.integers(0, CARDS, n),
            "terminal_id": terminal,
            "amount_cents": amount,
            "fraud": ((amount > 20_000) | bad).astype(np.int8),
        }
    ).write_parquet(path)
    return path


def test_it_finds_what_can_be_learned_and_says_what_it_judged(cards: Path) -> None:
    steps: list[str] = []
    starts = [date(2018, 4, 14), date(2018, 4, 15)]
    report = run_fraud_bench(cards, seed=1, starts=starts, note=lambda step, share: steps.append(step))
    week = report["results"]["a week of training"]  # type: ignore[index]
    assert week["mean"]["area_under_roc"] > 0.95
    assert list(week["folds"]) == ["2018-04-14", "2018-04-15"]
    assert week["mean"]["card_precision"] <= report["perfect_card_precision"]
    assert report["published"].keys() == PUBLISHED.keys()  # type: ignore[attr-defined]
    assert report["data"]["payments"] == DAYS * A_DAY  # type: ignore[index]
    assert "simulated" in str(report["protocol"])
    assert "features" in steps


def test_the_same_seed_gives_the_same_figures(cards: Path) -> None:
    first, second = (
        run_fraud_bench(cards, seed=4, starts=[date(2018, 4, 8)], note=lambda step, share: None)["results"]
        for _ in range(2)
    )
    assert first == second


def test_a_fold_beyond_the_file_is_refused(cards: Path) -> None:
    with pytest.raises(InputError) as caught:
        run_fraud_bench(cards, seed=1, starts=[date(2018, 4, 25)], note=lambda step, share: None)
    assert caught.value.code == "fold_beyond_file"


def test_a_file_without_labels_is_refused(cards: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.csv"
    bare.write_text("time,debtor,creditor,amount\n2026-01-01T00:00:00,a,b,1.00\n", "ascii")
    with pytest.raises(InputError) as caught:
        run_fraud_bench(bare, seed=1, note=lambda step, share: None)
    assert caught.value.code == "no_labels"
