"""The whole life of a payment over REST, and what happens when it is asked for again."""

from __future__ import annotations

from typing import Any

import pytest

from bezant.chain.receipts import verify_receipt
from bezant.errors import UnknownOutcome
from bezant.store import IdempotencyKeys

from .conftest import Api, payment, uuid7

Accounts = tuple[str, str]
SUSPICIOUS = "77.77"


def test_a_payment_settles_and_everything_about_it_can_be_asked(api: Api, accounts: Accounts) -> None:
    debtor, creditor = accounts
    key = uuid7()
    texts = {"end_to_end_id": f"E2E-{key[:8]}", "remittance_information": "Invoice 7", "purpose": "SALA"}
    made = api.send("POST", "/v1/payments", key=key, json=payment(debtor, creditor, "12.50", **texts))
    assert made.status_code == 201
    body = made.json()
    assert body["id"] == key
    assert made.headers["location"] == f"/v1/payments/{key}"
    assert (body["status"], body["outcome"], body["signing_mode"]) == ("settled", "applied", "delegate")
    assert body["settled_amount"] == {"amount": "12.50", "asset": "EUR"}
    assert api.get(f"/v1/payments/{key}") == body
    assert api.get("/v1/payments", end_to_end_id=texts["end_to_end_id"])["payments"] == [body]
    assert api.get(f"/v1/accounts/{debtor}")["balance"] == "87.50"
    assert api.get(f"/v1/accounts/{creditor}")["balance"] == "12.50"
    statement = api.get(f"/v1/accounts/{creditor}/statement")
    assert (statement["opening_balance"], statement["closing_balance"]) == ("0.00", "12.50")
    assert [line["credit_debit"] for line in statement["entries"]] == ["CRDT"]
    receipt = api.send("GET", f"/v1/payments/{key}/receipt", params={"open": "debtor"})
    verified = verify_receipt(receipt.content, genesis_hash=api.get("/v1/network")["genesis_hash"])
    assert verified.summary.payment == key
    assert verified.debtor_side is not None
    assert verified.creditor_side is None
    assert api.get(f"/v1/decisions/{key}")["verdict"] == "allow"


def test_payments_are_listed_in_pages(api: Api, accounts: Accounts) -> None:
    debtor, creditor = accounts
    ids = [api.post("/v1/payments", payment(debtor, creditor, "0.01"))["id"] for _ in range(3)]
    first = api.get("/v1/payments", account=creditor, limit=2)
    rest = api.get("/v1/payments", account=creditor, limit=2, cursor=first["next_cursor"])
    assert [one["id"] for one in first["payments"] + rest["payments"]] == ids[::-1]
    assert "next_cursor" not in rest


def test_a_hold_is_captured_in_part(api: Api, accounts: Accounts) -> None:
    debtor, creditor = accounts
    held = api.post("/v1/payments", payment(debtor, creditor, "40", hold_for_s=3600))
    assert held["status"] == "held"
    assert api.get(f"/v1/accounts/{debtor}")["available"] == "60.00"
    closed = api.post(f"/v1/payments/{held['id']}/capture", {"amount": "25"}, status=200)
    assert (closed["outcome"], closed["amount"]["amount"]) == ("captured", "25.00")
    now = api.get(f"/v1/payments/{held['id']}")
    assert (now["status"], now["settled_amount"]["amount"]) == ("captured", "25.00")
    assert api.get(f"/v1/accounts/{debtor}")["available"] == "75.00"


def test_a_key_captures_one_amount(api: Api, accounts: Accounts) -> None:
    held = api.post("/v1/payments", payment(*accounts, "40", hold_for_s=3600))["id"]
    key, path = uuid7(), f"/v1/payments/{held}/capture"
    first = api.send("POST", path, key=key, json={"amount": "25"})
    again = api.send("POST", path, key=key, json={"amount": "25.00"})
    assert (first.status_code, again.content) == (200, first.content)
    for other in ({"amount": "26"}, {}):
        reused = api.send("POST", path, key=key, json=other)
        assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


