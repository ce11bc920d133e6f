"""Idempotency keys: the first request wins, the same one replays, another is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bezant.errors import ConflictError, NotFound
from bezant.model.identifiers import PaymentId, new_payment_id
from bezant.store import IdempotencyKeys
from bezant.store.idempotency import RequestState

PAYMENT = new_payment_id(1_700_000_000_000, 1)
BODY, OTHER_BODY = b"\x01" * 32, b"\x02" * 32


@pytest.fixture
def keys(url: str) -> Iterator[IdempotencyKeys]:
    opened = IdempotencyKeys.open(url)
    yield opened
    opened.close()


def test_a_finished_request_replays_its_answer_even_after_a_restart(url: str) -> None:
    keys = IdempotencyKeys.open(url)
    assert keys.begin("shop", "order-1", BODY, PAYMENT, 10) is None
    keys.finish("shop", "order-1", 201, b'{"status":"settled"}')
    for _ in range(2):
        found = keys.begin("shop", "order-1", BODY, PaymentId(PAYMENT + 1), 20)
        assert found is not None
        assert (found.status, found.answer, found.payment) == (201, b'{"status":"settled"}', PAYMENT)
        assert (found.state, found.created_ns) == (RequestState.DONE, 10)
        assert keys.get("shop", "order-1") == found
        keys.close()
        keys = IdempotencyKeys.open(url)
    keys.close()


def test_another_body_and_one_in_flight_are_conflicts(keys: IdempotencyKeys) -> None:
    keys.begin("shop", "order-1", BODY, PAYMENT, 10)
    for body, code in ((OTHER_BODY, "idempotency_key_reused"), (BODY, "idempotency_in_flight")):
        with pytest.raises(ConflictError) as e:
            keys.begin("shop", "order-1", body, PAYMENT, 10)
        assert e.value.code == code
    assert keys.begin("other shop", "order-1", OTHER_BODY, PAYMENT, 10) is None, "keys belong to a scope"
    keys.finish("shop", "order-1", 201, b"")
    with pytest.raises(ConflictError) as e:
        keys.begin("shop", "order-1", OTHER_BODY, PAYMENT, 10)
    assert e.value.code == "idempotency_key_reused"


def test_what_a_crash_left_unfinished_is_listed_and_can_be_settled_either_way(url: str) -> None:
    keys = IdempotencyKeys.open(url)
    keys.begin("shop", "b", BODY, PAYMENT, 20)
    keys.begin("shop", "a", BODY, PAYMENT, 10)
    keys.close()
    keys = IdempotencyKeys.open(url)
    assert [(request.key, request.payment) for request in keys.unfinished()] == [
        ("a", PAYMENT),
        ("b", PAYMENT),
    ]
    keys.abandon("shop", "a")
    keys.finish("shop", "b", 200, b"ok")
    assert keys.unfinished() == []
    assert keys.begin("shop", "a", OTHER_BODY, PAYMENT, 30) is None
    keys.close()


def test_only_a_key_in_flight_can_be_finished_or_abandoned(keys: IdempotencyKeys) -> None:
    keys.begin("shop", "a", BODY, PAYMENT, 10)
    keys.finish("shop", "a", 200, b"first")
    for act in (
        lambda: keys.finish("shop", "a", 200, b"second"),
        lambda: keys.abandon("shop", "a"),
        lambda: keys.get("shop", "never"),
    ):
        with pytest.raises(NotFound):
            act()
    assert keys.get("shop", "a").answer == b"first"


def test_pruning_keeps_the_recent_and_the_unfinished(keys: IdempotencyKeys) -> None:
    for key, created in (("old", 10), ("new", 30), ("open", 10)):
        keys.begin("shop", key, BODY, PAYMENT, created)
    keys.finish("shop", "old", 200, b"")
    keys.finish("shop", "new", 200, b"")
    assert keys.prune(20) == 1
    with pytest.raises(NotFound):
        keys.get("shop", "old")
    assert keys.get("shop", "open").state is RequestState.IN_FLIGHT


def test_of_many_that_race_one_goes_ahead(keys: IdempotencyKeys) -> None:
    start, ahead, refused = threading.Barrier(6), [], []

    def race() -> None:
        start.wait()
        try:
            ahead.append(keys.begin("shop", "a", BODY, PAYMENT, 10))
        except ConflictError as error:
            refused.append(error.code)

    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ahead == [None]
    assert refused == ["idempotency_in_flight"] * 5
