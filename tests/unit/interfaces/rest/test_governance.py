"""Governance over REST where one node orders alone: everybody sees the rules, and nobody votes on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.interfaces.rest.conftest import Api, uuid7

from bezant.model.governance import RANGES, Ballot, Rule
from bezant.model.identifiers import parse_payment_id
from bezant.model.keys import authority_id
from bezant.store import schema

CHANGE = {"rule": "slash_ppm", "value": 70_000}


def test_the_rules_are_shown_with_their_bounds(api: Api) -> None:
    told = api.get("/v1/governance")
    assert told["proposals"] == []
    assert {one["rule"] for one in told["rules"]} == {rule.name.lower() for rule in RANGES}
    found = {one["rule"]: one for one in told["rules"]}
    assert found["slash_ppm"] == {
        "rule": "slash_ppm", "value": 50_000, "founded_value": 50_000, "low": 0, "high": 1_000_000
    }  # fmt: skip
    assert found["schemes"]["value"] == 3


def test_where_nobody_votes_a_proposal_is_refused(api: Api) -> None:
    key = uuid7()
    for _ in range(2):
        refused = api.send("POST", "/v1/governance/proposals", key=key, json=CHANGE)
        assert (refused.status_code, refused.json()["code"]) == (409, "not_governed")
    voted = api.send("POST", f"/v1/governance/proposals/{key}/votes", key=uuid7(), json={"ballot": "yes"})
    assert (voted.status_code, voted.json()["code"]) == (409, "not_governed")


@pytest.mark.parametrize(
    "body",
    [
        {"rule": "id_window_s", "value": 5},
        {"rule": "slash_ppm", "value": -1},
        {"rule": "slash_ppm", "value": 2**60},
        {"rule": "slash_ppm", "value": "7"},
        CHANGE | {"voting_s": 0},
        CHANGE | {"more": 1},
    ],
)
def test_what_is_no_proposal_is_refused_before_it_is_ordered(api: Api, body: dict[str, Any]) -> None:
    refused = api.send("POST", "/v1/governance/proposals", key=uuid7(), json=body)
    assert refused.status_code == 400


def test_a_vote_is_yes_or_no(api: Api) -> None:
    path = f"/v1/governance/proposals/{uuid7()}/votes"
    assert api.send("POST", path, key=uuid7(), json={"ballot": "perhaps"}).status_code == 400
    assert (
        api.send("POST", "/v1/governance/proposals/7/votes", key=uuid7(), json={"ballot": "yes"}).status_code
        == 400
    )


def test_a_fee_is_proposed_in_decimals_of_its_asset(api: Api) -> None:
    fee = {"asset": "EUR", "flat": "0.05", "ppm": 500, "minimum": "0.10", "maximum": "2.50"}
    for body, status, code in (
        (fee, 409, "not_governed"),
        (fee | {"asset": "XXX"}, 422, "asset_unknown"),
        (fee | {"flat": "0.001"}, 422, "amount_over_precise"),
        (fee | {"ppm": 1_000_001}, 400, "input_invalid"),
    ):
        refused = api.send("POST", "/v1/governance/fees", key=uuid7(), json=body)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert api.get("/v1/governance")["fees"] == []


def test_the_issuer_opens_what_collects_fees_once(api: Api) -> None:
    opened = [api.post("/v1/governance/collectors", {"asset": "USD"}, status=200) for _ in range(2)]
    assert opened[0] == opened[1]
    assert api.get(f"/v1/accounts/{opened[0]['account']}")["balance"] == "0.00"


@pytest.fixture
def past(api: Api) -> Iterator[list[str]]:
    """The ids of a fee that was declined and a rule that changed, as a network's blocks would enter them."""
    ids, own = [uuid7(), uuid7()], authority_id(api.node.desk.institution_key.public)
    height, second = 2**schema.POSITION_BITS, 10**9
    numbers = ((Rule.FEE, 1, 5, 100, 5, 250), (Rule.SLASH_PPM, 0, 70_000, 0, 0, 0))
    rows = []
    for place, (id_, (rule, asset, *values), status) in enumerate(
        zip(ids, numbers, ("declined", "in_force"), strict=True)
    ):
        begun = (
            (place + 7) * height,
            schema.id_key(parse_payment_id(id_)),
            schema.id_key(own),
            rule,
            asset,
            *values,
            60,
        )
        ended = (40 * height, 40 * second) + ((60 * height, 60 * second) if place else (None, None))
        rows.append((*begun, 50 * second, status, second, *ended))
    store = api.node.read_model.store
    with store._database.write() as connection:
        store._database.insert_many(connection, schema.proposals, rows)
        said = (8 * height, schema.id_key(parse_payment_id(ids[0])), schema.id_key(own), int(Ballot.NO))
        store._database.insert_many(connection, schema.ballots, [said])
        store._database.insert_many(
            connection, schema.rule_changes, [(Rule.SLASH_PPM, 0, 60, 70_000, 0, 0, 0)]
        )
    yield ids
    with store._database.write() as connection:
        for table in (schema.proposals, schema.ballots, schema.rule_changes):
            connection.execute(table.delete())


def test_what_was_decided_is_listed_with_what_it_was_before(api: Api, past: list[str]) -> None:
    fee, slash = past
    listed = api.get("/v1/governance/proposals")
    assert [one["id"] for one in listed["proposals"]] == [slash, fee]
    page = api.get("/v1/governance/proposals", limit=1)
    after = api.get("/v1/governance/proposals", limit=1, cursor=page["next_cursor"])
    assert page["proposals"] + after["proposals"] == listed["proposals"]
    assert api.get("/v1/governance/proposals", status="declined")["proposals"] == [listed["proposals"][1]]
    assert api.get("/v1/governance/proposals", status="lapsed")["proposals"] == []
    told = api.get(f"/v1/governance/proposals/{slash}")
    assert told == listed["proposals"][0]
    assert {name: told[name] for name in ("status", "rule", "previous_value", "value")} == {
        "status": "in_force", "rule": "slash_ppm", "previous_value": 50_000, "value": 70_000
    }  # fmt: skip
    assert (told["proposed_height"], told["decided_height"], told["in_force_height"]) == (8, 40, 60)
    assert (told["institution"], told["in_force_at"]) == ("Operator", "1970-01-01T00:01:00.000000000Z")
    assert "votes_yes" not in told, "whose votes they were is known, and what they weighed is not"
    told = api.get(f"/v1/governance/proposals/{fee}")
    amounts = {name: told["fee"][name]["amount"] for name in ("flat", "minimum", "maximum")}
    assert (amounts, told["fee"]["ppm"]) == ({"flat": "0.05", "minimum": "0.05", "maximum": "2.50"}, 100)
    assert told["previous_fee"]["maximum"] == {"amount": "0.00", "asset": "EUR"}
    assert [(one["institution"], one["ballot"]) for one in told["ballots"]] == [("Operator", "no")]
    assert "in_force_height" not in told


def test_a_proposal_that_never_was_is_not_found(api: Api) -> None:
    for path, status, code in (
        (f"/v1/governance/proposals/{uuid7()}", 404, "proposal_unknown"),
        ("/v1/governance/proposals/7", 400, "id_malformed"),
        ("/v1/governance/proposals?status=open", 400, "input_invalid"),
        ("/v1/governance/proposals?cursor=x", 400, "cursor_invalid"),
    ):
        refused = api.send("GET", path)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert api.get("/v1/governance/proposals") == {"proposals": []}
