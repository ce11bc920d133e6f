"""Bonds in the read model: no payments, until part of one is paid over for a fault."""

from __future__ import annotations

from bezant.ledger.fees import FEE_SALT
from bezant.model.genesis import Fee
from bezant.model.identifiers import AccountId
from bezant.model.outcomes import Outcome
from bezant.model.records import Fault, Flag, Kind, id_of
from bezant.store import Store
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK, ISSUER, STAKE, fault, record

KEY, OTHER = bytes([7]) * 32, bytes([8]) * 32
"""Two validators: the last that votes is never punished."""


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


def test_fees_and_rewards_are_entries_that_add_up(store: Store) -> None:
    """Blocks are projected one by one and all at once, with the same result."""
    world = BlockScribe(fees=(Fee(1, flat=2, maximum=2),), checkpoint_interval=4)
    opened, collector = world.scribe.open(1, ISSUER, salt=FEE_SALT)
    world.commit((ISSUER, opened))
    key = {"commitment": KEY, "amount": 100}
    bond = record(Kind.BOND, id=world.new_id(), debtor=world.alice, creditor=world.treasury, **key)
    world.commit((BANK, bond))
    for _ in range(9):
        given = {"debtor": world.alice, "creditor": world.bob, "amount": 5}
        hold = record(Kind.HOLD, id=world.new_id(), hold_for_s=60, **given)
        paid = record(Kind.TRANSFER, id=world.new_id(), max_fee=2, **given)
        world.commit((BANK, hold), (BANK, paid))
        capture = record(Kind.CAPTURE, id=world.new_id(), related=id_of(hold[0], "id"), **given)
        world.commit((BANK, capture))
    outcomes = [Outcome(int(code)) for block in world.blocks for code in block.receipts["outcome"]]
    assert outcomes.count(Outcome.REWARDED) >= 4
    for block in world.blocks:
        store.project([block])
    accounts = (world.alice, world.bob, world.treasury, collector)
    seen = {account: store.queries.statement(account).entries for account in accounts}
    for account in accounts:
        assert balance(store, account) == store.queries.statement(account).closing
    assert sum(balance(store, account) for account in accounts) == 0
    assert [entry.signed_amount for entry in seen[collector][:2]] == [2, 2]
    assert {entry.counterparty for entry in seen[collector]} == {world.alice, world.bob}
    assert min(entry.signed_amount for entry in seen[collector]) < 0, "rewards leave it"
    store.rebuild(world.blocks)
    assert {account: store.queries.statement(account).entries for account in accounts} == seen


def test_what_a_payment_was_charged_is_told_with_it(store: Store) -> None:
    world = BlockScribe(fees=(Fee(1, flat=2, maximum=2),))
    opened, _ = world.scribe.open(1, ISSUER, salt=FEE_SALT)
    world.commit((ISSUER, opened))
    given = {"debtor": world.alice, "creditor": world.bob, "amount": 5}
    paid, refused = (record(Kind.TRANSFER, id=world.new_id(), max_fee=most, **given) for most in (2, 1))
    held, waiting = (record(Kind.HOLD, id=world.new_id(), hold_for_s=60, **given) for _ in range(2))
    block = world.commit((BANK, paid), (BANK, refused), (BANK, held), (BANK, waiting))
    assert block.receipts["fee"].tolist() == [2, 0, 0, 0]
    for amount, fee in ((3, 2), (1, 1)):
        capture = record(Kind.CAPTURE, id=world.new_id(), related=id_of(held[0], "id"), **given)
        capture["amount"], capture["flags"] = amount, Flag.KEEP_REST if amount == 3 else 0
        assert world.commit((BANK, capture)).receipts["fee"].tolist() == [fee]
    back = record(
        Kind.REVERSE, id=world.new_id(), related=id_of(paid[0], "id"),
        **given | {"debtor": world.bob, "creditor": world.alice},
    )  # fmt: skip
    world.commit((BANK, back))
    store.project(world.blocks)
    expected = [(paid, 2), (refused, 0), (held, 3), (waiting, 0), (back, 0)]
    for rows, fee in expected:
        assert store.queries.payment(id_of(rows[0], "id")).fee == fee
    listed = {one.id: one.fee for one in store.queries.payments(account=world.alice).items}
    for rows, fee in expected:
        assert listed[id_of(rows[0], "id")] == fee
