"""Hostile bodies over HTTP: every one is answered, none by a failure of the node, none at length."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.folder import create_folder
from bezant.gateway import commands
from bezant.interfaces.rest.app import create_app, create_services
from bezant.model.identifiers import AccountId, new_payment_id, render_payment_id
from bezant.model.keys import authority_id
from bezant.model.orders import authorise, authorise_jointly
from bezant.model.records import AUTHORISATION, RECORD, RecordArray
from bezant.node import Node
from bezant.testing.ledgers import seeded_key
from bezant.testing.mutations import MANY, NUMBERS, bounded, changed_bytes, changed_json, small_memory

FIRST, SECOND = seeded_key("fuzz first"), seeded_key("fuzz second")
SETTINGS = """
[http]
rate_per_s = 1000000
burst = 1000000

[pipeline]
score = "bezant.testing.scores:ScoreByAmount"
"""


class Door:
    """A node's application, spoken to in process."""

    def __init__(self, node: Node) -> None:
        self.node, self.services = node, create_services(node)
        app: Any = create_app(self.services)
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://node",
            headers={"Authorization": f"Bearer {node.folder.keys.operator_token}"},
        )

    def post(self, path: str, content: bytes, media_type: str = "application/json") -> httpx.Response:
        headers = {"Content-Type": media_type, "Idempotency-Key": render_payment_id(self.new_id())}
        answer = self._runner.run(self._client.post(path, content=content, headers=headers))
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        if answer.is_error:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] not in ("internal", "error")
        return answer

    def new_id(self) -> int:
        return new_payment_id(self.node.desk.now_ms())

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self.services.close()
        self._runner.close()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("fuzz") / "data"
    create_folder(folder)
    (folder / "bezant.toml").write_text(SETTINGS)
    with Node(folder) as node:
        door = Door(node)
        yield door
        node.engine.ledger.check_invariants()
        door.close()


@pytest.fixture(scope="module")
def accounts(door: Door) -> tuple[str, str]:
    opened = []
    for key in ({"public_key": FIRST.public.hex()}, {}):
        party = door.post("/v1/parties", b'{"name": "Somebody"}').json()["party"]
        body = {"party": party, "asset": "EUR"} | key
        opened.append(str(door.post("/v1/accounts", json.dumps(body).encode()).json()["account"]))
    issue = {"creditor": opened[0], "amount": "1000"}
    assert door.post("/v1/assets/EUR/issues", json.dumps(issue).encode()).status_code == 201
    return opened[0], opened[1]


def transfers(door: Door, accounts: tuple[str, str], count: int) -> RecordArray:
    ids = AccountId(int(accounts[0], 16)), AccountId(int(accounts[1], 16))
    return np.concatenate([commands.transfer(door.new_id(), *ids, 1, 1) for _ in range(count)])


def octets(door: Door, accounts: tuple[str, str]) -> list[bytes]:
    """A batch of three under one key, and one payment under two."""
    batch, single = transfers(door, accounts, 3), transfers(door, accounts, 1)
    network = door.node.engine.network
    both = authorise_jointly(network, authority_id(FIRST.public), {0: FIRST, 1: SECOND}, single)
    return [
        authorise(network, FIRST, batch).tobytes() + batch.tobytes(),
        both.tobytes() + single.tobytes(),
    ]


def test_changed_batches_of_octets_are_answered(door: Door, accounts: tuple[str, str]) -> None:
    good = octets(door, accounts)

    @bounded(120)
    @given(changed_bytes(good))
    def check(data: bytes) -> None:
        with small_memory(MANY * 2):
            door.post("/v1/payments/signed", data, "application/octet-stream")

    check()


def test_changed_batches_in_json_are_answered(door: Door, accounts: tuple[str, str]) -> None:
    batch = transfers(door, accounts, 2)
    signed = authorise(door.node.engine.network, FIRST, batch)
    body = {
        "records": batch.tobytes().hex(),
        "public_key": FIRST.public.hex(),
        "signature": signed["signature"].tobytes().hex(),
        "network": door.node.engine.network.hex(),
        "payloads": ["", ""],
    }
    several = {
        "records": batch.tobytes().hex(),
        "authority": f"{authority_id(FIRST.public):032x}",
        "signatures": [{"signature": signed["signature"].tobytes().hex(), "key_index": 0}],
    }
    encoded = [json.dumps(one).encode() for one in (body, several)]

    @bounded(100)
    @given(changed_json(encoded))
    def documents(document: Any) -> None:
        door.post("/v1/payments/signed", json.dumps(document).encode())

    @bounded(40)
    @given(changed_bytes(encoded))
    def bytes_of_them(data: bytes) -> None:
        door.post("/v1/payments/signed", data)

    documents()
    bytes_of_them()


def test_changed_bodies_of_every_other_kind_are_answered(door: Door, accounts: tuple[str, str]) -> None:
    payment = {
        "debtor": accounts[0],
        "creditor": accounts[1],
        "instructed_amount": {"amount": "0.01", "asset": "EUR"},
        "hold_for_s": 60,
        "hashlock": "11" * 32,
        "end_to_end_id": "E",
        "uetr": "",
        "remittance_information": "text",
    }
    held = door.post("/v1/payments", json.dumps(payment).encode()).json()["id"]
    bodies = {
        "/v1/payments": payment,
        "/v1/payments/dry-run": payment,
        f"/v1/payments/{held}/capture": {"amount": "0.01", "keep_rest": True, "preimage": "22" * 32},
        f"/v1/payments/{held}/refunds": {"amount": "0.01", "capture": held, "remittance_information": "t"},
        "/v1/mandates": {
            "account": accounts[0],
            "cap_per_payment": "1",
            "cap_per_period": "2",
            "period_s": 60,
            "expires_at": "2099-01-01T00:00:00Z",
        },
        f"/v1/accounts/{accounts[1]}/limits": {"credit_limit": "0", "balance_limit": "5"},
        "/v1/assets/EUR/clawbacks": {"debtor": accounts[0], "amount": "1"},
    }
    for path, body in bodies.items():
        answer_all(door, path, json.dumps(body).encode())


def answer_all(door: Door, path: str, body: bytes) -> None:
    @bounded(20)
    @given(changed_json([body]))
    def check(document: Any) -> None:
        door.post(path, json.dumps(document).encode())

    check()


def test_a_text_in_the_place_of_an_id_is_refused(door: Door) -> None:
    @bounded(30)
    @given(st.text(max_size=40))
    def check(text: str) -> None:
        content = json.dumps({"account": text, "cap_per_payment": text}).encode()
        assert door.post("/v1/mandates", content).status_code in (400, 422)

    check()


@pytest.mark.parametrize("count", NUMBERS)
def test_hostile_counts_take_no_room(door: Door, accounts: tuple[str, str], count: int) -> None:
    good = octets(door, accounts)[0]
    header = np.frombuffer(good, AUTHORISATION, 1).copy()
    for name in ("count", "first", "key_index"):
        hostile = header.copy()
        hostile[name] = count % 2 ** (8 * hostile.dtype[name].itemsize)
        if hostile.tobytes() == header.tobytes():
            continue
        for rest in (good[AUTHORISATION.itemsize :], b"", bytes(RECORD.itemsize)):
            with small_memory(MANY):
                answer = door.post(
                    "/v1/payments/signed", hostile.tobytes() + rest, "application/octet-stream"
                )
            refused = answer.status_code == 400 or all(one["refused"] for one in answer.json()["results"])
            assert refused
