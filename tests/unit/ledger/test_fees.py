"""Fees on payments, and what bonds are paid of them, by both ledgers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bezant.ledger import state as layout
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.fees import FEE_SALT, collector_id, quote, shares
from bezant.ledger.reference import ReferenceLedger
from bezant.model.genesis import MAX_FEE, Fee, GenesisValidator, check_genesis
from bezant.model.governance import NOTICE_BLOCKS, Ballot, Rule
from bezant.model.identifiers import words
from bezant.model.keys import authority_id
from bezant.model.money import U64_MAX
from bezant.model.outcomes import Outcome
from bezant.model.records import Fault, Flag, Kind, RecordArray, id_of
from bezant.testing.ledgers import (
    ALICE,
    BANK,
    BOB,
    ISSUER,
    LEDGERS,
    MALLORY,
    OPENING,
    STAKE,
    World,
    ballot,
    fault,
    proposal,
    record,
    small_genesis,
)

FIRST, SECOND = bytes([11]) * 32, bytes([12]) * 32
GRANTED = (GenesisValidator(FIRST.hex(), 6, 2), GenesisValidator(SECOND.hex(), 3, 1))
FEE = Fee(asset=1, flat=1, ppm=20_000, minimum=2, maximum=9)
FAR = 10**6


def make(kind: type, *fees: Fee, every: int = FAR, **given: Any) -> World:
    """Return a world with fees, in which rewards are paid `every` so many blocks."""
    voted = {"stake": STAKE, "validators": GRANTED, "checkpoint_interval": every}
    return World(kind, **(voted | given), fees=fees)


@pytest.fixture(params=LEDGERS, ids=lambda made: made.__name__)
def world(request: pytest.FixtureRequest) -> World:
    return make(request.param, FEE)


def pay(world: World, amount: int = 100, max_fee: int = 9, **fields: Any) -> RecordArray:
    return world.transfer(world.alice, world.bob, amount, max_fee=max_fee, **fields)


def collected(world: World) -> int:
    return world.balance(world.collector)


CHARGED = [(1, 2), (50, 2), (100, 3), (149, 3), (150, 4), (400, 9), (900, 9)]


@pytest.mark.parametrize(("amount", "fee"), CHARGED)
def test_a_payment_is_charged_to_its_debtor(world: World, amount: int, fee: int) -> None:
    receipt = world.apply((ALICE, pay(world, amount)))[0]
    assert (receipt["outcome"], receipt["amount"], receipt["fee"]) == (Outcome.APPLIED, amount, fee)
    assert world.balance(world.alice) == OPENING - amount - fee
    assert world.balance(world.bob) == OPENING + amount
    assert collected(world) == fee
    assert int(receipt["debtor_side"]["debits_posted_lo"]) == amount + fee
    world.ledger.check_invariants()


def test_what_the_payer_did_not_sign_for_is_refused(world: World) -> None:
    assert world.answer((ALICE, pay(world, max_fee=2))) == [Outcome.FEE_ABOVE_MAX]
    assert world.answer((ALICE, pay(world, max_fee=3))) == [Outcome.APPLIED]
    assert collected(world) == 3


def test_amount_and_fee_have_to_be_there(world: World) -> None:
    assert world.answer((ALICE, pay(world, OPENING - 8))) == [Outcome.INSUFFICIENT_FUNDS]
    assert world.answer((ALICE, pay(world, OPENING, max_fee=0))) == [Outcome.INSUFFICIENT_FUNDS]
    assert world.answer((ALICE, pay(world, U64_MAX))) == [Outcome.INSUFFICIENT_FUNDS]
    assert world.answer((ALICE, pay(world, OPENING - 9))) == [Outcome.APPLIED]
    assert world.balance(world.alice) == 0


def test_the_lower_of_two_refusals_answers(world: World) -> None:
    """Funds come before the creditor's limit, and that before the fee that was signed for."""
    to_carol = {"creditor": world.carol, "debtor": world.alice, "amount": 11}
    drained = world.transfer(world.alice, world.bob, OPENING - 9 - 12, max_fee=9)
    assert world.answer((ALICE, record(Kind.TRANSFER, id=world.scribe.new_id(), **to_carol))) == [
        Outcome.BALANCE_LIMIT
    ]
    assert world.answer((ALICE, drained)) == [Outcome.APPLIED]
    assert world.answer((ALICE, record(Kind.TRANSFER, id=world.scribe.new_id(), **to_carol))) == [
        Outcome.INSUFFICIENT_FUNDS
    ]


