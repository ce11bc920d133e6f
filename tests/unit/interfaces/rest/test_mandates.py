"""Mandates: set, paid under, bounded, revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .conftest import Api, payment, uuid7

Accounts = tuple[str, str]


def mandate(api: Api, account: str, **more: Any) -> Any:
    return api.post("/v1/mandates", {"account": account, "cap_per_payment": "10"} | more)


def pay(api: Api, accounts: Accounts, amount: str, under: str) -> tuple[int, str]:
    body = payment(*accounts, amount, mandate=under)
    rehearsed = api.post("/v1/payments/dry-run", body, status=200)["outcome"]
    made = api.send("POST", "/v1/payments", key=uuid7(), json=body)
    answer = made.json()
    told = answer["outcome"] if made.status_code == 201 else answer["code"]
    assert told == rehearsed
    return made.status_code, told


def test_a_mandate_bounds_payments_and_periods_until_it_is_revoked(api: Api, accounts: Accounts) -> None:
    made = mandate(api, accounts[0], payee=accounts[1], cap_per_period="15", period_s=86_400)
    path = f"/v1/mandates/{made['id']}"
    assert (made["status"], made["spent_in_period"]["amount"]) == ("active", "0.00")
    assert made["delegate"] == api.get("/v1/network")["gateway_authority"]
    assert pay(api, accounts, "10", made["id"]) == (201, "applied")
    assert pay(api, accounts, "10.01", made["id"]) == (422, "above_mandate")
    assert pay(api, accounts, "5.01", made["id"]) == (422, "above_mandate_period")
    assert pay(api, (accounts[0], api.account()), "1", made["id"]) == (422, "not_authorised")
    assert api.get(path)["spent_in_period"]["amount"] == "10.00"
    assert api.get("/v1/mandates", account=accounts[0])["mandates"] == [api.get(path)]
    for _ in range(2):
        assert api.post(f"{path}/revoke", status=200)["status"] == "revoked"
    assert api.get("/v1/mandates", account=accounts[0])["mandates"] == []
    assert api.get(path)["cap_per_period"]["amount"] == "15.00"
    assert pay(api, accounts, "1", made["id"]) == (422, "not_authorised")


def test_a_payment_shows_its_mandate(api: Api, accounts: Accounts) -> None:
    made = mandate(api, accounts[0])
    paid = api.post("/v1/payments", payment(*accounts, "1", mandate=made["id"]))
    assert (paid["mandate"], paid["signing_mode"]) == (made["id"], "delegate")
    assert api.get(f"/v1/payments/{paid['id']}") == paid


def test_a_key_sets_one_mandate(api: Api, accounts: Accounts) -> None:
    key, body = uuid7(), {"account": accounts[0], "cap_per_payment": "10"}
    first = api.send("POST", "/v1/mandates", key=key, json=body)
    again = api.send("POST", "/v1/mandates", key=key, json=body)
    assert (first.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json()["id"] == key
    other = api.send("POST", "/v1/mandates", key=key, json=body | {"cap_per_payment": "11"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_a_mandate_ends(api: Api, accounts: Accounts) -> None:
    ends = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    made = mandate(api, accounts[0], expires_at=ends.isoformat())
    assert datetime.fromisoformat(made["expires_at"]) == ends
    past = {"account": accounts[0], "cap_per_payment": "1", "expires_at": "2001-01-01T00:00:00Z"}
    refused = api.send("POST", "/v1/mandates", key=uuid7(), json=past)
    assert (refused.status_code, refused.json()["code"]) == (422, "mandate_expired")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"cap_per_period": "5"}, 400, "mandate_invalid"),
        ({"period_s": 60}, 400, "mandate_invalid"),
        ({"cap_per_payment": "1.001"}, 422, "amount_over_precise"),
        ({"cap_per_payment": "0"}, 422, "amount_zero"),
        ({"payee": "ab" * 16}, 422, "creditor_unknown"),
        ({"delegate": "ab" * 16}, 422, "holder_unknown"),
        ({"account": "ab" * 16}, 404, "account_unknown"),
        ({"expires_at": "tomorrow"}, 400, "input_invalid"),
    ],
)
def test_a_mandate_that_cannot_be_is_refused(
    api: Api, accounts: Accounts, change: dict[str, Any], status: int, code: str
) -> None:
    body = {"account": accounts[0], "cap_per_payment": "10"} | change
    refused = api.send("POST", "/v1/mandates", key=uuid7(), json=body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


def test_what_is_no_mandate_is_not_found(api: Api, accounts: Accounts) -> None:
    paid = api.post("/v1/payments", payment(*accounts, "1"))["id"]
    for unknown in (paid, uuid7()):
        shown = api.send("GET", f"/v1/mandates/{unknown}")
        assert (shown.status_code, shown.json()["code"]) == (404, "mandate_unknown")
