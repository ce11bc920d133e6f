"""The adversary's benchmark drives a real node, and says that its data is simulated."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from bezant.interfaces.cli.app import app


@pytest.mark.slow
def test_layers_are_compared_on_the_same_attackers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bezant.interfaces.bench.defences.CONSUMERS", 300)
    asked = [
        "bench",
        "adversary",
        "--consumers",
        "200",
        "--days",
        "8",
        "--each",
        "1",
        "--worlds",
        "2",
        "--json",
    ]
    done = CliRunner().invoke(app, [*asked, "--seed", "201"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert "simulated" in report["data"]
    assert report["seeds"] == [201, 202]
    layers = report["layers"]
    everybody = [name for name in layers if "never met " not in name or name.endswith("an attacker")]
    for seed in ("201", "202"):
        worlds = {name: layers[name]["worlds"][seed] for name in layers}
        assert len({worlds[name]["all"]["value_sought"] for name in everybody}) == 1
        assert worlds["nothing"]["customers_insulted"] == worlds["nothing"]["attempts_stopped"] == 0
        assert worlds["built-in rules as shipped"]["attempts_stopped"] > 0
        assert worlds["screening"]["all"]["share_stopped"] > worlds["nothing"]["all"]["share_stopped"]
        assert worlds["configured rule"]["attempts_stopped"] > 0
        assert worlds["model that never met split"]["by_attack"].keys() == {"split"}
    stopped = {name: layer["share_stopped"]["mean"] for name, layer in layers.items()}
    assert stopped["model"] > stopped["nothing"] + 0.2
    assert stopped["built-in rules as shipped"] > stopped["nothing"]
    for without in ("screening", "the configured rule", "the model"):
        assert f"all but {without}" in layers
    told = {"the same, told of thefts that were paid", "the same, told of those that were stopped too"}
    assert told <= layers.keys()
    shares = [world["all"]["share_stopped"] for world in layers["model"]["worlds"].values()]
    assert stopped["model"] == pytest.approx(sum(shares) / 2, abs=1e-4)
