"""A watchlist that changes while the node runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bezant.errors import ConfigError, StorageError
from bezant.gateway.accounts import PartyProfile
from bezant.gateway.screening import Screening
from bezant.intelligence.watchlist import Hit, Watchlist
from bezant.model.outcomes import Outcome, Verdict
from bezant.testing.nodes import SmallNode
from bezant.vault import Vault, VaultKind
from bezant.vault.opened import Entry

SETTINGS = '[screening]\nlist = "list.csv"\n'
HEADER = "id,name\n"


def write_list(folder: Path, *names: str) -> None:
    rows = "".join(f"{number},{name}\n" for number, name in enumerate(names, 1))
    (folder / "list.csv").write_text(HEADER + rows, "utf-8")


def use_list(folder: Path, *names: str) -> None:
    """Write a list, and have the node use it from its next reload or start on."""
    write_list(folder, *names)
    (folder / "bezant.toml").write_text(SETTINGS, "utf-8")


def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names that are matched from here on."""
    matched: list[str] = []
    judge = Screening.judge

    def counted(screening: Screening, name: str) -> tuple[Verdict, tuple[Hit, ...]]:
        matched.append(name)
        return judge(screening, name)

    monkeypatch.setattr(Screening, "judge", counted)
    return matched


def when_read(monkeypatch: pytest.MonkeyPatch, vault: Vault, party: int, act: Callable[[], object]) -> None:
    """Have something happen when a party's profile is read."""
    entries = vault.entries

    def acting(kind: VaultKind, *, above: int = -1) -> Iterator[Entry]:
        for entry in entries(kind, above=above):
            if entry.party == party:
                act()
            yield entry

    monkeypatch.setattr(vault, "entries", acting)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "node"


def test_a_changed_list_reaches_payments_while_the_node_runs(folder: Path) -> None:
    with SmallNode(folder) as small:
        assert small.pay()[1].first is not Outcome.BLOCKED
        use_list(folder, "Velka Torrin", "Bob Birch")
        assert small.node.reload_watchlist() == [small.bob_party]
        assert small.pay()[1].first is Outcome.BLOCKED
        write_list(folder, "Velka Torrin")
        assert small.node.reload_watchlist() == [small.bob_party]
        assert small.pay()[1].first is not Outcome.BLOCKED
        assert small.node.reload_watchlist() == []


def test_a_list_that_cannot_be_read_leaves_the_old_one(folder: Path) -> None:
    with SmallNode(folder) as small:
        use_list(folder, "Bob Birch")
        small.node.reload_watchlist()
        (folder / "list.csv").unlink()
        with pytest.raises(ConfigError):
            small.node.reload_watchlist()
        assert small.pay()[1].first is Outcome.BLOCKED


def test_a_restart_matches_only_who_came_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.txt"
    path.write_text("Bob Birch\n")
    with SmallNode(tmp_path / "data") as small:
        account = small.bob
        (small.path / "bezant.toml").write_text(f'[screening]\nlist = "{path}"\n')
        matched = counting(monkeypatch)
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


def test_a_killed_node_matches_few_names_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was concluded is kept while it runs, not only at a start."""
    monkeypatch.setattr("bezant.gateway.accounts.KEPT_EVERY", 2)
    with SmallNode(folder) as small:
        register = small.node.accounts.register_parties
        for name in ("Carol Cole", "Dora Dale", "Emil Ebner"):
            register([PartyProfile(name)])
        matched = counting(monkeypatch)
        small.restart()
        assert matched == ["Emil Ebner"]


def test_a_party_that_is_being_registered_is_not_taken_for_judged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is given away before its name is matched, and a kill may come in between."""
    monkeypatch.setattr("bezant.gateway.accounts.KEPT_EVERY", 1)
    with SmallNode(folder) as small:
        use_list(folder, "Velka Torrin", "Bob Birch")
        small.restart()
        vault = small.node.desk.vault
        halfway = vault.new_party()
        later = small.node.accounts.register_parties([PartyProfile("Carol Cole")])[0].number
        small.node.desk.screening.keep(vault)
        text = msgspec.json.encode(PartyProfile("Velka Torrin"))
        vault.seal_text(VaultKind.PARTY_PROFILE, halfway, halfway, text)
        matched = counting(monkeypatch)
        small.restart()
        assert sorted(matched) == ["Carol Cole", "Velka Torrin"]
        assert small.node.desk.screening.of(halfway) is Verdict.BLOCK
        assert small.node.desk.screening.of(later) is Verdict.ALLOW


