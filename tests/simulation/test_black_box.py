"""A node killed under load, seen only through HTTP; and a checker that can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from bezant.testing.blackbox.history import Contradiction, Fate, History, Operation
from bezant.testing.blackbox.run import kill_again_and_again

KILLS = 10


@pytest.mark.slow
def test_a_node_killed_under_load_contradicts_nobody(tmp_path: Path) -> None:
    verdict = kill_again_and_again(tmp_path / "data", KILLS, seed=1)
    assert verdict.kills == KILLS
    assert verdict.paid > 50 * KILLS
    assert verdict.refused > 0
    assert verdict.unknown > 0, "no kill took an answer, so nothing was left to find out"


@pytest.fixture
def history() -> History:
    """One payment of 100 from A to B, not heard of yet."""
    history = History({"A": 1_000, "B": 0})
    history.begin(Operation("k", "A", "B", 100))
    return history


def test_an_operation_without_an_answer_may_have_happened_or_not(history: History) -> None:
    for fate, balances in ((Fate.PAID, {"A": 900, "B": 100}), (Fate.REFUSED, {"A": 1_000, "B": 0})):
        other = History({"A": 1_000, "B": 0})
        other.begin(Operation("k", "A", "B", 100))
        other.hear("k", Fate.UNKNOWN, "answer")
        other.miss("k", "read")
        other.hear("k", fate, "asked again")
        other.check_balances(balances)
    history.hear("k", Fate.UNKNOWN, "answer")
    with pytest.raises(Contradiction, match="unknown"):
        history.check_balances({"A": 1_000, "B": 0})


def test_a_payment_that_is_gone_is_a_contradiction(history: History) -> None:
    history.hear("k", Fate.PAID, "answer")
    with pytest.raises(Contradiction, match=r"gone.*answer: paid; read: not there"):
        history.miss("k", "read")


@pytest.mark.parametrize("first", [Fate.PAID, Fate.REFUSED])
def test_two_answers_that_differ_are_a_contradiction(history: History, first: Fate) -> None:
    other = Fate.REFUSED if first is Fate.PAID else Fate.PAID
    history.hear("k", first, "answer")
    history.hear("k", Fate.UNKNOWN, "asked again")
    with pytest.raises(Contradiction):
        history.hear("k", other, "asked again")


def test_a_payment_made_twice_is_a_contradiction(history: History) -> None:
    history.hear("k", Fate.PAID, "answer")
    with pytest.raises(Contradiction, match="A holds 800, the payments that happened make 900"):
        history.check_balances({"A": 800, "B": 200})
