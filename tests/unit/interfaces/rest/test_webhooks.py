"""Webhooks over REST: register, see, rotate, remove."""

from __future__ import annotations

import pytest

from .conftest import Api

URL = "https://hooks.example.org/bezant"


@pytest.fixture(autouse=True)
def _told(api: Api) -> None:
    """What other tests paid is in the read model, and no news to an endpoint of these."""
    assert api.node.follower is not None
    assert api.node.follower.wait_for(api.node.engine.durable_height, 30)


def test_an_endpoint_lives_and_its_secret_is_shown_once(api: Api) -> None:
    made = api.send("POST", "/v1/webhooks", json={"url": URL, "types": ["payment.settled"]})
    assert made.status_code == 201
    webhook, secret = made.json()["webhook"], made.json()["secret"]
    assert secret.startswith("whsec_")
    assert webhook in api.get("/v1/webhooks")["webhooks"]
    assert secret not in str(api.get("/v1/webhooks"))
    rotated = api.send("POST", f"/v1/webhooks/{webhook['id']}/rotate", json={}).json()
    assert rotated["secret"] != secret
    assert api.send("DELETE", f"/v1/webhooks/{webhook['id']}").status_code == 204
    assert api.send("POST", f"/v1/webhooks/{webhook['id']}/enable", json={}).status_code == 404


def test_what_cannot_be_told_is_refused(api: Api) -> None:
    inside = api.send("POST", "/v1/webhooks", json={"url": "http://127.0.0.1:9/x"})
    assert (inside.status_code, inside.json()["code"]) == (400, "url_refused")
    unknown = api.send("POST", "/v1/webhooks", json={"url": URL, "types": ["payment.imagined"]})
    assert (unknown.status_code, unknown.json()["code"]) == (400, "event_type_unknown")
    assert api.send("POST", "/v1/webhooks/deliveries/none/resend", json={}).status_code == 404
    assert api.get("/v1/webhooks/deliveries") == {"deliveries": []}
