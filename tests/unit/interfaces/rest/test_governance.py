"""Governance over REST where one node orders alone: everybody sees the rules, and nobody votes on them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.interfaces.rest.conftest import Api, uuid7

from bezant.model.governance import RANGES

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
