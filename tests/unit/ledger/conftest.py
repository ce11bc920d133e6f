from __future__ import annotations

import pytest

from bezant.testing.ledgers import LEDGERS, STAKE, World


@pytest.fixture(params=LEDGERS, ids=lambda make: make.__name__)
def world(request: pytest.FixtureRequest) -> World:
    """A small world on each of the two ledgers."""
    return World(request.param, stake=STAKE)
