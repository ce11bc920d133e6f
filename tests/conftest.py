"""What several folders of tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bezant.economy.training import train_on_economy
from bezant.store.scratch import scratch_schema
from bezant.testing.nodes import SmallNode
from bezant.testing.postgres import private_postgres, server_programs

POSTGRES_VARIABLE = "BEZANT_TEST_POSTGRES"
"""Holds the URL of a PostgreSQL to test on, instead of one that the tests start for themselves."""


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained model, made once."""
    path = tmp_path_factory.mktemp("models") / "small.model"
    train_on_economy(5, payments=30_000, path=path, attackers=False)
    return path


@pytest.fixture
def small(tmp_path: Path, model_file: Path) -> Iterator[SmallNode]:
    """A node with a model, without the SQL store."""
    with SmallNode(tmp_path / "node", model=model_file) as node:
        yield node


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL: the one that the environment names, or one for this run alone."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install bezant[postgres]")
    given, programs = os.environ.get(POSTGRES_VARIABLE), server_programs()
    if given:
        yield given
    elif programs is None:
        pytest.skip(f"PostgreSQL is not installed, and {POSTGRES_VARIABLE} names none")
    else:
        with private_postgres(programs) as url:
            yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database: a SQLite file, or a schema of its own in PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    with scratch_schema(request.getfixturevalue("postgres")) as inside:
        yield inside
