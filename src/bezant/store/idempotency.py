"""Idempotency keys of the interfaces: the same request answers the same, however often it is sent.

A UUIDv7 key is the payment id and holds by the ledger itself; this table binds every other key to
the id that its payment was given. It is opened durable, apart from the read model: a key that was
bound must not be forgotten by a power cut, nor a long projection keep a request waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from bezant.errors import ConflictError, NotFound
from bezant.model.identifiers import PaymentId
from bezant.store.database import Database
from bezant.store.schema import id_key

_METADATA = sa.MetaData()

_KEYS = sa.Table(
    "idempotency_keys",
    _METADATA,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("payment", sa.LargeBinary(16), nullable=False),
    sa.Column("status", sa.SmallInteger),
    sa.Column("answer", sa.LargeBinary),
    sa.Column("created_ns", sa.BigInteger, nullable=False, index=True),
)


class RequestState(StrEnum):
    IN_FLIGHT = "in_flight"
    DONE = "done"


_IN_FLIGHT, _DONE = RequestState.IN_FLIGHT.value, RequestState.DONE.value


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """What is kept under one key; `status` and `answer` once it is done.

    REST stores an empty answer: the ledger says again what it answered to `payment`.
    """

    scope: str
    key: str
    request_hash: bytes
    state: RequestState
    payment: PaymentId
    status: int | None
    answer: bytes | None
    created_ns: int


class IdempotencyKeys:
    """The open table. Thread-safe; `scope` is the operator the key belongs to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @staticmethod
    def open(url: str) -> IdempotencyKeys:
        """Open or create the table. In SQLite give it a file of its own, not the read model's."""
        database = Database(url, durable=True)
        try:
            database.migrate("idempotency", (_METADATA.create_all,))
        except BaseException:
            database.close()
            raise
        return IdempotencyKeys(database)

    def begin(
        self, scope: str, key: str, request_hash: bytes, payment: PaymentId, now_ns: int
    ) -> StoredRequest | None:
        """Claim a key, durably; None means go ahead, a request means that it was answered before.

        Raises: ConflictError ``idempotency_key_reused`` if the key was used for another body,
        ``idempotency_in_flight`` while the first request has no answer yet.
        """
        with self._database.write() as connection:
            # The insert decides: of two that race, in this process or another, one finds it taken.
            claimed = self._database.insert_many(
                connection,
                _KEYS,
                [(scope, key, request_hash, _IN_FLIGHT, id_key(payment), None, None, now_ns)],
                "ON CONFLICT (scope, key) DO NOTHING",
            )
            if claimed:
                return None
            found = _find(connection, scope, key)
        if found.request_hash != request_hash:
            raise ConflictError(
                f"idempotency key {key[:64]!r} was used before with another request; use a new key",
                code="idempotency_key_reused",
            )
        if found.state is RequestState.IN_FLIGHT:
            raise ConflictError(
                f"the first request with idempotency key {key[:64]!r} is still being answered; retry later",
                code="idempotency_in_flight",
            )
        return found

    def finish(self, scope: str, key: str, status: int, answer: bytes) -> None:
        """Store the answer that replays from now on. Raises: NotFound if the key is not in flight."""
        with self._database.write() as connection:
            done = connection.execute(
                _KEYS.update()
                .where(*_in_flight(scope, key))
                .values(state=_DONE, status=status, answer=answer)
            )
            if done.rowcount == 0:
                raise _unknown(scope, key)

    def abandon(self, scope: str, key: str) -> None:
        """Give a key back because its request was refused before anything was accepted.

        Raises: NotFound if the key is not in flight.
        """
        with self._database.write() as connection:
            if connection.execute(_KEYS.delete().where(*_in_flight(scope, key))).rowcount == 0:
                raise _unknown(scope, key)

    def get(self, scope: str, key: str) -> StoredRequest:
        """Return what is kept under a key; raises NotFound."""
        with self._database.read() as connection:
            return _find(connection, scope, key)

    def unfinished(self) -> list[StoredRequest]:
        """Return the requests without an answer, oldest first.

        After a restart the ledger says by each payment id what became of it: finish or abandon it.
        """
        query = sa.select(_KEYS).where(_KEYS.c.state == _IN_FLIGHT).order_by(_KEYS.c.created_ns)
        with self._database.read() as connection:
            return [_view(row) for row in connection.execute(query)]

    def prune(self, before_ns: int) -> int:
        """Forget answers to requests that began before a time; return how many."""
        done = _KEYS.c.state == _DONE
        with self._database.write() as connection:
            old = _KEYS.delete().where(done, _KEYS.c.created_ns < before_ns)
            return connection.execute(old).rowcount

    def close(self) -> None:
        self._database.close()


def _find(connection: sa.Connection, scope: str, key: str) -> StoredRequest:
    query = sa.select(_KEYS).where(_KEYS.c.scope == scope, _KEYS.c.key == key)
    row = connection.execute(query).first()
    if row is None:
        raise _unknown(scope, key)
    return _view(row)


def _in_flight(scope: str, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    columns = _KEYS.c
    return columns.scope == scope, columns.key == key, columns.state == _IN_FLIGHT


def _view(row: Any) -> StoredRequest:
    return StoredRequest(
        scope=row.scope,
        key=row.key,
        request_hash=bytes(row.request_hash),
        state=RequestState(row.state),
        payment=PaymentId(int.from_bytes(row.payment, "big")),
        status=row.status,
        answer=None if row.answer is None else bytes(row.answer),
        created_ns=row.created_ns,
    )


def _unknown(scope: str, key: str) -> NotFound:
    return NotFound(
        f"no request in flight is known under idempotency key {key[:64]!r} of {scope!r}",
        code="idempotency_key_unknown",
    )
