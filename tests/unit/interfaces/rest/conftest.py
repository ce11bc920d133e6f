"""One node for all REST tests, and a client that speaks to its application in process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bezant.folder import create_folder
from bezant.interfaces.rest.app import create_app, create_services
from bezant.interfaces.rest.replies import Replies
from bezant.model.genesis import Stake
from bezant.model.identifiers import new_payment_id, render_payment_id
from bezant.node import Node

SETTINGS = """
[pipeline]
score = "bezant.testing.scores:ScoreByAmount"

[policy]
control_share = 0.0
"""


def uuid7() -> str:
    return render_payment_id(new_payment_id(time.time_ns() // 1_000_000))


class Api:
    """Requests on one event loop; a token is sent unless a test says otherwise."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.services = create_services(node)
        self.app: Any = create_app(self.services)
        self._runner = asyncio.Runner()
        token = node.folder.keys.operator_token
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://node",
            headers={"Authorization": f"Bearer {token}"},
        )

    def run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)

    def replies(self) -> Replies:
        async def on_the_loop() -> Replies:
            return self.services.replies

        return self._runner.run(on_the_loop())

    def send(self, method: str, path: str, *, key: str | None = None, **arguments: Any) -> httpx.Response:
        headers = dict(arguments.pop("headers", {}))
        if key is not None:
            headers["Idempotency-Key"] = key
        return self._runner.run(self._client.request(method, path, headers=headers, **arguments))

    def together(self, *requests: tuple[str, str, dict[str, Any]]) -> list[httpx.Response]:
        async def all_of_them() -> list[httpx.Response]:
            return await asyncio.gather(*(self._client.request(m, p, **kw) for m, p, kw in requests))

        return self._runner.run(all_of_them())

    def get(self, path: str, **params: Any) -> Any:
        response = self.send("GET", path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, body: Any = None, status: int = 201) -> Any:
        response = self.send("POST", path, key=uuid7(), json={} if body is None else body)
        assert response.status_code == status, response.text
        return response.json()

    def account(self, fund: str = "0", **opening: Any) -> str:
        """Return a fresh account of a fresh party, with so much on it."""
        party = self.post("/v1/parties", {"name": "Somebody New"})["party"]
        account = self.post("/v1/accounts", {"party": party, "asset": "EUR"} | opening)["account"]
        if fund != "0":
            issue = self.send(
                "POST", "/v1/assets/EUR/issues", key=uuid7(), json={"creditor": account, "amount": fund}
            )
            if issue.status_code == 202:
                self.post(f"/v1/reviews/{issue.json()['id']}/approve", status=200)
        return str(account)

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self.services.close()
        self._runner.close()


def payment(debtor: str, creditor: str, amount: str = "1.00", **more: Any) -> dict[str, Any]:
    return {
        "debtor": debtor,
        "creditor": creditor,
        "instructed_amount": {"amount": amount, "asset": "EUR"},
    } | more


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("rest") / "data"
    create_folder(folder, stake=Stake(asset=1, unit=1_000))
    # Reviews are asked for only where a test wants them: every other payment is to settle.
    (folder / "bezant.toml").write_text(SETTINGS)
    with Node(folder) as node:
        api = Api(node)
        yield api
        api.close()


@pytest.fixture
def accounts(api: Api) -> tuple[str, str]:
    """A funded account and an empty one."""
    return api.account("100"), api.account()
