"""A rule changes by vote on real validators: in force from one height on, on every member, and stays so."""

from __future__ import annotations

from typing import Any

from bezant.testing.gateways import Gateway

from .conftest import Four, until
from .test_faults import Load


def rule(gateway: Gateway, name: str) -> dict[str, Any]:
    found = (one for one in gateway.get("/v1/governance")["rules"] if one["rule"] == name)
    return dict(next(found))


def test_a_rule_that_three_of_four_accept_is_in_force_everywhere_from_its_height_on(four: Four) -> None:
    first, second, third, fourth = four.gateways
    last = four.network.members[-1]
    body = {"rule": "slash_ppm", "value": 70_000, "after_blocks": 40, "voting_s": 600}
    asked = first.post("/v1/governance/proposals", body)
    four.settle()
    for gateway, ballot in ((first, "yes"), (second, "yes"), (third, "no"), (third, "yes")):
        gateway.post(f"/v1/governance/proposals/{asked['id']}/votes", {"ballot": ballot})
    four.settle()
    (open_,) = fourth.get("/v1/governance")["proposals"]
    assert (open_["votes_yes"], open_["votes_in_all"], open_["institution"]) == (30, 40, "Institution 1")
    four.network.stop([last])
    load = Load(second, four.bob, four.alice)
    with load.running():
        until(lambda: rule(second, "slash_ppm")["value"] == 70_000, "the change is in force")
    four.heal()
    for gateway in four.gateways:
        # The last one was away, and learned of it from the blocks that it missed.
        assert rule(gateway, "slash_ppm")["since_height"] == open_["height"]
        assert gateway.get("/v1/governance")["proposals"] == []
        (past,) = gateway.get("/v1/governance/proposals")["proposals"]
        assert past == gateway.get(f"/v1/governance/proposals/{asked['id']}")
        assert (past["status"], past["in_force_height"]) == ("in_force", open_["height"])
        assert (past["previous_value"], past["value"]) == (50_000, 70_000)
        said = {one["institution"]: one["ballot"] for one in past["ballots"]}
        assert said == {f"Institution {n}": "yes" for n in (1, 2, 3)}
    four.network.stop([last])
    four.heal()
    assert rule(fourth, "slash_ppm") == rule(first, "slash_ppm")
    refused = first.send("POST", "/v1/governance/proposals", json=body | {"rule": "unbonding_s", "value": 60})
    assert (refused.status_code, refused.json()["code"]) == (422, "rule_out_of_bounds")
    four.check_one_history()
