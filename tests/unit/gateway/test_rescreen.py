"""A watchlist that changes while the node runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bezant.errors import ConfigError
from bezant.gateway.screening import Screening
from bezant.intelligence.watchlist import Hit
from bezant.model.outcomes import Outcome, Verdict
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


def test_a_restart_matches_only_who_came_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matched: list[str] = []
    judge = Screening.judge

    def counted(screening: Screening, name: str) -> tuple[Verdict, tuple[Hit, ...]]:
        matched.append(name)
        return judge(screening, name)

    path = tmp_path / "list.txt"
    path.write_text("Bob Birch\n")
    with SmallNode(tmp_path / "data") as small:
        account = small.bob
        (small.path / "bezant.toml").write_text(f'[screening]\nlist = "{path}"\n')
        monkeypatch.setattr(Screening, "judge", counted)
        small.restart()
        assert matched == ["Alice Arden", "Bob Birch"]
        small.enrol("Carol Cole", 0)
        matched.clear()
        for expected in (["Carol Cole"], []):
            small.restart()
            assert matched == expected
            matched.clear()
            assert small.node.desk.screening.of(small.bob_party) is Verdict.BLOCK
            row = np.array([small.node.engine.ledger.account_row(account)], np.uint32)
            assert small.node.desk.parties.screening(row)[0] == Verdict.BLOCK
        small.node.accounts.erase(small.bob_party)
        small.restart()
        assert small.node.desk.screening.of(small.bob_party) is Verdict.ALLOW
        matched.clear()
        path.write_text("Bob Birch\nAlice Arden\n")
        small.restart()
        assert matched == ["Alice Arden", "Carol Cole"], "another list: nothing that was concluded holds"
        assert small.node.desk.screening.of(small.alice_party) is Verdict.BLOCK
        matched.clear()
        monkeypatch.setattr("bezant.gateway.screening.matching_digest", lambda: "another release")
        small.restart()
        assert matched == ["Alice Arden", "Carol Cole"]
        path.write_text("Zoe Zimmer\n")
        assert small.node.reload_watchlist() == [small.alice_party]
        matched.clear()
        small.restart()
        assert matched == [], "what a reload concluded is kept too"
        assert small.node.desk.screening.of(small.alice_party) is Verdict.ALLOW
