"""Clients that pay over keep-alive connections until they are told to stop, and write down what they hear."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from random import Random
from typing import Any

import httpx

from bezant.interfaces.cli.client import new_key
from bezant.testing.blackbox.history import Fate, History, Operation

TIMEOUT_S = 20.0
PAID, REFUSED, DO_NOT_KNOW = (200, 201), (402, 403, 422), (409, 429, 503, 504)
TOO_MUCH_MINOR = 10**9
"""What nobody has: such a payment has to be refused, and to stay so."""


def connect(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S)


def draw_operation(rng: Random, accounts: Sequence[str]) -> Operation:
    """Return a small payment, now and then one that nobody can afford."""
    debtor, creditor = rng.sample(list(accounts), 2)
    amount = TOO_MUCH_MINOR if rng.random() < 0.05 else rng.randint(1, 500)
    return Operation(new_key(), debtor, creditor, amount)


def ask(client: httpx.Client, history: History, operation: Operation, source: str) -> Fate:
    """Send a payment under its key and write down the answer; no answer is one too: unknown."""
    fate = Fate.UNKNOWN
    try:
        answer = client.post(
            "/v1/payments", json=_body(operation), headers={"Idempotency-Key": operation.key}
        )
    except httpx.TransportError:
        pass
    else:
        fate = _fate_of(answer)
    history.hear(operation.key, fate, source)
    return fate


def look(client: httpx.Client, history: History, operation: Operation, source: str) -> None:
    """Read a payment and write down what is there. Raises: Contradiction."""
    answer = client.get(f"/v1/payments/{operation.key}")
    if answer.status_code == 404:
        history.miss(operation.key, source)
        return
    answer.raise_for_status()
    settled = answer.json()["status"] not in ("refused", "blocked")
    history.hear(operation.key, Fate.PAID if settled else Fate.REFUSED, source)


class Crowd:
    """Threads that pay, each over a connection of its own, until `stop`; a lost connection ends one."""

    def __init__(self, url: str, token: str, accounts: Sequence[str], history: History, rng: Random) -> None:
        self._history, self._stopping = history, threading.Event()
        self.failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._pay, args=(url, token, accounts, Random(rng.random())), daemon=True)
            for _ in range(8)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return once everybody has stopped. Raises: what a client could not explain."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def _pay(self, url: str, token: str, accounts: Sequence[str], rng: Random) -> None:
        try:
            with connect(url, token) as client:
                while not self._stopping.is_set():
                    operation = draw_operation(rng, accounts)
                    self._history.begin(operation)
                    fate = ask(client, self._history, operation, "answer")
                    if fate is Fate.UNKNOWN:
                        return
                    if rng.random() < 0.1:
                        ask(client, self._history, operation, "repeated")
        except BaseException as error:
            self.failures.append(error)


def _body(operation: Operation) -> dict[str, Any]:
    whole, cents = divmod(operation.amount_minor, 100)
    return {
        "debtor": operation.debtor,
        "creditor": operation.creditor,
        "instructed_amount": {"amount": f"{whole}.{cents:02d}", "asset": "EUR"},
    }


def _fate_of(answer: httpx.Response) -> Fate:
    """Return what an answer says of the payment; what the node does not know either is unknown."""
    if answer.status_code in PAID:
        return Fate.PAID
    if answer.status_code in REFUSED:
        return Fate.REFUSED
    if answer.status_code in DO_NOT_KNOW:
        return Fate.UNKNOWN
    raise AssertionError(f"an answer nobody expects: {answer.status_code} {json.dumps(answer.text)}")
