"""What several folders of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bezant.economy.training import train_on_economy
from bezant.testing.nodes import SmallNode


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained model, made once."""
    path = tmp_path_factory.mktemp("models") / "small.model"
    train_on_economy(5, payments=30_000, path=path)
    return path


@pytest.fixture
def small(tmp_path: Path, model_file: Path) -> Iterator[SmallNode]:
    """A node with a model, without the SQL store."""
    with SmallNode(tmp_path / "node", model=model_file) as node:
        yield node
