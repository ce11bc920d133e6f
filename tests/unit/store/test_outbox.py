"""The outbox: due, delivered, retried over three days, and given up."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from bezant.errors import NotFound
from bezant.store import Event, Outbox, Store
from bezant.store.outbox import JITTER, NS_PER_S, RETRY_AFTER_S

HOOK = "https://receiver.example/hook"
NOW = 1_700_000_000 * NS_PER_S


@pytest.fixture
def outbox(url: str) -> Iterator[Outbox]:
    store = Store.open(url, key=bytes(32))
    yield Outbox(store._database, random.Random(7))
    store.close()


def event(number: int, endpoint: str = HOOK) -> Event:
    return Event(f"evt-{number}", number, "payment.settled", endpoint, f'{{"height":{number}}}')


def test_events_are_due_in_order_until_delivered(outbox: Outbox) -> None:
    outbox.append([event(2), event(1)], NOW)
    outbox.append([event(2)], NOW + 5)  # a replayed block says it again
    assert outbox.due(NOW - 1) == []
    assert [due.event for due in outbox.due(NOW)] == [event(1), event(2)]
    assert [due.event.id for due in outbox.due(NOW, limit=1)] == ["evt-1"]
    outbox.mark_delivered("evt-1", NOW + 1)
    assert [(due.event.id, due.attempts, due.created_ns) for due in outbox.due(NOW + 9)] == [
        ("evt-2", 0, NOW)
    ]


def test_ten_attempts_spread_over_three_days_with_jitter(outbox: Outbox) -> None:
    outbox.append([event(1)], NOW)
    now, waits = NOW, []
    for attempt in range(10):
        assert [due.attempts for due in outbox.due(now)] == [attempt]
        following = outbox.mark_failed("evt-1", now, "503 from the receiver")
        if following is None:
            break
        assert outbox.due(following - 1) == []
        waits.append((following - now) / NS_PER_S)
        now = following
    assert attempt == 9
    assert len(waits) == len(RETRY_AFTER_S) == 9
    for waited, planned in zip(waits, RETRY_AFTER_S, strict=True):
        assert planned * (1 - JITTER) <= waited <= planned * (1 + JITTER)
    assert any(waited != planned for waited, planned in zip(waits, RETRY_AFTER_S, strict=True))
    assert 2.5 < sum(RETRY_AFTER_S) / 86_400 < 3.5
    assert outbox.due(now + 10**18) == []


def test_late_news_of_a_failure_does_not_undo_a_delivery(outbox: Outbox) -> None:
    outbox.append([event(1)], NOW)
    outbox.mark_delivered("evt-1", NOW)
    assert outbox.mark_failed("evt-1", NOW + 1, "timeout") is None
    assert outbox.due(NOW + 10**18) == []


def test_a_stopped_endpoint_is_left_alone_and_the_old_is_pruned(outbox: Outbox) -> None:
    other = "https://other.example/hook"
    outbox.append([event(1), event(2), event(3, other)], NOW)
    assert outbox.stop_endpoint(HOOK) == 2
    assert [due.event.endpoint for due in outbox.due(NOW)] == [other]
    assert outbox.prune(NOW) == 0
    assert outbox.prune(NOW + 1) == 2, "what still waits is kept"
    assert len(outbox.due(NOW)) == 1


def test_an_unknown_event_is_not_found(outbox: Outbox) -> None:
    for mark in (
        lambda: outbox.mark_delivered("evt-9", NOW),
        lambda: outbox.mark_failed("evt-9", NOW, "x"),
    ):
        with pytest.raises(NotFound) as e:
            mark()
        assert e.value.code == "event_unknown"
