"""Holds in several captures, and holds that a secret opens."""

from __future__ import annotations

from typing import Any

import pytest

from bezant.model.digest import sha256

from .conftest import Api, payment, uuid7

SECRET = bytes(range(32))


def held(api: Api, accounts: tuple[str, str], **more: Any) -> Any:
    return api.post("/v1/payments", payment(*accounts, "40", hold_for_s=3600, **more))


def test_a_hold_is_captured_part_by_part(api: Api, accounts: tuple[str, str]) -> None:
    made = held(api, accounts)
    path = f"/v1/payments/{made['id']}"
    assert made["held"]["amount"] == {"amount": "40.00", "asset": "EUR"}
    assert api.get(path)["held"] == made["held"]
    first = api.post(f"{path}/capture", {"amount": "15", "keep_rest": True}, status=200)
    assert first["outcome"] == "captured_in_part"
    now = api.get(path)
    assert (now["status"], now["settled_amount"]["amount"]) == ("held", "15.00")
    assert now["held"]["amount"]["amount"] == "25.00"
    assert api.get("/v1/payments", account=accounts[0])["payments"][0] == now
    assert api.get(f"/v1/accounts/{accounts[0]}")["available"] == "60.00"
    last = api.post(f"{path}/capture", status=200)
    assert (last["outcome"], last["amount"]["amount"]) == ("captured", "25.00")
    now = api.get(path)
    assert (now["status"], now["settled_amount"]["amount"]) == ("captured", "40.00")
    assert "held" not in now
    listed = api.get(f"{path}/captures")["captures"]
    assert [(one["id"], one["amount"]["amount"]) for one in listed] == [
        (first["id"], "15.00"),
        (last["id"], "25.00"),
    ]


def test_a_key_captures_all_that_was_left_and_answers_the_same_again(
    api: Api, accounts: tuple[str, str]
) -> None:
    path = f"/v1/payments/{held(api, accounts)['id']}/capture"
    part, rest = uuid7(), uuid7()
    body = {"amount": "15", "keep_rest": True}
    first = api.send("POST", path, key=part, json=body)
    last = api.send("POST", path, key=rest, json={})
    for key, asked, answer in ((part, body, first), (rest, {}, last)):
        again = api.send("POST", path, key=key, json=asked)
        assert (again.status_code, again.content) == (200, answer.content)
        assert again.headers["idempotency-replayed"] == "true"
    for key, other in ((part, {"amount": "15"}), (part, {}), (rest, {"amount": "24"})):
        reused = api.send("POST", path, key=key, json=other)
        assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


def test_a_refused_capture_is_refused_again(api: Api, accounts: tuple[str, str]) -> None:
    path, key = f"/v1/payments/{held(api, accounts)['id']}/capture", uuid7()
    for _ in range(2):
        refused = api.send("POST", path, key=key, json={"amount": "40.01"})
        assert (refused.status_code, refused.json()["code"]) == (422, "amount_above_hold")


def test_a_rest_is_released_and_what_was_captured_stays(api: Api, accounts: tuple[str, str]) -> None:
    path = f"/v1/payments/{held(api, accounts)['id']}"
    api.post(f"{path}/capture", {"amount": "15", "keep_rest": True}, status=200)
    released = api.post(f"{path}/release", status=200)
    assert (released["outcome"], released["amount"]["amount"]) == ("released", "25.00")
    now = api.get(path)
    assert (now["status"], now["settled_amount"]["amount"]) == ("captured", "15.00")


def test_a_secret_opens_a_locked_hold(api: Api, accounts: tuple[str, str]) -> None:
    lock, key = sha256(SECRET).hex(), uuid7()
    body = payment(*accounts, "40", hold_for_s=3600, hashlock=lock)
    made = api.send("POST", "/v1/payments", key=key, json=body)
    assert (made.status_code, made.json()["held"]["hashlock"]) == (201, lock)
    again = api.send("POST", "/v1/payments", key=key, json=body)
    assert (again.content, again.headers["idempotency-replayed"]) == (made.content, "true")
    other = api.send("POST", "/v1/payments", key=key, json=body | {"hashlock": "11" * 32})
    assert other.json()["code"] == "idempotency_key_reused"
    path = f"/v1/payments/{key}/capture"
    for wrong in ({}, {"preimage": "00" * 31 + "01"}):
        refused = api.send("POST", path, key=uuid7(), json=wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "preimage_mismatch")
        assert "this does not open the hold's lock" in refused.json()["detail"]
    opened = api.post(path, {"preimage": SECRET.hex()}, status=200)
    assert opened["outcome"] == "captured"
    assert api.get(f"/v1/accounts/{accounts[1]}")["balance"] == "40.00"


def test_locked_holds_and_plain_payments_are_answered_side_by_side(
    api: Api, accounts: tuple[str, str]
) -> None:
    asked = [
        payment(*accounts, "0.01", **({"hashlock": sha256(SECRET).hex(), "hold_for_s": 60} if n % 2 else {}))
        for n in range(9)
    ]
    keys = [uuid7() for _ in asked]
    answers = api.together(
        *(
            ("POST", "/v1/payments", {"headers": {"Idempotency-Key": key}, "json": body})
            for key, body in zip(keys, asked, strict=True)
        )
    )
    assert [one.json()["id"] for one in answers] == keys
    assert [one.json()["status"] for one in answers] == ["settled", "held"] * 4 + ["settled"]


@pytest.mark.parametrize("more", [{"hashlock": "11" * 32}, {"hashlock": "00" * 32, "hold_for_s": 60}])
def test_only_a_hold_has_a_lock(api: Api, accounts: tuple[str, str], more: dict[str, Any]) -> None:
    refused = api.send("POST", "/v1/payments", key=uuid7(), json=payment(*accounts, "1", **more))
    assert (refused.status_code, refused.json()["param"]) == (400, "hashlock")


def test_what_is_no_payment_is_not_shown_as_one(api: Api, accounts: tuple[str, str]) -> None:
    made = held(api, accounts)
    capture = api.post(f"/v1/payments/{made['id']}/capture", status=200)
    shown = api.send("GET", f"/v1/payments/{capture['id']}")
    assert (shown.status_code, shown.json()["code"]) == (404, "payment_unknown")
    assert api.send("GET", f"/v1/payments/{capture['id']}/receipt").status_code == 200
