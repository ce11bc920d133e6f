"""The follower: up with the chain, after overflow and restart too, and never failing in silence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bezant.chain.blocks import CommittedBlock
from bezant.errors import InvariantViolation, StorageError
from bezant.store import Follower, Store
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


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url, key=bytes(32))
    yield opened
    opened.close()


def test_it_catches_up_and_then_follows(store: Store, world: BlockScribe) -> None:
    follower = Follower(store, world.blocks_from)
    follower.start()
    assert follower.wait_for(10, LONG_S)
    block = world.commit((BANK, world.transfer(world.alice, world.bob, 9)))
    follower.follow(block)
    assert follower.wait_for(11, LONG_S)
    assert (follower.height, follower.lag, follower.failure) == (11, 0, None)
    follower.close()
    assert store.queries.account(world.alice).balance == 100_000 - 45


def test_a_full_queue_is_made_up_for_from_the_chain(store: Store, world: BlockScribe) -> None:
    asked: list[int] = []

    def blocks_from(height: int) -> Iterator[CommittedBlock]:
        asked.append(height)
        return world.blocks_from(height) if len(asked) > 1 else iter(())

    follower = Follower(store, blocks_from, queue_blocks=3)
    for block in world.blocks:
        follower.follow(block)
    assert follower.lag == 10
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
    assert follower.lag == 2
    for act in (follower.check, follower.close):
        with pytest.raises(StorageError, match="stopped following"):
            act()


def test_it_stops_at_once_when_there_is_nothing_to_do(store: Store) -> None:
    follower = Follower(store, lambda height: iter(()))
    follower.start()
    assert not follower.wait_for(1, 0.0)
    follower.close()
    unstarted = Follower(store, lambda height: iter(()))
    unstarted.close()
