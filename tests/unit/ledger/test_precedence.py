"""Two faults at once: the lower outcome wins. Every pair of faults that can meet in one record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pytest

from bezant.ledger.batch import NS_PER_S
from bezant.model.identifiers import new_payment_id
from bezant.model.keys import SigningKey, authority_id
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import Kind, RecordArray
from bezant.testing.ledgers import ALICE, BANK, BOB, LEDGERS, MALLORY, OPENING, World, record, seeded_key

ROOM = 40
TOP = 2**128 - 1 - 2**64


@dataclass
class Draft:
    """One record in the making: a good one, which faults then spoil.

    `before` runs while everything is still in order, `after` just in front of the record.
    """

    world: World
    kind: Kind
    fields: dict[str, Any]
    signer: SigningKey = ALICE
    verdict: Verdict = Verdict.ALLOW
    authentic: bool = True
    accepted: bool = True
    before: list[Callable[[Draft], None]] = field(default_factory=list)
    after: list[Callable[[Draft], None]] = field(default_factory=list)

    def row(self, **changed: Any) -> RecordArray:
        return record(self.kind, **(self.fields | changed))

    def answer(self) -> Outcome:
        for step in (*self.before, *self.after):
            step(self)
        verdicts = {0: self.verdict}
        world, part = self.world, (self.signer, self.row())
        return world.answer(part, verdicts=verdicts, authentic=self.authentic, accepted=self.accepted)[-1]


@dataclass(frozen=True)
class Fault:
    outcome: Outcome
    touches: frozenset[str]
    """Faults that touch the same thing cannot meet in one record."""
    spoil: Callable[[Draft], None]


def fault(outcome: Outcome, touches: str, spoil: Callable[[Draft], None]) -> Fault:
    return Fault(outcome, frozenset(touches.split()), spoil)


def set_field(name: str, value: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.fields.update({name: value})


def set_own(name: str, value: Any) -> Callable[[Draft], None]:
    return lambda draft: setattr(draft, name, value)


def at_time(seconds: int) -> Callable[[Draft], None]:
    """Give the record an id whose time lies this far from the block's."""

    def spoil(draft: Draft) -> None:
        made_ms = (draft.world.scribe.now_ns + seconds * NS_PER_S) // 1_000_000
        draft.fields["id"] = new_payment_id(made_ms, 77)

    return spoil


def seen_before(**changed: Any) -> Callable[[Draft], None]:
    def step(draft: Draft) -> None:
        draft.world.apply((draft.signer, draft.row(**changed)), verdicts={0: draft.verdict})

    return lambda draft: draft.before.append(step)


def fill(draft: Draft) -> None:
    """Use up the ids that may be remembered, with refusals that are remembered."""

    def step(draft: Draft) -> None:
        world = draft.world
        for _ in range(ROOM):
            world.scribe.now_ns -= NS_PER_S
            outcome = world.answer((BANK, world.transfer(world.bob, world.alice, 0)))[-1]
            if outcome is Outcome.CAPACITY:
                return
        raise AssertionError("the bound was not reached")

    draft.after.append(step)


def freeze(side: str) -> Callable[[Draft], None]:
    def step(draft: Draft) -> None:
        account = getattr(draft.world, side)
        row = record(Kind.SET_FROZEN, id=draft.world.scribe.new_id(), debtor=account, amount=1)
        draft.world.apply((BANK, row))

    return lambda draft: draft.before.append(step)


def held_by_another(draft: Draft) -> None:
    """The Bank has placed a hold under the very id that ALICE uses now."""

    def step(draft: Draft) -> None:
        world = draft.world
        row = record(
            Kind.HOLD,
            id=draft.fields["id"],
            debtor=world.alice,
            creditor=world.bob,
            amount=1,
            hold_for_s=3600,
        )
        world.apply((BANK, row))

    draft.before.insert(0, step)


def near_overflow(draft: Draft) -> None:
    def step(draft: Draft) -> None:
        draft.world.set_sides(draft.world.alice, debits_posted=TOP - 10, credits_posted=TOP - 10 + OPENING)

    draft.after.append(step)


