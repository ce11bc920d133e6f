"""State roots enter the chain at heights that follow from the blocks alone, and are of the whole state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bezant.chain.blocks import StateRoot
from bezant.chain.leaves import STATE_KIND, state_leaf
from bezant.chain.storage.background import run_in_thread
from bezant.chain.storage.state_roots import StateRoots
from bezant.model.records import Kind
from bezant.testing.chains import LEDGER_SEED, ChainWorld
from bezant.testing.ledgers import ALICE, BANK, BOB, record, seeded_key, small_genesis


def world(folder: Path, interval: int, **options: object) -> ChainWorld:
    genesis = small_genesis()
    genesis = msgspec.structs.replace(
        genesis, rules=msgspec.structs.replace(genesis.rules, checkpoint_interval=interval)
    )
    return ChainWorld(folder, genesis=genesis, segment_bytes=64 * 1024, **options)


def root_anew(chain: ChainWorld) -> bytes:
    """The root of the ledger as it is, computed from nothing."""
    roots = StateRoots(chain.engine.ledger, LEDGER_SEED, 1, run_in_thread)
    block = next(iter(chain.engine.blocks_from(chain.engine.durable_height)))
    roots.applied(replace(block, receipts=block.receipts[:0]), asked=True)
    settled = roots.settle()
    assert settled is not None
    return settled.root


def everything(chain: ChainWorld, blocks: int) -> list[tuple[int, bytes]]:
    """Blocks of payments, holds that expire, freezing, delegates and new accounts; the roots after each."""
    alice, bob = chain.fund()
    after = []
    for n in range(blocks):
        hold = record(
            Kind.HOLD, id=chain.scribe.new_id(), debtor=alice, creditor=bob, amount=5, hold_for_s=1 + n % 4
        )
        opened, _ = chain.scribe.open(2, BOB, salt=100 + n)
        frozen = record(Kind.SET_FROZEN, id=chain.scribe.new_id(), debtor=bob, amount=n % 2)
        chain.submit(
            (ALICE, chain.transfer(alice, bob, 10 + n)),
            (ALICE, hold),
            (BANK, np.concatenate([opened, frozen, chain.scribe.register(seeded_key(f"more {n}"))])),
        )
        after.append((chain.engine.height, root_anew(chain)))
    return after


@pytest.mark.parametrize("interval", [1, 2, 3, 7, 24])
def test_every_root_the_chain_covers_is_that_of_the_state_then(tmp_path: Path, interval: int) -> None:
    chain = world(tmp_path / "data", interval)
    after = dict(everything(chain, 45))
    found = {b.height: b.state_root for b in chain.engine.blocks_from(1) if b.state_root is not None}
    assert found, "some roots were due"
    for height, state in found.items():
        assert state.height % interval == 0
        assert height == state.height + max(1, interval // 2)
        if state.height in after:
            assert state.root == after[state.height]
    expected = {h + max(1, interval // 2) for h in range(interval, 48 - max(1, interval // 2) + 1, interval)}
    assert set(found) == expected
    chain.engine.close()


def test_replay_puts_the_same_roots_into_the_same_blocks(tmp_path: Path) -> None:
    chain = world(tmp_path / "data", 5)
    everything(chain, 23)
    before = [(b.app_hash, b.state_root) for b in chain.engine.blocks_from(1)]
    chain.reopen()
    assert [(b.app_hash, b.state_root) for b in chain.engine.blocks_from(1)] == before
    everything_again = chain.submit((ALICE, chain.transfer(1, 2, 3)))
    assert everything_again.height == len(before) + 1
    chain.engine.close()


def test_the_app_hash_covers_the_root(tmp_path: Path) -> None:
    """Two chains of the same blocks, one of which asks for its state to be covered, part there."""
    chain = world(tmp_path / "data", 1000)
    chain.fund()
    app_hash = chain.engine.app_hash
    chain.engine.cover_state()
    blocks = list(chain.engine.blocks_from(4))
    assert [(b.height, b.state_root is not None, b.leaf_count) for b in blocks] == [
        (4, False, 0),
        (5, True, 1),
    ]
    assert blocks[0].app_hash == app_hash != blocks[1].app_hash
    state = blocks[1].state_root
    assert state == StateRoot(4, root_anew(chain))
    leaf = state_leaf(state)
    assert (leaf["kind"][0], leaf["amount"][0]) == (STATE_KIND, 4)
    assert leaf["record_hash"].tobytes() == state.root
    assert chain.engine.checkpoint().checkpoint.state_root == state.root
    chain.engine.cover_state()
    assert chain.engine.height == 5, "it is covered already"
    chain.engine.close()


def test_a_root_that_is_the_same_again_is_left_out(tmp_path: Path) -> None:
    chain = world(tmp_path / "data", 1000)
    chain.fund()
    for _ in range(6):
        chain.engine.submit([])
    chain.engine.wait_durable(9)
    found = [b.height for b in chain.engine.blocks_from(1) if b.state_root is not None]
    assert found == [5]
    chain.engine.close()
