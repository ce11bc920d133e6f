"""The benchmark of mules: its protocol, its files, its scores."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from bezant.interfaces.bench.mules import read_accounts, run_mules_bench, split_accounts
from bezant.interfaces.cli.app import app

DATA = Path(os.environ.get("BEZANT_DATA", Path(__file__).parents[5] / "shared" / "data")) / "aml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """300 accounts, the first 240 labelled; every fifth is a mule and pays in small sums."""
    rng = np.random.default_rng(1)
    source = np.repeat(np.arange(300), 6)
    mule = (source % 5 == 0) & (rng.random(source.size) < 0.8)
    frame = pl.DataFrame(
        {
            "sourceNodeId": source,
            "targetNodeId": (source + rng.integers(1, 300, source.size)) % 300,
            "value": np.round(rng.uniform(100, 600, source.size) * np.where(mule, 0.02, 1.0), 2),
            "time": rng.integers(1, 100, source.size),
        }
    )
    frame.write_parquet(tmp_path / "toy_transactions.parquet")
    nodes = np.arange(240)
    pl.DataFrame(
        {
            "nodeid": nodes,
            "isFraud": (nodes % 5 == 0).astype(int),
            "init_balance": nodes * 1.0,
            "fraudStep": nodes,
        }
    ).write_parquet(tmp_path / "toy_accounts_labelled.parquet")
    return tmp_path


def test_every_account_is_scored_and_the_report_says_what_was_done(folder: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.csv"
    asked = ["bench", "mules", "--data", str(folder), "--splits", "2", "--scores", str(scores), "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert "simulated" in report["data"]
    assert (report["accounts"], report["labelled"], report["labelled_mules"]) == (300, 240, 48)
    learned, tested = report["first_split"]["cross_validation"], report["first_split"]["test"]
    assert learned["accounts"] + tested["accounts"] == 240
    assert learned["mules"] + tested["mules"] == 48
    assert tested["area_under_roc"] > 0.9
    assert report["splits"]["area_under_roc"]["least"] <= report["splits"]["area_under_roc"]["mean"]
    with scores.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {int(row["account"]) for row in rows} == set(range(300))
    assert {row["scored_by"] for row in rows if int(row["account"]) >= 240} == {"all_labels"}
    assert {row["scored_by"] for row in rows if int(row["account"]) < 240} == {"other_folds"}
    mules = [float(row["probability"]) for row in rows if int(row["account"]) % 5 == 0]
    others = [float(row["probability"]) for row in rows if int(row["account"]) % 5]
    assert np.mean(mules) > 0.6 > 0.2 > np.mean(others)


def test_what_belongs_to_the_label_is_not_read(folder: Path) -> None:
    before = read_accounts(folder, lambda step, share: None)
    file = folder / "toy_accounts_labelled.parquet"
    frame = pl.read_parquet(file)
    frame.with_columns(fraudStep=-pl.col("fraudStep"), init_balance=pl.col("isFraud") * 1.0).write_parquet(
        file
    )
    after = read_accounts(folder, lambda step, share: None)
    assert before.profile.tobytes() == after.profile.tobytes()
    assert before.label.tobytes() == after.label.tobytes()


def test_splits_are_fixed_and_differ() -> None:
    names = [str(number) for number in range(10_000)]
    first, again, second = split_accounts(names, 0), split_accounts(names, 0), split_accounts(names, 1)
    assert (first == again).all()
    assert (first != second).mean() > 0.35
    assert first.mean() == pytest.approx(0.3, abs=0.02)


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "mules", "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "[file_unreadable] (data)" in done.output


@pytest.mark.slow
def test_the_goals_are_met_on_the_first_split() -> None:
    if not DATA.is_dir():
        pytest.skip("the AMLSim files are not here; BEZANT_DATA names their folder")
    report = run_mules_bench(DATA, seed=1, splits=1, scores=None, note=lambda step, share: None)
    assert report["labelled"] == 13_917
    assert report["first_split"]["test"]["area_under_roc"] >= 0.92
    assert report["first_split"]["test"]["average_precision"] >= 0.80
