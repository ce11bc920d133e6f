"""A ledger that remembers as many ids as it may: admission sheds, and recovers as they are forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bezant.interfaces.bench.memory import bytes_per_id
from bezant.ledger.batch import NS_PER_S
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.genesis import Rules
from bezant.model.outcomes import Outcome
from bezant.testing.ledgers import ALICE, World
from bezant.testing.nodes import SmallNode

MOST = 64
LIFETIME_S = 600 + 30 + 1


@pytest.fixture
def full(tmp_path: Path, model_file: Path) -> Iterator[SmallNode]:
    """A node whose ledger remembers 64 ids, the last of them of payments from Alice to Bob."""
    with SmallNode(tmp_path / "node", model=model_file, rules=Rules(max_live_ids=MOST)) as small:
        while room_of(small):
            assert small.pay()[1].first in (Outcome.APPLIED, Outcome.HELD_FOR_REVIEW)
        yield small


def room_of(small: SmallNode) -> int:
    return small.node.engine.ledger.id_room(small.clock.time_ns)


def ids_of(small: SmallNode) -> int:
    counters = small.node.engine.ledger.state.counters
    return int(counters["ids"][0]) + int(counters["old_ids"][0])


def test_admission_sheds_without_a_block_and_recovers_when_ids_are_forgotten(full: SmallNode) -> None:
    assert ids_of(full) == MOST
    height = full.node.engine.height
    _, answers = full.pay()
    assert answers.first is Outcome.CAPACITY
    assert full.node.engine.height == height, "what is shed costs no block"
    full.tick(LIFETIME_S - 1)
    assert full.pay()[1].first is Outcome.CAPACITY
    assert full.node.engine.height == height
    full.tick(LIFETIME_S + 1)
    assert room_of(full) == MOST, "two windows later everything may be forgotten, and no block was needed"
    _, answers = full.pay()
    assert answers.first in (Outcome.APPLIED, Outcome.HELD_FOR_REVIEW)
    assert ids_of(full) == 1
    full.node.engine.ledger.check_invariants()


def test_a_full_ledger_still_answers_what_it_remembers(full: SmallNode) -> None:
    full.tick(2 * LIFETIME_S)
    known = full.submission(full.transfers(1))
    assert full.node.intake.call(known).first in (Outcome.APPLIED, Outcome.HELD_FOR_REVIEW)
    while room_of(full):
        full.pay()
    assert full.node.intake.call(known).first is Outcome.EXISTS
    assert full.pay()[1].first is Outcome.CAPACITY


def test_an_authorisation_that_does_not_fit_is_shed_whole(full: SmallNode) -> None:
    """What is in front of it goes through, so that a chain is never cut by the lack of room."""
    full.tick(2 * LIFETIME_S)
    while room_of(full) > 5:
        full.pay()
    records = full.transfers(9)
    parts = [full.submission(records[:3], together=True), full.submission(records[3:], together=True)]
    answers = [future.result(30) for future in map(full.node.intake.future, parts)]
    assert Outcome.CAPACITY not in answers[0].outcome
    assert np.all(answers[1].outcome == Outcome.CAPACITY)
    assert room_of(full) == 2
    assert ids_of(full) == MOST - 2


def test_an_id_takes_no_more_than_48_bytes_as_measured() -> None:
    assert bytes_per_id()["total"] <= 48


def test_the_room_told_is_the_room_there_is() -> None:
    world = World(ColumnarLedger, max_live_ids=MOST)
    assert isinstance(world.ledger, ColumnarLedger)
    told = []
    for after_s, count in ((0, 20), (LIFETIME_S, 30), (5, 60), (LIFETIME_S, 9), (LIFETIME_S, 70), (2000, 70)):
        world.scribe.now_ns += after_s * NS_PER_S
        room = world.ledger.id_room(world.scribe.now_ns + NS_PER_S)
        rows = np.concatenate([world.transfer(world.alice, world.bob, 1) for _ in range(count)])
        answers = world.answer((ALICE, rows))
        assert sum(answer is not Outcome.CAPACITY for answer in answers) == min(room, count)
        told.append(room)
    assert len(set(told)) > 3
    assert told[-1] == MOST