def test_a_review_is_all_or_nothing(api: Api, accounts: Accounts) -> None:
    key = uuid7()
    api.send("POST", "/v1/payments", key=key, json=payment(*accounts, SUSPICIOUS))
    part = api.send("POST", f"/v1/payments/{key}/capture", key=uuid7(), json={"amount": "1"})
    assert (part.status_code, part.json()["code"]) == (409, "in_review")
    assert api.get(f"/v1/payments/{key}")["status"] == "in_review"


def test_a_hold_is_released_once_and_the_key_answers_again(api: Api, accounts: Accounts) -> None:
    debtor, creditor = accounts
    held = api.post("/v1/payments", payment(debtor, creditor, "40", hold_for_s=3600))["id"]
    key = uuid7()
    first = api.send("POST", f"/v1/payments/{held}/release", key=key, json={})
    again = api.send("POST", f"/v1/payments/{held}/release", key=key, json={})
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    other = api.send("POST", f"/v1/payments/{held}/release", key=uuid7(), json={})
    assert (other.status_code, other.json()["code"]) == (409, "not_held")
    assert api.get(f"/v1/payments/{held}")["status"] == "released"


@pytest.mark.parametrize(
    ("action", "status", "balance"), [("approve", "captured", "77.77"), ("reject", "released", "0.00")]
)
def test_a_doubtful_payment_waits_for_a_person(
    api: Api, accounts: Accounts, action: str, status: str, balance: str
) -> None:
    debtor, creditor = accounts
    key = uuid7()
    made = api.send("POST", "/v1/payments", key=key, json=payment(debtor, creditor, SUSPICIOUS))
    assert (made.status_code, made.json()["status"]) == (202, "in_review")
    waiting = {one["payment"]["id"]: one for one in api.get("/v1/reviews")["reviews"]}
    assert waiting[key]["score"] == 0.9
    api.post(f"/v1/reviews/{key}/{action}", status=200)
    assert api.get(f"/v1/payments/{key}")["status"] == status
    assert api.get(f"/v1/accounts/{creditor}")["balance"] == balance
    assert key not in {one["payment"]["id"] for one in api.get("/v1/reviews")["reviews"]}


def test_what_may_not_wait_is_refused(api: Api, accounts: Accounts) -> None:
    body = payment(*accounts, SUSPICIOUS, may_review=False)
    refused = api.send("POST", "/v1/payments", key=uuid7(), json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "review_not_permitted")


def test_a_refusal_is_kept_and_told_by_its_reason(api: Api, accounts: Accounts) -> None:
    key = uuid7()
    refused = api.send("POST", "/v1/payments", key=key, json=payment(*accounts, "100.01"))
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["reason_code"]) == (
        422,
        "insufficient_funds",
        "AM04",
    )
    assert problem["payment_id"] == key
    kept = api.get(f"/v1/payments/{key}")
    assert (kept["status"], kept["reason_code"]) == ("refused", "AM04")


# Asking again.


@pytest.mark.parametrize("key_kind", ["uuid7", "free text"])
def test_the_same_request_is_answered_the_same_and_pays_once(
    api: Api, accounts: Accounts, key_kind: str
) -> None:
    debtor, creditor = accounts
    key = uuid7() if key_kind == "uuid7" else f"order {uuid7()}"
    body = payment(debtor, creditor, "5", remittance_information="once")
    first = api.send("POST", "/v1/payments", key=key, json=body)
    again = api.send("POST", "/v1/payments", key=key, json=body)
    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
    assert api.get(f"/v1/accounts/{creditor}")["balance"] == "5.00"


