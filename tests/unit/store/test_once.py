"""Blocks are projected exactly once, whole or not at all, and give the same rows again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.unit.store.stores import KEY, contents, hold, review

from bezant.chain.blocks import AppHash
from bezant.errors import InvariantViolation
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind
from bezant.store import Store
from bezant.store.outbox import Event
from bezant.store.projection import EndToEndHashes, project_rows
from bezant.store.store import in_groups
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK

pytestmark = pytest.mark.usefixtures("small_eras")


def test_known_blocks_are_passed_over_and_gaps_refused(store: Store, world: BlockScribe) -> None:
    world.commit((BANK, world.transfer(world.alice, world.bob, 1)))
    assert store.project(world.blocks[:2]) == 2
    before = contents(store)
    assert store.project(world.blocks[:2]) == 0
    assert contents(store) == before
    with pytest.raises(InvariantViolation, match="must follow one by one"):
        store.project([replace(world.blocks[2], height=4)])
    with pytest.raises(InvariantViolation, match="another chain"):
        store.project([replace(world.blocks[1], app=AppHash.known(bytes(32)))])
    assert store.project(world.blocks) == 1
    assert store.height == 3


def test_a_block_that_its_receipts_do_not_answer_is_refused_whole(store: Store, world: BlockScribe) -> None:
    world.commit((BANK, world.transfer(world.alice, world.bob, 1)))
    broken = replace(world.blocks[2], receipts=world.blocks[2].receipts.copy())
    broken.receipts["id_lo"] += np.uint64(1)
    store.project(world.blocks[:2])
    before = contents(store)
    with pytest.raises(InvariantViolation, match="block 3"):
        store.project([broken])
    closes_nothing = world.blocks[2].receipts.copy()
    closes_nothing["outcome"] = Outcome.RELEASED
    with pytest.raises(InvariantViolation, match="closes a hold"):
        store.project([replace(world.blocks[2], receipts=closes_nothing)])
    assert contents(store) == before
    assert store.height == 2


def test_a_crash_before_the_commit_leaves_nothing_and_replays(
    url: str, world: BlockScribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(world)
    store = Store.open(url, key=KEY)
    store.project(world.blocks[:2])
    before = contents(store)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_append_events", dies)  # after the rows, before checkpoint and commit
    with pytest.raises(KeyboardInterrupt):
        store.project(world.blocks)
    assert contents(store) == before
    store.close()
    store = Store.open(url, key=KEY)
    assert store.height == 2
    assert store.project(world.blocks) == 1
    assert contents(store)["payments"] != before["payments"]
    store.close()


def test_a_rebuild_gives_the_same_rows_and_repeats_no_event(url: str, world: BlockScribe) -> None:
    def settled(block: object) -> list[Event]:
        height = block.height  # type: ignore[attr-defined]
        return [Event(f"evt-{height}", height, "block", "https://receiver.example/hook", "{}")]

    captured = hold(world)
    hold(world, hold_for_s=1)
    world.commit((BANK, world.pays(Kind.CAPTURE, world.alice, world.bob, 20, related=captured)))
    review(world)
    store = Store.open(url, key=KEY, events=settled)
    for block in world.blocks:
        store.project([block])
    before = contents(store)
    assert [due.event.id for due in store.outbox.due(2**62)] == [f"evt-{b.height}" for b in world.blocks]
    for due in store.outbox.due(2**62):
        store.outbox.mark_delivered(due.event.id, 1)
    store.outbox.prune(2**62)
    store.rebuild(iter(world.blocks))
    assert contents(store) == before
    assert store.outbox.due(2**62) == []
    store.close()


def test_rows_are_the_same_however_blocks_are_grouped(world: BlockScribe) -> None:
    hold(world, hold_for_s=2)
    review(world)
    world.commit((BANK, world.transfer(world.alice, world.bob, 3)))
    hashes = EndToEndHashes(KEY)
    whole = project_rows(world.blocks, hashes)
    parts, before = [], 0
    for group in in_groups(world.blocks, 2):
        parts.append(project_rows(group, hashes, receipts_before=before))
        before += parts[-1].receipts
    assert before == whole.receipts
    assert len(parts) > 2
    for name in ("payments", "captures", "releases", "expiries", "accounts"):
        assert getattr(whole, name) == [row for part in parts for row in getattr(part, name)]
    assert sorted(whole.entries) == sorted(row for part in parts for row in part.entries)
