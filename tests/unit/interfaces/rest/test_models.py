"""Models over REST: roles given, listed, put back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.unit.interfaces.rest.conftest import Api, uuid7

from bezant.intelligence.model import Model
from bezant.intelligence.shelf import Shelf


@pytest.fixture
def digests(api: Api, model_file: Path) -> Iterator[tuple[str, str]]:
    """Two model files in the data folder, whose roles are taken away in the end."""
    shelf, first = Shelf(api.node.folder.models), Model.load(model_file)
    second = Model.build(msgspec.structs.replace(first.card, source="another"), first.trees)
    for model in (first, second):
        model.save(shelf.path(model.digest))
    yield first.digest.hex(), second.digest.hex()
    for one in api.get("/v1/models")["models"]:
        set_role(api, one["digest"], "retired")


def set_role(api: Api, digest: str, role: str) -> dict[str, str]:
    """Give a role; return the roles by digest that there are then."""
    answer = api.send("POST", f"/v1/models/{digest}/role", json={"role": role})
    assert answer.status_code == 200, answer.text
    return {one["digest"]: one["role"] for one in answer.json()["models"]}


def test_a_model_goes_from_role_to_role(api: Api, digests: tuple[str, str]) -> None:
    first, second = digests
    assert set_role(api, first, "registered") == {first: "registered"}
    assert set_role(api, first[:12], "champion") == {first: "champion"}
    set_role(api, second, "registered")
    assert set_role(api, second, "challenger") == {first: "champion", second: "challenger"}
    assert api.get("/health")["model"] == first[:32]
    listed = api.get("/v1/models")["models"]
    assert [one["role"] for one in listed] == ["champion", "challenger"]
    assert listed[0]["in_use"]
    assert 0.5 < listed[0]["area_under_roc"] <= 1
    assert set_role(api, second, "champion") == {first: "registered", second: "champion"}
    assert api.get("/health")["model"] == second[:32]
    changes = api.get("/v1/models/history")["changes"][-5:]
    assert [(one["digest"], one["role"]) for one in changes] == [
        (first, "registered"),
        (first, "champion"),
        (second, "registered"),
        (second, "challenger"),
        (second, "champion"),
    ]


def test_a_roll_back_is_done_once_a_key(api: Api, digests: tuple[str, str]) -> None:
    first, second = digests
    for one in digests:
        set_role(api, one, "registered")
        set_role(api, one, "champion")
    key = uuid7()
    for replayed in (None, "true"):
        answer = api.send("POST", "/v1/models/rollback", key=key)
        assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (200, replayed)
        assert {one["digest"]: one["role"] for one in answer.json()["models"]} == {
            first: "champion",
            second: "registered",
        }


def test_what_is_told_of_models_that_cannot_be(api: Api, digests: tuple[str, str]) -> None:
    for digest, role, status, code in (
        ("0" * 64, "registered", 404, "model_missing"),
        (digests[0], "champion", 404, "model_unknown"),
        ("0" * 8, "champion", 404, "model_unknown"),
        ("zz", "champion", 400, "model_digest_invalid"),
        (digests[0], "king", 400, "input_invalid"),
    ):
        answer = api.send("POST", f"/v1/models/{digest}/role", json={"role": role})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    nobody = api.send("POST", "/v1/models/rollback", key=uuid7())
    assert (nobody.status_code, nobody.json()["code"]) == (409, "no_earlier_champion")


def test_challenger_and_champion_are_compared_where_both_are_in_use(
    api: Api, digests: tuple[str, str]
) -> None:
    first, second = digests
    none = api.send("GET", "/v1/models/comparison")
    assert (none.status_code, none.json()["code"]) == (409, "no_challenger")
    for digest, role in ((first, "champion"), (second, "challenger")):
        set_role(api, digest, "registered")
        set_role(api, digest, role)
    found = api.get("/v1/models/comparison", budget=0.02)
    assert (found["champion"]["digest"], found["challenger"]["digest"]) == (first, second)
    assert (found["payments"], found["budget"]) == (0, 0.02)
    assert found["recall_difference"] == {}, "nothing is claimed where nothing is known"
    assert api.send("GET", "/v1/models/comparison", params={"budget": 0}).status_code == 400


def test_drift_is_told_by_resource_health_metrics_and_stream(api: Api) -> None:
    node = api.node

    async def listen() -> bytes:
        stream = api.services.feed.stream()
        assert await anext(stream) == b": connected\n\n"
        node.drift.tell("stage.drift", "score", "adwin", 300.0, 900.0)
        heard: bytes = await anext(stream)
        await stream.aclose()
        return heard

    heard = api.run(listen())
    assert heard.startswith(b"event: stage.drift\ndata: {"), "without an id: it is in no block"
    (event,) = [one for one in api.get("/v1/models/drift")["events"] if one["before"] == 300.0]
    assert (event["type"], event["subject"], event["after"]) == ("stage.drift", "score", 900.0)
    assert "score: from 300 to 900 µs a batch" in api.get("/health")["drift"]
    metrics = api.send("GET", "/metrics").text
    assert f"bezant_drift_events {float(node.drift.count)}" in metrics
