"""Rules of a configuration on a running node: they decide, are swapped, and old decisions replay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bezant.errors import ConfigError
from bezant.model.identifiers import render_id
from bezant.model.outcomes import Outcome, Verdict
from bezant.testing.nodes import SmallNode

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
