"""Bad input, each told as a problem that a program can act on."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from bezant.interfaces.rest.door import TokenBucket
from bezant.interfaces.rest.problems import split_path

from .conftest import Api, payment, uuid7

NOBODY = "0" * 32
JSON = {"content-type": "application/json"}


def check_problem(
    response: httpx.Response, status: int, code: str, param: str | None = None
) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "code", "request_id", "retryable"} <= set(problem)
    assert (problem["status"], problem["code"], problem.get("param")) == (status, code, param)
    assert problem["type"] == f"urn:bezant:problem:{code}"
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{", 400, "malformed", None),
        (b"\xff", 400, "malformed", None),
        (b'{"debtor":"\xff"}', 400, "malformed", None),
        (b'{"debtor":' + b"[" * 50_000, 400, "input_invalid", "debtor"),
        (b"[]", 400, "input_invalid", None),
        (b"{}", 400, "input_invalid", None),
    ],
)
def test_bodies_that_do_not_parse(api: Api, body: bytes, status: int, code: str, param: str | None) -> None:
    response = api.send("POST", "/v1/payments", key=uuid7(), content=body, headers=JSON)
    check_problem(response, status, code, param)


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        (
            {"instructed_amount": {"amount": "-1", "asset": "EUR"}},
            422,
            "amount_negative",
            "instructed_amount.amount",
        ),
        (
            {"instructed_amount": {"amount": 1.5, "asset": "EUR"}},
            400,
            "input_invalid",
            "instructed_amount.amount",
        ),
        (
            {"instructed_amount": {"amount": "1e3", "asset": "EUR"}},
            422,
            "amount_malformed",
            "instructed_amount.amount",
        ),
        ({"instructed_amount": {"amount": "0.001", "asset": "EUR"}}, 422, "amount_over_precise", "amount"),
        ({"instructed_amount": {"amount": "0", "asset": "EUR"}}, 422, "amount_zero", "amount"),
        ({"instructed_amount": {"amount": "9" * 20, "asset": "EUR"}}, 422, "amount_too_large", "amount"),
        ({"instructed_amount": {"amount": "1", "asset": "XXX"}}, 422, "asset_unknown", "asset"),
        ({"instructed_amount": {"amount": "1", "asset": "USD"}}, 422, "asset_mismatch", None),
        ({"debtor": "somebody"}, 400, "input_invalid", "debtor"),
        ({"debtor": NOBODY}, 422, "debtor_unknown", None),
        ({"creditor": NOBODY}, 422, "creditor_unknown", None),
        ({"end_to_end_id": "x" * 36}, 400, "input_invalid", "end_to_end_id"),
        ({"charge_bearer": "ME"}, 400, "input_invalid", "charge_bearer"),
        ({"uetr": "not-a-uuid"}, 400, "input_invalid", "uetr"),
        ({"hold_for_s": -1}, 400, "input_invalid", "hold_for_s"),
        ({"tip": "1.00"}, 400, "input_invalid", None),
    ],
)
def test_fields_that_are_not_accepted(
    api: Api, accounts: tuple[str, str], change: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    response = api.send("POST", "/v1/payments", key=uuid7(), json=payment(*accounts) | change)
    check_problem(response, status, code, param)


def test_same_account(api: Api, accounts: tuple[str, str]) -> None:
    response = api.send("POST", "/v1/payments", key=uuid7(), json=payment(accounts[0], accounts[0]))
    check_problem(response, 422, "same_account")


def test_a_frozen_account_neither_pays_nor_is_paid(api: Api, accounts: tuple[str, str]) -> None:
    debtor, creditor = accounts
    assert api.post(f"/v1/accounts/{debtor}/freeze", status=200)["frozen"]
    response = api.send("POST", "/v1/payments", key=uuid7(), json=payment(debtor, creditor))
    assert check_problem(response, 422, "debtor_frozen")["reason_code"] == "AC06"
    assert not api.post(f"/v1/accounts/{debtor}/thaw", status=200)["frozen"]
    api.post("/v1/payments", payment(debtor, creditor))


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency_key_missing"),
        ("x" * 256, "idempotency_key_invalid"),
        ("with\ttab", "idempotency_key_invalid"),
    ],
)
def test_what_moves_money_needs_a_usable_key(
    api: Api, accounts: tuple[str, str], key: str | None, code: str
) -> None:
    response = api.send("POST", "/v1/payments", key=key, json=payment(*accounts))
    check_problem(response, 400, code, "Idempotency-Key")


def test_an_id_from_long_ago_is_expired_for_good(api: Api, accounts: tuple[str, str]) -> None:
    old = "018bcfe5-6800-7000-8000-000000000001"
    response = api.send("POST", "/v1/payments", key=old, json=payment(*accounts))
    assert check_problem(response, 422, "expired")["reason_code"] == "TM01"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/nowhere", 404, "not_found"),
        ("PUT", "/v1/payments", 405, "method_not_allowed"),
        ("GET", "/v1/payments/018bcfe5-6800-7000-8000-000000000001", 404, "payment_unknown"),
        ("GET", "/v1/payments/018bcfe5-6800-7000-8000-000000000001/receipt", 404, "payment_unknown"),
        ("GET", "/v1/decisions/018bcfe5-6800-7000-8000-000000000001", 404, "decision_unknown"),
        ("GET", f"/v1/accounts/{NOBODY}", 404, "account_unknown"),
        ("GET", f"/v1/accounts/{NOBODY}/statement", 404, "account_unknown"),
        ("GET", "/v1/parties/999999", 404, "party_unknown"),
    ],
)
def test_what_is_not_there(api: Api, method: str, path: str, status: int, code: str) -> None:
    response = api.send(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/payments/not-a-uuid", "id"),
        ("/v1/accounts/not-hex", "account"),
        ("/v1/payments?limit=0", "limit"),
        ("/v1/payments?limit=many", "limit"),
        ("/v1/payments?status=lost", "status"),
        ("/v1/payments?cursor=abc", "cursor"),
        ("/v1/payments?from=yesterday", "from"),
        ("/v1/payments?to=2026-01-01T00:00:00", "to"),
    ],
)
def test_parameters_that_are_not_accepted(api: Api, path: str, param: str) -> None:
    response = api.send("GET", path)
    assert response.status_code == 400
    assert response.json()["param"] == param


@pytest.mark.parametrize("stated", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_read(api: Api, stated: str) -> None:
    response = api.send("POST", "/v1/payments", key=uuid7(), content=b"{}", headers={"content-type": stated})
    check_problem(response, 415, "unsupported_media_type", "Content-Type")


def test_a_body_that_is_too_large(api: Api) -> None:
    body = json.dumps({"debtor": "0" * 1_100_000})
    response = api.send("POST", "/v1/payments", key=uuid7(), content=body, headers=JSON)
    check_problem(response, 413, "body_too_large")


@pytest.mark.parametrize("shown", ["", "Bearer wrong", "bearer", "Basic abc"])
@pytest.mark.parametrize("path", ["/v1/payments", "/metrics", "/v1/events", "/nowhere"])
def test_everything_but_health_and_schema_needs_the_token(api: Api, shown: str, path: str) -> None:
    response = api.send("GET", path, headers={"authorization": shown})
    check_problem(response, 401, "unauthenticated", "Authorization")
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/health", "/schema", "/schema/openapi.json"])
def test_what_is_open(api: Api, path: str) -> None:
    assert api.send("GET", path, headers={"authorization": ""}).status_code == 200


def test_the_rate_is_limited_and_says_when_to_come_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.app, "_known", TokenBucket(0.001, 1))
    assert api.send("GET", "/health").status_code == 200
    response = api.send("GET", "/health")
    assert check_problem(response, 429, "rate_limited")["retryable"]
    assert int(response.headers["retry-after"]) >= 1


def test_a_bucket_fills_with_time() -> None:
    now = [0.0]
    bucket = TokenBucket(2.0, 3, lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 1.0
    assert [bucket.take() for _ in range(3)] == [True, True, False]


def test_overload_sheds_before_anything_is_accepted(
    api: Api, accounts: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("bezant.pipeline.intake.MAX_WAITING", 0)
        key = uuid7()
        response = api.send("POST", "/v1/payments", key=key, json=payment(*accounts))
    check_problem(response, 503, "overloaded")
    assert response.headers["retry-after"] == "1"
    assert api.send("POST", "/v1/payments", key=key, json=payment(*accounts)).status_code == 201


def test_no_path_in_a_message_where_there_is_none() -> None:
    assert split_path("Object contains unknown field `x`") == ("Object contains unknown field `x`", None)
    assert split_path("Expected `str` - at `$[0].a`") == ("Expected `str`", "[0].a")
