"""The benchmark of restarts, at a size for tests: a real kill, a real stop, the same chain behind both."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from bezant.interfaces.cli.app import app


def test_a_node_is_back_after_a_kill_and_after_a_stop(tmp_path: Path) -> None:
    sizes = ("--payments", "4000", "--accounts", "1000")
    done = CliRunner().invoke(app, ["bench", "restart", *sizes, "--data", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["payments"], report["accounts"]) == (4_000, 1_000)
    killed, stopped = report["starts"]["after_a_kill"], report["starts"]["after_a_stop"]
    assert killed["height"] == stopped["height"] > 4
    assert min(killed["ready_after_s"], stopped["ready_after_s"]) > 0
    assert list(tmp_path.iterdir()) == [], "the folder is temporary"
