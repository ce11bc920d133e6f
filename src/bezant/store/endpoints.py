"""Webhook endpoints: who is told of what, and under which secret. Kept beside the outbox.

They are few and asked for with every block, so they are held in memory; the table is the durable
copy. Its connection is its own and synced, because nothing could bring back a registration that a
power cut took.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import sqlalchemy as sa

from bezant.errors import NotFound
from bezant.store.database import Database

_METADATA = sa.MetaData()

_ENDPOINTS = sa.Table(
    "webhook_endpoints",
    _METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("types", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("previous_secret", sa.Text, nullable=False),
    sa.Column("previous_until_ns", sa.BigInteger, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
)
"""Not from blocks, so it survives a rebuild. `types` are separated by spaces; none means all."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One receiver. No `types` means all; the previous secret signs too until `previous_until_ns`."""

    id: str
    url: str
    types: tuple[str, ...]
    secret: str = field(repr=False)
    created_ns: int
    enabled: bool = True
    previous_secret: str = field(default="", repr=False)
    previous_until_ns: int = 0

    def wants(self, type_: str) -> bool:
        return self.enabled and (not self.types or type_ in self.types)

    def secrets(self, now_ns: int) -> tuple[str, ...]:
        """Return the secrets to sign with, the current one first."""
        rotating = self.previous_secret and now_ns < self.previous_until_ns
        return (self.secret, self.previous_secret) if rotating else (self.secret,)


class Endpoints:
    """The registered endpoints. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = threading.Lock()
        with database.read() as connection:
            rows = connection.execute(sa.select(_ENDPOINTS).order_by(_ENDPOINTS.c.created_ns))
            self._known = {row.id: _endpoint(row) for row in rows}

    @staticmethod
    def open(url: str) -> Endpoints:
        """Open or create the table in the store's database. Raises: ConfigError, StorageError."""
        database = Database(url, durable=True)
        try:
            database.migrate("webhooks", (_METADATA.create_all,))
            return Endpoints(database)
        except BaseException:
            database.close()
            raise

    def all(self) -> tuple[Endpoint, ...]:
        """Return every endpoint, the oldest first."""
        return tuple(self._known.values())

    def get(self, id_: str) -> Endpoint:
        """Return one endpoint. Raises: NotFound ``endpoint_unknown``."""
        try:
            return self._known[id_]
        except KeyError:
            raise NotFound(f"there is no webhook endpoint {id_[:64]!r}", code="endpoint_unknown") from None

    def put(self, endpoint: Endpoint) -> None:
        """Add an endpoint, or replace the one of its id; durable on return."""
        row = _columns(endpoint)
        with self._turn:
            with self._database.write() as connection:
                connection.execute(_ENDPOINTS.delete().where(_ENDPOINTS.c.id == endpoint.id))
                connection.execute(_ENDPOINTS.insert().values(**row))
            self._known = {**self._known, endpoint.id: endpoint}

    def remove(self, id_: str) -> None:
        """Forget an endpoint. Raises: NotFound."""
        self.get(id_)
        with self._turn:
            with self._database.write() as connection:
                connection.execute(_ENDPOINTS.delete().where(_ENDPOINTS.c.id == id_))
            self._known = {key: known for key, known in self._known.items() if key != id_}

    def close(self) -> None:
        self._database.close()


def _columns(endpoint: Endpoint) -> dict[str, object]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "types": " ".join(endpoint.types),
        "secret": endpoint.secret,
        "previous_secret": endpoint.previous_secret,
        "previous_until_ns": endpoint.previous_until_ns,
        "enabled": endpoint.enabled,
        "created_ns": endpoint.created_ns,
    }


def _endpoint(row: sa.Row[tuple[object, ...]]) -> Endpoint:
    return Endpoint(
        id=row.id,
        url=row.url,
        types=tuple(row.types.split()),
        secret=row.secret,
        created_ns=row.created_ns,
        enabled=bool(row.enabled),
        previous_secret=row.previous_secret,
        previous_until_ns=row.previous_until_ns,
    )
