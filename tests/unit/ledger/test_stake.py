"""Bonds, votes and faults, by both ledgers."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from bezant.ledger import open_items
from bezant.ledger import state as layout
from bezant.ledger.batch import NEVER, NS_PER_S
from bezant.ledger.books import Validator
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.reference import ReferenceLedger
from bezant.model.genesis import MAX_POWER, MAX_VALIDATORS, GenesisValidator, Stake
from bezant.model.keys import SigningKey, authority_id
from bezant.model.money import U64_MAX
from bezant.model.outcomes import Outcome, SigningMode
from bezant.model.records import NO_ROW, Fault, Kind, RecordArray
from bezant.testing.ledgers import ALICE, BANK, ISSUER, LEDGERS, MALLORY, OPENING, STAKE, World, fault

KEYS = [bytes([n]) * 32 for n in (11, 12, 13)]
FIRST, SECOND, THIRD = KEYS
GRANTED = (GenesisValidator(FIRST.hex(), 5, 2), GenesisValidator(SECOND.hex(), 5, 1))


@pytest.fixture(params=LEDGERS, ids=lambda make: make.__name__)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param, stake=STAKE, validators=GRANTED)


def bond(world: World, amount: int, key: bytes = FIRST, **fields: object) -> RecordArray:
    given = {"debtor": world.alice, "creditor": world.treasury, "amount": amount, "commitment": key}
    return world.command(Kind.BOND, **(given | fields))


def powers(world: World) -> list[int]:
    """Return the votes of the three keys; -1 for one that is not known."""
    if isinstance(world.ledger, ReferenceLedger):
        known = {key: one.power(world.genesis.stake) for key, one in world.ledger.state.validators.items()}
    else:
        known = {one.key: one.power for one in open_items.validators(world.ledger)}
    return [known.get(key, -1) for key in KEYS]


def report(world: World, *faults: tuple[bytes, Fault], after_s: int = 0) -> list[tuple[Outcome, int]]:
    """Apply a block that reports faults; return (outcome, amount) of its system receipts."""
    rows = np.concatenate([fault(key, kind) for key, kind in faults])
    receipts = world.apply(faults=rows, after_s=after_s)
    assert (receipts["order_index"] == NO_ROW).all()
    return [(Outcome(int(r["outcome"])), int(r["amount"])) for r in receipts]


def rejoin(world: World, key: bytes, by: SigningKey = BANK) -> Outcome:
    row = world.command(Kind.REJOIN, debtor=authority_id(by.public), commitment=key, asset=0)
    return world.answer((by, row))[0]


def test_the_genesis_grants_votes_and_bonds_add_to_them(world: World) -> None:
    assert powers(world) == [5, 5, -1]
    receipt = world.apply((BANK, bond(world, 99)))[0]
    assert (receipt["outcome"], receipt["amount"], receipt["mode"]) == (
        Outcome.BONDED,
        99,
        SigningMode.INSTITUTION,
    )
    assert powers(world) == [14, 5, -1]
    assert world.answer((BANK, bond(world, 1))) == [Outcome.BONDED]
    assert powers(world) == [15, 5, -1], "9 and 1 minor units left over make another vote"
    assert world.sides(world.alice)[0] == 100
    assert world.sides(world.treasury)[2] == 100
    assert world.answer((BANK, bond(world, 20, THIRD))) == [Outcome.BONDED]
    assert powers(world) == [15, 5, 2]


def test_a_bond_is_neither_captured_nor_released_and_no_time_ends_it(world: World) -> None:
    row = bond(world, 100)
    assert world.answer((BANK, row)) == [Outcome.BONDED]
    for kind, amount in ((Kind.CAPTURE, 100), (Kind.RELEASE, 0)):
        for key in (BANK, ISSUER):
            assert world.answer((key, world.after(kind, row, amount))) == [Outcome.HOLD_UNKNOWN]
    assert world.answer(after_s=10 * 365 * 86_400) == []
    assert powers(world)[0] == 15


def test_what_unbonds_has_no_votes_and_returns_after_its_time(world: World) -> None:
    row = bond(world, 100)
    world.apply((BANK, row))
    end = world.after(Kind.UNBOND, row)
    receipt = world.apply((BANK, end))[0]
    assert (receipt["outcome"], receipt["amount"]) == (Outcome.UNBONDING, 100)
    assert powers(world)[0] == 5
    assert world.sides(world.alice)[0] == 100, "still reserved"
    assert world.answer((BANK, world.after(Kind.UNBOND, row))) == [Outcome.HOLD_UNKNOWN]
    assert world.answer(after_s=97) == []
    assert world.answer() == [Outcome.HOLD_EXPIRED]
    assert world.sides(world.alice)[0] == world.sides(world.treasury)[2] == 0


@pytest.mark.parametrize(
    ("fields", "signer", "expected"),
    [
        ({"debtor": 7}, BANK, Outcome.DEBTOR_UNKNOWN),
        ({"creditor": 7}, BANK, Outcome.CREDITOR_UNKNOWN),
        ({}, ALICE, Outcome.NOT_AUTHORISED),
        ({}, ISSUER, Outcome.NOT_AUTHORISED),
        ({}, MALLORY, Outcome.NOT_AUTHORISED),
        ({"key": SECOND}, BANK, Outcome.NOT_AUTHORISED),
        ({"amount": 0}, BANK, Outcome.AMOUNT_ZERO),
        ({"asset": 2}, BANK, Outcome.ASSET_MISMATCH),
        ({"amount": OPENING + 1}, BANK, Outcome.INSUFFICIENT_FUNDS),
        ({"amount": U64_MAX}, BANK, Outcome.OVERFLOW),
        ({"amount": MAX_POWER * 10 + 1}, BANK, Outcome.OVERFLOW),
        ({"key": bytes(32)}, BANK, Outcome.MALFORMED),
    ],
)
def test_bonds_that_are_refused(
    world: World, fields: dict[str, int], signer: SigningKey, expected: Outcome
) -> None:
    given: dict[str, object] = {"amount": 10, "key": FIRST} | fields
    row = bond(world, **given)  # type: ignore[arg-type]
    assert world.answer((signer, row)) == [expected]
    assert powers(world) == [5, 5, -1]


def test_a_creditor_that_is_not_the_issuers_is_refused(world: World) -> None:
    assert world.answer((BANK, bond(world, 10, creditor=world.bob))) == [Outcome.NOT_AUTHORISED]


@pytest.mark.parametrize("make", LEDGERS)
def test_without_stake_in_the_genesis_nobody_bonds(make: type) -> None:
    world = World(make)
    assert world.answer((BANK, bond(world, 10))) == [Outcome.POLICY_FORBIDS]
    paused = World(make, {"pausable": True})
    paused.apply((ISSUER, paused.command(Kind.SET_PAUSED, asset=1, amount=1)))
    assert paused.answer((BANK, bond(paused, 10))) == [Outcome.ASSET_PAUSED]


def test_unbonding_is_for_the_bonds_own_institution_and_accounts(world: World) -> None:
    row = bond(world, 100)
    world.apply((BANK, row))
    held = world.hold(50)
    world.apply((BANK, held))
    for refused, signer, expected in (
        (world.after(Kind.UNBOND, row), ISSUER, Outcome.NOT_AUTHORISED),
        (world.after(Kind.UNBOND, row), ALICE, Outcome.NOT_AUTHORISED),
        (world.after(Kind.UNBOND, row, 5), BANK, Outcome.MALFORMED),
        (world.after(Kind.UNBOND, row, creditor=world.bob), BANK, Outcome.HOLD_MISMATCH),
        (world.after(Kind.UNBOND, row, asset=2), BANK, Outcome.HOLD_MISMATCH),
        (world.after(Kind.UNBOND, held), BANK, Outcome.HOLD_UNKNOWN),
        (world.after(Kind.UNBOND, row, debtor=7), BANK, Outcome.DEBTOR_UNKNOWN),
    ):
        assert world.answer((signer, refused)) == [expected]
    assert powers(world)[0] == 15


@pytest.mark.parametrize("make", LEDGERS)
def test_the_last_vote_is_not_given_up(make: type) -> None:
    world = World(make, stake=STAKE)
    row = bond(world, 100)
    world.apply((BANK, row))
    assert world.answer((BANK, world.after(Kind.UNBOND, row))) == [Outcome.LAST_VALIDATOR]
    world.apply((BANK, bond(world, 10, SECOND)))
    assert world.answer((BANK, world.after(Kind.UNBOND, row))) == [Outcome.UNBONDING]
    assert powers(world) == [0, 1, -1]


# Faults.


def test_signing_twice_costs_part_of_every_bond_and_the_votes_for_good(world: World) -> None:
    rows = [bond(world, 105), bond(world, 55), bond(world, 4)]
    for row in rows:
        world.apply((BANK, row))
    world.apply((BANK, world.after(Kind.UNBOND, rows[1])))
    answers = report(world, (FIRST, Fault.DOUBLE_SIGN))
    assert answers == [(Outcome.JAILED, 0), (Outcome.SLASHED, 10), (Outcome.SLASHED, 5)]
    assert powers(world) == [0, 5, -1]
    pending, posted, _, credits = world.sides(world.alice)
    assert (pending, posted, credits) == (105 + 55 + 4 - 15, 15, OPENING)
    assert world.balance(world.treasury) == 15 - 3 * OPENING
    assert report(world, (FIRST, Fault.DOUBLE_SIGN), (FIRST, Fault.ABSENT)) == [], "punished once"
    assert rejoin(world, FIRST) is Outcome.VALIDATOR_JAILED
    assert world.answer((BANK, bond(world, 10))) == [Outcome.VALIDATOR_JAILED]
    world.ledger.check_invariants()
    assert world.answer((BANK, world.after(Kind.UNBOND, rows[0]))) == [Outcome.UNBONDING], "what is left"
    assert world.answer(after_s=200) == [Outcome.HOLD_EXPIRED] * 2
    assert world.sides(world.alice)[0] == 4


def test_all_may_be_taken(world: World) -> None:
    taken = World(type(world.ledger), stake=Stake(1, 10, slash_ppm=1_000_000), validators=GRANTED)
    row = bond(taken, 105)
    taken.apply((BANK, row))
    assert report(taken, (FIRST, Fault.DOUBLE_SIGN)) == [(Outcome.JAILED, 0), (Outcome.SLASHED, 105)]
    assert taken.answer((BANK, taken.after(Kind.UNBOND, row))) == [Outcome.HOLD_UNKNOWN]
    taken.ledger.check_invariants()


def test_who_was_away_rejoins_after_a_while(world: World) -> None:
    world.apply((BANK, bond(world, 100)))
    assert report(world, (FIRST, Fault.ABSENT)) == [(Outcome.JAILED, 0)]
    assert powers(world) == [0, 5, -1]
    assert report(world, (FIRST, Fault.ABSENT)) == []
    assert rejoin(world, FIRST) is Outcome.VALIDATOR_JAILED
    assert world.answer((BANK, bond(world, 10))) == [Outcome.BONDED], "it may add to its bonds meanwhile"
    world.apply(after_s=30)
    assert rejoin(world, FIRST, ISSUER) is Outcome.NOT_AUTHORISED
    assert rejoin(world, THIRD) is Outcome.VALIDATOR_UNKNOWN
    assert rejoin(world, FIRST) is Outcome.APPLIED
    assert powers(world) == [16, 5, -1]


@pytest.mark.parametrize("make", LEDGERS)
def test_only_blocks_missed_in_a_row_count(make: type) -> None:
    world = World(make, stake=Stake(1, 10, away_blocks=3), validators=GRANTED)
    away = (FIRST, Fault.ABSENT)
    for _ in range(2):
        assert report(world, away) == report(world, away) == []
        assert report(world, (SECOND, Fault.ABSENT)) == [], "the first was there"
    world.apply()
    for _ in range(2):
        assert report(world, away) == []
    assert report(world, away) == [(Outcome.JAILED, 0)]
    assert powers(world) == [0, 5, -1]


@pytest.mark.parametrize("make", LEDGERS)
def test_without_stake_in_the_genesis_faults_cost_nothing(make: type) -> None:
    world = World(make, validators=GRANTED)
    assert report(world, (FIRST, Fault.DOUBLE_SIGN), (SECOND, Fault.ABSENT)) == []
    assert powers(world) == [5, 5, -1]


def test_the_last_one_with_votes_is_not_jailed_for_being_away(world: World) -> None:
    faults = [(FIRST, Fault.ABSENT), (SECOND, Fault.ABSENT)]
    assert report(world, *faults) == [(Outcome.JAILED, 0)]
    assert powers(world) == [0, 5, -1]


def test_the_last_one_with_votes_is_not_punished_for_signing_twice(world: World) -> None:
    assert report(world, (FIRST, Fault.DOUBLE_SIGN), (SECOND, Fault.DOUBLE_SIGN)) == [(Outcome.JAILED, 0)]
    assert powers(world) == [0, 5, -1]


def test_faults_of_strangers_change_nothing_and_stand_in_front_of_records(world: World) -> None:
    assert report(world, (THIRD, Fault.DOUBLE_SIGN)) == []
    rows = fault(FIRST, Fault.ABSENT)
    held = world.hold(5, hold_for_s=60)
    world.apply((BANK, held))
    answers = world.answer((BANK, world.transfer(world.alice, world.bob, 1)), faults=rows, after_s=61)
    assert answers == [Outcome.HOLD_EXPIRED, Outcome.JAILED, Outcome.APPLIED]


def test_there_is_room_for_so_many_validators() -> None:
    for make in LEDGERS:
        world = World(make, stake=Stake(1, 1))
        rows = [bond(world, 1, n.to_bytes(32, "big")) for n in range(1, MAX_VALIDATORS + 1)]
        for start in range(0, len(rows), 500):
            world.apply((BANK, np.concatenate(rows[start : start + 500])))
            world.apply((ISSUER, world.transfer(world.treasury, world.alice, 500)))
        assert world.answer((BANK, bond(world, 1, bytes([255]) * 32))) == [Outcome.VALIDATORS_FULL]
        assert world.answer((BANK, bond(world, 1, (1).to_bytes(32, "big")))) == [Outcome.BONDED]


def test_validators_survive_a_snapshot() -> None:
    world = World(ColumnarLedger, stake=STAKE, validators=GRANTED)
    assert isinstance(world.ledger, ColumnarLedger)
    row = bond(world, 100)
    world.apply((BANK, row))
    report(world, (SECOND, Fault.ABSENT))
    before = open_items.validators(world.ledger)
    copy = ColumnarLedger(world.genesis)
    copy.restore(layout.dump(world.ledger.state), 9)
    assert open_items.validators(copy) == before
    end = world.batch((BANK, world.after(Kind.UNBOND, row)))
    assert copy.apply(end).tobytes() == world.ledger.apply(end).tobytes()


def test_votes_that_do_not_match_bonds_are_noticed() -> None:
    for make in LEDGERS:
        world = World(make, stake=STAKE, validators=GRANTED)
        world.apply((BANK, bond(world, 100)))
        ledger = world.ledger
        if isinstance(ledger, ReferenceLedger):
            ledger.state.validators[FIRST] = Validator(authority_id(BANK.public), 5, 101)
        else:
            ledger.state.validators["bonded"][0] = 101
        with pytest.raises(Exception, match="votes do not match"):
            ledger.check_invariants()


def test_a_time_that_does_not_come() -> None:
    assert NEVER // NS_PER_S > 500 * 365 * 86_400


def test_numbers_never_change() -> None:
    assert [int(fault) for fault in Fault] == [1, 2]
    assert [int(kind) for kind in (Kind.BOND, Kind.UNBOND, Kind.REJOIN)] == [9, 10, 30]


@pytest.fixture(params=LEDGERS, ids=lambda make: make.__name__)
def asking(request: pytest.FixtureRequest) -> World:
    """A world in which who has anything bonded has 100 bonded."""
    return World(request.param, stake=msgspec.structs.replace(STAKE, least_bond=100), validators=GRANTED)


def test_less_than_the_least_is_not_bonded(asking: World) -> None:
    assert asking.answer((BANK, bond(asking, 99))) == [Outcome.BOND_BELOW_LEAST]
    assert asking.sides(asking.alice)[0] == 0
    assert powers(asking) == [5, 5, -1]
    assert asking.answer((BANK, bond(asking, 100))) == [Outcome.BONDED]
    assert asking.answer((BANK, bond(asking, 1))) == [Outcome.BONDED], "what is added may be little"
    assert asking.answer((BANK, bond(asking, 99, THIRD))) == [Outcome.BOND_BELOW_LEAST]
    assert powers(asking) == [15, 5, -1]


def test_what_stays_bonded_is_the_least_or_nothing(asking: World) -> None:
    first, second = bond(asking, 100), bond(asking, 30)
    asking.apply((BANK, np.concatenate([first, second])))
    assert asking.answer((BANK, asking.after(Kind.UNBOND, first))) == [Outcome.BOND_BELOW_LEAST]
    assert powers(asking)[0] == 18, "nothing was taken"
    for row, left in ((second, 15), (first, 5)):
        assert asking.answer((BANK, asking.after(Kind.UNBOND, row))) == [Outcome.UNBONDING]
        assert powers(asking)[0] == left
    asking.ledger.check_invariants()


def test_who_does_not_vote_unbonds_as_it_likes_and_does_not_come_back_with_less(asking: World) -> None:
    first, second = bond(asking, 100), bond(asking, 30)
    asking.apply((BANK, np.concatenate([first, second])))
    assert report(asking, (FIRST, Fault.ABSENT)) == [(Outcome.JAILED, 0)]
    assert asking.answer((BANK, asking.after(Kind.UNBOND, first))) == [Outcome.UNBONDING]
    assert rejoin(asking, FIRST) is Outcome.VALIDATOR_JAILED
    asking.answer(after_s=STAKE.jail_s)
    assert rejoin(asking, FIRST) is Outcome.BOND_BELOW_LEAST
    assert asking.answer((BANK, bond(asking, 69))) == [Outcome.BOND_BELOW_LEAST]
    assert asking.answer((BANK, bond(asking, 70))) == [Outcome.BONDED]
    assert rejoin(asking, FIRST) is Outcome.APPLIED
    assert powers(asking)[0] == 15


def test_granted_votes_need_no_bond_and_a_fault_may_leave_less(asking: World) -> None:
    assert report(asking, (FIRST, Fault.ABSENT)) == [(Outcome.JAILED, 0)]
    assert rejoin(asking, FIRST) is Outcome.VALIDATOR_JAILED
    asking.answer(after_s=STAKE.jail_s)
    assert rejoin(asking, FIRST) is Outcome.APPLIED
    row = bond(asking, 100)
    asking.apply((BANK, row))
    assert report(asking, (FIRST, Fault.DOUBLE_SIGN)) == [(Outcome.JAILED, 0), (Outcome.SLASHED, 10)]
    assert asking.answer((BANK, asking.after(Kind.UNBOND, row))) == [Outcome.UNBONDING]


@pytest.mark.parametrize("make", LEDGERS)
def test_without_votes_that_stay_the_last_is_told_first(make: type) -> None:
    world = World(make, stake=msgspec.structs.replace(STAKE, least_bond=100, unit=60))
    rows = [bond(world, 59), bond(world, 41)]
    assert world.answer((BANK, np.concatenate(rows))) == [Outcome.BOND_BELOW_LEAST] * 2
    rows = [bond(world, 100), bond(world, 59)]
    assert world.answer((BANK, np.concatenate(rows))) == [Outcome.BONDED] * 2
    assert world.answer((BANK, world.after(Kind.UNBOND, rows[0]))) == [Outcome.LAST_VALIDATOR]
