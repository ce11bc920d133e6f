"""Configured rules: what holds, what they ask for, and what is no rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bezant.errors import ConfigError, ModelError
from bezant.intelligence.conditions import Facts
from bezant.intelligence.countries import country_code
from bezant.intelligence.features import COLUMN, FEATURES
from bezant.intelligence.rulebook import EMPTY, Bookshelf, Rulebook, read_rulebook
from bezant.intelligence.units import UNITS, Unit, as_feature, natural
from bezant.model.genesis import GenesisAsset
from bezant.model.identifiers import render_id
from bezant.model.records import RECORD, set_id

ASSETS = (GenesisAsset(1, "EUR", 2, 1), GenesisAsset(2, "JPY", 0, 1))
ALICE, BOB, MALLORY = 1 << 100 | 1, 1 << 90 | 2, 2 << 100 | 1
"""Alice's and Mallory's ids share their lower half."""


def facts(count: int = 4, **features: list[float]) -> Facts:
    records = np.zeros(count, RECORD)
    records["asset"] = 1
    for row in range(count):
        set_id(records[row], "debtor", ALICE)
        set_id(records[row], "creditor", BOB)
    x = np.zeros((count, len(FEATURES)), np.float32)
    for name, values in features.items():
        x[:, COLUMN[name]] = values
    parties = np.ones(count, np.uint32), np.full(count, 2, np.uint32)
    countries = (np.full(count, country_code(code), np.uint16) for code in ("DE", ""))
    return Facts(records, x, *parties, *countries)


def rule(*when: str, name: str = "one", verdict: str = "review") -> dict[str, object]:
    return {"name": name, "verdict": verdict, "reason": "Because.", "when": list(when)}


def holds(folder: Path, facts: Facts, *when: str) -> list[bool]:
    fired, asked = read_rulebook([rule(*when)], folder, ASSETS).ask(facts)
    assert np.array_equal(fired, asked), "the only rule, bit 0, asks for review, which is 1"
    return fired.astype(bool).tolist()


def test_amounts_are_exact_and_of_their_asset(tmp_path: Path) -> None:
    asked = facts()
    asked.records["amount"] = 499_999, 500_000, 500_001, 2**64 - 1
    asked.records["asset"][3] = 2
    assert holds(tmp_path, asked, "amount >= 5000.00 EUR") == [False, True, True, False]
    assert holds(tmp_path, asked, "amount > 5000 EUR") == [False, False, True, False]
    assert holds(tmp_path, asked, "amount = 5000.00 EUR") == [False, True, False, False]
    assert holds(tmp_path, asked, "amount < 5000.00 EUR") == [True, False, False, False]
    assert holds(tmp_path, asked, "amount >= 18446744073709551615 JPY") == [False, False, False, True]


def test_velocity_is_asked_in_payments_seconds_and_money(tmp_path: Path) -> None:
    asked = facts(
        sent_count_1h=[0.0, 4.99, 5.0, 9.0],
        debtor_gap=np.log1p([0, 59, 60, 61]).tolist(),
        sent_amount_1d=np.log1p([0, 999, 1000, 1001]).tolist(),
    )
    assert holds(tmp_path, asked, "sent_count_1h >= 5") == [False, False, True, True]
    assert holds(tmp_path, asked, "debtor_gap < 60") == [True, True, False, False]
    assert holds(tmp_path, asked, "sent_amount_1d >= 1000") == [False, False, True, True]
    assert holds(tmp_path, asked, "sent_count_1h >= 5", "debtor_gap > 60") == [False, False, False, True]


def test_lists_of_countries(tmp_path: Path) -> None:
    (tmp_path / "near.txt").write_text("DE\nFR  # and overseas\n")
    asked = facts()
    asked.creditor_country[1:3] = country_code("FR"), country_code("GB")
    assert holds(tmp_path, asked, "debtor_country in near.txt") == [True] * 4
    assert holds(tmp_path, asked, "creditor_country in near.txt") == [False, True, False, False]
    assert holds(tmp_path, asked, "creditor_country not in near.txt") == [True, False, True, True], (
        "a party that names no country is in no list"
    )
    (tmp_path / "near.txt").write_text("Germany\n")
    with pytest.raises(ConfigError, match="no country"):
        read_rulebook([rule("debtor_country in near.txt")], tmp_path, ASSETS)


def test_lists_of_accounts_and_parties(tmp_path: Path) -> None:
    (tmp_path / "accounts.txt").write_text(f"# closed\n{render_id(ALICE)}  # by court\n\n{render_id(BOB)}\n")
    (tmp_path / "parties.txt").write_text("2\n7\n")
    asked = facts()
    set_id(asked.records[1], "debtor", MALLORY)
    asked.creditor_party[3] = 3
    assert holds(tmp_path, asked, "debtor in accounts.txt") == [True, False, True, True]
    assert holds(tmp_path, asked, "debtor not in accounts.txt") == [False, True, False, False]
    assert holds(tmp_path, asked, "creditor in accounts.txt") == [True] * 4
    assert holds(tmp_path, asked, "creditor_party in parties.txt") == [True, True, True, False]
    assert holds(tmp_path, asked, "debtor_party not in parties.txt") == [True] * 4


def test_each_rule_has_its_bit_and_the_worst_counts(tmp_path: Path) -> None:
    asked = facts(pair_new=[0, 1, 0, 1], night=[0, 0, 1, 1])
    rules = [rule("pair_new = 1"), rule("night = 1", name="two", verdict="block")]
    book = read_rulebook(rules, tmp_path, ASSETS)
    fired, asks = book.ask(asked)
    assert fired.tolist() == [0, 1, 2, 3]
    assert asks.tolist() == [0, 1, 2, 2]
    assert [found.name for found in book.of(3)] == ["one", "two"]
    most = [rule("night = 1", name=f"r{place}") for place in range(64)]
    assert read_rulebook(most, tmp_path, ASSETS).ask(asked)[0].tolist() == [0, 0, 2**64 - 1, 2**64 - 1]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (rule("amount >= 1.001 EUR"), "rule one: amount '1.001' has more than 2 decimals"),
        (rule("amount >= 1.00 XXX"), "rule one: XXX is no asset of this network; it has EUR, JPY"),
        (rule("hour_sin >= 1.00 EUR"), "rule one: only an amount is in an asset"),
        (rule("moon_phase = 1"), "rule one: 'moon_phase' is no feature"),
        (rule("night = 1.1.1"), "rule one: '1.1.1' is not a number"),
        (rule("night is 1"), "rule one: 'night is 1' is no condition"),
        (rule("creditor in nowhere.txt"), "rule one: .*nowhere.txt cannot be read"),
        (rule("creditor in bad.txt"), "rule one: bad.txt: .*account id"),
        (rule("creditor_party in bad.txt"), "rule one: bad.txt: 'who' is not the number of a party"),
        (rule("night = 1", verdict="allow"), "rule one: Invalid enum value 'allow'"),
        (rule(), "rule one: Expected `array` of length >= 1"),
        ({"name": "one", "then": 1}, "rule one: "),
        ({}, "rule 1: "),
    ],
)
def test_what_is_no_rule_is_named(tmp_path: Path, raw: dict[str, object], said: str) -> None:
    (tmp_path / "bad.txt").write_text("who\n")
    with pytest.raises(ConfigError, match=said):
        read_rulebook([raw], tmp_path, ASSETS)


def test_names_are_told_apart_and_rules_are_few(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rule one: two rules"):
        read_rulebook([rule("night = 1"), rule("night = 0")], tmp_path, ASSETS)
    with pytest.raises(ConfigError, match="65 rules are more than 64"):
        read_rulebook([rule("night = 1", name=f"r{n}") for n in range(65)], tmp_path, ASSETS)


def test_a_book_is_kept_with_its_lists_and_found_again(tmp_path: Path) -> None:
    shelf, listed = Bookshelf(tmp_path, ASSETS), tmp_path / "list.txt"

    def read() -> Rulebook:
        return read_rulebook([rule("creditor in list.txt", "amount > 1 EUR")], tmp_path, ASSETS)

    listed.write_text(f"{render_id(BOB)}\n")
    before = read()
    shelf.keep(before)
    listed.write_text(f"{render_id(ALICE)}\n")
    after = read()
    assert before.name != after.name, "other lists are other rules"
    asked = facts()
    asked.records["amount"] = 200
    found = shelf.find(before.name)
    assert found.ask(asked)[0].tolist() == before.ask(asked)[0].tolist() == [1] * 4
    assert after.ask(asked)[0].tolist() == [0] * 4
    with pytest.raises(ModelError, match="put their file there"):
        shelf.find(after.name)
    (path,) = tmp_path.glob("*.rules")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelError, match="altered"):
        shelf.find(before.name)


def test_no_rules_have_no_name() -> None:
    assert EMPTY.name == bytes(16)
    assert EMPTY.ask(facts())[1].tolist() == [0] * 4


def test_every_feature_has_a_unit_and_numbers_go_there_and_back() -> None:
    assert set(UNITS) == set(FEATURES)
    assert UNITS["sent_amount_7d"] is Unit.MONEY
    assert UNITS["pair_count_30d"] is UNITS["place_frauds_7d"] is UNITS["new_payees_1d"] is Unit.COUNT
    assert UNITS["pair_gap"] is Unit.SECONDS
    assert UNITS["amount_over_mean"] is Unit.PLAIN
    for name in FEATURES:
        assert as_feature(name, natural(name, 3.5)) == pytest.approx(3.5)
        assert natural(name, -1.0) == -1.0
