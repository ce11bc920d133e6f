"""Payments over a socket take the lane; what they are told is what the framework's route would tell."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from bezant.interfaces.rest.lane import LaneProtocol
from bezant.interfaces.rest.server import Server, listen

from .conftest import Api, payment, uuid7

MINE = ("x-request-id", "date", "transfer-encoding")
"""Headers that are another's every time, or the server's own affair."""
OWN = ("id", "payment_id", "block", "created_at", "updated_at", "request_id")
JSON = "application/json"


class Line:
    """One keep-alive connection to a real server, and the bytes that go over it."""

    def __init__(self, port: int, token: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._file, self.token = self.socket.makefile("rb"), token

    def write(self, body: bytes, *headers: tuple[str, str], path: str = "/v1/payments") -> None:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self.socket.sendall(f"POST {path} HTTP/1.1\r\nHost: node\r\n{head}\r\n".encode() + body)

    def read(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self._file.readline().split()[1])
        headers: dict[str, str] = {}
        while (line := self._file.readline().rstrip(b"\r\n")) != b"":
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, self._file.read(int(headers.get("content-length", 0)))

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def ended(self) -> bool:
        return self._file.read(1) == b""


@pytest.fixture(scope="module")
def port(api: Api) -> Iterator[int]:
    bound = listen("127.0.0.1", 0)
    server = Server(api.app, api.services)
    feed, server._feed = server._feed, type(server._feed)(api.services.render, lambda height: iter(()), 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    yield bound.getsockname()[1]
    server.stop()
    thread.join(30)
    server._feed = feed
    bound.close()


@pytest.fixture
def line(api: Api, port: int) -> Iterator[Line]:
    opened = Line(port, api.node.folder.keys.operator_token)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pair(api: Api) -> tuple[str, str]:
    return api.account("5000.00"), api.account()


def headers_of(line: Line, body: bytes, key: str | None, **other: str) -> list[tuple[str, str]]:
    given = {
        "Authorization": f"Bearer {line.token}",
        "Content-Type": JSON,
        "Content-Length": str(len(body)),
    } | ({} if key is None else {"Idempotency-Key": key})
    return [(name, value) for name, value in (given | other).items() if value]


def told(status: int, headers: dict[str, str], content: bytes) -> Any:
    """Return an answer without what differs from one payment to the next."""
    body = json.loads(content)
    kept = {name: value for name, value in headers.items() if name not in MINE}
    assert headers["x-request-id"].startswith("req_")
    if "location" in kept:
        assert kept.pop("location") == f"/v1/payments/{body.get('id') or body.get('payment_id')}"
    kept.pop("content-length")
    if isinstance(body.get("held"), dict):
        body["held"].pop("expires_at")
    return status, kept, {name: value for name, value in body.items() if name not in OWN}


def both(api: Api, line: Line, body: bytes, keys: tuple[str | None, str | None], **other: str) -> Any:
    """Send one request over the lane and one through the framework; return the answers."""
    over = headers_of(line, body, keys[0], **other)
    line.write(body, *over)
    mine = told(*line.read())
    through = dict(headers_of(line, body, keys[1], **other))
    answer = api.send("POST", "/v1/payments", content=body, headers=through)
    return mine, told(answer.status_code, dict(answer.headers), answer.content)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 201),
        ({"end_to_end_id": "E2E-1", "remittance_information": "für Ümläute"}, 201),
        ({"hold_for_s": 60, "hashlock": "11" * 32}, 201),
        ({"instructed_amount": {"amount": "999999", "asset": "EUR"}}, 202),
        ({"instructed_amount": {"amount": "999999", "asset": "EUR"}, "may_review": False}, 422),
        ({"instructed_amount": {"amount": "0", "asset": "EUR"}}, 400),
        ({"instructed_amount": {"amount": "1", "asset": "XXX"}}, None),
        ({"creditor": "0" * 32}, 422),
        ({"debtor": "nobody"}, 400),
        ({"surprise": 1}, 400),
    ],
)
def test_the_lane_and_the_framework_say_the_same(
    api: Api, line: Line, pair: tuple[str, str], change: dict[str, Any], status: int | None
) -> None:
    body = json.dumps(payment(*pair) | change).encode()
    mine, theirs = both(api, line, body, (uuid7(), uuid7()))
    assert mine == theirs
    assert status is None or mine[0] in (status, 422)


@pytest.mark.parametrize(
    ("body", "other"),
    [
        (b"{", {}),
        (b"", {}),
        (b"[]", {}),
        (b'{"debtor": 1}', {}),
        (b"{}", {"Authorization": "Bearer wrong"}),
        (b"{}", {"Authorization": "Basic eDp5"}),
        (b"{}", {"Content-Type": "text/plain"}),
        (b"{}", {"Idempotency-Key": "k" * 256}),
    ],
)
def test_what_is_refused_at_once_is_refused_alike(
    api: Api, line: Line, body: bytes, other: dict[str, str]
) -> None:
    mine, theirs = both(api, line, body, (uuid7(), uuid7()), **other)
    assert mine == theirs
    assert mine[0] >= 400


def test_a_request_without_a_key_is_refused_alike(api: Api, line: Line, pair: tuple[str, str]) -> None:
    mine, theirs = both(api, line, json.dumps(payment(*pair)).encode(), (None, None))
    assert mine == theirs
    assert mine[2]["code"] == "idempotency_key_missing"


@pytest.mark.parametrize("kind", ["an id", "any other text"])
def test_sent_again_it_is_answered_again(api: Api, line: Line, pair: tuple[str, str], kind: str) -> None:
    key = uuid7() if kind == "an id" else f"order {uuid7()}"
    body = json.dumps(payment(*pair, end_to_end_id="once")).encode()
    answers = []
    for _ in range(2):
        line.write(body, *headers_of(line, body, key))
        answers.append(line.read())
    (first, _, one), (again, headers, two) = answers
    assert (first, again, headers["idempotency-replayed"]) == (201, 201, "true")
    assert json.loads(one) == json.loads(two)
    theirs = api.send("POST", "/v1/payments", content=body, headers=dict(headers_of(line, body, key)))
    assert theirs.content == two
    other = json.dumps(payment(*pair, amount="2.00")).encode()
    line.write(other, *headers_of(line, other, key))
    assert line.read()[0] in (409, 422)


def test_requests_behind_each_other_are_answered_in_order(line: Line, pair: tuple[str, str]) -> None:
    """As pipelining clients send them: two payments, a question of the framework's, and a payment."""
    keys = [uuid7() for _ in range(3)]
    for key in keys[:2]:
        body = json.dumps(payment(*pair)).encode()
        line.write(body, *headers_of(line, body, key))
    dry = json.dumps(payment(*pair)).encode()
    line.write(dry, *headers_of(line, dry, None), path="/v1/payments/dry-run")
    line.write(body, *headers_of(line, body, keys[2]))
    answers = [line.read() for _ in range(4)]
    assert [status for status, _, _ in answers] == [201, 201, 200, 201]
    assert [json.loads(content).get("id") for _, _, content in answers] == [keys[0], keys[1], None, keys[2]]


