"""The adversary's benchmark drives a real node, and says that its data is simulated."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from bezant.interfaces.cli.app import app


@pytest.mark.slow
def test_layers_are_compared_on_the_same_attackers() -> None:
    asked = ["bench", "adversary", "--consumers", "200", "--days", "10", "--each", "1", "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert "simulated" in report["data"]
    layers = report["layers"]
    assert {layer["all"]["value_sought"] for layer in layers.values()} == {
        layers["nothing"]["all"]["value_sought"]
    }
    assert layers["nothing"]["customers_insulted"] == layers["nothing"]["attempts_stopped"] == 0
    assert layers["rules"]["attempts_stopped"] > 0
    assert layers["rules"]["all"]["share_stopped"] > layers["nothing"]["all"]["share_stopped"]
