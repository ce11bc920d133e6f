"""Validators over REST: bonds give votes, once a key, and end."""

from __future__ import annotations

import pytest
from tests.unit.interfaces.rest.conftest import Api, uuid7


def standing(api: Api, key: str) -> dict[str, object]:
    return next(one for one in api.get("/v1/validators")["validators"] if one["key"] == key)


@pytest.fixture
def treasury(api: Api) -> None:
    """What faults cost goes to the issuer's treasury, which is opened by issuing."""
    api.account("1")


@pytest.mark.usefixtures("treasury")
def test_bonds_give_votes_and_end(api: Api) -> None:
    account, key, other = api.account("100"), "a1" * 32, "a2" * 32
    made = api.post(f"/v1/validators/{key}/bonds", {"account": account, "amount": "55.50"})
    assert (made["status"], made["validator"], made["amount"]) == (
        "bonded", key, {"amount": "55.50", "asset": "EUR"}
    )  # fmt: skip
    api.post(f"/v1/validators/{other}/bonds", {"account": account, "amount": "10.00"})
    seen = standing(api, key)
    assert (seen["status"], seen["votes"], seen["bonded"]) == ("voting", 5, made["amount"])
    ended = api.post(f"/v1/bonds/{made['id']}/end", status=200)
    assert (ended["id"], ended["status"], ended["amount"]) == (made["id"], "unbonding", made["amount"])
    assert standing(api, key)["votes"] == 0
    again = api.send("POST", f"/v1/bonds/{made['id']}/end", key=uuid7(), json={})
    assert (again.status_code, again.json()["code"]) == (409, "hold_unknown")
    balances = api.get(f"/v1/accounts/{account}")
    assert balances["balance"] == "100.00"


@pytest.mark.usefixtures("treasury")
def test_the_same_key_bonds_once(api: Api) -> None:
    account, validator, key = api.account("100"), "b1" * 32, uuid7()
    asked = f"/v1/validators/{validator}/bonds", {"account": account, "amount": "10.00"}
    one, two = (api.send("POST", asked[0], key=key, json=asked[1]) for _ in range(2))
    assert (one.status_code, two.status_code) == (201, 201)
    assert two.headers["Idempotency-Replayed"] == "true"
    assert one.json() == two.json()
    assert standing(api, validator)["votes"] == 1


@pytest.mark.usefixtures("treasury")
@pytest.mark.parametrize(
    ("validator", "amount", "status", "code"),
    [
        ("c1" * 32, "0", 422, "amount_zero"),
        ("c1" * 32, "1.005", 422, "amount_over_precise"),
        ("c1" * 32, "1000", 422, "insufficient_funds"),
        ("C1" * 32, "1", 400, "input_invalid"),
        ("c1", "1", 400, "input_invalid"),
    ],
)
def test_bonds_that_are_refused(api: Api, validator: str, amount: str, status: int, code: str) -> None:
    body = {"account": api.account("100"), "amount": amount}
    response = api.send("POST", f"/v1/validators/{validator}/bonds", key=uuid7(), json=body)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_who_is_no_validator_cannot_rejoin(api: Api) -> None:
    response = api.send("POST", f"/v1/validators/{'d1' * 32}/rejoin", key=uuid7(), json={})
    assert (response.status_code, response.json()["code"]) == (404, "validator_unknown")


def test_a_bond_that_never_was_cannot_end(api: Api) -> None:
    response = api.send("POST", f"/v1/bonds/{uuid7()}/end", key=uuid7(), json={})
    assert response.status_code == 404
