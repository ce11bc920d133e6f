"""Votes follow from bonds in a real CometBFT, and receipts are proved through every change of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bezant.chain.cometbft.program import usable_program
from bezant.chain.finality import counted
from bezant.chain.receipts import Receipt, build_receipt, render_receipt, verify_receipt
from bezant.errors import ConfigError
from bezant.ledger import open_items
from bezant.model.genesis import Stake
from bezant.model.identifiers import AccountId
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, id_of
from bezant.testing.ledgers import ALICE, ISSUER, record, seeded_key, small_genesis

from ..examples.test_verify_receipt import auditor_says
from .test_engines import CometWorld

STAKE = Stake(asset=1, unit=10, away_blocks=3, least_bond=10)
PATIENCE_S = 20.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CometWorld]:
    try:
        usable_program()
    except ConfigError as error:
        pytest.skip(error.message)
    made = CometWorld(tmp_path, small_genesis(stake=STAKE))
    yield made
    made.close()


def pay(world: CometWorld, alice: AccountId, bob: AccountId) -> Receipt:
    """Pay, and return the receipt as its file is read back by whoever trusts the genesis."""
    row = world.transfer(alice, bob, 1)
    assert world.submit(world.order((ALICE, row))).receipts["outcome"].tolist() == [Outcome.APPLIED]
    data = render_receipt(build_receipt(world.engine.prove(id_of(row[0], "id"))))
    assert auditor_says(data, world.engine.network.hex())
    return verify_receipt(data, genesis_hash=world.engine.network.hex())


def test_receipts_follow_the_votes_from_the_genesis_on(world: CometWorld) -> None:
    alice, bob = world.fund()
    first = pay(world, alice, bob)
    assert first.finality is not None
    assert (counted(first.finality).total, counted(first.finality).changes) == (10, 0)

    opened, penalties = world.scribe.open(1, ISSUER, salt=5)
    world.submit(world.order((ISSUER, opened)))
    (own,) = world.genesis.validators
    stranger = seeded_key("a validator that is not there").public
    treasury = next(
        AccountId(id_of(row, "id")) for row in world.engine.ledger.accounts if row["credit_limit"] > 0
    )

    def bond(amount: int, key: bytes) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        ids = {"id": world.scribe.new_id(), "debtor": treasury, "creditor": penalties}
        return record(Kind.BOND, amount=amount, commitment=key, **ids)

    told = world.submit(world.order((ISSUER, bond(200, bytes.fromhex(own.key)))))
    assert told.receipts["outcome"].tolist() == [Outcome.BONDED]
    for _ in range(2):
        pay(world, alice, bob)
    second = pay(world, alice, bob)
    assert second.finality is not None
    assert (counted(second.finality).total, counted(second.finality).changes) == (30, 1)

    # A validator that bonds and is not there gets its votes, misses blocks, and loses them again.
    world.submit(world.order((ISSUER, bond(50, stranger))))
    until_s = time.monotonic() + PATIENCE_S
    totals = set()
    while not any(voter.jailed_until_ns for voter in open_items.validators(world.engine.ledger)):
        assert time.monotonic() < until_s, "it was never jailed"
        proof = pay(world, alice, bob).finality
        assert proof is not None
        totals.add(counted(proof).total)
    assert 35 in totals
    for _ in range(3):
        last = pay(world, alice, bob)
    assert last.finality is not None
    # The same validators as before came back, so what lay between is no part of the proof.
    assert (counted(last.finality).total, counted(last.finality).changes) == (30, 1)
