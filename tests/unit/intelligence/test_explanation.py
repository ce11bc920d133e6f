"""Explanations: weights that add up, and words that hold what the record and the features say."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from bezant.intelligence.explanation import Payment, contributions, explain, idea_of
from bezant.intelligence.features import COLUMN, FEATURES
from bezant.intelligence.model import Model
from bezant.model.money import Asset

from .conftest import Judged

EUR = Asset(1, "EUR", 2)
NIGHT_NS = 1_767_237_120_000_000_000
"""2026-01-01 03:12 UTC, a Thursday."""


def row(**features: float) -> np.ndarray:
    x = np.zeros((1, len(FEATURES)), np.float32)
    for name, value in features.items():
        x[0, COLUMN[name]] = value
    return x


def test_weights_and_base_add_up_to_the_margin_of_our_own_trees(model: Model, judged: Judged) -> None:
    for at in range(0, 4_000, 200):
        x = judged.x[at : at + 1]
        base, weights = contributions(model, x)
        (margin,), _ = model.examine(x)
        assert base + weights.sum() == pytest.approx(margin, abs=1e-9)
        told = explain(model, x, Payment(1, EUR, NIGHT_NS))
        assert told.margin == pytest.approx(margin, abs=1e-9)
        assert math.fsum([told.base, *(idea.weight for idea in told.ideas)]) == pytest.approx(
            margin, abs=1e-9
        )
        assert sorted(c.feature for i in told.ideas for c in i.contributions) == sorted(FEATURES)
        assert [i.weight for i in told.ideas] == sorted((i.weight for i in told.ideas), reverse=True)


def test_weights_are_the_shapley_values_by_their_definition(model: Model, judged: Judged) -> None:
    """Over every subset of the features of every tree, where what is left out is averaged over by how many
    payments went each way in training. Nothing of this is LightGBM's but the trees themselves."""
    trees = [parsed(text) for text in model.trees.split("\nTree=")[1:]]
    assert len(trees) == model.card.trees
    for at in (0, 1_111, 2_222):
        x = judged.x[at : at + 1]
        base, weights = contributions(model, x)
        expected, mean = np.zeros(len(FEATURES)), 0.0
        for tree in trees:
            used = sorted(set(tree["split_feature"]))
            value = {
                frozenset(known): expectation(tree, x[0].astype(np.float64), frozenset(known))
                for size in range(len(used) + 1)
                for known in combinations(used, size)
            }
            mean += value[frozenset()]
            for feature in used:
                for without in (known for known in value if feature not in known):
                    chance = math.factorial(len(without)) * math.factorial(len(used) - len(without) - 1)
                    gain = value[without | {feature}] - value[without]
                    expected[feature] += chance / math.factorial(len(used)) * gain
        assert np.abs(weights - expected).max() < 1e-9
        assert base == pytest.approx(mean, abs=1e-9)


def parsed(text: str) -> dict[str, list[Any]]:
    """Return the columns of one tree of a LightGBM model's text."""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    whole = ("split_feature", "left_child", "right_child", "leaf_count", "internal_count")
    read = {name: [int(one) for one in fields[name].split()] for name in whole}
    return read | {name: [float(one) for one in fields[name].split()] for name in ("threshold", "leaf_value")}


def expectation(tree: dict[str, list[Any]], x: np.ndarray, known: frozenset[int], node: int = 0) -> float:
    """Return what a tree says on average if only `known` features are; a negative node is a leaf."""
    if node < 0:
        return float(tree["leaf_value"][~node])
    left, right = tree["left_child"][node], tree["right_child"][node]
    feature = tree["split_feature"][node]
    if feature in known:
        goes_left = x[feature] <= tree["threshold"][node]
        return expectation(tree, x, known, left if goes_left else right)
    counts = [
        tree["leaf_count"][~child] if child < 0 else tree["internal_count"][child] for child in (left, right)
    ]
    both = [expectation(tree, x, known, child) for child in (left, right)]
    return (counts[0] * both[0] + counts[1] * both[1]) / sum(counts)


def said(name: str, amount_minor: int = 94_000, time_ns: int = NIGHT_NS, **features: float) -> str:
    ideas = explain(None, row(**features), Payment(amount_minor, EUR, time_ns)).ideas
    return next(idea.text for idea in ideas if idea.name == name)


def log(value: float) -> float:
    return math.log1p(value)


def test_amounts_are_the_records_beside_the_customers_own() -> None:
    usual = {"usual_amount": log(41.5), "usual_spread": log(19.5)}
    assert said("amount", **usual) == "EUR 940.00; usual 22–61."
    assert said("amount", **usual, amount_over_largest=9.4) == (
        "EUR 940.00; usual 22–61, 9.4 times the largest so far."
    )
    assert said("amount", 2**64 - 1, **usual).startswith("EUR 184467440737095516.15;"), (
        "never through a float"
    )
    assert said("amount") == "EUR 940.00; this customer has no usual amount yet."


def test_times_are_beside_the_customers_own() -> None:
    assert said("time", quarter_share=0.0) == "At 03:12 UTC on Thursday; never before at night."
    assert said("time", quarter_share=0.002).endswith(
        "under 1 % of this customer's payments are made at night."
    )
    afternoon = NIGHT_NS + 12 * 3_600 * 1_000_000_000
    assert said("time", time_ns=afternoon, quarter_share=0.6) == (
        "At 15:12 UTC on Thursday; 60 % of this customer's payments are made in the afternoon."
    )
    assert said("time", quarter_share=-1.0).endswith("has no usual times yet.")


def test_the_rest_is_counted_as_people_count() -> None:
    assert said("pace", sent_count_1h=4.0, sent_count_1d=6.2, sent_count_30d=45.0) == (
        "Before it the customer made 4 payments within the hour and 6 payments within a day; usual 1.5 a day."
    )
    assert said("new payees", debtor_fan_out=-0.0).endswith("; 0 payees ever.")
    assert said("payee and payer", pair_new=1.0) == "The customer has not paid this payee before."
    assert said("payee and payer", pair_gap=log(3 * 86_400), pair_count_30d=1.1) == (
        "The customer paid this payee 3 days ago, 1 payment in 30 days."
    )
    assert said("money passed on", passed_on_1d=0.97, debtor_passed_1d=0.1).startswith("97 % of it is money")
    assert said("device and terminal", device_new=1.0, terminal_new=-1.0) == (
        "Device new to the customer, terminal not named."
    )
    assert said("the payee's account", creditor_age=-1.0) == "The payee's account was never seen before."


def test_every_feature_belongs_to_an_idea(model: Model, judged: Judged) -> None:
    ideas = {idea_of(name) for name in FEATURES}
    told = explain(model, judged.x[:1], Payment(1, EUR, NIGHT_NS))
    assert ideas == {idea.name for idea in told.ideas}
    assert idea_of("new_payers_1d") == "the payee's account"
    assert idea_of("creditor_passed_1d") == "the payee's account"


def test_a_text_holds_what_spoke_for_fraud_and_nothing_else(model: Model, judged: Judged) -> None:
    told = explain(model, judged.x[7:8], Payment(500, EUR, NIGHT_NS))
    for idea in told.ideas[:5]:
        assert (idea.text in told.text) == (idea.weight > 0)
    assert all(idea.text not in told.text for idea in told.ideas if idea.weight < 0)
    assert told == explain(model, judged.x[7:8], Payment(500, EUR, NIGHT_NS)), "it can be made again"
