"""The follower: up with the chain, after overflow and restart too, and never failing in silence."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from bezant.chain.blocks import CommittedBlock
from bezant.errors import InvariantViolation, StorageError
from bezant.store import Follower, Lag, Store
from bezant.store.lag import NS_PER_S, Pace
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK

LONG_S = 30.0
"""Bounds a wait that an event ends; no test waits for it to pass."""


@pytest.fixture
def world() -> BlockScribe:
    made = BlockScribe()
    for amount in range(1, 9):
        made.commit((BANK, made.transfer(made.alice, made.bob, amount)))
    return made


def test_it_catches_up_and_then_follows(store: Store, world: BlockScribe) -> None:
    follower = Follower(store, world.blocks_from)
    follower.start()
    assert follower.wait_for(10, LONG_S)
    block = world.commit((BANK, world.transfer(world.alice, world.bob, 9)))
    follower.follow(block)
    assert follower.wait_for(11, LONG_S)
    assert (follower.height, follower.failure) == (11, None)
    assert (follower.lag.blocks, follower.lag.payments, follower.lag.seconds) == (0, 0, 0)
    assert follower.lag.payments_per_second > 0
    assert follower.lag.drain_seconds == 0
    follower.close()
    assert store.queries.account(world.alice).balance == 100_000 - 45


def test_a_full_queue_is_made_up_for_from_the_chain(store: Store, world: BlockScribe) -> None:
    asked: list[int] = []

    def blocks_from(height: int) -> Iterator[CommittedBlock]:
        asked.append(height)
        return world.blocks_from(height) if len(asked) > 1 else iter(())

    # The first two blocks have three and two receipts, every other has one.
    follower = Follower(store, blocks_from, queue_receipts=6)
    for block in world.blocks:
        follower.follow(block)
    assert (follower.lag.blocks, follower.lag.payments) == (10, 13)
    follower.start()
    assert follower.wait_for(10, LONG_S)
    follower.close()
    assert asked == [1, 4], "three came from the queue, the rest from the chain"
    assert store.height == 10


def test_after_a_restart_it_goes_on_where_the_store_is(store: Store, world: BlockScribe) -> None:
    store.project(world.blocks[:4])
    asked: list[int] = []

    def blocks_from(height: int) -> Iterator[CommittedBlock]:
        asked.append(height)
        return world.blocks_from(height)

    follower = Follower(store, blocks_from)
    follower.follow(world.blocks[2])  # old news changes nothing
    follower.start()
    assert follower.wait_for(10, LONG_S)
    follower.close()
    assert asked == [5]


def test_its_failure_is_heard_by_everyone(store: Store, world: BlockScribe) -> None:
    def broken(height: int) -> Iterator[CommittedBlock]:
        yield world.blocks[0]
        raise InvariantViolation("block 2 cannot be read")

    follower = Follower(store, broken)
    follower.start()
    with pytest.raises(StorageError, match="block 2 cannot be read") as e:
        follower.wait_for(2, LONG_S)
    assert e.value.code == "follower_failed"
    assert isinstance(follower.failure, InvariantViolation)
    follower.follow(world.blocks[1])
    assert follower.lag.blocks == 2
    for act in (follower.check, follower.close):
        with pytest.raises(StorageError, match="stopped following"):
            act()


def test_it_goes_on_when_the_database_does(store: Store, world: BlockScribe) -> None:
    """Twice the database refuses, as one that is restarted, locked or full does; callers hear of it."""
    refusals, heard = [2, 5], threading.Event()

    def blocks_from(height: int) -> Iterator[CommittedBlock]:
        for block in world.blocks_from(height):
            if refusals and block.height == refusals[0]:
                # The second time is only after somebody heard of the first.
                if len(refusals) == 1:
                    heard.wait(LONG_S)
                del refusals[0]
                raise StorageError("the database is locked")
            yield block

    follower = Follower(store, blocks_from, retry_s=0.01)
    follower.follow(world.blocks[-1])
    follower.start()
    with pytest.raises(StorageError, match="the database is locked; it is tried again") as e:
        follower.wait_for(11, LONG_S)
    assert e.value.code == "follower_failed"
    heard.set()
    while follower.failure is not None:
        time.sleep(0.001)
    assert (store.height, follower.lag.payments) == (10, 0)
    block = world.commit((BANK, world.transfer(world.alice, world.bob, 9)))
    follower.follow(block)
    assert follower.wait_for(11, LONG_S)
    follower.close()
    assert store.queries.account(world.alice).balance == 100_000 - 45


def test_it_stops_at_once_when_there_is_nothing_to_do(store: Store) -> None:
    follower = Follower(store, lambda height: iter(()))
    follower.start()
    assert not follower.wait_for(1, 0.0)
    follower.close()
    unstarted = Follower(store, lambda height: iter(()))
    unstarted.close()


def test_lag_is_told_in_payments_seconds_and_time_to_drain(store: Store, world: BlockScribe) -> None:
    """By a clock that the test sets: the store works a second for every four payments."""
    store.project(world.blocks[:2])
    now_ns = world.blocks[-1].time_ns + 5 * NS_PER_S
    ticks = iter(range(0, 100 * NS_PER_S, 2 * NS_PER_S))
    pace = Pace(lambda: next(ticks))
    follower = Follower(
        store,
        world.blocks_from,
        durable_height=6,
        durable_receipts=5 + 4,
        now_ns=lambda: now_ns,
        pace=pace,
    )
    assert follower.lag == Lag(4, 4, 0.0, 0.0), "of blocks before its time it knows how much they hold"
    for block in world.blocks[2:]:
        follower.follow(block)
    lag = follower.lag
    assert (lag.blocks, lag.payments) == (8, 8), "what it knew of counts once"
    assert lag.seconds == 5 + 3, "a block was made every second, and block 7 is the oldest it was shown"
    assert lag.drain_seconds == 0, "no rate is known yet"
    follower.start()
    assert follower.wait_for(10, LONG_S)
    follower.close()
    assert follower.lag.payments_per_second == 8 / 2


def test_a_drain_takes_what_the_rate_says() -> None:
    lag = Lag(blocks=7, payments=9_000, seconds=1.5, payments_per_second=3_000)
    assert lag.drain_seconds == 3.0
    assert lag.seconds_until(6_000) == 1.0
    assert lag.seconds_until(9_000) == lag.seconds_until(10_000) == 0


def test_a_pace_counts_work_and_forgets() -> None:
    now = [0]
    pace = Pace(lambda: now[0])
    assert pace.per_second == 0
    for idle_s, payments, work_s in ((0, 100, 1), (50, 100, 1)):
        now[0] += idle_s * NS_PER_S
        pace.begin()
        now[0] += work_s * NS_PER_S
        pace.note(payments)
    assert pace.per_second == pytest.approx(100), "the idle seconds do not count"
    for _ in range(100):
        pace.begin()
        now[0] += 10 * NS_PER_S
        pace.note(10_000)
    assert pace.per_second == pytest.approx(1_000, rel=0.01), "what is long ago hardly counts"


def test_memory_is_bounded_however_far_it_is_behind(store: Store, world: BlockScribe) -> None:
    follower = Follower(store, world.blocks_from, queue_receipts=5)
    for block in world.blocks:
        follower.follow(block)
        assert sum(len(block.receipts) for block, _ in follower._queue) <= 5
    huge = Follower(store, world.blocks_from, queue_receipts=1)
    huge.follow(world.blocks[0])
    assert len(huge._queue) == 1, "a block that is larger than the queue goes in alone"
    huge.follow(world.blocks[1])
    assert len(huge._queue) == 1
