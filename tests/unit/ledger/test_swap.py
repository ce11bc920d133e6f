"""Two ledgers swap atomically: both holds are locked with one hash, and one secret opens both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bezant.model.digest import sha256
from bezant.model.outcomes import Outcome
from bezant.model.records import Flag, Kind, RecordArray
from bezant.testing.ledgers import ALICE, BANK, BOB, ISSUER, LEDGERS, OPENING, World

SECRET = b"known to alice alone until then."


def locked(world: World, payer: Any, debtor: int, creditor: int, hold_for_s: int) -> RecordArray:
    """Place a hold with its lock in one chain and return it."""
    held = world.hold(100, debtor=debtor, creditor=creditor, hold_for_s=hold_for_s, flags=Flag.LINKED)
    lock = world.after(Kind.LOCK, held, commitment=sha256(SECRET))
    assert world.answer((payer, np.concatenate([held, lock]))) == [Outcome.HELD, Outcome.LOCKED]
    return held


@pytest.mark.parametrize("make", LEDGERS, ids=lambda make: make.__name__)
def test_two_ledgers_swap_atomically(make: type) -> None:
    """ALICE pays BOB in one ledger if and only if BOB pays ALICE in the other.

    ALICE knows the secret and locks first, for longer. BOB locks with the same hash for a shorter
    time. When ALICE captures there, the secret is in the open, and BOB has time left to use it here.
    """
    here, there = World(make), World(make)
    first = locked(here, ALICE, here.alice, here.bob, 3600)
    second = locked(there, BOB, there.bob, there.alice, 1800)
    capture = there.after(Kind.CAPTURE, second, 100, commitment=SECRET)
    assert there.answer((ALICE, capture)) == [Outcome.CAPTURED]
    shown = capture["payload_commitment"][0].tobytes()
    assert here.answer((BOB, here.after(Kind.CAPTURE, first, 100, commitment=shown))) == [Outcome.CAPTURED]
    assert here.balance(here.bob) == there.balance(there.alice) == OPENING + 100


@pytest.mark.parametrize("make", LEDGERS, ids=lambda make: make.__name__)
def test_without_the_secret_both_get_their_money_back(make: type) -> None:
    here, there = World(make), World(make)
    first = locked(here, ALICE, here.alice, here.bob, 3600)
    locked(there, BOB, there.bob, there.alice, 1800)
    guess = here.after(Kind.CAPTURE, first, 100, commitment=b"a guess".ljust(32))
    assert here.answer((BOB, guess)) == [Outcome.PREIMAGE_MISMATCH]
    for world, signer in ((there, BOB), (here, ALICE)):
        expired = world.apply((signer, world.transfer(world.carol, world.bob, 1)), after_s=3700)
        assert expired["outcome"][0] == Outcome.HOLD_EXPIRED
        assert world.balance(world.alice) == world.balance(world.bob) == OPENING


def test_nobody_on_the_debtors_side_takes_a_locked_hold_back(world: World) -> None:
    """The Bank may, where it is the creditor's institution too; the debtor's alone may not."""
    row, shop = world.scribe.open(1, BOB)
    world.apply((ISSUER, row))
    held = locked(world, ALICE, world.alice, shop, 3600)
    for signer in (ALICE, BANK):
        assert world.answer((signer, world.after(Kind.RELEASE, held))) == [Outcome.NOT_AUTHORISED]
    assert world.answer((BOB, world.after(Kind.RELEASE, held))) == [Outcome.RELEASED]


def test_a_lock_needs_its_hold_in_front_of_it_in_the_same_chain(world: World) -> None:
    held = world.hold(flags=0)
    world.apply((ALICE, held))
    lock = world.after(Kind.LOCK, held, commitment=sha256(SECRET))
    assert world.answer((ALICE, lock)) == [Outcome.HOLD_UNKNOWN], "an open hold stays as it was placed"
    late = world.after(Kind.LOCK, held, commitment=sha256(SECRET), flags=Flag.LINKED)
    chain = np.concatenate([late, world.transfer(world.alice, world.bob, 1)])
    assert world.answer((ALICE, chain)) == [Outcome.HOLD_UNKNOWN, Outcome.LINKED_FAILED]
    placed = world.hold(flags=Flag.LINKED)
    locks = [world.after(Kind.LOCK, placed, commitment=sha256(SECRET), flags=f) for f in (Flag.LINKED, 0)]
    twice = world.answer((ALICE, np.concatenate([placed, *locks])))
    assert twice == [Outcome.LINKED_FAILED, Outcome.LINKED_FAILED, Outcome.HOLD_MISMATCH]


def test_a_locked_hold_is_captured_in_parts_each_with_the_secret(world: World) -> None:
    held = locked(world, ALICE, world.alice, world.bob, 3600)
    part = world.after(Kind.CAPTURE, held, 30, commitment=SECRET, flags=Flag.KEEP_REST)
    assert world.answer((BOB, part)) == [Outcome.CAPTURED_IN_PART]
    without = world.after(Kind.CAPTURE, held, 30, flags=Flag.KEEP_REST)
    assert world.answer((BOB, without)) == [Outcome.PREIMAGE_MISMATCH]
    too_much = world.after(Kind.CAPTURE, held, 71, commitment=SECRET)
    assert world.answer((BOB, too_much)) == [Outcome.AMOUNT_ABOVE_HOLD]
    rest = world.after(Kind.CAPTURE, held, 70, commitment=SECRET, flags=Flag.KEEP_REST)
    assert world.answer((BOB, rest)) == [Outcome.CAPTURED]
    assert world.sides(world.alice)[0] == 0
    assert world.balance(world.bob) == OPENING + 100