def test_the_fee_of_a_capture_comes_out_of_what_is_captured(world: World) -> None:
    held = world.hold(100)
    assert world.apply((ALICE, held))["fee"].tolist() == [0]
    part = world.apply((BOB, world.after(Kind.CAPTURE, held, 1, flags=Flag.KEEP_REST)))[0]
    assert (part["outcome"], part["amount"], part["fee"]) == (Outcome.CAPTURED_IN_PART, 1, 1)
    rest = world.apply((BOB, world.after(Kind.CAPTURE, held, 99)))[0]
    assert (rest["outcome"], rest["fee"]) == (Outcome.CAPTURED, 2)
    assert world.balance(world.alice) == OPENING - 100
    assert world.balance(world.bob) == OPENING + 97
    assert collected(world) == 3
    released = world.hold(100)
    world.apply((ALICE, released))
    assert world.apply((BOB, world.after(Kind.RELEASE, released)))["fee"].tolist() == [0]
    world.ledger.check_invariants()


def test_into_how_many_parts_a_capture_goes_is_the_creditors_to_say(world: World) -> None:
    """Each part costs a fee, and the payer's side could turn all that was held into fees."""
    held = world.hold(100)
    world.apply((ALICE, held))
    for by in (ALICE, BANK):
        part = world.after(Kind.CAPTURE, held, 2, flags=Flag.KEEP_REST)
        expected = Outcome.NOT_AUTHORISED if by is ALICE else Outcome.CAPTURED_IN_PART
        assert world.answer((by, part)) == [expected], "the bank is the creditor's, too"
    assert world.answer((ALICE, world.after(Kind.CAPTURE, held, 98))) == [Outcome.CAPTURED]


@pytest.mark.parametrize("kind", LEDGERS)
def test_without_a_fee_the_payer_may_capture_in_parts(kind: type) -> None:
    world = make(kind)
    held = world.hold(100)
    world.apply((ALICE, held))
    part = world.after(Kind.CAPTURE, held, 2, flags=Flag.KEEP_REST)
    assert world.answer((ALICE, part)) == [Outcome.CAPTURED_IN_PART]


def test_what_a_delegate_may_spend_includes_the_fee(world: World) -> None:
    grant = world.command(
        Kind.SET_DELEGATE, debtor=world.alice, creditor=authority_id(MALLORY.public), amount=102
    )
    assert world.answer((ALICE, grant)) == [Outcome.APPLIED]
    assert world.answer((MALLORY, pay(world, 100))) == [Outcome.NOT_AUTHORISED]
    assert world.answer((MALLORY, pay(world, 99))) == [Outcome.APPLIED]
    assert world.answer((MALLORY, pay(world, U64_MAX))) == [Outcome.NOT_AUTHORISED]


@pytest.mark.parametrize("cap", [U64_MAX, 102])
def test_what_a_mandate_allows_includes_the_fee(world: World, cap: int) -> None:
    """205 in a period: 103 with its fee, another 103 above it, then 100, then 3."""
    to = {"debtor": world.alice, "creditor": world.bob, "related": authority_id(MALLORY.public)}
    grant = world.command(Kind.SET_MANDATE, **to, amount=cap, max_fee=205, hold_for_s=3_600)
    assert world.answer((ALICE, grant)) == [Outcome.APPLIED]
    named = {"related": id_of(grant[0], "id"), "flags": Flag.UNDER_MANDATE}
    answers = [world.answer((MALLORY, pay(world, amount, **named)))[0] for amount in (100, 100, 98, 1)]
    applied, above = Outcome.APPLIED, Outcome.ABOVE_MANDATE if cap == 102 else Outcome.ABOVE_MANDATE_PERIOD
    assert answers == ([above, above, applied, applied] if cap == 102 else [applied, above] * 2)


