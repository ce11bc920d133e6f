"""The life of a hold: placed, captured in part, released, expired, reviewed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bezant.ledger.batch import NS_PER_S
from bezant.model.keys import authority_id
from bezant.model.outcomes import Outcome, SigningMode, Verdict
from bezant.model.records import NO_ROW, Flag, Kind, RecordArray, id_of
from bezant.testing.ledgers import ALICE, BANK, BOB, CAROL, ISSUER, MALLORY, OPENING, World, record


def place(world: World, amount: int = 100, hold_for_s: int = 3600, **fields: Any) -> RecordArray:
    given = {"id": world.scribe.new_id(), "debtor": world.alice, "creditor": world.bob}
    return record(Kind.HOLD, amount=amount, hold_for_s=hold_for_s, **(given | fields))


def close(world: World, kind: Kind, held: RecordArray, amount: int = 0) -> RecordArray:
    fields = {"id": world.scribe.new_id(), "related": id_of(held[0], "id")}
    return record(kind, debtor=world.alice, creditor=world.bob, amount=amount, **fields)


def test_a_hold_reserves_without_moving(world: World) -> None:
    assert world.answer((ALICE, place(world, 600))) == [Outcome.HELD]
    assert world.balance(world.alice) == OPENING
    assert world.sides(world.alice)[0] == world.sides(world.bob)[2] == 600
    beyond, within = world.transfer(world.alice, world.bob, 401), world.transfer(world.alice, world.bob, 400)
    assert world.answer((ALICE, beyond)) == [Outcome.INSUFFICIENT_FUNDS]
    assert world.answer((ALICE, within)) == [Outcome.APPLIED]


def test_a_reserve_cannot_be_spent_by_its_creditor(world: World) -> None:
    world.apply((ALICE, place(world, 600)))
    spending = world.transfer(world.bob, world.alice, OPENING + 1)
    assert world.answer((BOB, spending)) == [Outcome.INSUFFICIENT_FUNDS]


def test_a_partial_capture_returns_the_rest_and_closes(world: World) -> None:
    held = place(world, 600)
    world.apply((ALICE, held))
    receipt = world.apply((BOB, close(world, Kind.CAPTURE, held, 250)))[0]
    assert (receipt["outcome"], receipt["amount"]) == (Outcome.CAPTURED, 250)
    assert (world.balance(world.alice), world.balance(world.bob)) == (OPENING - 250, OPENING + 250)
    assert world.sides(world.alice)[0] == world.sides(world.bob)[2] == 0
    assert world.answer((BOB, close(world, Kind.CAPTURE, held, 1))) == [Outcome.HOLD_UNKNOWN]


def test_a_release_returns_everything(world: World) -> None:
    held = place(world, 600)
    world.apply((ALICE, held))
    receipt = world.apply((BOB, close(world, Kind.RELEASE, held)))[0]
    assert (receipt["outcome"], receipt["amount"]) == (Outcome.RELEASED, 600)
    assert world.balance(world.alice) == OPENING
    assert world.sides(world.alice)[0] == 0
    assert world.answer((BOB, close(world, Kind.RELEASE, held))) == [Outcome.HOLD_UNKNOWN]


@pytest.mark.parametrize(
    ("signer", "kind", "outcome"),
    [
        (ALICE, Kind.CAPTURE, Outcome.CAPTURED),
        (ALICE, Kind.RELEASE, Outcome.NOT_AUTHORISED),
        (BOB, Kind.CAPTURE, Outcome.CAPTURED),
        (BOB, Kind.RELEASE, Outcome.RELEASED),
        (BANK, Kind.CAPTURE, Outcome.CAPTURED),
        (BANK, Kind.RELEASE, Outcome.RELEASED),
        (MALLORY, Kind.CAPTURE, Outcome.NOT_AUTHORISED),
        (MALLORY, Kind.RELEASE, Outcome.NOT_AUTHORISED),
        (ISSUER, Kind.CAPTURE, Outcome.NOT_AUTHORISED),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_who_may_close_a_hold(world: World, signer: Any, kind: Kind, outcome: Outcome) -> None:
    """The debtor may pay early but not take back; the creditor and the institution may do both."""
    held = place(world)
    world.apply((ALICE, held))
    assert world.answer((signer, close(world, kind, held, 100))) == [outcome]


def test_a_hold_expires_at_its_time_and_not_before(world: World) -> None:
    """Placed at t for 10 s: open in the block at t + 9, expired in the block at t + 10."""
    world.apply((ALICE, place(world, 600, hold_for_s=10)))
    early = world.apply((ALICE, world.transfer(world.alice, world.bob, 1)), after_s=8)
    assert early["outcome"].tolist() == [Outcome.APPLIED]
    receipts = world.apply((ALICE, world.transfer(world.alice, world.bob, 999)))
    assert receipts["outcome"].tolist() == [Outcome.HOLD_EXPIRED, Outcome.APPLIED]
    expired = receipts[0]
    assert (expired["order_index"], expired["amount"], expired["mode"]) == (NO_ROW, 600, SigningMode.SYSTEM)


def test_expired_holds_come_earliest_first_then_as_placed(world: World) -> None:
    lasting = [40, 20, 30, 20, 10, 30, 20]
    held = [place(world, 1, seconds) for seconds in lasting]
    world.apply((ALICE, np.concatenate(held)))
    receipts = world.apply((ALICE, world.transfer(world.alice, world.bob, 1)), after_s=100)
    order = sorted(range(len(lasting)), key=lambda i: (lasting[i], i))
    assert [id_of(row, "id") for row in receipts[:-1]] == [id_of(held[i][0], "id") for i in order]
    assert world.sides(world.alice)[0] == 0


def test_holds_closed_out_of_order_leave_the_others_in_place(world: World) -> None:
    """Slots are reused and expiry entries go stale; neither may disturb a hold that is still open."""
    held = [place(world, 1 + i, 100 + 7 * i % 40) for i in range(40)]
    world.apply((ALICE, np.concatenate(held)))
    for i in range(0, 40, 3):
        assert world.answer((BOB, close(world, Kind.RELEASE, held[i]))) == [Outcome.RELEASED]
    more = [place(world, 1, 1000) for _ in range(20)]
    world.apply((ALICE, np.concatenate(more)))
    still = [i for i in range(40) if i % 3]
    receipts = world.apply((ALICE, world.transfer(world.alice, world.bob, 1)), after_s=200)
    assert {id_of(row, "id") for row in receipts[:-1]} == {id_of(held[i][0], "id") for i in still}
    assert world.sides(world.alice)[0] == 20
    world.ledger.check_invariants()


def test_a_block_of_expiries_only(world: World) -> None:
    world.apply((ALICE, place(world, 5, 10)))
    refused = world.apply((MALLORY, world.transfer(world.alice, world.bob, 1)), after_s=60)
    assert refused["outcome"].tolist() == [Outcome.HOLD_EXPIRED, Outcome.NOT_AUTHORISED]


# Review.


def reviewed(world: World, amount: int = 100, **fields: Any) -> RecordArray:
    row = world.transfer(world.alice, world.bob, amount, flags=Flag.MAY_REVIEW, **fields)
    receipt = world.apply((ALICE, row), verdicts={0: Verdict.REVIEW})[0]
    assert receipt["outcome"] == Outcome.HELD_FOR_REVIEW
    assert receipt["verdict"] == Verdict.REVIEW
    return row


@pytest.mark.parametrize("kind", [Kind.CAPTURE, Kind.RELEASE], ids=lambda kind: kind.name)
def test_only_the_debtors_institution_closes_a_review(world: World, kind: Kind) -> None:
    row = reviewed(world)
    for signer in (ALICE, BOB, MALLORY, ISSUER):
        assert world.answer((signer, close(world, kind, row, 100))) == [Outcome.NOT_AUTHORISED]
    done = Outcome.CAPTURED if kind is Kind.CAPTURE else Outcome.RELEASED
    assert world.answer((BANK, close(world, kind, row, 100))) == [done]
    moved = 100 if kind is Kind.CAPTURE else 0
    assert world.balance(world.bob) == OPENING + moved


def test_a_reviewer_takes_all_or_nothing(world: World) -> None:
    row = reviewed(world, 100)
    assert world.answer((BANK, close(world, Kind.CAPTURE, row, 99))) == [Outcome.HOLD_MISMATCH]
    assert world.sides(world.alice)[0] == 100
    assert world.answer((BANK, close(world, Kind.CAPTURE, row, 101))) == [Outcome.AMOUNT_ABOVE_HOLD]
    assert world.answer((BANK, close(world, Kind.CAPTURE, row, 100))) == [Outcome.CAPTURED]


def test_a_review_nobody_answers_returns_the_reserve(world: World) -> None:
    reviewed(world)
    after_s = world.genesis.rules.review_for_s
    world.scribe.now_ns += after_s * NS_PER_S
    receipts = world.apply((ALICE, world.transfer(world.alice, world.bob, OPENING)))
    assert receipts["outcome"].tolist() == [Outcome.HOLD_EXPIRED, Outcome.APPLIED]
    assert receipts["kind"][0] == Kind.TRANSFER


def test_a_hold_or_a_chain_cannot_be_reviewed(world: World) -> None:
    row = place(world, flags=Flag.MAY_REVIEW)
    assert world.answer((ALICE, row), verdicts={0: Verdict.REVIEW}) == [Outcome.REVIEW_NOT_PERMITTED]
    chain = [
        world.transfer(world.alice, world.bob, 1, flags=Flag.MAY_REVIEW | Flag.LINKED),
        world.transfer(world.alice, world.bob, 2, flags=Flag.MAY_REVIEW),
    ]
    answers = world.answer((ALICE, np.concatenate(chain)), verdicts={1: Verdict.REVIEW})
    assert answers == [Outcome.LINKED_FAILED, Outcome.REVIEW_NOT_PERMITTED]


def test_a_frozen_account_is_not_captured_from_but_gets_its_reserve_back(world: World) -> None:
    held = place(world)
    world.apply((ALICE, held))
    freeze = record(Kind.SET_FROZEN, id=world.scribe.new_id(), debtor=world.alice, amount=1)
    world.apply((BANK, freeze))
    assert world.answer((BOB, close(world, Kind.CAPTURE, held, 100))) == [Outcome.DEBTOR_FROZEN]
    assert world.answer((BOB, close(world, Kind.RELEASE, held))) == [Outcome.RELEASED]
    thaw = record(Kind.SET_FROZEN, id=world.scribe.new_id(), debtor=world.alice, amount=0)
    world.apply((BANK, thaw))
    assert world.answer((ALICE, world.transfer(world.alice, world.bob, 1))) == [Outcome.APPLIED]


def test_two_debtors_may_hold_under_one_id(world: World) -> None:
    first = place(world)
    second = place(world, id=id_of(first[0], "id"), debtor=world.carol)
    assert world.answer((ALICE, first), (CAROL, second)) == [Outcome.HELD, Outcome.HELD]
    assert world.answer((BOB, close(world, Kind.RELEASE, first))) == [Outcome.RELEASED]
    assert world.sides(world.carol)[0] == 100


# Delegates.


def test_a_delegate_pays_up_to_its_cap_until_revoked(world: World) -> None:
    def mandate(cap: int) -> RecordArray:
        fields = {"id": world.scribe.new_id(), "creditor": authority_id(MALLORY.public)}
        return record(Kind.SET_DELEGATE, debtor=world.alice, amount=cap, **fields)

    assert world.answer((ALICE, mandate(50))) == [Outcome.APPLIED]
    receipt = world.apply((MALLORY, world.transfer(world.alice, world.bob, 50)))[0]
    assert (receipt["outcome"], receipt["mode"]) == (Outcome.APPLIED, SigningMode.DELEGATE)
    assert world.answer((MALLORY, world.transfer(world.alice, world.bob, 51))) == [Outcome.NOT_AUTHORISED]
    assert world.answer((MALLORY, mandate(10**6))) == [Outcome.NOT_AUTHORISED], "it cannot raise its own cap"
    assert world.answer((ALICE, mandate(0))) == [Outcome.APPLIED]
    assert world.answer((MALLORY, world.transfer(world.alice, world.bob, 1))) == [Outcome.NOT_AUTHORISED]
