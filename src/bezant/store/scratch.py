"""A place in a PostgreSQL that belongs to one measurement or test, and is gone afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa


@contextmanager
def scratch_schema(url: str) -> Iterator[str]:
    """Yield a URL of the same database that sees an empty schema of its own, dropped on leaving."""
    server, schema = sa.make_url(url).set(drivername="postgresql+psycopg"), f"bezant_{secrets.token_hex(6)}"
    engine = sa.create_engine(server)
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    try:
        inside = server.update_query_dict({"options": f"-csearch_path={schema}"})
        yield inside.render_as_string(hide_password=False)
    finally:
        with engine.begin() as connection:
            connection.execute(sa.schema.DropSchema(schema, cascade=True))
        engine.dispose()
