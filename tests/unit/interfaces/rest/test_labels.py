"""Labels over REST: what payments turned out to be, said once a key, and with a review's answer."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.interfaces.rest.conftest import Api, payment, uuid7


@pytest.fixture
def paid(api: Api, accounts: tuple[str, str]) -> str:
    made = api.send("POST", "/v1/payments", key=uuid7(), json=payment(*accounts, "2.00"))
    if made.status_code == 202:  # a slow machine: the rules judged it
        api.post(f"/v1/reviews/{made.json()['id']}/approve", status=200)
    return str(made.json()["id"])


def in_review(api: Api, accounts: tuple[str, str]) -> str:
    """Return a payment that waits for a person."""
    return str(api.post("/v1/payments", payment(*accounts, "77.77"), status=202)["id"])


def labels(api: Api, paid: str) -> list[str]:
    return [one["label"] for one in api.get(f"/v1/payments/{paid}/labels")["labels"]]


def test_a_payment_is_labelled_and_labelled_again(api: Api, paid: str) -> None:
    first = api.post(f"/v1/payments/{paid}/labels", {"label": "fraud"})
    assert (first["payment_id"], first["label"]) == (paid, "fraud")
    api.post(f"/v1/payments/{paid}/labels", {"label": "genuine"})
    listed = api.get(f"/v1/payments/{paid}/labels")["labels"]
    assert [one["label"] for one in listed] == ["fraud", "genuine"], "oldest first, the last counts"
    assert listed[0] == first, "the read model says what the answer said"


def test_the_same_key_labels_once(api: Api, paid: str) -> None:
    key, body = uuid7(), {"label": "fraud"}
    one, two = (api.send("POST", f"/v1/payments/{paid}/labels", key=key, json=body) for _ in range(2))
    assert (one.status_code, two.status_code) == (201, 201)
    assert one.json() == two.json()
    assert two.headers["Idempotency-Replayed"] == "true"
    other = api.send("POST", f"/v1/payments/{paid}/labels", key=key, json={"label": "genuine"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert labels(api, paid) == ["fraud"]


def test_what_cannot_be_labelled(api: Api, accounts: tuple[str, str], paid: str) -> None:
    asset = api.send("POST", f"/v1/payments/{paid}/refunds", key=uuid7(), json={"amount": "1.00"})
    assert asset.status_code == 201, asset.text
    for path, status, code in (
        (f"/v1/payments/{asset.json()['id']}/labels", 409, "not_labelled"),
        (f"/v1/payments/{uuid7()}/labels", 404, "payment_unknown"),
        ("/v1/payments/nonsense/labels", 400, "id_malformed"),
    ):
        answer = api.send("POST", path, key=uuid7(), json={"label": "fraud"})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    wrong = api.send("POST", f"/v1/payments/{paid}/labels", key=uuid7(), json={"label": "odd"})
    assert (wrong.status_code, wrong.json()["param"]) == (400, "label")
    keyless = api.send("POST", f"/v1/payments/{paid}/labels", json={"label": "fraud"})
    assert keyless.json()["code"] == "idempotency_key_missing"


def test_what_was_refused_at_once_is_labelled_too(api: Api, accounts: tuple[str, str]) -> None:
    too_much = api.send("POST", "/v1/payments", key=uuid7(), json=payment(*accounts, "5000.00"))
    assert too_much.status_code == 422
    id_ = too_much.json()["payment_id"]
    api.post(f"/v1/payments/{id_}/labels", {"label": "fraud", "by": "Ada", "note": "the customer was asked"})
    assert labels(api, id_) == ["fraud"]
    history = api.get(f"/v1/reviews/{id_}")["history"]
    assert [(one["event"], one.get("by")) for one in history] == [
        ("insufficient_funds", None),
        ("labelled", "Ada"),
    ]


@pytest.mark.parametrize(("how", "said"), [("reject", "fraud"), ("approve", "genuine")])
def test_the_answer_to_a_review_may_carry_a_label(
    api: Api, accounts: tuple[str, str], how: str, said: str
) -> None:
    waiting = in_review(api, accounts)
    key: str = uuid7()

    def answer(label: str) -> Any:
        return api.send("POST", f"/v1/reviews/{waiting}/{how}", key=key, json={"label": label})

    one, two = answer(said), answer(said)
    assert (one.status_code, two.status_code) == (200, 200)
    assert one.json() == two.json()
    assert labels(api, waiting) == [said], "once, however often it is sent"
    other = answer("genuine" if said == "fraud" else "fraud")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_without_a_word_nothing_is_labelled(api: Api, accounts: tuple[str, str]) -> None:
    waiting = in_review(api, accounts)
    api.post(f"/v1/reviews/{waiting}/reject", status=200)
    assert labels(api, waiting) == []
