"""An economy that writes blocks, and stores to project them into."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.store.stores import KEY

from bezant.store import Store, run
from bezant.testing.blocks import BlockScribe


@pytest.fixture
def small_eras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four receipts begin a new era, so that every list and statement of a test goes over several."""
    monkeypatch.setattr(run, "ERA_BITS", 2)


@pytest.fixture
def world() -> BlockScribe:
    """Alice and Bob, opened and funded in two blocks, and whatever a test adds."""
    return BlockScribe()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An empty store in SQLite and, a second time, in PostgreSQL."""
    opened = Store.open(url, key=KEY)
    yield opened
    opened.close()