def test_refunds_issues_and_claw_backs_cost_nothing_and_return_no_fee(world: World) -> None:
    paid = pay(world)
    world.apply((ALICE, paid))
    back = world.apply((BOB, world.after(Kind.REVERSE, paid, 100)))[0]
    assert (back["outcome"], back["fee"]) == (Outcome.APPLIED, 0)
    assert world.balance(world.alice) == OPENING - 3
    for debtor, creditor, by in ((world.treasury, world.bob, ISSUER), (world.bob, world.treasury, BOB)):
        moved = world.apply((by, world.transfer(debtor, creditor, 50)))[0]
        assert (moved["outcome"], moved["fee"]) == (Outcome.APPLIED, 0)
    assert collected(world) == 3


def test_a_chain_that_fails_charges_nothing(world: World) -> None:
    rows = np.concatenate([pay(world, flags=Flag.LINKED), pay(world, max_fee=0)])
    receipts = world.apply((ALICE, rows))
    assert receipts["outcome"].tolist() == [Outcome.LINKED_FAILED, Outcome.FEE_ABOVE_MAX]
    assert not receipts["fee"].any()
    assert collected(world) == 0
    assert world.balance(world.alice) == OPENING
    both = np.concatenate([pay(world, flags=Flag.LINKED), pay(world)])
    assert world.apply((ALICE, both))["fee"].tolist() == [3, 3]
    assert collected(world) == 6


def test_only_the_ledger_pays_out_of_what_it_collects(world: World) -> None:
    world.apply((ALICE, pay(world)))
    for row, expected in (
        (world.transfer(world.collector, world.treasury, 1), Outcome.DEBTOR_FROZEN),
        (world.transfer(world.treasury, world.collector, 1), Outcome.CREDITOR_FROZEN),
        (world.command(Kind.SET_LIMITS, debtor=world.collector, max_fee=5), Outcome.DEBTOR_FROZEN),
        (world.command(Kind.CLOSE_ACCOUNT, debtor=world.collector), Outcome.DEBTOR_FROZEN),
        (world.command(Kind.SET_FROZEN, debtor=world.collector, amount=0), Outcome.APPLIED),
        (world.transfer(world.collector, world.treasury, 1), Outcome.DEBTOR_FROZEN),
    ):
        assert world.answer((ISSUER, row)) == [expected]
    assert collected(world) == 3


@pytest.mark.parametrize("kind", LEDGERS)
def test_the_account_is_the_issuers_own_and_has_no_limits(kind: type) -> None:
    world = World(kind, stake=STAKE, validators=GRANTED)
    opened, account = world.scribe.open(1, ISSUER, salt=FEE_SALT, credit_limit=7, balance_limit=8)
    assert world.answer((ISSUER, opened)) == [Outcome.APPLIED]
    assert account == collector_id(world.genesis, 1)
    assert world.answer((ISSUER, world.transfer(account, world.alice, 1))) == [Outcome.DEBTOR_FROZEN]
    # Under the same salt a customer, another bank, and in an asset that nobody bonds: ordinary accounts.
    for institution, holder, by, asset in ((1, ALICE, ISSUER, 1), (2, BANK, BANK, 1), (1, ISSUER, ISSUER, 2)):
        row, other = world.scribe.open(institution, holder, salt=FEE_SALT, asset=asset)
        assert world.answer((by, row)) == [Outcome.APPLIED]
        assert world.answer((by, world.command(Kind.CLOSE_ACCOUNT, debtor=other))) == [Outcome.APPLIED]


