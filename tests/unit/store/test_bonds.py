"""Bonds in the read model: no payments, until part of one is paid over for a fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bezant.model.identifiers import AccountId
from bezant.model.outcomes import Outcome
from bezant.model.records import Fault, Kind, id_of
from bezant.store import Store
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK, STAKE, fault, record

KEY, OTHER = bytes([7]) * 32, bytes([8]) * 32
"""Two validators: the last that votes is never punished."""


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url, key=bytes(32))
    yield opened
    opened.close()


def balance(store: Store, account: AccountId) -> int:
    return store.queries.account(account).balance


def test_a_bond_moves_nothing_and_what_is_taken_of_it_does(store: Store) -> None:
    world = BlockScribe()
    bond = record(
        Kind.BOND, id=world.new_id(), debtor=world.alice, creditor=world.treasury, amount=105, commitment=KEY
    )
    other = record(
        Kind.BOND, id=world.new_id(), debtor=world.bob, creditor=world.treasury, amount=105, commitment=OTHER
    )
    both = world.commit((BANK, bond), (BANK, other))
    assert both.receipts["outcome"].tolist() == [Outcome.BONDED] * 2
    store.project(world.blocks)
    before = balance(store, world.alice), balance(store, world.treasury)
    block = world.commit(faults=fault(KEY, Fault.DOUBLE_SIGN))
    assert block.receipts["outcome"].tolist() == [Outcome.JAILED, Outcome.SLASHED]
    store.project([block])
    after = balance(store, world.alice), balance(store, world.treasury)
    assert (after[0] - before[0], after[1] - before[1]) == (-10, 10)
    entry = store.queries.statement(world.alice).entries[-1]
    assert (entry.payment, entry.amount, entry.counterparty) == (id_of(bond[0], "id"), 10, world.treasury)
    end = record(
        Kind.UNBOND, id=world.new_id(), debtor=world.alice, creditor=world.treasury,
        related=id_of(bond[0], "id"),
    )  # fmt: skip
    world.commit((BANK, end))
    world.scribe.now_ns += STAKE.unbonding_s * 10**9
    assert world.commit().receipts["outcome"].tolist() == [Outcome.HOLD_EXPIRED]
    store.project(world.blocks[-2:])
    assert balance(store, world.alice) == after[0]
    store.rebuild(world.blocks)
    assert (balance(store, world.alice), balance(store, world.treasury)) == after
