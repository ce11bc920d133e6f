"""Webhooks against a receiver on this machine, which checks every signature by itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bezant.errors import ConflictError, InputError, NotFound
from bezant.gateway import delivery
from bezant.gateway import webhooks as webhooks_module
from bezant.gateway.delivery import sign
from bezant.gateway.webhooks import REST_NS, ROTATION_NS, Webhooks
from bezant.intelligence.drift import DriftLog
from bezant.store import Endpoints, Event, Store
from bezant.testing.nodes import SmallNode

NOW = 1_767_225_600_000_000_000
S = 1_000_000_000


class Receiver:
    """An HTTP server that notes what it got and answers `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.heard = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with outer.heard:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    outer.got.append((self.path, headers, body))
                    outer.heard.notify_all()
                self.send_response(outer.status)
                if 300 <= outer.status < 400:
                    self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?who=me"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def signatures(secret: str, headers: dict[str, str], body: bytes) -> str:
    """Compute the v1 signature as a receiver would, from the specification alone."""
    key = base64.b64decode(secret.split("_", 1)[1])
    text = headers["webhook-id"].encode() + b"." + headers["webhook-timestamp"].encode() + b"." + body
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


class Bench:
    """Webhooks over a store of their own, and a clock that the test moves."""

    def __init__(self, path: Path, *, allow_private: bool = True) -> None:
        self.now_ns = NOW
        self.url = f"sqlite:///{path / 'store.sqlite'}"
        self.allow_private = allow_private
        self.store = Store.open(self.url, key=bytes(32))
        self.open()

    def open(self) -> None:
        self.endpoints = Endpoints.open(self.url)
        self.webhooks = Webhooks(
            self.endpoints, self.store.outbox, allow_private=self.allow_private, now_ns=lambda: self.now_ns
        )

    def close(self) -> None:
        self.webhooks.close()
        self.endpoints.close()

    def event(self, number: int, endpoint: str, body: str = '{"type":"payment.settled"}') -> str:
        name = f"msg_{number}-0_{endpoint}"
        self.store.outbox.append([Event(name, number, "payment.settled", endpoint, body)], self.now_ns)
        return name


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()
    bench.store.close()


def test_an_event_arrives_signed_and_is_not_sent_twice(bench: Bench, receiver: Receiver) -> None:
    endpoint = bench.webhooks.register(receiver.url, ["payment.settled"])
    name = bench.event(1, endpoint.id, '{"amount":"1.00"}')
    assert bench.webhooks.deliver_due() == 1
    assert bench.webhooks.deliver_due() == 0
    ((path, headers, body),) = receiver.got
    assert path == "/hook?who=me"
    assert body == b'{"amount":"1.00"}'
    assert headers["content-type"] == "application/json"
    assert headers["host"] == receiver.url.split("/")[2]
    assert headers["webhook-id"] == name
    assert headers["webhook-timestamp"] == str(NOW // S)
    assert headers["webhook-signature"] == signatures(endpoint.secret, headers, body)
    (told,) = bench.webhooks.deliveries(endpoint.id)
    assert (told.attempts, told.delivered_ns, told.next_attempt_ns) == (1, NOW, None)


def test_drift_arrives_signed_once_for_whoever_wants_it(bench: Bench, receiver: Receiver) -> None:
    wants = bench.webhooks.register(receiver.url, ["model.drift"])
    other = bench.webhooks.register(receiver.url, ["payment.settled", "stage.drift"])
    log = DriftLog(lambda: NOW - S)
    log.listeners.append(lambda drift: bench.webhooks.tell(drift, 12))
    log.tell("model.drift", "amount", "psi", 0.25, 0.4)
    assert bench.webhooks.deliver_due() == 1
    assert bench.webhooks.deliver_due() == 0
    ((_, headers, body),) = receiver.got
    assert headers["webhook-signature"] == signatures(wants.secret, headers, body)
    assert json.loads(body) == {
        "type": "model.drift",
        "timestamp": "2025-12-31T23:59:59.000000000Z",
        "data": {
            "id": f"drift-{NOW - S}-amount",
            "subject": "amount",
            "measure": "psi",
            "before": 0.25,
            "after": 0.4,
        },
    }
    log.tell("stage.drift", "score", "adwin", 10.0, 20.0)
    bench.close()
    bench.open()
    assert bench.webhooks.deliver_due() == 1, "it was in the outbox before anything was closed"
    assert receiver.got[-1][1]["webhook-signature"] == signatures(other.secret, *receiver.got[-1][1:])


def test_while_rotating_both_secrets_sign(bench: Bench, receiver: Receiver) -> None:
    old = bench.webhooks.register(receiver.url)
    new = bench.webhooks.rotate(old.id)
    assert new.secret != old.secret
    bench.event(1, old.id)
    bench.webhooks.deliver_due()
    bench.now_ns += ROTATION_NS
    bench.event(2, old.id)
    bench.webhooks.deliver_due()
    during, after = ((headers, body) for _, headers, body in receiver.got)
    expected = [signatures(secret, *during) for secret in (new.secret, old.secret)]
    assert during[0]["webhook-signature"].split(" ") == expected
    assert after[0]["webhook-signature"] == signatures(new.secret, *after)


def test_a_failing_endpoint_is_retried_ten_times_and_rests_in_between(
    bench: Bench, receiver: Receiver
) -> None:
    endpoint = bench.webhooks.register(receiver.url)
    first = bench.event(1, endpoint.id)
    bench.event(2, endpoint.id)
    receiver.status = 503
    assert bench.webhooks.deliver_due() == 1
    assert len(receiver.got) == 1, "the second event waits for the endpoint to recover"
    assert bench.webhooks.deliver_due() == 0
    bench.now_ns += REST_NS
    attempts = 0
    while bench.webhooks.deliver_due() or attempts < 200:
        bench.now_ns += 43_200 * S
        attempts += 1
    tries = [headers["webhook-id"] for _, headers, _ in receiver.got]
    assert tries.count(first) == 10
    told = {delivery.event.id: delivery for delivery in bench.webhooks.deliveries()}
    assert told[first].next_attempt_ns is None
    assert told[first].last_error == "the receiver answered 503"
    receiver.status = 204
    bench.webhooks.resend(first)
    assert bench.webhooks.deliver_due() == 1
    assert bench.webhooks.deliveries()[1].delivered_ns == bench.now_ns
    assert receiver.got[-1][1]["webhook-id"] == first, "a resent event keeps its id"


def test_gone_switches_an_endpoint_off_for_good(bench: Bench, receiver: Receiver) -> None:
    endpoint = bench.webhooks.register(receiver.url)
    bench.event(1, endpoint.id), bench.event(2, endpoint.id)
    receiver.status = 410
    bench.webhooks.deliver_due()
    bench.now_ns += 10 * 86_400 * S
    assert bench.webhooks.deliver_due() == 0
    assert len(receiver.got) == 1
    assert not bench.webhooks.get(endpoint.id).enabled
    assert bench.webhooks.enable(endpoint.id, True).enabled


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(bench: Bench, receiver: Receiver, status: int) -> None:
    endpoint = bench.webhooks.register(receiver.url)
    bench.event(1, endpoint.id)
    receiver.status = status
    bench.webhooks.deliver_due()
    assert [path for path, _, _ in receiver.got] == ["/hook?who=me"]
    assert bench.webhooks.deliveries()[0].delivered_ns is None


def test_a_private_address_is_refused_at_registration_and_at_delivery(
    tmp_path: Path, receiver: Receiver
) -> None:
    bench = Bench(tmp_path)
    endpoint = bench.webhooks.register(receiver.url)
    bench.event(1, endpoint.id)
    bench.close()
    bench.allow_private = False
    bench.open()
    with pytest.raises(InputError) as caught:
        bench.webhooks.register(receiver.url)
    assert caught.value.code == "url_refused"
    bench.webhooks.deliver_due()
    assert receiver.got == []
    assert "must begin with https" in str(bench.webhooks.deliveries()[0].last_error)
    bench.close()
    bench.store.close()


def test_nobody_there_and_a_name_that_does_not_exist_are_failed_attempts(bench: Bench) -> None:
    for number, url in enumerate(("http://127.0.0.1:9/hook", "http://nowhere.invalid/hook"), 1):
        bench.event(number, bench.webhooks.register(url).id)
    assert bench.webhooks.deliver_due() == 2
    assert bench.webhooks.failure is None
    assert [(told.attempts, told.delivered_ns) for told in bench.webhooks.deliveries()] == [(1, None)] * 2


def test_a_dead_endpoint_does_not_hold_up_another(bench: Bench, receiver: Receiver) -> None:
    dead = bench.webhooks.register("http://127.0.0.1:9/hook")
    alive = bench.webhooks.register(receiver.url)
    for number in range(1, 151):
        bench.event(number, dead.id)
    bench.event(999, alive.id)
    bench.webhooks.deliver_due(), bench.webhooks.deliver_due()
    assert len(receiver.got) == 1, "more than a page of its events was waiting in front"


def test_endpoints_and_their_secrets_survive_a_restart(bench: Bench, receiver: Receiver) -> None:
    kept = bench.webhooks.register(receiver.url, ["payment.held", "payment.held", "payment.refused"])
    gone = bench.webhooks.register(receiver.url)
    rotated = bench.webhooks.rotate(kept.id)
    bench.event(1, gone.id)
    bench.webhooks.remove(gone.id)
    bench.close()
    bench.open()
    assert bench.webhooks.endpoints() == (rotated,)
    assert rotated.types == ("payment.held", "payment.refused")
    assert rotated.secret not in repr(rotated)
    assert bench.webhooks.deliver_due() == 0, "what waited for a removed endpoint is given up"
    for missing in (bench.webhooks.get, bench.webhooks.remove, bench.webhooks.rotate):
        with pytest.raises(NotFound) as caught:
            missing(gone.id)
        assert caught.value.code == "endpoint_unknown"
    with pytest.raises(NotFound):
        bench.webhooks.resend("msg_9-9_none")


def test_what_cannot_be_registered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"payment\.settled") as caught:
        bench.webhooks.register("https://receiver.example/", ["payment.seen"])
    assert caught.value.code == "event_type_unknown"
    monkeypatch.setattr(webhooks_module, "MAX_ENDPOINTS", 1)
    bench.webhooks.register("https://receiver.example/")
    with pytest.raises(ConflictError):
        bench.webhooks.register("https://receiver.example/")


def test_signing_matches_the_specification() -> None:
    secret = delivery.new_secret()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1700000000"}
    assert sign([secret], "msg_1", 1_700_000_000, b"{}") == signatures(secret, headers, b"{}")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32


def test_payments_of_a_node_reach_an_endpoint(tmp_path: Path, model_file: Path, receiver: Receiver) -> None:
    settings = "[webhooks]\nallow_private = true\n"
    with SmallNode(tmp_path / "node", model=model_file, settings=settings, with_store=True) as small:
        webhooks = small.node.webhooks
        assert webhooks is not None
        # Who is told is settled when a block is projected: those of the opening must be in before.
        small.node.history.queries()
        endpoint = webhooks.register(receiver.url)
        paid, _ = small.pay("12.34")
        with receiver.heard:
            assert receiver.heard.wait_for(lambda: len(receiver.got) == 1, 20)
        _, headers, body = receiver.got[0]
        assert headers["webhook-signature"] == signatures(endpoint.secret, headers, body)
        told = json.loads(body)
        assert told["type"] == "payment.settled"
        assert told["data"]["amount"] == {"amount": "12.34", "asset": "EUR"}
        assert int(told["data"]["payment_id"].replace("-", ""), 16) == paid
        small.restart()
        small.pay("1.00")
        with receiver.heard:
            assert receiver.heard.wait_for(lambda: len(receiver.got) == 2, 20)
        assert json.loads(receiver.got[1][2])["data"]["amount"]["amount"] == "1.00"


def test_drift_found_while_a_node_closes_is_told_when_it_is_back(
    tmp_path: Path, model_file: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bezant.pipeline.observer.INTERVAL_S", 600.0)
    settings = "[webhooks]\nallow_private = true\n"
    with SmallNode(tmp_path / "node", model=model_file, settings=settings, with_store=True) as small:
        node = small.node
        assert node.webhooks is not None
        node.webhooks.register(receiver.url, ["stage.drift"])
        coming_in: list[bool] = []
        node.observer._ticks = [
            lambda: coming_in.append(any(thread.is_alive() for thread in node.intake._threads)),
            lambda: node.drift.tell("stage.drift", "score", "adwin", 10.0, 20.0),
        ]
        small.restart()
        assert coming_in[0] is False, "what comes in after the last look would be told to nobody"
        with receiver.heard:
            assert receiver.heard.wait_for(lambda: len(receiver.got) == 1, 20)
        assert json.loads(receiver.got[0][2])["data"]["subject"] == "score"