AUTHENTICITY = (
    fault(Outcome.MALFORMED, "flags", set_field("flags", 0x8000)),
    fault(Outcome.UNKNOWN_AUTHORITY, "signer", set_own("signer", seeded_key("a stranger"))),
    fault(Outcome.BAD_SIGNATURE, "signature", set_own("authentic", False)),
    fault(Outcome.GATEWAY_NOT_ACCEPTED, "gateway", set_own("accepted", False)),
    fault(Outcome.ID_IN_FUTURE, "id", at_time(500)),
    fault(Outcome.EXPIRED, "id", at_time(-700)),
    fault(Outcome.EXISTS, "seen", seen_before()),
    fault(Outcome.EXISTS_WITH_OTHER_CONTENT, "seen", seen_before(max_fee=9)),
    fault(Outcome.CAPACITY, "room", fill),
)
VERDICTS = (
    fault(Outcome.BLOCKED, "verdict", set_own("verdict", Verdict.BLOCK)),
    fault(Outcome.REVIEW_NOT_PERMITTED, "verdict", set_own("verdict", Verdict.REVIEW)),
)
PARTIES = (
    fault(Outcome.DEBTOR_UNKNOWN, "debtor", set_field("debtor", 7)),
    fault(Outcome.CREDITOR_UNKNOWN, "creditor", set_field("creditor", 8)),
    fault(Outcome.NOT_AUTHORISED, "signer", set_own("signer", MALLORY)),
)
FROZEN = (
    fault(Outcome.DEBTOR_FROZEN, "alice frozen", freeze("alice")),
    fault(Outcome.CREDITOR_FROZEN, "bob creditor", freeze("bob")),
)
HOLD_FAULTS = (
    *AUTHENTICITY,
    *VERDICTS,
    *PARTIES,
    fault(
        Outcome.SAME_ACCOUNT,
        "debtor creditor",
        lambda draft: draft.fields.update(creditor=draft.world.alice),
    ),
    fault(Outcome.ASSET_MISMATCH, "asset", set_field("asset", 2)),
    fault(Outcome.AMOUNT_ZERO, "amount", set_field("amount", 0)),
    *FROZEN,
    fault(Outcome.HOLD_EXISTS, "hold", held_by_another),
    fault(Outcome.OVERFLOW, "counters", near_overflow),
    fault(Outcome.INSUFFICIENT_FUNDS, "amount counters", set_field("amount", OPENING + 1)),
    fault(Outcome.BALANCE_LIMIT, "creditor", lambda draft: draft.fields.update(creditor=draft.world.carol)),
)
CAPTURE_FAULTS = (
    *AUTHENTICITY,
    *PARTIES,
    fault(Outcome.AMOUNT_ZERO, "amount", set_field("amount", 0)),
    *FROZEN,
    fault(Outcome.HOLD_UNKNOWN, "related", set_field("related", 12345)),
    fault(Outcome.HOLD_MISMATCH, "asset", set_field("asset", 2)),
    fault(Outcome.AMOUNT_ABOVE_HOLD, "amount", set_field("amount", 51)),
)


def pairs(faults: tuple[Fault, ...]) -> list[Any]:
    """Return every pair that can meet, the one with the lower outcome first."""
    return [
        pytest.param(low, high, id=f"{low.outcome.name}-{high.outcome.name}")
        for low, high in combinations(faults, 2)
        if not low.touches & high.touches
    ]


def hold_draft(world: World) -> Draft:
    fields = {
        "id": world.scribe.new_id(),
        "debtor": world.alice,
        "creditor": world.bob,
        "amount": 50,
        "hold_for_s": 3600,
    }
    return Draft(world, Kind.HOLD, fields)


def capture_draft(world: World) -> Draft:
    placed = hold_draft(world)
    assert placed.answer() is Outcome.HELD
    fields = {
        "id": world.scribe.new_id(),
        "debtor": world.alice,
        "creditor": world.bob,
        "amount": 50,
        "related": placed.fields["id"],
    }
    return Draft(world, Kind.CAPTURE, fields)


@pytest.fixture(params=LEDGERS, ids=lambda make: make.__name__)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param, max_live_ids=ROOM)


def test_drafts_are_good_before_they_are_spoiled(world: World) -> None:
    assert hold_draft(world).answer() is Outcome.HELD
    assert capture_draft(world).answer() is Outcome.CAPTURED


def test_faults_stand_in_the_order_of_their_outcomes() -> None:
    for faults in (HOLD_FAULTS, CAPTURE_FAULTS):
        outcomes = [fault.outcome for fault in faults]
        assert outcomes == sorted(outcomes)


@pytest.mark.parametrize("spoiled", HOLD_FAULTS, ids=lambda fault: fault.outcome.name)
def test_each_fault_of_a_hold_alone(world: World, spoiled: Fault) -> None:
    draft = hold_draft(world)
    spoiled.spoil(draft)
    assert draft.answer() is spoiled.outcome


@pytest.mark.parametrize("spoiled", CAPTURE_FAULTS, ids=lambda fault: fault.outcome.name)
def test_each_fault_of_a_capture_alone(world: World, spoiled: Fault) -> None:
    draft = capture_draft(world)
    spoiled.spoil(draft)
    assert draft.answer() is spoiled.outcome


@pytest.mark.parametrize(("low", "high"), pairs(HOLD_FAULTS))
def test_the_lower_fault_of_a_hold_wins(world: World, low: Fault, high: Fault) -> None:
    draft = hold_draft(world)
    low.spoil(draft)
    high.spoil(draft)
    assert draft.answer() is low.outcome


@pytest.mark.parametrize(("low", "high"), pairs(CAPTURE_FAULTS))
def test_the_lower_fault_of_a_capture_wins(world: World, low: Fault, high: Fault) -> None:
    draft = capture_draft(world)
    low.spoil(draft)
    high.spoil(draft)
    assert draft.answer() is low.outcome


def test_a_delegate_may_not_spend_above_the_cap(world: World) -> None:
    grant = record(
        Kind.SET_DELEGATE,
        id=world.scribe.new_id(),
        debtor=world.alice,
        creditor=authority_id(BOB.public),
        amount=20,
    )
    assert world.answer((ALICE, grant)) == [Outcome.APPLIED]
    within, above = world.transfer(world.alice, world.bob, 20), world.transfer(world.alice, world.bob, 21)
    assert world.answer((BOB, within)) == [Outcome.APPLIED]
    assert world.answer((BOB, above)) == [Outcome.NOT_AUTHORISED]