@pytest.mark.parametrize("kind", LEDGERS)
def test_where_nothing_is_bonded_fees_are_the_issuers_income(kind: type) -> None:
    world = make(kind, FEE, stake=None, validators=())
    world.apply((ALICE, pay(world)))
    taken = world.apply((ISSUER, world.transfer(world.collector, world.bob, 3)))[0]
    assert (taken["outcome"], taken["fee"]) == (Outcome.APPLIED, 0)
    close = world.command(Kind.CLOSE_ACCOUNT, debtor=world.collector)
    assert world.answer((ISSUER, close)) == [Outcome.APPLIED]
    assert world.apply((ALICE, pay(world)))["fee"].tolist() == [0], "there is nowhere for it to go"


@pytest.mark.parametrize("kind", LEDGERS)
def test_a_fee_comes_and_goes_by_vote(kind: type) -> None:
    world = World(kind, stake=STAKE, validators=GRANTED, checkpoint_interval=FAR)
    opened, world.collector = world.scribe.open(1, ISSUER, salt=FEE_SALT)
    world.apply((ISSUER, opened))
    height = 11
    for more, charged in (((20_000, 2, 9), 3), ((0, 0, 0), 0)):
        first = height + NOTICE_BLOCKS + 9
        flat = 1 if charged else 0
        asked = proposal(world, Rule.FEE, flat, by=BANK, height=first, more=more, asset=1, voting_s=999)
        assert world.answer((BANK, asked)) == [Outcome.APPLIED]
        world.apply(*[(by, ballot(world, asked, Ballot.YES, by)) for by in (BANK, ISSUER)])
        while world.answer() != [Outcome.APPLIED]:
            height += 1
        assert world.apply((ALICE, pay(world)))["fee"].tolist() == [charged]
        height = first + 9
    assert collected(world) == 3


@pytest.mark.parametrize(
    ("asset", "values", "expected"),
    [
        (1, (1, 0, 0, 1), Outcome.APPLIED),
        (2, (0, 1_000_000, 0, MAX_FEE), Outcome.APPLIED),
        (1, (0, 0, 0, 0), Outcome.APPLIED),
        (0, (1, 0, 0, 1), Outcome.RULE_OUT_OF_BOUNDS),
        (3, (1, 0, 0, 1), Outcome.RULE_OUT_OF_BOUNDS),
        (1, (1, 0, 0, 0), Outcome.RULE_OUT_OF_BOUNDS),
        (1, (0, 0, 2, 1), Outcome.RULE_OUT_OF_BOUNDS),
        (1, (0, 1_000_001, 0, 1), Outcome.RULE_OUT_OF_BOUNDS),
        (1, (MAX_FEE + 1, 0, 0, 1), Outcome.RULE_OUT_OF_BOUNDS),
        (1, (0, 0, 0, MAX_FEE + 1), Outcome.RULE_OUT_OF_BOUNDS),
    ],
)
def test_what_a_fee_may_be(
    world: World, asset: int, values: tuple[int, int, int, int], expected: Outcome
) -> None:
    asked = proposal(world, Rule.FEE, values[0], by=BANK, height=999, more=values[1:], asset=asset)
    assert world.answer((BANK, asked)) == [expected]


def bond(world: World, amount: int, key: bytes = FIRST, debtor: int = 0) -> RecordArray:
    sides = {"debtor": debtor or world.alice, "creditor": world.treasury}
    return world.command(Kind.BOND, **sides, amount=amount, commitment=key)


