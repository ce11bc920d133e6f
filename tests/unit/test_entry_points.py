"""A stage that another package offers is found by its entry point's name."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bezant.errors import ConfigError
from bezant.stages import loading as composition
from bezant.testing.nodes import SmallNode


def test_a_stage_is_chosen_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = EntryPoint("somebodys-score", "bezant.testing.scores:ScoreByAmount", "bezant.stages")

    def entry_points(*, group: str, name: str) -> list[EntryPoint]:
        return [offered] if (group, name) == (offered.group, offered.name) else []

    monkeypatch.setattr(composition, "entry_points", entry_points)
    with SmallNode(tmp_path / "node", settings='[pipeline]\nscore = "somebodys-score"\n') as small:
        assert type(small.node.flow.stages["score"]).__name__ == "ScoreByAmount"
        with pytest.raises(ConfigError):
            small.node.replace_stage("score", "nobodys-score")