def test_nothing_is_kept_of_a_list_before_all_were_judged_by_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bezant.gateway.accounts.KEPT_EVERY", 1)
    with SmallNode(folder) as small:
        desk, register = small.node.desk, small.node.accounts.register_parties
        use_list(folder, "Bob Birch", "Carol Cole")
        # The node is killed while the list changes; somebody registers meanwhile, which keeps nothing.
        with desk.screening.changing(Watchlist.load(folder / "list.csv")):
            assert register([PartyProfile("Carol Cole")])[0].screening is Verdict.BLOCK
            desk.screening.keep(desk.vault)
            matched = counting(monkeypatch)
            small.restart()
        assert matched == ["Alice Arden", "Bob Birch", "Carol Cole"]
        assert small.node.desk.screening.of(small.bob_party) is Verdict.BLOCK


@pytest.mark.parametrize("names", [("Carol Cole",), ("Bob Birch", "Zoe Zimmer")], ids=["a verdict", "none"])
def test_what_a_reload_found_is_kept_whether_or_not_it_changed_a_verdict(
    folder: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    with SmallNode(folder) as small:
        use_list(folder, "Bob Birch")
        small.restart()
        write_list(folder, *names)
        assert small.node.reload_watchlist() == ([] if "Bob Birch" in names else [small.bob_party])
        matched = counting(monkeypatch)
        small.restart()
        assert matched == []


def test_after_a_reload_that_broke_off_the_next_one_judges_everybody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SmallNode(folder) as small:
        use_list(folder, "Alice Arden")
        small.restart()
        vault, screening = small.node.desk.vault, small.node.desk.screening

        def fail() -> None:
            raise StorageError("the disk cannot be read")

        # Alice is cleared by the list of which Bob never hears; then the list is the first one with Bob.
        write_list(folder, "Bob Birch")
        when_read(monkeypatch, vault, small.bob_party, fail)
        with pytest.raises(StorageError):
            small.node.reload_watchlist()
        assert screening.of(small.alice_party) is Verdict.ALLOW
        monkeypatch.undo()
        write_list(folder, "Alice Arden", "Bob Birch")
        assert small.node.reload_watchlist() == [small.alice_party, small.bob_party]
        matched = counting(monkeypatch)
        small.restart()
        assert matched == [], "and from then on what came of it is kept again"


def test_a_number_whose_party_is_gone_leaves_no_gap(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SmallNode(folder) as small:
        last = small.node.accounts.register_parties([PartyProfile("Dora Dale")])[0].number
        small.node.accounts.erase(last)
        small.restart()
        monkeypatch.setattr("bezant.gateway.accounts.KEPT_EVERY", 1)
        small.node.accounts.register_parties([PartyProfile("Emil Ebner")])
        matched = counting(monkeypatch)
        small.restart()
        assert matched == []


def test_nothing_is_kept_of_who_was_erased_while_being_judged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SmallNode(folder) as small:
        small.restart()
        vault, erase, bob = small.node.desk.vault, small.node.accounts.erase, small.bob_party
        use_list(folder, "Bob Birch")
        when_read(monkeypatch, vault, bob, lambda: erase(bob))
        small.node.reload_watchlist()
        kept = small.node.desk.screening._kept[1]
        assert len(kept) == 8, "the last party, and no verdict"


def test_of_two_reloads_side_by_side_the_list_that_is_read_last_is_in_force_last(folder: Path) -> None:
    with SmallNode(folder) as small:
        accounts, screening = small.node.accounts, small.node.desk.screening
        use_list(folder, "Alice Arden")
        reading, go_on = threading.Event(), threading.Event()

        def slowly() -> Watchlist:
            found = Watchlist.load(folder / "list.csv")
            reading.set()
            assert go_on.wait(30)
            return found

        first = threading.Thread(target=accounts.rescreen, args=(slowly,))
        first.start()
        assert reading.wait(30)
        write_list(folder, "Bob Birch")
        second = threading.Thread(target=small.node.reload_watchlist)
        second.start()
        go_on.set()
        first.join(30)
        second.join(30)
        assert screening.of(small.alice_party) is Verdict.ALLOW
        assert screening.of(small.bob_party) is Verdict.BLOCK
