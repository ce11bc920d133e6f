"""Rules of a configuration on a running node: they decide, are swapped, and old decisions replay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bezant.errors import ConfigError
from bezant.gateway.accounts import Opening, PartyProfile
from bezant.intelligence.countries import country_code
from bezant.model.identifiers import AccountId, render_id
from bezant.model.outcomes import Outcome, Verdict
from bezant.testing.nodes import SmallNode
from bezant.vault import VaultKind

RULES = """
[[rules]]
name = "large"
verdict = "review"
reason = "More than 50."
when = ["amount > 50.00 EUR"]

[[rules]]
name = "closed"
verdict = "block"
reason = "Closed by court."
when = ["creditor in closed.txt"]
"""


COUNTRIES = """
[[rules]]
name = "far"
verdict = "review"
reason = "To a country on our list."
when = ["creditor_country in far.txt", "debtor_country not in far.txt"]
"""


def test_countries_decide_and_replay_after_a_restart_and_an_erasure(tmp_path: Path, model_file: Path) -> None:
    with SmallNode(tmp_path / "node", model=model_file) as town:
        (town.path / "bezant.toml").write_text(COUNTRIES)
        (town.path / "far.txt").write_text("KP\nIR\n")
        party, account = enrol_in(town, "KP")
        town.node.reload_rules()
        for _ in range(2):
            town.tick()
            far, answers = town.pay("1.00", creditor=account)
            assert answers.first is Outcome.HELD_FOR_REVIEW
            near, answers = town.pay("1.00")
            assert answers.first is Outcome.APPLIED
            town.restart()
        node = town.node
        node.accounts.erase(party)
        replayed = node.payments.replay_decision(far, node.models.named, node.books.find)
        assert (replayed.equal, replayed.recomputed.rules_fired) == (True, 1), (
            "the evidence has the countries"
        )
        assert node.payments.replay_decision(near, node.models.named, node.books.find).equal


def test_accounts_that_were_bound_before_countries_were_kept_have_them_too(
    tmp_path: Path, model_file: Path
) -> None:
    with SmallNode(tmp_path / "node", model=model_file) as town:
        _, account = enrol_in(town, "KP")
        vault = town.node.vault
        party = vault.party_of(VaultKind.ACCOUNT_PARTY, account)
        vault.sync(vault.seal_text(VaultKind.ACCOUNT_PARTY, account, party, b"1"))
        node = town.restart()
        rows = np.array([node.engine.ledger.account_row(account)], np.uint32)
        assert node.parties.countries(rows).tolist() == [country_code("KP")]


def enrol_in(town: SmallNode, country: str) -> tuple[int, AccountId]:
    """Register a party of a country, and open an account for it."""
    accounts = town.node.accounts
    (party,) = accounts.register_parties([PartyProfile("Kim Kane", country)])
    (account,) = accounts.open([Opening(party.number, accounts.asset("EUR"))])
    return party.number, account


@pytest.fixture
def ruled(tmp_path: Path, model_file: Path) -> Iterator[SmallNode]:
    with SmallNode(tmp_path / "node", model=model_file) as town:
        yield town


def set_rules(town: SmallNode, text: str) -> None:
    (town.path / "bezant.toml").write_text(text)
    (town.path / "closed.txt").write_text("")


def test_rules_decide_are_reloaded_and_old_decisions_replay(ruled: SmallNode) -> None:
    node = ruled.node
    set_rules(ruled, RULES)
    generation = node.flow.generation
    book = node.reload_rules()
    assert [rule.name for rule in book.rules] == ["large", "closed"]
    assert node.flow.generation == generation + 1

    ruled.tick()
    small, answers = ruled.pay("50.00")
    assert answers.first is Outcome.APPLIED
    ruled.tick()
    large, answers = ruled.pay("50.01")
    assert answers.first is Outcome.HELD_FOR_REVIEW
    assert book.of(int(node.payments.evidence(large)["rules_fired"])) == book.rules[:1]

    (ruled.path / "closed.txt").write_text(render_id(ruled.bob))
    node.reload_rules()
    ruled.tick()
    listed, answers = ruled.pay("1.00")
    assert answers.first is Outcome.BLOCKED

    set_rules(ruled, "")
    node.reload_rules()
    ruled.tick()
    free, answers = ruled.pay("50.02")
    assert answers.first is Outcome.APPLIED

    node = ruled.restart()
    for identity, verdict in (
        (small, Verdict.ALLOW),
        (large, Verdict.REVIEW),
        (listed, Verdict.BLOCK),
        (free, Verdict.ALLOW),
    ):
        again = node.payments.replay_decision(identity, node.models.named, node.books.find)
        assert again.equal
        assert again.recomputed.verdict is verdict


def test_a_bad_rule_is_named_and_the_old_ones_stay(ruled: SmallNode) -> None:
    set_rules(ruled, RULES)
    book = ruled.node.reload_rules()
    set_rules(ruled, RULES.replace("50.00 EUR", "50.001 EUR"))
    with pytest.raises(ConfigError, match="rule large: amount"):
        ruled.node.reload_rules()
    assert ruled.node.resources.rulebook is book
    ruled.tick()
    assert ruled.pay("51.00")[1].first is Outcome.HELD_FOR_REVIEW


def test_an_issuer_is_no_customer(ruled: SmallNode) -> None:
    set_rules(ruled, RULES)
    ruled.node.reload_rules()
    ruled.tick()
    issued = ruled.node.payments.issue(ruled.alice, "1000.00", "EUR")
    submission = ruled.node.payments.sign([issued], by_institution=True)
    assert ruled.node.payments.submit(submission).first is Outcome.APPLIED
