"""What the engine proves of its history: blocks in checkpoints, checkpoints in later ones."""

from __future__ import annotations

import pytest

from bezant.chain import history
from bezant.chain.checkpoints import is_signed
from bezant.errors import NotFound
from bezant.model.merkle import root_from_path
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE, NODE


def test_checkpoints_are_signed_and_consistent_and_hold_every_block(chain: ChainWorld) -> None:
    alice, bob = chain.fund()
    for _ in range(9):
        chain.submit((ALICE, chain.transfer(alice, bob, 1)))
    notes = [chain.engine.checkpoint(height) for height in range(1, chain.engine.height + 1)]
    chain.reopen()
    assert [chain.engine.checkpoint(height) for height in range(1, chain.engine.height + 1)] == notes
    latest = chain.engine.checkpoint()
    assert latest == notes[-1]
    assert is_signed(latest, NODE.public)
    assert (latest.checkpoint.app_hash, latest.checkpoint.time_ns) == (
        chain.engine.app_hash,
        chain.engine.time_ns,
    )
    for note in notes:
        size = note.checkpoint.height
        path = chain.engine.prove_consistency(size, 12)
        assert history.is_consistent(size, 12, note.checkpoint.root, latest.checkpoint.root, path)
    for block in chain.engine.blocks_from(1):
        leaf = history.block_leaf(block.height, block.time_ns, block.leaf_count, block.app_hash)
        path = chain.engine.prove_block(block.height, 12)
        assert root_from_path(leaf, block.height - 1, 12, path) == latest.checkpoint.root


def test_what_is_not_durable_is_not_proved(chain: ChainWorld) -> None:
    for ask in (
        chain.engine.checkpoint,
        lambda: chain.engine.checkpoint(5),
        lambda: chain.engine.prove_consistency(1, 2),
        lambda: chain.engine.prove_block(1, 1),
    ):
        with pytest.raises(NotFound):
            ask()
