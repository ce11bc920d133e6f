"""Clients of the members of a network, as customers are: over HTTP, one gateway or another."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

from bezant.interfaces.cli.client import read_token
from bezant.interfaces.network.control import Network
from bezant.interfaces.network.plan import Member
from bezant.model.identifiers import new_payment_id, render_payment_id

TIMEOUT_S = 60.0


def uuid7() -> str:
    """Return a fresh key, which becomes the id of what is ordered."""
    return render_payment_id(new_payment_id(time.time_ns() // 1_000_000))


class Gateway:
    """One member's REST interface, with its operator's token."""

    def __init__(self, network: Network, member: Member) -> None:
        self.member = member
        self.data: Path = network.data(member)
        headers = {"Authorization": f"Bearer {read_token(self.data)}"}
        self.client = httpx.Client(
            base_url=network.url(member), headers=headers, timeout=TIMEOUT_S, trust_env=False
        )

    def send(self, method: str, path: str, *, key: str = "", **given: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key or uuid7()} if method == "POST" else {}
        return self.client.request(method, path, headers=headers, **given)

    def post(self, path: str, body: Any) -> Any:
        """Post and return what was made. Raises: AssertionError with the answer where it was not."""
        response = self.send("POST", path, json=body)
        if response.status_code not in (200, 201, 202):
            raise AssertionError(f"{path} was answered {response.status_code}: {response.text}")
        return response.json()

    def get(self, path: str) -> Any:
        response = self.send("GET", path)
        if response.status_code != 200:
            raise AssertionError(f"{path} was answered {response.status_code}: {response.text}")
        return response.json()

    def account(self, fund: str = "") -> str:
        """Return a fresh account of a fresh party, with so many euros; only the issuer can fund."""
        party = self.post("/v1/parties", {"name": "Somebody New"})["party"]
        account = self.post("/v1/accounts", {"party": party, "asset": "EUR"})["account"]
        if fund:
            issued = self.post("/v1/assets/EUR/issues", {"creditor": account, "amount": fund})
            if issued["status"] != "settled":
                self.post(f"/v1/reviews/{issued['id']}/approve", {})
        return str(account)

    def pay(self, debtor: str, creditor: str, amount: str, key: str = "") -> httpx.Response:
        """Pay euros; the answer is the caller's to judge."""
        amounts = {"amount": amount, "asset": "EUR"}
        body = {"debtor": debtor, "creditor": creditor, "instructed_amount": amounts}
        return self.send("POST", "/v1/payments", key=key, json=body)

    def balance(self, account: str) -> str:
        return str(self.get(f"/v1/accounts/{account}")["balance"])

    def close(self) -> None:
        self.client.close()
