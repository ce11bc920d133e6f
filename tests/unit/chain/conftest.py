from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bezant.testing.chains import ChainWorld


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[ChainWorld]:
    """A fresh embedded chain, closed at the end."""
    world = ChainWorld(tmp_path / "data", segment_bytes=256 * 1024)
    yield world
    world.engine.close()
