"""The outbox: events to deliver, written with the rows they tell of, kept until delivered.

An event is stored in the very transaction that projects its block, so there is never one without
the other. Delivery is at least once: whoever receives should drop an id it has seen. Ids must
follow from the block alone, so that a replayed block writes the same event and not another.
Bodies name ids, accounts, amounts and outcomes, never texts of a person: a receiver that needs
those asks for them.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from bezant.errors import NotFound
from bezant.store.database import Database
from bezant.store.schema import outbox

NS_PER_S: Final = 1_000_000_000
RETRY_AFTER_S: Final = (5, 60, 300, 1_800, 7_200, 21_600, 43_200, 86_400, 100_800)
"""The waits between ten attempts: a blip costs seconds, and the last attempt comes after three days
(72.6 hours), which outlasts a weekend."""
JITTER: Final = 0.2
"""Each wait varies by up to a fifth either way, so that a receiver that comes back is not met by
everything it missed at one moment."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell one endpoint; `sequence` orders it, `body` is JSON."""

    id: str
    sequence: int
    type: str
    endpoint: str
    body: str


@dataclass(frozen=True, slots=True)
class DueEvent:
    """An event whose time has come; `attempts` is how many were made before."""

    event: Event
    created_ns: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How it went with one event so far; times in nanoseconds since 1970."""

    event: Event
    created_ns: int
    attempts: int
    next_attempt_ns: int | None
    delivered_ns: int | None
    last_error: str | None


class Outbox:
    """The delivery side; times are the caller's, in nanoseconds since 1970."""

    def __init__(self, database: Database, jitter: random.Random | None = None) -> None:
        self._database = database
        self._jitter = jitter or random.Random()

    def append(self, events: Iterable[Event], now_ns: int, connection: sa.Connection | None = None) -> None:
        """Store events to be delivered from `now_ns` on; an id that is there already changes nothing.

        With `connection` the events join that transaction.
        """
        rows = [(e.id, e.sequence, e.type, e.endpoint, e.body, now_ns, 0, now_ns, None, None) for e in events]
        if connection is None:
            with self._database.write() as own:
                self._insert(own, rows)
        else:
            self._insert(connection, rows)

    def due(self, now_ns: int, limit: int = 100, without: Collection[str] = ()) -> list[DueEvent]:
        """Return events whose next attempt is due, the longest waiting first; none of endpoints `without`."""
        query = (
            sa.select(outbox)
            .where(outbox.c.next_attempt_ns.is_not(None), outbox.c.next_attempt_ns <= now_ns)
            .where(outbox.c.endpoint.not_in(without))
            .order_by(outbox.c.next_attempt_ns, outbox.c.sequence)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_due_event(row) for row in connection.execute(query)]

    def mark_delivered(self, id_: str, now_ns: int) -> None:
        """Record that an event arrived. Raises: NotFound."""
        with self._database.write() as connection:
            done = connection.execute(
                outbox.update()
                .where(outbox.c.id == id_)
                .values(delivered_ns=now_ns, next_attempt_ns=None, attempts=outbox.c.attempts + 1)
            )
            if done.rowcount == 0:
                raise _unknown(id_)

    def mark_failed(self, id_: str, now_ns: int, error: str) -> int | None:
        """Record a failed attempt; return when the next is due, None once all ten were made.

        Raises: NotFound.
        """
        with self._database.write() as connection:
            row = connection.execute(
                sa.select(outbox.c.attempts, outbox.c.delivered_ns).where(outbox.c.id == id_)
            ).first()
            if row is None:
                raise _unknown(id_)
            next_ns = None if row.delivered_ns is not None else self._next_attempt(row.attempts, now_ns)
            connection.execute(
                outbox.update()
                .where(outbox.c.id == id_)
                .values(attempts=row.attempts + 1, next_attempt_ns=next_ns, last_error=error[:500])
            )
            return next_ns

    def deliveries(self, endpoint: str | None = None, limit: int = 100) -> list[Delivery]:
        """Return how deliveries went, the newest event first, of one endpoint or of all."""
        query = sa.select(outbox).order_by(outbox.c.sequence.desc(), outbox.c.id).limit(limit)
        if endpoint is not None:
            query = query.where(outbox.c.endpoint == endpoint)
        with self._database.read() as connection:
            return [_delivery(row) for row in connection.execute(query)]

    def resend(self, id_: str, now_ns: int) -> None:
        """Have an event delivered again, with ten attempts anew. Raises: NotFound."""
        again = {"attempts": 0, "next_attempt_ns": now_ns, "delivered_ns": None, "last_error": None}
        with self._database.write() as connection:
            done = connection.execute(outbox.update().where(outbox.c.id == id_).values(**again))
            if done.rowcount == 0:
                raise _unknown(id_)

    def stop_endpoint(self, endpoint: str) -> int:
        """Give up everything still waiting for an endpoint (it answered 410); return how many."""
        with self._database.write() as connection:
            waiting = outbox.update().where(
                outbox.c.endpoint == endpoint, outbox.c.next_attempt_ns.is_not(None)
            )
            return connection.execute(
                waiting.values(next_attempt_ns=None, last_error="endpoint stopped")
            ).rowcount

    def prune(self, before_ns: int) -> int:
        """Forget events created before a time that nothing waits for any more; return how many."""
        with self._database.write() as connection:
            settled = outbox.c.next_attempt_ns.is_(None) & (outbox.c.created_ns < before_ns)
            return connection.execute(outbox.delete().where(settled)).rowcount

    def _next_attempt(self, attempts_before: int, now_ns: int) -> int | None:
        if attempts_before >= len(RETRY_AFTER_S):
            return None
        wait_s = RETRY_AFTER_S[attempts_before] * self._jitter.uniform(1 - JITTER, 1 + JITTER)
        return now_ns + int(wait_s * NS_PER_S)

    def _insert(self, connection: sa.Connection, rows: Sequence[tuple[object, ...]]) -> None:
        self._database.insert_many(connection, outbox, rows, "ON CONFLICT (id) DO NOTHING")


def _event(row: Any) -> Event:
    return Event(row.id, row.sequence, row.type, row.endpoint, row.body)


def _due_event(row: Any) -> DueEvent:
    return DueEvent(_event(row), row.created_ns, row.attempts)


def _delivery(row: Any) -> Delivery:
    return Delivery(
        _event(row), row.created_ns, row.attempts, row.next_attempt_ns, row.delivered_ns, row.last_error
    )


def _unknown(id_: str) -> NotFound:
    return NotFound(f"the outbox has no event {id_!r}", code="event_unknown")
