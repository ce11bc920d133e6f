"""Each signature is verified once, and what was found of it counts for the key it was found under."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bezant.chain import signatures as module
from bezant.chain.signatures import Checked, Signatures
from bezant.model.digest import as_rows
from bezant.model.keys import RowsToVerify, SigningKey, authority_id
from bezant.model.merkle import leaf_hashes
from bezant.model.orders import Order, signed_roots
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, Role
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE, BOB, ISSUER, record

NEW = SigningKey(bytes(range(40, 72)))


@pytest.fixture
def world(tmp_path: Path) -> ChainWorld:
    return ChainWorld(tmp_path / "chain")


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many signatures were verified, call by call."""
    counts: list[int] = []

    class Counted(RowsToVerify):
        def work(self) -> None:
            counts.append(len(self.authentic))
            super().work()

    monkeypatch.setattr(module, "RowsToVerify", Counted)
    return counts


def check(world: ChainWorld, signatures: Signatures, order: Order, earlier: Checked | None = None) -> Checked:
    roots = signed_roots(order.authorisations, leaf_hashes(as_rows(order.records)))
    return signatures.check(world.engine.ledger, order.authorisations, roots, earlier)


def set_key(world: ChainWorld, owner: SigningKey) -> None:
    """Put NEW in the place of an authority's first key."""
    command = record(
        Kind.SET_KEY,
        id=world.scribe.new_id(),
        debtor=authority_id(owner.public),
        related=0,
        amount=1,
        max_fee=int(Role.PAY | Role.REVIEW | Role.ADMINISTER),
        commitment=NEW.public,
    )
    block = world.submit((owner, command))
    assert block.receipts["outcome"].tolist() == [Outcome.APPLIED]


def test_only_whose_own_key_changed_is_verified_anew(world: ChainWorld, verified: list[int]) -> None:
    alice, bob = world.fund()
    order = world.order(
        (ALICE, world.transfer(alice, bob, 1)),
        (BOB, world.transfer(bob, alice, 2)),
        (NEW, world.transfer(bob, alice, 3)),
    )
    forged = order.authorisations.copy()
    forged["signature"][1, 5] ^= 1
    order = Order(order.gateway, forged, order.records, order.decisions, order.signature)
    signatures = Signatures(world.network, remembers=False)
    verified.clear()
    found = check(world, signatures, order)
    assert found.authentic.tolist() == [1, 0, 0], "NEW is nobody's key yet"
    assert sum(verified) == 2
    assert check(world, signatures, order, found) is found
    set_key(world, ALICE)
    verified.clear()
    again = check(world, signatures, order, found)
    assert again.authentic.tolist() == [0, 0, 0]
    assert verified == [1], "BOB's answer stands, and ALICE's is sought under her new key"
    assert check(world, signatures, order).authentic.tolist() == [0, 0, 0]


@pytest.mark.parametrize("rows", [slice(None), slice(1, 3), np.array([True, False, True])], ids=str)
def test_what_was_found_of_some_is_theirs(world: ChainWorld, rows: slice | np.ndarray) -> None:
    """Another's answer would be taken over unasked."""
    alice, bob = world.fund()
    order = world.order(
        (ALICE, world.transfer(alice, bob, 1)),
        (NEW, world.transfer(bob, alice, 2)),
        (BOB, world.transfer(bob, alice, 3)),
    )
    signatures = Signatures(world.network, remembers=False)
    some, roots = (
        order.authorisations[rows],
        signed_roots(order.authorisations, leaf_hashes(as_rows(order.records))),
    )
    alone = signatures.check(world.engine.ledger, some, roots[rows])
    part = check(world, signatures, order).of(rows)
    for name in ("authentic", "known", "keys", "schemes"):
        assert np.array_equal(getattr(part, name), getattr(alone, name)), name


def test_what_was_found_of_an_unknown_authority_is_no_answer_once_it_is_known(world: ChainWorld) -> None:
    alice, bob = world.fund()
    order = world.order((NEW, world.transfer(alice, bob, 1)))
    signatures = Signatures(world.network, remembers=False)
    before = check(world, signatures, order)
    world.submit((ISSUER, world.scribe.register(NEW)))
    assert check(world, signatures, order, before).authentic.tolist() == [1]


def test_a_block_takes_what_was_found_until_keys_change(world: ChainWorld) -> None:
    """A payment is verified as it comes in; a block that replaces the key may be ordered before it."""
    alice, bob = world.fund()
    waiting = [world.order((ALICE, world.transfer(alice, bob, amount))) for amount in (1, 2)]
    found = check(world, world.engine.signatures, waiting[0])
    wrong = Checked(found.keys_version, found.authentic * 0, found.known, found.keys, found.schemes)
    refused = world.engine.submit(waiting[:1], checked=wrong).receipts["outcome"]
    assert refused.tolist() == [Outcome.BAD_SIGNATURE], "what was found is taken over unasked"
    late = check(world, world.engine.signatures, waiting[1])
    set_key(world, ALICE)
    outcome = world.engine.submit(waiting[1:], checked=late).receipts["outcome"]
    assert outcome.tolist() == [Outcome.BAD_SIGNATURE]


@pytest.mark.parametrize(("remembers", "calls"), [(True, [2]), (False, [2, 2])])
def test_a_node_of_a_network_remembers_what_it_verified(
    world: ChainWorld, verified: list[int], remembers: bool, calls: list[int]
) -> None:
    alice, bob = world.fund()
    order = world.order((ALICE, world.transfer(alice, bob, 1)), (BOB, world.transfer(bob, alice, 2)))
    signatures = Signatures(world.network, remembers=remembers)
    verified.clear()
    assert check(world, signatures, order).authentic.tolist() == [1, 1]
    assert check(world, signatures, order).authentic.tolist() == [1, 1]
    assert verified == calls


def test_nobody_borrows_an_answer(world: ChainWorld) -> None:
    alice, bob = world.fund()
    order = world.order((ALICE, world.transfer(alice, bob, 1)))
    signatures = Signatures(world.network)
    assert check(world, signatures, order).authentic.tolist() == [1]
    for change in ("signature", "authority_lo"):
        other = order.authorisations.copy()
        other[change] = world.order((BOB, world.transfer(bob, alice, 2))).authorisations[change]
        borrowed = Order(order.gateway, other, order.records, order.decisions, order.signature)
        assert check(world, signatures, borrowed).authentic.tolist() == [0], change
    assert np.array_equal(check(world, signatures, order).authentic, [1])