def test_a_body_in_pieces_chunked_or_announced_is_paid(line: Line, pair: tuple[str, str]) -> None:
    body = json.dumps(payment(*pair)).encode()
    headers = headers_of(line, body, uuid7())
    line.write(body[:10], *headers)
    line.socket.sendall(body[10:])
    assert line.read()[0] == 201
    chunked = [(name, value) for name, value in headers_of(line, body, uuid7()) if name != "Content-Length"]
    pieces = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    line.write(pieces, *chunked, ("Transfer-Encoding", "chunked"))
    assert line.read()[0] == 201
    line.write(b"", *headers_of(line, body, uuid7()), ("Expect", "100-continue"))
    assert line.read()[0] == 100
    line.socket.sendall(body)
    assert line.read()[0] == 201


def test_a_body_that_is_too_large_is_left_to_the_framework(line: Line) -> None:
    line.write(b"", *headers_of(line, b"x" * 2_000_000, uuid7()))
    line.socket.sendall(b"x" * 2_000_000)
    assert line.read()[0] == 413


def test_a_connection_is_closed_where_the_client_asks(line: Line, pair: tuple[str, str]) -> None:
    body = json.dumps(payment(*pair)).encode()
    line.write(body, *headers_of(line, body, uuid7()), ("Connection", "close"))
    status, headers, _ = line.read()
    assert (status, headers["connection"]) == (201, "close")
    assert line.ended()


