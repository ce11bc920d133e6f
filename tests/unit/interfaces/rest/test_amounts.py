"""Amounts that cannot be paid are refused in words, each with a code of its own."""

from __future__ import annotations

import pytest

from .conftest import Api, payment, uuid7


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("-5.00", "amount_negative"),
        ("1e3", "amount_malformed"),
        ("five", "amount_malformed"),
        ("1.001", "amount_over_precise"),
        ("18446744073709551616", "amount_too_large"),
        ("0.00", "amount_zero"),
    ],
)
def test_an_amount_is_refused_in_words(api: Api, amount: str, code: str) -> None:
    debtor, creditor = api.account("10"), api.account()
    answer = api.send("POST", "/v1/payments", key=uuid7(), json=payment(debtor, creditor, amount))
    assert 400 <= answer.status_code < 500
    assert answer.json()["code"] == code
    assert "regex" not in answer.json()["detail"]
    assert api.get(f"/v1/accounts/{debtor}")["balance"] == "10.00"
