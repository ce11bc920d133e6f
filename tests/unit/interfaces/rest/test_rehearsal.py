"""Asking what would become of a payment, and hearing the same when it is made."""

from __future__ import annotations

import pytest

from .conftest import Api, payment, uuid7


@pytest.mark.parametrize(
    ("amount", "balance"),
    [("5", "10"), ("10", "10"), ("10.01", "10")],
    ids=["settles", "to the last cent", "too much"],
)
def test_the_rehearsal_says_what_the_payment_gets(api: Api, amount: str, balance: str) -> None:
    debtor, creditor = api.account(balance), api.account()
    body = payment(debtor, creditor, amount)
    said = api.send("POST", "/v1/payments/dry-run", json=body).json()
    assert api.get(f"/v1/accounts/{debtor}")["balance"] == f"{balance}.00"
    made = api.send("POST", "/v1/payments", key=uuid7(), json=body).json()
    assert said["outcome"] == made.get("outcome", made.get("code"))


def test_a_frozen_or_unknown_account_is_told_beforehand(api: Api) -> None:
    debtor, creditor = api.account("10"), api.account()
    unknown = payment(debtor, "f" * 32, "1")
    assert api.send("POST", "/v1/payments/dry-run", json=unknown).json()["outcome"] == "creditor_unknown"
    same = payment(debtor, debtor, "1")
    assert api.send("POST", "/v1/payments/dry-run", json=same).json()["outcome"] == "same_account"
    api.send("POST", f"/v1/accounts/{creditor}/freeze", json={})
    frozen = payment(debtor, creditor, "1")
    assert api.send("POST", "/v1/payments/dry-run", json=frozen).json()["outcome"] == "creditor_frozen"