@pytest.mark.parametrize("key_kind", ["uuid7", "free text"])
@pytest.mark.parametrize(
    "change",
    [{"remittance_information": "twice"}, {"instructed_amount": {"amount": "6", "asset": "EUR"}}],
)
def test_the_same_key_with_another_body_is_refused(
    api: Api, accounts: Accounts, key_kind: str, change: dict[str, Any]
) -> None:
    key = uuid7() if key_kind == "uuid7" else f"order {uuid7()}"
    body = payment(*accounts, "5", remittance_information="once")
    api.send("POST", "/v1/payments", key=key, json=body)
    other = api.send("POST", "/v1/payments", key=key, json=body | change)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert api.send("POST", "/v1/payments", key=key, json=body).status_code == 201


def test_a_replay_keeps_the_texts_that_were_committed_to(api: Api, accounts: Accounts) -> None:
    key = uuid7()
    body = payment(*accounts, "5", remittance_information="first")
    api.send("POST", "/v1/payments", key=key, json=body)
    api.together(
        ("POST", "/v1/payments", {"headers": {"Idempotency-Key": key}, "json": body | {"debtor_name": "X"}}),
        ("POST", "/v1/payments", {"headers": {"Idempotency-Key": uuid7()}, "json": body}),
    )
    assert api.get(f"/v1/payments/{key}")["remittance_information"] == "first"
    assert "debtor_name" not in api.get(f"/v1/payments/{key}")


@pytest.mark.parametrize("key_kind", ["uuid7", "free text"])
def test_a_request_in_flight_is_a_conflict_and_pays_once(api: Api, accounts: Accounts, key_kind: str) -> None:
    key = uuid7() if key_kind == "uuid7" else f"order {uuid7()}"
    arguments = {"headers": {"Idempotency-Key": key}, "json": payment(*accounts, "3")}
    answers = api.together(*[("POST", "/v1/payments", arguments)] * 3)
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201, 409, 409]
    problems = [answer.json() for answer in answers if answer.status_code == 409]
    assert {problem["code"] for problem in problems} == {"idempotency_in_flight"}
    assert all(problem["retryable"] for problem in problems)
    assert api.get(f"/v1/accounts/{accounts[1]}")["balance"] == "3.00"


def test_a_bound_key_whose_answer_was_never_known_is_answered_by_the_ledger(
    api: Api, accounts: Accounts
) -> None:
    """As after a crash between ordering and noting it: the key is bound, the ledger has the payment."""
    key, body = f"crash {uuid7()}", payment(*accounts, "4")
    first = api.send("POST", "/v1/payments", key=key, json=body)
    keys: IdempotencyKeys = api.node.idempotency
    stored = keys.get("operator", key)
    unfinished = f"{key} again"
    keys.begin("operator", unfinished, stored.request_hash, stored.payment, 1)
    again = api.send("POST", "/v1/payments", key=unfinished, json=body)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content


def test_nothing_of_a_person_is_kept_in_the_table(api: Api, accounts: Accounts) -> None:
    key = f"private {uuid7()}"
    api.send("POST", "/v1/payments", key=key, json=payment(*accounts, "1", debtor_name="Grace Hopper"))
    api.send("POST", "/v1/payments", key=f"next {uuid7()}", json=payment(*accounts, "1"))
    assert api.node.idempotency.get("operator", key).answer == b""


def test_no_answer_in_time_is_a_status_of_its_own(
    api: Api, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline answers too late; the payment goes through, and the key says so afterwards."""
    real = api.node.intake.submit
    held: list[Any] = []

    def slow(submission: Any, reply: Any) -> None:
        real(submission, lambda result: held.append((reply, result)))

    key, body = uuid7(), payment(*accounts, "2")
    with monkeypatch.context() as patch:
        patch.setattr(api.node.intake, "submit", slow)
        patch.setattr(api.replies(), "_timeout_s", 0.05)
        answer = api.send("POST", "/v1/payments", key=key, json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["retryable"]) == (504, "outcome_unknown", False)
    assert problem["payment_id"] == key
    assert UnknownOutcome.code == problem["code"]
    again = api.send("POST", "/v1/payments", key=key, json=body)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