@pytest.mark.parametrize("kind", LEDGERS)
def test_what_is_collected_is_divided_among_bonds_of_those_who_vote(kind: type) -> None:
    world = make(kind, FEE, every=12)
    ours, theirs, late = bond(world, 100), bond(world, 200, debtor=world.bob), bond(world, 300)
    opened, own = world.scribe.open(1, ISSUER, salt=5)
    world.apply((ISSUER, opened))
    jailed = bond(world, 500, SECOND, debtor=world.treasury)
    jailed["creditor_lo"], jailed["creditor_hi"] = words(own)
    world.apply((BANK, np.concatenate([ours, theirs, late])), (ISSUER, jailed))
    world.apply((BANK, world.after(Kind.UNBOND, late)), faults=fault(SECOND, Fault.ABSENT))
    rewarded: list[Any] = []
    paid = 0
    for _ in range(12):
        receipts = world.apply((BOB, world.transfer(world.bob, world.carol, 1, max_fee=9)))
        rewarded += [one for one in receipts if one["outcome"] == Outcome.REWARDED]
        paid += int(receipts["fee"].sum())
        if rewarded:
            break
    pot = paid - 2  # of which the fee of this very block came after
    told = [(id_of(one, "id"), int(one["amount"])) for one in rewarded]
    assert told == [(id_of(ours[0], "id"), pot // 3), (id_of(theirs[0], "id"), 2 * pot // 3)]
    left = pot - pot // 3 - 2 * pot // 3
    assert collected(world) == left + 2, "what does not divide stays for the next time"
    assert world.balance(world.alice) == OPENING + pot // 3
    world.ledger.check_invariants()


@pytest.mark.parametrize("kind", LEDGERS)
def test_an_account_that_is_frozen_gets_its_share_later(kind: type) -> None:
    world = make(kind, FEE, every=6)
    world.apply((BANK, bond(world, 100)))
    world.apply((BOB, world.transfer(world.bob, world.carol, 5, max_fee=9)))
    world.apply((BANK, world.command(Kind.SET_FROZEN, debtor=world.alice, amount=1)))
    answers = [outcome for _ in range(6) for outcome in world.answer()]
    assert answers == []
    world.apply((BANK, world.command(Kind.SET_FROZEN, debtor=world.alice, amount=0)))
    assert [outcome for _ in range(6) for outcome in world.answer()] == [Outcome.REWARDED]
    assert (world.balance(world.alice), collected(world)) == (OPENING + 2, 0)


def test_fees_survive_a_snapshot() -> None:
    world = make(ColumnarLedger, FEE)
    ledger = world.ledger
    assert isinstance(ledger, ColumnarLedger)
    world.apply((ALICE, pay(world)))
    copy = ColumnarLedger(world.genesis)
    copy.restore(layout.dump(ledger.state), ledger._blocks)
    block = world.batch((ALICE, pay(world)))
    receipts = copy.apply(block)
    assert receipts.tobytes() == ledger.apply(block).tobytes()
    assert receipts["fee"].tolist() == [3]


def test_shares_never_exceed_the_pot() -> None:
    for pot, weights in ((100, [1, 1, 1]), (2, [5, 5, 5]), (10**18, [7, 11, 13]), (5, [])):
        given = shares(pot, weights)
        assert 0 <= pot - sum(given) < max(len(weights), 1) or not weights


def test_a_quote_never_overflows() -> None:
    assert quote(Fee(1, MAX_FEE, 1_000_000, 0, MAX_FEE), U64_MAX) == MAX_FEE
    for make_ledger in (ReferenceLedger, ColumnarLedger):
        world = make(make_ledger, Fee(1, MAX_FEE, 1_000_000, 0, MAX_FEE))
        assert world.answer((ALICE, pay(world, U64_MAX - 5, MAX_FEE))) == [Outcome.INSUFFICIENT_FUNDS]


@pytest.mark.parametrize(
    "fees",
    [
        (Fee(3, 1, 0, 0, 1),),
        (Fee(1, 1, 0, 0, 1), Fee(1, 1, 0, 0, 1)),
        (Fee(2, 1, 0, 0, 1), Fee(1, 1, 0, 0, 1)),
        (Fee(1),),
        (Fee(1, 1, 0, 5, 4),),
    ],
)
def test_a_genesis_with_fees_that_are_none_is_refused(fees: tuple[Fee, ...]) -> None:
    with pytest.raises(Exception, match="fee"):
        check_genesis(small_genesis(fees=fees))
