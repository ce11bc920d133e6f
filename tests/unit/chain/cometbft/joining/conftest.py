"""An author of blocks and a member that has all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.chain.cometbft.joining.members import EVERY, SMALL_CHUNK, Member, Writer, busy

from bezant.chain.storage import offers


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers.Offers.__init__, "__defaults__", (SMALL_CHUNK,))


@pytest.fixture
def author(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path / "author")
    yield made
    made.engine.close()


@pytest.fixture
def member(author: Writer, tmp_path: Path) -> Iterator[Member]:
    """A member that has been there from the first block on, behind a snapshot: payments, a hold, a refund."""
    made = Member(tmp_path / "member")
    for block in author.funding():
        made.decide(block)
    for block in busy(author, EVERY + 2):
        made.decide(block)
    yield made
    made.chain.close()
