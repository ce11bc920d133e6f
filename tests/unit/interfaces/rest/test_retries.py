"""Sent again while nobody knows yet: answered late, answered the same, and never done twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bezant.errors import Overloaded
from bezant.folder import create_folder
from bezant.node import Node
from bezant.stages.admit import Admit

from .conftest import SETTINGS, Api, payment, uuid7

IMPATIENT_S = 0.3
LONG_S = 30.0
"""Bounds a wait that an event ends; no test waits for it to pass."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A node of its own, whose disk may stall."""
    folder = tmp_path_factory.mktemp("retries") / "data"
    create_folder(folder)
    (folder / "bezant.toml").write_text(SETTINGS)
    with Node(folder) as node:
        api = Api(node)
        yield api
        api.close()


@pytest.fixture
def pair(own: Api) -> tuple[str, str]:
    return own.account("100"), own.account()


def key_of(kind: str) -> str:
    return uuid7() if kind == "an id" else f"order {uuid7()}"


@contextmanager
def stalled(own: Api) -> Iterator[tuple[pytest.MonkeyPatch, threading.Event]]:
    """Let every sync of the journal last until the event is set or the block ends, longer than anybody waits.

    Further patches end with the block.
    """
    journal, goes_on = own.node.engine._journal, threading.Event()
    sync = journal.sync

    def held_up() -> None:
        goes_on.wait(LONG_S)
        sync()

    with pytest.MonkeyPatch.context() as slow:
        slow.setattr(journal, "sync", held_up)
        slow.setattr(own.replies(), "_timeout_s", IMPATIENT_S)
        try:
            yield slow, goes_on
        finally:
            goes_on.set()


def wait_durable(own: Api) -> None:
    own.node.engine.wait_durable(own.node.engine.height, LONG_S)


def balance(own: Api, account: str) -> str:
    return str(own.get(f"/v1/accounts/{account}")["balance"])


def lagging(self: Admit, lag: object) -> None:
    raise Overloaded("the store is behind", code="store_lagging")


@pytest.mark.parametrize("kind", ["an id", "any other text"])
def test_a_payment_that_is_not_durable_yet_is_unknown_and_is_never_made_twice(
    own: Api, pair: tuple[str, str], kind: str
) -> None:
    key, body = key_of(kind), payment(*pair, amount="6.00")

    def ask() -> Any:
        return own.send("POST", "/v1/payments", key=key, json=body)

    with stalled(own):
        answers = [ask(), ask()]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [(504, "outcome_unknown")] * 2
    last = ask()
    assert (last.status_code, last.headers.get("idempotency-replayed")) == (201, "true")
    assert {a.json()["payment_id"] for a in answers} == {last.json()["id"]}
    assert balance(own, pair[1]) == "6.00"


@pytest.mark.parametrize("patient", [False, True])
def test_a_retry_that_comes_before_the_disk_waits_for_it(
    own: Api, pair: tuple[str, str], patient: bool
) -> None:
    key, body = key_of("any other text"), payment(*pair, amount="3.00")
    with stalled(own) as (slow, goes_on):
        assert own.send("POST", "/v1/payments", key=key, json=body).status_code == 504
        if patient:
            slow.setattr(own.replies(), "_timeout_s", LONG_S)
            threading.Timer(2 * IMPATIENT_S, goes_on.set).start()
        again = own.send("POST", "/v1/payments", key=key, json=body)
    assert again.status_code == (201 if patient else 504)
    assert own.send("POST", "/v1/payments", key=key, json=body).status_code == 201
    assert balance(own, pair[1]) == "3.00"


def test_whatever_refuses_a_retry_does_not_free_its_key(
    own: Api, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, body = key_of("any other text"), payment(*pair, amount="8.00")
    with stalled(own):
        first = own.send("POST", "/v1/payments", key=key, json=body)
        assert (first.status_code, first.json()["code"]) == (504, "outcome_unknown")
    wait_durable(own)
    with monkeypatch.context() as behind:
        behind.setattr(Admit, "_check_store", lagging)
        for _ in range(2):
            refused = own.send("POST", "/v1/payments", key=key, json=body)
            assert (refused.status_code, refused.json()["code"]) == (503, "store_lagging")
    last = own.send("POST", "/v1/payments", key=key, json=body)
    assert (last.status_code, last.json()["id"]) == (201, first.json()["payment_id"])
    assert balance(own, pair[1]) == "8.00"


def test_a_first_request_that_is_refused_frees_its_key(
    own: Api, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_of("any other text")
    with monkeypatch.context() as behind:
        behind.setattr(Admit, "_check_store", lagging)
        assert own.send("POST", "/v1/payments", key=key, json=payment(*pair)).status_code == 503
    time.sleep(0.1)  # it is given back beside the answer
    assert own.send("POST", "/v1/payments", key=key, json=payment(*pair, amount="2.00")).status_code == 201


Ask = Callable[[str], Any]


@pytest.mark.parametrize("kind", ["an id", "any other text"])
@pytest.mark.parametrize("what", ["capture", "part", "refund"])
def test_what_follows_a_payment_is_not_done_twice_either(
    own: Api, pair: tuple[str, str], what: str, kind: str
) -> None:
    """Asked again while the first is applied and not durable: its own effect must not refuse it."""
    held = {} if what == "refund" else {"hold_for_s": 600}
    made = own.post("/v1/payments", payment(*pair, amount="10.00") | held)
    path, body = {
        "capture": (f"/v1/payments/{made['id']}/capture", {}),
        "part": (f"/v1/payments/{made['id']}/capture", {"amount": "4.00", "keep_rest": True}),
        "refund": (f"/v1/payments/{made['id']}/refunds", {"amount": "4.00"}),
    }[what]
    key = key_of(kind)
    with stalled(own) as (slow, _):
        slow.setattr("bezant.gateway.payments.PATIENCE_S", IMPATIENT_S)
        call = own.node.intake.call
        slow.setattr(own.node.intake, "call", lambda submission: call(submission, IMPATIENT_S))
        first = own.send("POST", path, key=key, json=body)
        again = own.send("POST", path, key=key, json=body)
        assert [a.json()["code"] for a in (first, again)] == ["outcome_unknown"] * 2
    wait_durable(own)
    last = own.send("POST", path, key=key, json=body)
    assert last.status_code in (200, 201), last.text
    assert last.headers.get("idempotency-replayed") == "true"
    left = {"capture": "10.00", "part": "4.00", "refund": "6.00"}[what]
    assert balance(own, pair[1]) == left


def test_a_node_that_starts_again_answers_what_it_remembers(tmp_path: Path) -> None:
    """Nothing is durable from here on yet, and nothing has to be: the answer is of before."""
    create_folder(tmp_path / "data")
    (tmp_path / "data" / "bezant.toml").write_text(SETTINGS)
    key = uuid7()
    for expected in (None, "true"):
        with Node(tmp_path / "data") as node:
            api = Api(node)
            if expected is None:
                accounts = api.account("10"), api.account()
            answer = api.send("POST", "/v1/payments", key=key, json=payment(*accounts))
            assert (answer.status_code, answer.headers.get("idempotency-replayed")) == (201, expected)
            api.close()
