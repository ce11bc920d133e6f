"""Refunds: in parts, never above what was paid, once for each key."""

from __future__ import annotations

from typing import Any

import pytest

from bezant.chain.receipts import verify_receipt

from .conftest import Api, payment, uuid7

Accounts = tuple[str, str]


def paid(api: Api, accounts: Accounts, amount: str = "40", **more: Any) -> str:
    return str(api.post("/v1/payments", payment(*accounts, amount, **more))["id"])


def test_a_payment_is_paid_back_in_parts_and_shows_it(api: Api, accounts: Accounts) -> None:
    paid(api, accounts, "10")
    path = f"/v1/payments/{paid(api, accounts)}"
    first = api.post(f"{path}/refunds", {"amount": "15", "remittance_information": "one item"})
    assert (first["type"], first["refund_of"], first["status"]) == ("refund", path[-36:], "settled")
    assert first["signing_mode"] == "institution"
    assert api.get(path)["refunded_amount"] == {"amount": "15.00", "asset": "EUR"}
    assert api.get(f"/v1/payments/{first['id']}") == first
    too_much = api.send("POST", f"{path}/refunds", key=uuid7(), json={"amount": "25.01"})
    assert (too_much.status_code, too_much.json()["code"]) == (422, "above_original")
    rest = api.post(f"{path}/refunds")
    assert rest["instructed_amount"]["amount"] == "25.00"
    more = api.send("POST", f"{path}/refunds", key=uuid7(), json={})
    assert (more.status_code, more.json()["code"]) == (409, "nothing_left")
    listed = api.get(f"{path}/refunds")["refunds"]
    assert [(one["id"], one.get("remittance_information", "")) for one in listed] == [
        (first["id"], "one item"),
        (rest["id"], ""),
    ]
    assert api.get(f"/v1/accounts/{accounts[0]}")["balance"] == "90.00"
    lines = api.get(f"/v1/accounts/{accounts[1]}/statement")["entries"]
    assert [(line["credit_debit"], line["amount"]) for line in lines] == [
        ("CRDT", "10.00"),
        ("CRDT", "40.00"),
        ("DBIT", "15.00"),
        ("DBIT", "25.00"),
    ]
    oldest = api.get("/v1/payments", account=accounts[1])["payments"][::-1]
    assert [one.get("refunded_amount", {}).get("amount") for one in oldest[:2]] == [None, "40.00"]
    receipt = api.send("GET", f"/v1/payments/{first['id']}/receipt").content
    assert verify_receipt(receipt).summary.amount == "15.00"


@pytest.mark.parametrize("key_kind", ["uuid7", "free text"])
def test_a_key_pays_back_once(api: Api, accounts: Accounts, key_kind: str) -> None:
    path = f"/v1/payments/{paid(api, accounts)}/refunds"
    part, rest = (uuid7() if key_kind == "uuid7" else f"refund {uuid7()}" for _ in range(2))
    body = {"amount": "15", "remittance_information": "once"}
    first = api.send("POST", path, key=part, json=body)
    last = api.send("POST", path, key=rest, json={})
    assert (first.status_code, last.status_code) == (201, 201)
    for key, asked, answer in ((part, body, first), (rest, {}, last)):
        again = api.send("POST", path, key=key, json=asked)
        assert (again.status_code, again.content) == (201, answer.content)
        assert again.headers["idempotency-replayed"] == "true"
    assert api.get(f"/v1/accounts/{accounts[0]}")["balance"] == "100.00"
    for other in ({"amount": "16"}, {}, body | {"remittance_information": "twice"}):
        reused = api.send("POST", path, key=part, json=other)
        assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


def test_of_several_captures_one_is_named(api: Api, accounts: Accounts) -> None:
    path = f"/v1/payments/{paid(api, accounts, hold_for_s=3600)}"
    unsettled = api.send("POST", f"{path}/refunds", key=uuid7(), json={})
    assert (unsettled.status_code, unsettled.json()["code"]) == (409, "not_settled")
    one = api.post(f"{path}/capture", {"amount": "15", "keep_rest": True}, status=200)
    assert api.post(f"{path}/refunds", {"amount": "5"})["refund_of"] == one["id"]
    two = api.post(f"{path}/capture", status=200)
    which = api.send("POST", f"{path}/refunds", key=uuid7(), json={})
    assert (which.status_code, which.json()["code"]) == (400, "capture_needed")
    assert two["id"] in which.json()["detail"]
    back = api.post(f"{path}/refunds", {"capture": two["id"]})
    assert (back["refund_of"], back["instructed_amount"]["amount"]) == (two["id"], "25.00")
    assert api.get(path)["refunded_amount"]["amount"] == "30.00"
    refunded = [line["refunded_amount"]["amount"] for line in api.get(f"{path}/captures")["captures"]]
    assert refunded == ["5.00", "25.00"]
    elsewhere = api.send("POST", f"{path}/refunds", key=uuid7(), json={"capture": back["id"]})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "capture_unknown")


def test_a_refund_is_not_refunded_and_nothing_unknown_is(api: Api, accounts: Accounts) -> None:
    refund = api.post(f"/v1/payments/{paid(api, accounts)}/refunds")["id"]
    again = api.send("POST", f"/v1/payments/{refund}/refunds", key=uuid7(), json={})
    assert (again.status_code, again.json()["code"]) == (409, "not_settled")
    unknown = api.send("POST", f"/v1/payments/{uuid7()}/refunds", key=uuid7(), json={})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "payment_unknown")


def test_who_has_spent_it_cannot_pay_it_back(api: Api, accounts: Accounts) -> None:
    payer, payee = accounts
    payment_id = paid(api, accounts)
    api.post("/v1/payments", payment(payee, payer, "40"))
    refused = api.send("POST", f"/v1/payments/{payment_id}/refunds", key=uuid7(), json={})
    assert (refused.status_code, refused.json()["code"]) == (422, "insufficient_funds")
