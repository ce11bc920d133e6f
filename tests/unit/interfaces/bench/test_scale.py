"""The benchmark of scale, at a size for tests: it measures effects, and draws what it found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bezant.errors import ConfigError
from bezant.interfaces.bench.scale import RUNS, draw
from bezant.interfaces.cli.app import app


def test_cost_is_measured_by_accounts_and_by_the_past(tmp_path: Path) -> None:
    plot = tmp_path / "scale.svg"
    sizes = ("--accounts", "2000", "--payments", "12000", "--per-point", "2000")
    done = CliRunner().invoke(app, ["bench", "scale", *sizes, "--plot", str(plot), "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert [point["at"] for point in report["lines"]["whole_by_accounts"]] == [1_000, 2_000]
    assert [point["at"] for point in report["lines"]["kernel_by_accounts"]] == [1_000, 2_000]
    past = [point["at"] for point in report["lines"]["whole_by_past_payments"]]
    assert past == list(range(0, 12_000, 2_000))
    for line in report["lines"].values():
        assert all(0 < point["cpu_us"] <= point["most_us"] for point in line)
    kernel, whole = (
        report["lines"][name][0]["cpu_us"] for name in ("kernel_by_accounts", "whole_by_accounts")
    )
    assert kernel < whole, "everything costs more than its kernel"
    assert report["memory"]["remembered_id"]["total"] <= 48
    assert plot.read_bytes().startswith(b"<?xml")
    assert RUNS > 1


def test_without_matplotlib_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError) as missing:
        draw({"lines": {}}, tmp_path / "scale.svg")
    assert missing.value.code == "no_plots"
