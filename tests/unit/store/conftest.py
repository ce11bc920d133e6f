"""Every database that the store's tests run on."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

VARIABLE = "BEZANT_TEST_POSTGRES"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database: a SQLite file, or a schema of its own in PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    given = os.environ.get(VARIABLE)
    if not given:
        pytest.skip(f"{VARIABLE} holds no PostgreSQL URL")
    server = sa.make_url(given).set(drivername="postgresql+psycopg")
    engine, schema = sa.create_engine(server), f"bezant_{secrets.token_hex(6)}"
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    options = server.update_query_dict({"options": f"-csearch_path={schema}"})
    yield options.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(schema, cascade=True))
    engine.dispose()
