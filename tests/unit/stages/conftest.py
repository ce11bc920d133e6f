"""The node whose stages are asked one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bezant.testing.nodes import SmallNode


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[SmallNode]:
    """A node that the tests of a module share: Alice and Bob pay, and the ledger remembers."""
    with SmallNode(tmp_path_factory.mktemp("town") / "node", model=model_file) as town:
        yield town
