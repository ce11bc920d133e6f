"""One database: SQLite in a file by default, PostgreSQL by URL; one writer, many readers.

SQLite runs in WAL mode, where readers in other threads never wait for the writer. `durable=False`
sets synchronous=NORMAL: a power cut may take the last transactions back, but never part of one,
and because the checkpoint goes back with its rows the follower replays them from the journal.
What cannot be replayed (idempotency keys, webhook endpoints) is opened with `durable=True`: synchronous=FULL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bezant.errors import ConfigError, StorageError

Migration = Callable[[sa.Connection], None]
"""Brings a component's tables from one version to the next, inside the opening transaction."""

_versions_metadata = sa.MetaData()
_versions = sa.Table(
    "schema_version",
    _versions_metadata,
    sa.Column("component", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)
_COPY_ROWS: Final = 64
"""From so many rows on PostgreSQL takes them by COPY: some statements more, and a third of the cost a row."""
_SQLITE_BUSY_S: Final = 30
_WAL_PAGES: Final = 16_384
"""How much SQLite's log of a replayable database grows, 64 MiB, before its pages go to their places: a page
that several transactions changed goes there once, and the disk is synced a sixteenth as often."""


class Database:
    """Two doors to one database: `read` for any thread, `write` for one at a time."""

    def __init__(self, url: str, *, durable: bool) -> None:
        """Connect lazily. Raises: ConfigError for a URL that is no SQLite file and no PostgreSQL."""
        self.url = _parse_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._write_lock = threading.Lock()
        if self.is_sqlite:
            self._writer = _sqlite_engine(self.url, writes=True, durable=durable)
            self._reader = _sqlite_engine(self.url, writes=False)
        else:
            self._writer = self._reader = sa.create_engine(self.url)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction that writes; committed on leaving, rolled back on an exception."""
        with self._write_lock, _typed_errors(self._writer), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One transaction that sees one state of the database throughout."""
        with _typed_errors(self._reader), self._reader.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    def insert_many(
        self, connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]], suffix: str = ""
    ) -> int:
        """Insert tuples in column order, in bulk; return how many rows were written.

        `suffix` is an ON CONFLICT clause, which both databases write alike.
        """
        if not rows:
            return 0
        if not self.is_sqlite and len(rows) >= _COPY_ROWS:
            return self._copy(connection, table, rows, suffix)
        names = _names(table)
        marks = ", ".join([self._mark] * len(table.columns))
        statement = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks}) {suffix}'
        return connection.exec_driver_sql(statement, list(rows)).rowcount

    def _copy(
        self, connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]], suffix: str
    ) -> int:
        """Insert by PostgreSQL's COPY; where rows may conflict, into a temporary table first."""
        types = [column.type.compile(connection.dialect).lower() for column in table.columns]
        names, target = _names(table), table.name
        cursor = connection.connection.cursor()
        if suffix:
            target = f"staged_{table.name}"
            cursor.execute(f'CREATE TEMPORARY TABLE IF NOT EXISTS "{target}" (LIKE "{table.name}")')
        with cursor.copy(f'COPY "{target}" ({names}) FROM STDIN (FORMAT BINARY)') as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
        if suffix:
            cursor.execute(f'INSERT INTO "{table.name}" ({names}) SELECT {names} FROM "{target}" {suffix}')
            written = cursor.rowcount
            cursor.execute(f'TRUNCATE "{target}"')
            return written
        return cursor.rowcount

    def update_many(self, connection: sa.Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
        """Run one UPDATE, written with ``?`` marks, for every tuple; return how many rows it met."""
        if not rows:
            return 0
        return connection.exec_driver_sql(sql.replace("?", self._mark), list(rows)).rowcount

    def migrate(self, component: str, migrations: Sequence[Migration]) -> None:
        """Bring a component's tables to the newest version, in one transaction.

        Raises: StorageError ``schema_newer`` for tables of a later Bezant.
        """
        with self.write() as connection:
            _versions_metadata.create_all(connection)
            stored = connection.scalar(
                sa.select(_versions.c.version).where(_versions.c.component == component)
            )
            version = stored or 0
            if version > len(migrations):
                raise StorageError(
                    f"{self.url.render_as_string()} has {component} tables of version {version}; "
                    f"this Bezant knows up to {len(migrations)}: install the newer one",
                    code="schema_newer",
                )
            for migration in migrations[version:]:
                migration(connection)
            if stored is None:
                connection.execute(_versions.insert().values(component=component, version=len(migrations)))
            else:
                connection.execute(
                    _versions.update()
                    .where(_versions.c.component == component)
                    .values(version=len(migrations))
                )

    def size_bytes(self) -> int:
        """Return how large tables and indexes are; of a SQLite file without its log."""
        if self.is_sqlite:
            size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        else:
            size = (
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
                "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
            )
        with self.read() as connection:
            return int(connection.exec_driver_sql(size).scalar_one() or 0)

    def close(self) -> None:
        self._writer.dispose()
        self._reader.dispose()

    @property
    def _mark(self) -> str:
        return "?" if self.is_sqlite else "%s"


def _names(table: sa.Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def _parse_url(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
        backend = url.get_backend_name()
    except SQLAlchemyError as error:
        raise ConfigError(f"{text[:64]!r} is not a database URL", param="database") from error
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or not url.database or url.database == ":memory:":
        raise ConfigError(
            f"{url.render_as_string()} is neither a SQLite file (sqlite:///path) nor PostgreSQL "
            "(postgresql://...)",
            param="database",
        )
    return url


def _sqlite_engine(url: sa.URL, *, writes: bool, durable: bool = False) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": _SQLITE_BUSY_S})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # The driver's own idea of when to begin is switched off: `begin` below says it.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        if not durable:
            cursor.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
        cursor.execute("PRAGMA cache_size=-65536")
        if not writes:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A writer takes the lock at once: one that only finds out later could not wait for it.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def _typed_errors(engine: sa.Engine) -> Iterator[None]:
    # What the driver itself raises comes from COPY, which SQLAlchemy does not stand around.
    driver = engine.dialect.loaded_dbapi
    try:
        yield
    except (DBAPIError, PoolTimeout, driver.Error) as error:
        reason = str(getattr(error, "orig", None) or error)
        code = "disk_full" if "disk is full" in reason or "No space left" in reason else None
        raise StorageError(
            f"the database {engine.url.render_as_string()} refused: {reason.splitlines()[0]}", code=code
        ) from error
