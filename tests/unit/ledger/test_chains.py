"""Linked chains: all or nothing, and what each member of a failed one is answered."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.model.identifiers import new_payment_id
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import Flag, Kind, RecordArray, id_of
from bezant.testing.ledgers import ALICE, BANK, BOB, ISSUER, LEDGERS, OPENING, World, record, seeded_key

A, R, L = Outcome.APPLIED, Outcome.CREDITOR_UNKNOWN, Outcome.LINKED_FAILED


def members(world: World, amounts: list[int], last_linked: bool = False) -> RecordArray:
    """Return a chain of payments from alice to bob; an amount of 0 stands for an unknown creditor."""
    rows = [
        world.transfer(world.alice, world.bob if amount else 7, amount or 1, flags=Flag.LINKED)
        for amount in amounts
    ]
    if not last_linked:
        rows[-1]["flags"] = 0
    return np.concatenate(rows)


@pytest.mark.parametrize(
    ("amounts", "outcomes", "moved"),
    [
        ([1, 2], [A, A], 3),
        ([1, 2, 3], [A, A, A], 6),
        ([0, 2, 3], [R, L, L], 0),
        ([1, 0, 3], [L, R, L], 0),
        ([1, 2, 0], [L, L, R], 0),
        ([600, 600], [L, Outcome.INSUFFICIENT_FUNDS], 0),
        ([1, 0, 0], [L, R, L], 0),
    ],
)
def test_all_or_nothing(world: World, amounts: list[int], outcomes: list[Outcome], moved: int) -> None:
    before = world.sides(world.alice), world.sides(world.bob)
    receipts = world.apply((ALICE, members(world, amounts)))
    assert receipts["outcome"].tolist() == outcomes
    assert world.balance(world.bob) == OPENING + moved
    if not moved:
        assert (world.sides(world.alice), world.sides(world.bob)) == before
        assert not receipts["amount"].any()
        assert not receipts["debtor_side"].tobytes().strip(b"\0")


def test_members_sent_again_alone_are_answered_from_memory(world: World) -> None:
    rows = members(world, [1, 0, 3])
    first = world.apply((ALICE, rows))["outcome"].tolist()
    for row, outcome in zip(rows, first, strict=True):
        alone = np.array([row])
        trailer = world.transfer(world.alice, world.bob, 1)
        part = np.concatenate([alone, trailer]) if row["flags"] else alone
        receipt = world.apply((ALICE, part))[0]
        assert (receipt["outcome"], receipt["first_outcome"]) == (Outcome.EXISTS, outcome)


def test_an_open_chain_moves_nothing(world: World) -> None:
    rows = members(world, [1, 2], last_linked=True)
    assert world.answer((ALICE, rows)) == [Outcome.CHAIN_OPEN] * 2
    assert world.balance(world.bob) == OPENING


def test_an_open_chain_does_not_reach_into_the_next_authorisation(world: World) -> None:
    rows = members(world, [1], last_linked=True)
    after = world.transfer(world.bob, world.alice, 5)
    assert world.answer((ALICE, rows), (BOB, after)) == [Outcome.CHAIN_OPEN, Outcome.APPLIED]


def test_a_chain_ends_with_the_first_unlinked_member(world: World) -> None:
    rows = np.concatenate([members(world, [1, 0]), members(world, [4, 5]), members(world, [6])])
    assert world.answer((ALICE, rows)) == [L, R, A, A, A]
    assert world.balance(world.bob) == OPENING + 15


def test_a_member_twice_in_one_chain_fails_it(world: World) -> None:
    """The second one exists, and what it repeats is what its twin is answered in the end."""
    rows = members(world, [5, 5, 1])
    rows[1] = rows[0]
    receipts = world.apply((ALICE, rows))
    assert receipts["outcome"].tolist() == [L, Outcome.EXISTS, L]
    assert receipts["first_outcome"].tolist() == [0, L, 0]
    assert world.balance(world.bob) == OPENING


def test_a_twin_with_other_content_repeats_the_final_answer_too(world: World) -> None:
    rows = members(world, [5, 6])
    rows["id_lo"][1], rows["id_hi"][1] = rows["id_lo"][0], rows["id_hi"][0]
    receipts = world.apply((ALICE, rows))
    assert receipts["outcome"].tolist() == [L, Outcome.EXISTS_WITH_OTHER_CONTENT]
    assert receipts["first_outcome"].tolist() == [0, L]


def test_a_member_that_existed_before_keeps_its_first_answer(world: World) -> None:
    rows = members(world, [5, 6])
    world.apply((ALICE, rows[1:]))
    receipts = world.apply((ALICE, rows))
    assert receipts["outcome"].tolist() == [L, Outcome.EXISTS]
    assert receipts["first_outcome"].tolist() == [0, Outcome.APPLIED]


def test_what_no_stranger_may_burn_is_not_remembered(world: World) -> None:
    """A member refused for its shape or time leaves its id free; its siblings are answered and remembered."""
    rows = members(world, [1, 2, 3])
    rows["valid_for_s"][1] = 0
    assert world.answer((ALICE, rows)) == [L, Outcome.EXPIRED, L]
    stranger = seeded_key("a stranger")
    assert world.answer((stranger, members(world, [1, 2]))) == [Outcome.UNKNOWN_AUTHORITY] * 2


def test_holds_placed_and_closed_in_a_failed_chain_come_back(world: World) -> None:
    old = [
        record(
            Kind.HOLD,
            id=world.scribe.new_id(),
            debtor=world.alice,
            creditor=world.bob,
            amount=n,
            hold_for_s=60,
        )
        for n in (10, 20, 30)
    ]
    world.apply((ALICE, np.concatenate(old)))
    before = world.sides(world.alice), world.sides(world.bob)

    def close(kind: Kind, which: int, amount: int) -> RecordArray:
        fields = {"related": id_of(old[which][0], "id"), "flags": Flag.LINKED}
        return record(
            kind, id=world.scribe.new_id(), debtor=world.alice, creditor=world.bob, amount=amount, **fields
        )

    placed = record(
        Kind.HOLD,
        id=world.scribe.new_id(),
        debtor=world.alice,
        creditor=world.bob,
        amount=5,
        hold_for_s=30,
        flags=Flag.LINKED,
    )
    inside = close(Kind.CAPTURE, 0, 1)
    inside["related_lo"], inside["related_hi"] = placed["id_lo"], placed["id_hi"]
    chain = [close(Kind.CAPTURE, 1, 7), placed, close(Kind.RELEASE, 0, 0), inside, members(world, [0])]
    answers = world.answer((BANK, np.concatenate(chain)))
    assert answers == [L, L, L, L, R]
    assert (world.sides(world.alice), world.sides(world.bob)) == before
    world.ledger.check_invariants()
    receipts = world.apply((ALICE, world.transfer(world.alice, world.bob, 1)), after_s=100)
    assert [int(amount) for amount in receipts["amount"]] == [10, 20, 30, 1]
    assert world.sides(world.alice)[0] == 0


def test_the_longest_chain_an_authorisation_holds(world: World) -> None:
    world.apply((ISSUER, world.transfer(world.treasury, world.alice, OPENING)))
    assert world.answer((ALICE, members(world, [1] * 1023 + [0]))) == [L] * 1023 + [R]
    assert world.balance(world.alice) == 2 * OPENING
    assert world.answer((BANK, members(world, [1] * 1024))) == [A] * 1024
    assert world.balance(world.alice) == 2 * OPENING - 1024


def test_a_blocked_member_refuses_its_chain(world: World) -> None:
    rows = members(world, [1, 2])
    assert world.answer((ALICE, rows), verdicts={0: Verdict.BLOCK}) == [Outcome.BLOCKED, L]


@pytest.mark.parametrize("make", LEDGERS, ids=lambda make: make.__name__)
def test_capacity_in_the_middle_of_a_chain(make: type) -> None:
    world = World(make, max_live_ids=14)
    fitting = 14 - 12
    answers = world.answer((ALICE, members(world, [1, 2, 3])))
    assert answers == [L] * fitting + [Outcome.CAPACITY]
    assert world.balance(world.bob) == OPENING


def test_ids_of_a_chain_may_lie_apart_in_time(world: World) -> None:
    rows = members(world, [1, 2])
    early = new_payment_id(world.scribe.now_ns // 10**6 - 599_000, 5)
    rows["id_lo"][1], rows["id_hi"][1] = early & (2**64 - 1), early >> 64
    assert world.answer((ALICE, rows)) == [A, Outcome.APPLIED]
