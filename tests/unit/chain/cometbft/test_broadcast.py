"""What is said of Orders that were handed to the network: refused while none was taken, else unknown."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bezant.chain.cometbft import broadcast
from bezant.chain.cometbft.broadcast import Broadcaster, Sending
from bezant.chain.cometbft.outcomes import Outcomes
from bezant.chain.cometbft.rpc import Rpc
from bezant.chain.cometbft.turns import AHEAD_BYTES, Own, Turns
from bezant.chain.engine import Answered
from bezant.errors import BezantError, Overloaded, StorageError, UnknownOutcome
from bezant.model.digest import sha256

TAKEN = {"result": {"code": 0}}
REFUSED = {"result": {"code": 1, "log": "it is not signed by a gateway of the genesis"}}
FULL = {"error": {"message": "Internal error", "data": "mempool is full"}}
HANGS_UP: dict[str, Any] = {}
Says = Callable[[bytes], dict[str, Any]]


class Mempool:
    """CometBFT's side of a broadcast: says of an Order what it is told to."""

    def __init__(self, says: Says) -> None:
        self.asked: list[bytes] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:
                form = handler.rfile.read(int(handler.headers["content-length"]))
                order = bytes.fromhex(form.decode().removeprefix("tx=0x"))
                self.asked.append(order)
                said = says(order)
                if said is HANGS_UP:
                    handler.close_connection = True
                    return
                answer = json.dumps(said).encode()
                handler.send_response(200)
                handler.send_header("content-length", str(len(answer)))
                handler.end_headers()
                handler.wfile.write(answer)

            def log_message(handler, *said: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Sender:
    """A broadcaster, and what those were told who wait."""

    def __init__(self, says: Says) -> None:
        self.mempool = Mempool(says)
        self.outcomes = Outcomes(30)
        self.failures: list[Exception] = []
        self.rpc = Rpc(self.mempool.url)
        self.broadcaster = Broadcaster(
            self.rpc, self.outcomes, Turns(30), lambda data: True, lambda: None, self.failures.append
        )

    def send(
        self, *orders: bytes, prepare: Callable[[], object] = lambda: None
    ) -> list[Answered | BezantError]:
        outstanding = self.outcomes.expect([sha256(one) for one in orders])
        told: list[Answered | BezantError] = []
        outstanding.awaited.tell(told.append)
        own = tuple(Own(sha256(one), one, outstanding) for one in orders)
        self.broadcaster.put(Sending(own, outstanding, prepare))
        return told

    def wait_for(self, *orders: bytes) -> None:
        """Return once the mempool was asked about just these."""
        until = time.monotonic() + 10
        while set(self.mempool.asked) != set(orders) and time.monotonic() < until:
            time.sleep(0.01)
        assert set(self.mempool.asked) == set(orders)

    def close(self) -> None:
        self.broadcaster.close()
        self.rpc.close()
        self.mempool.server.shutdown()
        self.mempool.server.server_close()


@pytest.fixture
def sender() -> Iterator[Callable[[Says], Sender]]:
    made: list[Sender] = []

    def make(says: Says) -> Sender:
        made.append(Sender(says))
        return made[-1]

    yield make
    for one in made:
        one.close()


def the_only(told: list[Answered | BezantError]) -> Answered | BezantError:
    until = time.monotonic() + 10
    while not told and time.monotonic() < until:
        time.sleep(0.01)
    (one,) = told
    return one


def test_what_no_validator_takes_is_refused(sender: Callable[[Says], Sender]) -> None:
    error = the_only(sender(lambda order: REFUSED).send(b"first", b"second"))
    assert isinstance(error, StorageError)
    assert error.code == "order_refused"


def test_of_what_was_taken_in_part_nobody_knows(sender: Callable[[Says], Sender]) -> None:
    made = sender(lambda order: REFUSED if order == b"second" else TAKEN)
    error = the_only(made.send(b"first", b"second", b"third"))
    assert isinstance(error, UnknownOutcome)
    assert "took 1 Orders" in error.message
    assert made.mempool.asked == [b"first", b"second"]


def test_a_full_mempool_refuses_the_first_and_keeps_the_rest_waiting(
    sender: Callable[[Says], Sender],
) -> None:
    full = threading.Event()
    full.set()
    made = sender(lambda order: FULL if full.is_set() and order != b"first" else TAKEN)
    refused = the_only(made.send(b"other"))
    assert isinstance(refused, Overloaded)
    assert refused.code == "mempool_full"
    told = made.send(b"first", b"second")
    while made.mempool.asked.count(b"second") < 2:
        time.sleep(0.01)
    assert told == []
    full.clear()
    while made.mempool.asked[-1] != b"second" or made.mempool.asked.count(b"second") < 3:
        time.sleep(0.01)
    assert told == []


def test_what_a_full_mempool_keeps_waiting_may_be_proposed_and_holds_nobody_up(
    sender: Callable[[Says], Sender],
) -> None:
    made = sender(lambda order: FULL if order.startswith(b"rest") else TAKEN)
    rest = [b"rest %d" % number for number in range(broadcast.SENDERS)]
    told = [made.send(b"first %d" % number, one) for number, one in enumerate(rest)]
    until = time.monotonic() + 10
    while not {*rest} <= {*made.mempool.asked} and time.monotonic() < until:
        time.sleep(0.01)
    made.send(b"other")
    while b"other" not in made.mempool.asked and time.monotonic() < until:
        time.sleep(0.01)
    assert b"other" in made.mempool.asked
    while sorted(made.broadcaster.offer(1)) != rest and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(made.broadcaster.offer(1)) == rest
    assert not any(told)


def test_nothing_is_sent_before_it_is_sealed(sender: Callable[[Says], Sender]) -> None:
    made = sender(lambda order: TAKEN)

    def fails() -> None:
        raise OSError("no space left on device")

    error = the_only(made.send(b"first", prepare=fails))
    assert isinstance(error, StorageError)
    assert "no space left" in error.message
    assert made.failures == [error]
    assert made.mempool.asked == []


def test_closing_does_not_wait_for_a_network_that_hangs(
    sender: Callable[[Says], Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "CLOSING_S", 0.1)
    hangs = threading.Event()

    def says(order: bytes) -> dict[str, Any]:
        hangs.wait(0.3)
        return TAKEN

    made = sender(says)
    told = [made.send(b"%d" % number) for number in range(200)]
    while len(made.mempool.asked) < broadcast.SENDERS:
        time.sleep(0.01)
    began_s = time.monotonic()
    made.broadcaster.close()
    assert time.monotonic() - began_s < 2, "two hundred would take seven seconds"
    refused = [one[0] for one in told if one]
    assert refused
    assert {one.code for one in refused if isinstance(one, BezantError)} == {"closing"}
    assert len(refused) + len(made.mempool.asked) == 200


FIRST, SECOND, THIRD = (bytes([number]) * (AHEAD_BYTES // 2 + 1) for number in range(3))


def whose_turn_comes(sender: Callable[[Says], Sender], says: Says) -> Sender:
    made = sender(says)
    made.broadcaster.offer(1)
    return made


def test_what_need_not_go_ahead_waits_for_a_turn(sender: Callable[[Says], Sender]) -> None:
    made = whose_turn_comes(sender, lambda order: TAKEN)
    made.send(FIRST)
    made.wait_for(FIRST)
    made.send(SECOND)
    made.send(THIRD)
    until = time.monotonic() + 10
    while len(made.broadcaster.offer(2)) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(made.broadcaster.offer(2)) == [SECOND, THIRD]
    assert made.mempool.asked == [FIRST]
    made.broadcaster.settled(2, [sha256(FIRST), sha256(SECOND)])
    made.wait_for(FIRST, THIRD)


def test_what_the_mempool_did_not_take_goes_on_waiting(sender: Callable[[Says], Sender]) -> None:
    full = threading.Event()
    full.set()
    made = whose_turn_comes(sender, lambda order: FULL if full.is_set() and order == SECOND else TAKEN)
    made.send(FIRST)
    made.wait_for(FIRST)
    told = made.send(SECOND)
    while not made.broadcaster.offer(2):
        time.sleep(0.01)
    made.broadcaster.settled(2, [sha256(FIRST)])
    made.wait_for(FIRST, SECOND)
    while not made.broadcaster.offer(3):
        time.sleep(0.01)
    full.clear()
    asked = len(made.mempool.asked)
    made.broadcaster.settled(3, [])
    until = time.monotonic() + 10
    while len(made.mempool.asked) == asked and time.monotonic() < until:
        time.sleep(0.01)
    assert made.broadcaster.offer(4) == []
    assert told == []


@pytest.mark.parametrize(("offered", "error"), [(False, StorageError), (True, UnknownOutcome)])
def test_nobody_knows_of_what_was_refused_after_it_may_have_been_proposed(
    sender: Callable[[Says], Sender], offered: bool, error: type[BezantError]
) -> None:
    made = whose_turn_comes(sender, lambda order: REFUSED if order == SECOND else TAKEN)
    made.send(FIRST)
    made.wait_for(FIRST)
    told = made.send(SECOND)
    turns = made.broadcaster._turns
    while sha256(SECOND) not in turns._own:
        time.sleep(0.01)
    if offered:
        assert made.broadcaster.offer(2) == [SECOND]
    made.broadcaster.settled(2, [sha256(FIRST)])
    assert isinstance(the_only(told), error)
    assert made.broadcaster.offer(3) == []


def test_what_waits_for_a_turn_goes_before_it_closes(sender: Callable[[Says], Sender]) -> None:
    made = whose_turn_comes(sender, lambda order: TAKEN)
    made.send(FIRST)
    made.wait_for(FIRST)
    made.send(SECOND)
    made.broadcaster.close()
    assert made.mempool.asked == [FIRST, SECOND]


def test_closing_does_not_wait_for_those_that_waited_for_a_turn(
    sender: Callable[[Says], Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "CLOSING_S", 0.1)
    closing = threading.Event()

    def says(order: bytes) -> dict[str, Any]:
        if closing.is_set():
            time.sleep(0.3)
        return TAKEN

    made = whose_turn_comes(sender, says)
    made.send(FIRST)
    made.wait_for(FIRST)
    many = 100
    for number in range(many):
        made.send(SECOND + b"%d" % number)
    until = time.monotonic() + 10
    while len(made.broadcaster.offer(2)) < many and time.monotonic() < until:
        time.sleep(0.01)
    assert len(made.broadcaster.offer(2)) == many
    closing.set()
    began_s = time.monotonic()
    made.broadcaster.close()
    assert time.monotonic() - began_s < 2, "a hundred would take four seconds"
    left = made.broadcaster.offer(3)
    assert len(left) + len(made.mempool.asked) == 1 + many
    assert left, "they may be proposed as long as CometBFT is answered"


def test_what_comes_with_an_order_that_nobody_knows_of_is_sent_and_that_one_again(
    sender: Callable[[Says], Sender],
) -> None:
    asked: list[bytes] = []

    def says(order: bytes) -> dict[str, Any]:
        asked.append(order)
        return HANGS_UP if order == b"first" and asked.count(order) == 1 else TAKEN

    made = sender(says)
    told = made.send(b"first", b"second")
    until = time.monotonic() + 10
    while len(asked) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(asked) == [b"first", b"first", b"second"]
    assert told == []


def test_nobody_knows_of_what_is_refused_after_the_mempool_said_nothing(
    sender: Callable[[Says], Sender],
) -> None:
    asked: list[bytes] = []

    def says(order: bytes) -> dict[str, Any]:
        asked.append(order)
        return HANGS_UP if len(asked) == 1 else REFUSED

    assert isinstance(the_only(sender(says).send(b"first")), UnknownOutcome)
    assert asked == [b"first", b"first"]
