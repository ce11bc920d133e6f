"""Parties, accounts, health and metrics."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from bezant.chain.receipts import verify_receipt

from .conftest import Api, payment, uuid7


def test_an_erased_party_is_gone_and_its_proofs_still_verify(api: Api) -> None:
    debtor, creditor = api.account("10"), api.account()
    party = api.get(f"/v1/accounts/{debtor}")["party"]
    made = api.post("/v1/payments", payment(debtor, creditor, "1", remittance_information="secret"))
    erased = api.send("DELETE", f"/v1/parties/{party}")
    assert erased.json() == {"party": party, "frozen_accounts": [debtor]}
    gone = api.send("GET", f"/v1/parties/{party}")
    assert (gone.status_code, gone.json()["code"]) == (410, "erased")
    after = api.get(f"/v1/payments/{made['id']}")
    assert after["texts_erased"]
    assert "remittance_information" not in after
    assert api.get(f"/v1/accounts/{debtor}")["frozen"]
    assert verify_receipt(api.send("GET", f"/v1/payments/{made['id']}/receipt").content)


@pytest.mark.parametrize("party", [-1, 0, 10**6, 2**32, 2**128, 10**40])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_party_that_never_was(api: Api, method: str, party: int) -> None:
    answer = api.send(method, f"/v1/parties/{party}")
    assert (answer.status_code, answer.json()["code"]) == (404, "party_unknown")


def test_an_account_needs_a_party(api: Api) -> None:
    answer = api.send("POST", "/v1/accounts", json={"party": 10**6, "asset": "EUR"})
    assert (answer.status_code, answer.json()["code"]) == (422, "party_unusable")


def test_an_account_holds_no_more_than_its_limit(api: Api) -> None:
    debtor, creditor = api.account("10"), api.account(balance_limit="2.50")
    assert api.get(f"/v1/accounts/{creditor}")["balance_limit"] == "2.50"
    refused = api.send("POST", "/v1/payments", key=uuid7(), json=payment(debtor, creditor, "2.51"))
    assert (refused.status_code, refused.json()["code"]) == (422, "balance_limit")


def test_accounts_are_listed_in_pages(api: Api) -> None:
    opened = {api.account() for _ in range(3)}
    found, cursor = set(), None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api.get("/v1/accounts", **params)
        found |= {one["account"] for one in page["accounts"]}
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    assert opened <= found


def test_what_is_issued_is_owed_by_the_treasury(api: Api) -> None:
    before = {one["asset"]: one for one in api.get("/v1/assets")["assets"]}["EUR"]
    api.account("12.34")
    after = {one["asset"]: one for one in api.get("/v1/assets")["assets"]}["EUR"]
    assert Decimal(after["issued"]) - Decimal(before["issued"]) == Decimal("12.34")
    treasury = api.get(f"/v1/accounts/{after['treasury']}")
    assert treasury["balance"] == f"-{after['issued']}"


def test_health_names_heights_and_lag(api: Api) -> None:
    api.account()
    health = api.get("/health")
    assert health["live"]
    assert health["ready"]
    assert health["durable_height"] == api.node.engine.durable_height > 0


def test_metrics_count_what_went_through(api: Api) -> None:
    def settled() -> float:
        text = api.send("GET", "/metrics").text
        found = re.search(r'^bezant_stage_payments_total\{stage="settle"\} ([0-9.e+]+)$', text, re.MULTILINE)
        assert found is not None
        return float(found.group(1))

    debtor, creditor = api.account("10"), api.account()
    before = settled()
    api.post("/v1/payments", payment(debtor, creditor))
    assert settled() == before + 1
    text = api.send("GET", "/metrics").text
    assert 'bezant_stage_seconds_bucket{le="+Inf",stage="settle"}' in text
    assert "\nbezant_up 1.0" in text
