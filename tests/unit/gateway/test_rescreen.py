"""A watchlist that changes while the node runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bezant.errors import ConfigError
from bezant.model.outcomes import Outcome
from bezant.testing.nodes import SmallNode

SETTINGS = '[screening]\nlist = "list.csv"\n'
HEADER = "id,name\n"


def write_list(folder: Path, *names: str) -> None:
    rows = "".join(f"{number},{name}\n" for number, name in enumerate(names, 1))
    (folder / "list.csv").write_text(HEADER + rows, "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "node"


def test_a_changed_list_reaches_payments_while_the_node_runs(folder: Path) -> None:
    with SmallNode(folder) as small:
        assert small.pay()[1].first is not Outcome.BLOCKED
        write_list(folder, "Velka Torrin", "Bob Birch")
        (folder / "bezant.toml").write_text(SETTINGS, "utf-8")
        assert small.node.reload_watchlist() == [small.bob_party]
        assert small.pay()[1].first is Outcome.BLOCKED
        write_list(folder, "Velka Torrin")
        assert small.node.reload_watchlist() == [small.bob_party]
        assert small.pay()[1].first is not Outcome.BLOCKED
        assert small.node.reload_watchlist() == []


def test_a_list_that_cannot_be_read_leaves_the_old_one(folder: Path) -> None:
    with SmallNode(folder) as small:
        write_list(folder, "Bob Birch")
        (folder / "bezant.toml").write_text(SETTINGS, "utf-8")
        small.node.reload_watchlist()
        (folder / "list.csv").unlink()
        with pytest.raises(ConfigError):
            small.node.reload_watchlist()
        assert small.pay()[1].first is Outcome.BLOCKED
