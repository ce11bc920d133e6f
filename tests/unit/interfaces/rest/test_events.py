"""The stream of events: after they are durable, in order, resumable."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bezant.errors import InputError
from bezant.interfaces.rest import events
from bezant.interfaces.rest.events import Feed
from bezant.interfaces.rest.server import Server, listen
from bezant.ledger.fees import FEE_SALT
from bezant.model.genesis import Fee
from bezant.model.records import Kind
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK, ISSUER, record

from .conftest import Api, payment, uuid7


async def take(stream: AsyncIterator[bytes], count: int) -> list[dict[str, Any]]:
    """Return the next events of a stream."""
    found: list[dict[str, Any]] = []
    async for chunk in stream:
        if chunk.startswith(b"id:"):
            found.append(json.loads(chunk.split(b"data: ", 1)[1]))
        if len(found) == count:
            break
    return found


def all_events(api: Api, feed: Feed, since: str, count: int) -> list[dict[str, Any]]:
    return api.run(asyncio.wait_for(take(feed.stream(since), count), 10))


def test_events_follow_payments(api: Api, accounts: tuple[str, str]) -> None:
    here = f"{api.node.engine.durable_height}-{1 << 62}"
    settled = api.post("/v1/payments", payment(*accounts, "1"))["id"]
    held = api.post("/v1/payments", payment(*accounts, "2", hold_for_s=60))["id"]
    api.post(f"/v1/payments/{held}/capture", status=200)
    refused = api.send("POST", "/v1/payments", key=(key := uuid7()), json=payment(*accounts, "5000"))
    assert refused.status_code == 422
    back = api.post(f"/v1/payments/{settled}/refunds", {"amount": "0.50"})["id"]
    events = all_events(api, api.services.feed, here, 5)
    assert [event.get("refund_of") for event in events] == [None] * 4 + [settled]
    assert [(event["type"], event["payment_id"]) for event in events] == [
        ("payment.settled", settled),
        ("payment.held", held),
        ("payment.captured", held),
        ("payment.refused", key),
        ("payment.reversed", back),
    ]


def test_what_was_charged_is_told_in_the_stream(api: Api) -> None:
    world = BlockScribe(fees=(Fee(1, flat=2, maximum=2),))
    opened, _ = world.scribe.open(1, ISSUER, salt=FEE_SALT)
    free = world.commit((BANK, world.transfer(world.alice, world.bob, 5)))
    world.commit((ISSUER, opened))
    fields = {"debtor": world.alice, "creditor": world.bob, "amount": 5, "max_fee": 2}
    world.commit((BANK, record(Kind.TRANSFER, id=world.new_id(), **fields)))
    feed = Feed(api.services.render, world.blocks_from, len(world.blocks))
    before, charged = all_events(api, feed, f"{free.height - 1}-{1 << 62}", 2)
    assert "fee" not in before
    assert (charged["amount"]["amount"], charged["fee"]["amount"]) == ("0.05", "0.02")


def test_a_stream_goes_on_behind_any_event(api: Api, accounts: tuple[str, str]) -> None:
    here = f"{api.node.engine.durable_height}-{1 << 62}"
    ids = [api.post("/v1/payments", payment(*accounts, "0.01"))["id"] for _ in range(5)]
    first = all_events(api, api.services.feed, here, 5)
    assert [event["payment_id"] for event in first] == ids
    assert all_events(api, api.services.feed, first[1]["id"], 3) == first[2:]


def test_what_is_no_longer_in_memory_comes_from_the_journal(
    api: Api, accounts: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "KEPT_RECORDS", 1)
    feed = Feed(api.services.render, api.node.engine.blocks_from, api.node.engine.durable_height)
    api.node.engine.subscribe(feed.on_durable)
    here = f"{api.node.engine.durable_height}-{1 << 62}"
    ids = [api.post("/v1/payments", payment(*accounts, "0.01"))["id"] for _ in range(4)]
    assert [event["payment_id"] for event in all_events(api, feed, here, 4)] == ids


@pytest.mark.parametrize("wrong", ["x", "1", "1-", "-1", "1-2-3", "9" * 50 + "-1"])
def test_an_id_that_is_none_is_refused(api: Api, wrong: str) -> None:
    with pytest.raises(InputError):
        api.services.feed.check(wrong)
    response = api.send("GET", "/v1/events", headers={"Last-Event-ID": wrong})
    assert (response.status_code, response.json()["param"]) == (400, "Last-Event-ID")


def test_over_a_real_socket_and_the_server_stops_while_somebody_listens(
    api: Api, accounts: tuple[str, str]
) -> None:
    feed = Feed(api.services.render, api.node.engine.blocks_from, api.node.engine.durable_height)
    api.node.engine.subscribe(feed.on_durable)
    before, api.services.feed = api.services.feed, feed
    bound = listen("127.0.0.1", 0)
    server = Server(api.app, api.services)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    headers = {"Authorization": f"Bearer {api.node.folder.keys.operator_token}"}
    try:
        with (
            httpx.Client(base_url=url, headers=headers, timeout=10) as client,
            client.stream("GET", "/v1/events") as stream,
        ):
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            assert next(lines) == ": connected"
            made = httpx.post(
                f"{url}/v1/payments",
                headers=headers | {"Idempotency-Key": uuid7()},
                json=payment(*accounts, "1"),
                timeout=10,
            )
            assert made.status_code == 201
            told = [next(lines) for _ in range(4)]
            assert told[2] == "event: payment.settled"
            assert json.loads(told[3].removeprefix("data: "))["payment_id"] == made.json()["id"]
            server.stop()
            assert all("data" not in line for line in lines)
    finally:
        server.stop()
        thread.join(20)
        bound.close()
        api.services.feed = before
    assert not thread.is_alive()
