"""Nodes that tests close, spoil and open again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bezant.testing.nodes import SmallNode


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[SmallNode]:
    """A node that tests may close and open again, and leave open and sound."""
    with SmallNode(tmp_path_factory.mktemp("shared") / "node", model=model_file) as small:
        yield small


@pytest.fixture
def stored(tmp_path: Path, model_file: Path) -> Iterator[SmallNode]:
    """A node with the SQL store in its folder."""
    with SmallNode(tmp_path / "node", model=model_file, with_store=True) as small:
        yield small


@pytest.fixture
def stored_anywhere(tmp_path: Path, url: str, model_file: Path) -> Iterator[SmallNode]:
    """A node with the SQL store in its folder, or in PostgreSQL with idempotency keys and webhooks."""
    settings = "" if url.startswith("sqlite") else f"[store]\nurl = '{url}'\n"
    with SmallNode(tmp_path / "node", model=model_file, settings=settings, with_store=True) as small:
        yield small
