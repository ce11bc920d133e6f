"""Limits, closing, freezing, approval, pause and clawback, as far as the genesis allows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bezant.folder import create_folder
from bezant.node import Node

from .conftest import SETTINGS, Api, payment, uuid7


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A node whose EUR may be paused, clawed back and held with approval only."""
    folder = tmp_path_factory.mktemp("strict") / "data"
    declared = {"pausable": True, "clawback": True, "freezable": True, "approve_holders": True}
    create_folder(folder, policies={"EUR": declared})
    (folder / "bezant.toml").write_text(SETTINGS)
    with Node(folder) as node:
        api = Api(node)
        yield api
        api.close()


def code_of(api: Api, path: str, body: object = None) -> tuple[int, str]:
    answer = api.send("POST", path, key=uuid7(), json=body or {})
    assert answer.is_error, answer.text
    return answer.status_code, answer.json()["code"]


def test_limits_change_and_are_never_below_what_is_used(api: Api, accounts: tuple[str, str]) -> None:
    path = f"/v1/accounts/{accounts[0]}"
    assert api.post(f"{path}/limits", {"balance_limit": "150"}, status=200)["balance_limit"] == "150.00"
    assert code_of(api, f"{path}/limits", {"balance_limit": "99.99"}) == (409, "limit_below_balance")
    credited = api.post(f"{path}/limits", {"credit_limit": "50"}, status=200)
    assert (credited["credit_limit"], credited["balance_limit"]) == ("50.00", "150.00")
    assert credited["available"] == "150.00"
    api.post("/v1/payments", payment(*accounts, "120"))
    assert api.get(path)["balance"] == "-20.00"
    assert code_of(api, f"{path}/limits", {"credit_limit": "19.99"}) == (409, "limit_below_balance")
    assert "balance_limit" not in api.post(f"{path}/limits", {"balance_limit": "0"}, status=200)
    assert code_of(api, f"{path}/limits", {"credit_limit": "x"}) == (422, "amount_malformed")


def test_only_an_empty_account_closes_and_for_good(api: Api, accounts: tuple[str, str]) -> None:
    payer, payee = accounts
    assert code_of(api, f"/v1/accounts/{payer}/close") == (409, "account_not_empty")
    api.post("/v1/payments", payment(payer, payee, "100"))
    assert api.post(f"/v1/accounts/{payer}/close", status=200)["closed"]
    assert code_of(api, f"/v1/accounts/{payer}/close") == (422, "debtor_closed")
    assert code_of(api, "/v1/payments", payment(payee, payer, "1")) == (422, "creditor_closed")
    listed, cursor = {}, None
    while True:
        page = api.get("/v1/accounts", limit=1000, **({"cursor": cursor} if cursor else {}))
        listed |= {one["account"]: one.get("closed", False) for one in page["accounts"]}
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    assert (listed[payer], listed[payee]) == (True, False)


def test_what_the_genesis_does_not_declare_is_forbidden(api: Api, accounts: tuple[str, str]) -> None:
    forbidden = (422, "policy_forbids")
    assert code_of(api, "/v1/assets/EUR/pause") == forbidden
    assert code_of(api, f"/v1/accounts/{accounts[0]}/disapprove") == forbidden
    body = {"debtor": accounts[0], "amount": "1"}
    assert code_of(api, "/v1/assets/EUR/clawbacks", body) == forbidden
    assert api.get("/v1/assets")["assets"][0].get("policy") is None


def test_an_asset_is_paused_and_goes_on(strict: Api) -> None:
    payer, payee = strict.account("100"), strict.account()
    paused = strict.post("/v1/assets/EUR/pause", status=200)
    assert paused["paused"]
    assert set(paused["policy"]) == {"pausable", "clawback", "freezable", "approve_holders"}
    assert code_of(strict, "/v1/payments", payment(payer, payee, "1")) == (503, "asset_paused")
    rehearsed = strict.post("/v1/payments/dry-run", payment(payer, payee, "1"), status=200)
    assert rehearsed["outcome"] == "asset_paused"
    assert "paused" not in strict.post("/v1/assets/EUR/resume", status=200)
    strict.post("/v1/payments", payment(payer, payee, "1"))


def test_an_issuer_approves_who_may_hold(strict: Api) -> None:
    payer, payee = strict.account("100"), strict.account()
    assert strict.get(f"/v1/accounts/{payee}").get("approved", True), "the issuer's own customers are"
    taken = strict.post(f"/v1/accounts/{payee}/disapprove", status=200)
    assert taken["approved"] is False
    assert code_of(strict, "/v1/payments", payment(payer, payee, "1")) == (422, "creditor_not_approved")
    strict.post(f"/v1/accounts/{payee}/approve", status=200)
    strict.post("/v1/payments", payment(payer, payee, "1"))


def test_a_clawback_takes_from_a_frozen_account_once(strict: Api) -> None:
    account, key = strict.account("100"), uuid7()
    strict.post(f"/v1/accounts/{account}/freeze", status=200)
    body = {"debtor": account, "amount": "30"}
    first = strict.send("POST", "/v1/assets/EUR/clawbacks", key=key, json=body)
    assert (first.status_code, first.json()["type"]) == (201, "clawback")
    again = strict.send("POST", "/v1/assets/EUR/clawbacks", key=key, json=body)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert strict.get(f"/v1/payments/{key}") == first.json()
    assert strict.get(f"/v1/accounts/{account}")["balance"] == "70.00"
    above = code_of(strict, "/v1/assets/EUR/clawbacks", body | {"amount": "70.01"})
    assert above == (422, "insufficient_funds")


@pytest.mark.parametrize("action", ["limits", "close", "approve", "disapprove"])
def test_an_account_that_is_not_there_is_not_found(api: Api, action: str) -> None:
    assert code_of(api, f"/v1/accounts/{'ab' * 16}/{action}") == (404, "account_unknown")