def test_whoever_goes_away_has_paid_all_the_same(api: Api, line: Line, pair: tuple[str, str]) -> None:
    key, body = uuid7(), json.dumps(payment(*pair)).encode()
    line.write(body, *headers_of(line, body, key))
    line.close()
    again = api.send("POST", "/v1/payments", content=body, headers=dict(headers_of(line, body, key)))
    while again.status_code == 409:
        again = api.send("POST", "/v1/payments", content=body, headers=dict(headers_of(line, body, key)))
    assert again.status_code == 201
    assert json.loads(again.content)["id"] == key


def test_a_signing_that_fails_is_told_and_the_key_is_free_again(
    api: Api, line: Line, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: Any, **named: Any) -> None:
        raise RuntimeError("the key is gone")

    key, body = uuid7(), json.dumps(payment(*pair)).encode()
    with monkeypatch.context() as broken:
        broken.setattr(api.node.payments, "sign", fails)
        line.write(body, *headers_of(line, body, key))
        status, _, content = line.read()
        assert (status, json.loads(content)["code"]) == (500, "internal")
    line.write(body, *headers_of(line, body, key))
    assert line.read()[0] == 201


def behind_each_other(*requests: tuple[bytes, list[tuple[str, str]]]) -> bytes:
    """Return requests as one piece of bytes, so that one ends where the next begins."""
    heads = ["".join(f"{name}: {value}\r\n" for name, value in headers) for _, headers in requests]
    return b"".join(
        f"POST /v1/payments HTTP/1.1\r\nHost: node\r\n{head}\r\n".encode() + body
        for head, (body, _) in zip(heads, requests, strict=True)
    )


@pytest.mark.parametrize("name", ["Idempotency-Key", "Authorization", "Content-Type"])
@pytest.mark.parametrize("alone", [True, False])
def test_what_is_said_twice_is_refused_on_either_way(
    line: Line, pair: tuple[str, str], name: str, alone: bool
) -> None:
    body = json.dumps(payment(*pair)).encode()
    headers = headers_of(line, body, uuid7())
    twice = [*headers, (name, dict(headers)[name] if name != "Idempotency-Key" else uuid7())]
    if not alone:  # behind an unanswered one it goes the framework's way
        line.socket.sendall(behind_each_other((body, headers_of(line, body, uuid7())), (body, twice)))
        assert line.read()[0] == 201
    else:
        line.write(body, *twice)
    status, _, content = line.read()
    found = json.loads(content)
    assert (status, found["code"], found["param"]) == (400, "header_repeated", name)


def test_a_payment_behind_a_refusal_is_waited_for(
    api: Api, line: Line, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server closes connections on which nothing happens; one whose payment takes long is not idle."""
    journal = api.node.engine._journal
    sync = journal.sync

    def slowly() -> None:
        time.sleep(1.5)
        sync()

    made = LaneProtocol.connection_made

    def impatient(self: LaneProtocol, transport: Any) -> None:
        made(self, transport)
        self.timeout_keep_alive = 0.3  # type: ignore[assignment]

    monkeypatch.setattr(LaneProtocol, "connection_made", impatient)
    monkeypatch.setattr(journal, "sync", slowly)
    body, late = json.dumps(payment(*pair)).encode(), Line(line.socket.getpeername()[1], line.token)
    late.socket.sendall(
        behind_each_other((b"{", headers_of(late, b"{", uuid7())), (body, headers_of(late, body, uuid7())))
    )
    assert [late.read()[0], late.read()[0]] == [400, 201]
    late.close()


def test_who_does_not_read_is_not_written_to_for_ever(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    protocols: list[LaneProtocol] = []
    made = LaneProtocol.connection_made

    def noted(self: LaneProtocol, transport: Any) -> None:
        protocols.append(self)
        made(self, transport)

    monkeypatch.setattr(LaneProtocol, "connection_made", noted)
    flood = socket.create_connection(line.socket.getpeername())
    flood.settimeout(1.0)
    with suppress(TimeoutError):
        for _ in range(400):
            flood.sendall(b"POST /v1/payments HTTP/1.1\r\nContent-Length: 0\r\n\r\n" * 500)
    waiting = max(one.transport.get_write_buffer_size() for one in protocols)
    flood.close()
    assert waiting < 1_000_000, f"{waiting} bytes wait for a client that never reads"
