"""The two ledgers under the same random batches: the same bytes, and the books of both in order.

The world is small on purpose, so that accounts run dry, holds meet their ends, ids come twice and
chains fail half-way.
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.errors import NoSuchExample

from bezant.ledger.batch import Batch
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.reference import ReferenceLedger
from bezant.model.outcomes import Outcome
from bezant.testing.ledgers import World

from .playing import BLOCKS, WITHOUT_KEYS, Play, blocks_of, differ
from .wrong_ledgers import FAULTS

PROFILE = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@PROFILE
@given(BLOCKS)
def test_both_ledgers_answer_with_the_same_bytes(blocks: Any) -> None:
    assert differ(blocks) == ""


@PROFILE
@given(BLOCKS)
def test_the_books_stay_in_order(blocks: Any) -> None:
    """Value is conserved, nobody is below a limit, what is pending is what is held."""
    play = Play(ColumnarLedger)
    world = play.world
    accounts = (world.alice, world.bob, world.carol, world.yen, world.treasury, world.collector)
    for drawn in blocks:
        receipts = play.apply(play.batch(drawn))
        assert len(receipts) >= sum(len(steps) for _, steps in drawn[1])
        world.ledger.check_invariants()
        sides = {account: world.sides(account) for account in accounts}
        assert sum(posted for _, posted, _, _ in sides.values()) == sum(side[3] for side in sides.values())
        assert sum(side[0] for side in sides.values()) == sum(side[2] for side in sides.values())
        for account in (world.alice, world.bob, world.carol, world.yen):
            pending, debits, _, credits = sides[account]
            assert credits - debits - pending >= 0
        _, debits, expected, credits = sides[world.carol]
        assert credits + expected - debits <= 1010
        held = int(world.ledger.state.counters["open_holds"][0])
        assert (held == 0) == (sum(side[0] for side in sides.values()) == 0)


def paid_out(world: World) -> list[int]:
    """Return what every account paid, but for rewards: those are due in every block."""
    collector = world._row(world.collector)
    return np.delete(world.ledger.accounts["debits_posted_lo"], collector).tolist()


@PROFILE
@given(WITHOUT_KEYS)
def test_a_batch_sent_again_changes_nothing(blocks: Any) -> None:
    """What was answered for good exists; what was not (forged, too early, too late) still moves nothing.

    Where keys change in between, what lacked a signature may have it now, which is another story.
    """
    play = Play(ColumnarLedger)
    world = play.world
    for drawn in blocks:
        batch = play.batch(drawn)
        first = play.apply(batch)[-len(batch.records) or None :]
        before = paid_out(world)
        count = len(batch.records)
        again = world.ledger.apply(
            Batch(
                batch.time_ns + 1,
                batch.records,
                batch.decisions,
                batch.authorisations,
                batch.authentic,
                batch.accepted,
                batch.record_hashes,
                batch.originals,
            )
        )
        assert paid_out(world) == before
        if not count:
            continue
        for one, other in zip(first[-count:], again[-count:], strict=True):
            if one["outcome"] < Outcome.MALFORMED:
                assert other["outcome"] == Outcome.EXISTS
                assert other["first_outcome"] == one["outcome"]
            assert other["outcome"] >= Outcome.MALFORMED, "an effect came twice"


@pytest.mark.parametrize("wrong", FAULTS)
def test_a_planted_fault_is_found(wrong: type[ReferenceLedger]) -> None:
    profile = settings(PROFILE, max_examples=400, phases=[Phase.generate], derandomize=False)
    try:
        drawn = blocks_of(FAULTS[wrong], blocks=8)
        found = find(drawn, lambda blocks: bool(differ(blocks, wrong)), settings=profile, random=Random(7))
    except NoSuchExample:
        pytest.fail(f"{wrong.__name__} went unnoticed")
    assert differ(found) == "", "the right ledger agrees on what gave the wrong one away"
