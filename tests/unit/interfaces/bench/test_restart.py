"""The benchmark of restarts, at a size for tests: a real kill, a real stop, the same chain behind both."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bezant.errors import BezantError
from bezant.interfaces.bench import restart
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


def test_a_system_that_does_not_say_what_is_resident_costs_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    start = {"ready_after_s": 1.5, "height": 1, "snapshot_at": 0, "resident_mib": None}
    monkeypatch.setattr(restart, "run_restart_bench", lambda *_, **__: {"starts": {"after_a_kill": start}})
    done = CliRunner().invoke(app, ["bench", "restart"])
    assert done.exit_code == 0, done.output
    assert "1.5" in done.output


def test_a_node_that_ends_otherwise_than_in_order_is_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves is what a kill leaves, and the next start would be called one after a stop."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BezantError, match="did not start"):
        restart._start_and_stop(tmp_path)
    ends, ready = tmp_path / "ends", tmp_path / "ready"
    ends.write_text(f"#!/bin/sh\ntrap 'exit 3' TERM\ntouch {ready}\nwhile :; do sleep 0.1; done\n")
    ends.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(ends))
    monkeypatch.setattr(restart, "wait_for_node", lambda *_: "http://node")
    monkeypatch.setattr(restart, "health_at", lambda _: {"ready": ready.exists(), "height": 1})
    with pytest.raises(BezantError, match="ended with 3"):
        restart._start_and_stop(tmp_path)
