"""Rules that change by vote, by both ledgers."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from bezant.errors import InvariantViolation
from bezant.ledger import open_items
from bezant.ledger import state as layout
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.reference import ReferenceLedger
from bezant.model.genesis import Genesis, GenesisValidator, Stake
from bezant.model.governance import (
    MAX_OWN_PROPOSALS,
    MAX_VOTING_S,
    NOTICE_BLOCKS,
    RANGES,
    Ballot,
    Change,
    Rule,
    in_force,
)
from bezant.model.keys import SigningKey, authority_id
from bezant.model.money import U64_MAX
from bezant.model.outcomes import Outcome, SigningMode
from bezant.model.records import NO_ROW, Fault, Kind, RecordArray, id_of
from bezant.testing.ledgers import (
    ALICE,
    BANK,
    ISSUER,
    LEDGERS,
    MALLORY,
    STAKE,
    World,
    ballot,
    fault,
    proposal,
    small_genesis,
)

FIRST, SECOND, THIRD = (bytes([n]) * 32 for n in (11, 12, 13))
GRANTED = (GenesisValidator(FIRST.hex(), 6, 2), GenesisValidator(SECOND.hex(), 3, 1))
"""The Bank has two thirds of the votes and needs one more."""


@pytest.fixture(params=LEDGERS, ids=lambda make: make.__name__)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param, stake=STAKE, validators=GRANTED, review_for_s=60)


def height(world: World) -> int:
    """Return the height of the last block."""
    ledger = world.ledger
    return ledger.state.blocks if isinstance(ledger, ReferenceLedger) else ledger._blocks


def rules(world: World) -> Genesis:
    ledger = world.ledger
    return ledger.genesis if isinstance(ledger, ReferenceLedger) else ledger.in_force


def ask(world: World, rule: Rule = Rule.REVIEW_FOR_S, value: int = 30, **fields: Any) -> RecordArray:
    """Return a proposal of the Bank that is due a few blocks after its notice."""
    given: dict[str, Any] = {"by": BANK, "height": height(world) + NOTICE_BLOCKS + 20}
    return proposal(world, rule, value, **(given | fields))


def say(world: World, asked: RecordArray, said: Ballot = Ballot.YES, by: SigningKey = BANK) -> list[Outcome]:
    return world.answer((by, ballot(world, asked, said, by)))


def until(world: World, goal: int) -> list[tuple[int, Outcome]]:
    """Apply empty blocks up to a height; return (height, outcome) of every receipt."""
    told = []
    while height(world) < goal:
        told += [(height(world), outcome) for outcome in world.answer()]
    return told


def test_what_two_thirds_accept_is_in_force_from_its_height_on(world: World) -> None:
    asked = ask(world)
    receipt = world.apply((BANK, asked))[0]
    assert (receipt["outcome"], receipt["mode"]) == (Outcome.APPLIED, SigningMode.INSTITUTION)
    due = int(asked["max_fee"][0])
    assert say(world, asked) == [Outcome.APPLIED]
    assert world.answer() == [], "six of nine are not more than two thirds"
    assert say(world, asked, by=ISSUER) == [Outcome.APPLIED]
    decided = world.apply()[0]
    assert (decided["outcome"], decided["order_index"], decided["kind"]) == (
        Outcome.ACCEPTED,
        NO_ROW,
        Kind.PROPOSE,
    )
    assert id_of(decided, "id") == id_of(asked[0], "id")
    assert until(world, due - 1) == []
    assert rules(world).rules.review_for_s == 60
    assert world.answer() == [Outcome.APPLIED]
    assert rules(world).rules.review_for_s == 30
    assert world.answer() == []


def test_the_block_of_the_change_is_judged_by_it(world: World) -> None:
    """A bond that is ended in that very block unbonds for the new time."""
    rows = [
        world.command(Kind.BOND, debtor=world.alice, creditor=world.treasury, amount=10, commitment=FIRST)
        for _ in range(2)
    ]
    world.apply((BANK, np.concatenate(rows)))
    asked = ask(world, Rule.UNBONDING_S, 200_000)
    world.apply((BANK, asked))
    for by in (BANK, ISSUER):
        say(world, asked, by=by)
    until(world, int(asked["max_fee"][0]) - 2)
    assert world.answer((BANK, world.after(Kind.UNBOND, rows[0]))) == [Outcome.UNBONDING]
    answers = world.answer((BANK, world.after(Kind.UNBOND, rows[1])))
    assert answers == [Outcome.APPLIED, Outcome.UNBONDING]
    assert world.answer(after_s=STAKE.unbonding_s) == [Outcome.HOLD_EXPIRED], "the time it began with"
    assert world.answer(after_s=199_000) == []
    assert world.answer(after_s=1_000) == [Outcome.HOLD_EXPIRED]


@pytest.mark.parametrize("make", LEDGERS)
def test_votes_count_as_they_are_when_they_are_counted(make: type) -> None:
    """Power that left since somebody voted counts no more, and power that came does."""
    grants = (GenesisValidator(FIRST.hex(), 2, 2), GenesisValidator(SECOND.hex(), 3, 1))
    world = World(make, stake=STAKE, validators=grants)
    bond = world.command(Kind.BOND, debtor=world.alice, creditor=world.treasury, amount=50, commitment=FIRST)
    world.apply((BANK, bond))
    asked = ask(world)
    world.apply((BANK, asked))
    world.apply(
        (BANK, np.concatenate([ballot(world, asked, Ballot.YES, BANK), world.after(Kind.UNBOND, bond)]))
    )
    assert world.answer() == [], "seven of ten voted, of whom two are left of five"
    more = world.command(Kind.BOND, debtor=world.bob, creditor=world.treasury, amount=50, commitment=FIRST)
    assert world.answer((BANK, more)) == [Outcome.BONDED]
    assert world.answer() == [Outcome.ACCEPTED]


def test_whoever_is_jailed_does_not_count(world: World) -> None:
    asked = ask(world)
    world.apply((BANK, asked))
    say(world, asked, by=ISSUER)
    assert world.answer(faults=fault(FIRST, Fault.ABSENT)) == [Outcome.JAILED]
    assert world.answer() == [Outcome.ACCEPTED], "three of three"


def test_a_third_against_declines_at_once(world: World) -> None:
    asked = ask(world)
    world.apply((BANK, asked))
    assert say(world, asked, Ballot.NO, ISSUER) == [Outcome.APPLIED]
    assert world.answer() == [Outcome.DECLINED]
    assert say(world, asked) == [Outcome.PROPOSAL_UNKNOWN]


def test_a_vote_may_be_changed_until_it_is_counted(world: World) -> None:
    asked = ask(world)
    world.apply((BANK, asked))
    both = np.concatenate([ballot(world, asked, said, ISSUER) for said in (Ballot.NO, Ballot.YES)])
    world.apply((ISSUER, both))
    assert world.answer() == []
    say(world, asked)
    assert world.answer() == [Outcome.ACCEPTED]
    assert say(world, asked, Ballot.NO) == [Outcome.PROPOSAL_UNKNOWN], "what is accepted stays so"


def test_what_nobody_decides_lapses_when_its_time_is_over(world: World) -> None:
    asked = ask(world, voting_s=5, height=999)
    world.apply((BANK, asked))
    assert until(world, height(world) + 5) == []
    assert world.answer() == [Outcome.DECLINED]
    late = ask(world, height=height(world) + NOTICE_BLOCKS + 4)
    world.apply((BANK, late))
    assert until(world, height(world) + 2) == []
    assert world.answer() == [Outcome.DECLINED], "no notice would be left"


def test_the_last_votes_in_time_count(world: World) -> None:
    asked = ask(world, height=height(world) + NOTICE_BLOCKS + 4)
    world.apply((BANK, asked))
    for by in (BANK, ISSUER):
        assert say(world, asked, by=by) == [Outcome.APPLIED]
    due = int(asked["max_fee"][0])
    assert until(world, due) == [(due - NOTICE_BLOCKS, Outcome.ACCEPTED), (due, Outcome.APPLIED)]


@pytest.mark.parametrize(
    ("fields", "signer", "expected"),
    [
        ({}, ALICE, Outcome.NOT_AUTHORISED),
        ({}, ISSUER, Outcome.NOT_AUTHORISED),
        ({"by": ALICE}, ALICE, Outcome.NOT_AUTHORISED),
        ({"rule": 0}, BANK, Outcome.MALFORMED),
        ({"rule": max(Rule) + 1}, BANK, Outcome.MALFORMED),
        ({"voting_s": 0}, BANK, Outcome.MALFORMED),
        ({"related": 1}, BANK, Outcome.MALFORMED),
        ({"value": 0}, BANK, Outcome.RULE_OUT_OF_BOUNDS),
        ({"value": 2**32}, BANK, Outcome.RULE_OUT_OF_BOUNDS),
        ({"value": U64_MAX}, BANK, Outcome.RULE_OUT_OF_BOUNDS),
        ({"asset": 1}, BANK, Outcome.RULE_OUT_OF_BOUNDS),
        ({"more": (1, 0, 0)}, BANK, Outcome.RULE_OUT_OF_BOUNDS),
        ({"voting_s": MAX_VOTING_S + 1}, BANK, Outcome.SCHEDULE_REFUSED),
        ({"ahead": NOTICE_BLOCKS}, BANK, Outcome.SCHEDULE_REFUSED),
        ({"height": 0}, BANK, Outcome.SCHEDULE_REFUSED),
        ({"ahead": NOTICE_BLOCKS + 1}, BANK, Outcome.APPLIED),
        ({"height": U64_MAX}, BANK, Outcome.APPLIED),
    ],
)
def test_what_may_be_proposed(
    world: World, fields: dict[str, Any], signer: SigningKey, expected: Outcome
) -> None:
    fields = dict(fields)
    if (ahead := fields.pop("ahead", None)) is not None:
        fields["height"] = height(world) + 1 + ahead
    assert world.answer((signer, ask(world, **fields))) == [expected]


@pytest.mark.parametrize("rule", RANGES)
def test_every_rule_has_bounds_and_takes_effect_within(world: World, rule: Rule) -> None:
    low, high = RANGES[rule]
    for value, expected in (
        (low - 1, Outcome.RULE_OUT_OF_BOUNDS),
        (high + 1, Outcome.RULE_OUT_OF_BOUNDS),
        (low, Outcome.APPLIED),
        (high, Outcome.APPLIED),
    ):
        if value >= 0:
            assert world.answer((BANK, ask(world, rule, value))) == [expected]
    chosen = high if rule is not Rule.SCHEMES else low
    asked = ask(world, rule, chosen)
    world.apply((BANK, asked))
    for by in (BANK, ISSUER):
        say(world, asked, by=by)
    assert until(world, int(asked["max_fee"][0]))[-1][1] is Outcome.APPLIED
    assert rules(world) == in_force(world.genesis, [Change(rule, (chosen, 0, 0, 0))])
    assert rules(world) != world.genesis


def test_a_least_bond_takes_no_votes_and_is_asked_for_from_its_height_on(world: World) -> None:
    given = {"debtor": world.alice, "creditor": world.treasury, "commitment": FIRST}
    bonds = [world.command(Kind.BOND, amount=amount, **given) for amount in (30, 40)]
    world.apply((BANK, np.concatenate(bonds)))
    asked = ask(world, Rule.LEAST_BOND, 60)
    world.apply((BANK, asked))
    for by in (BANK, ISSUER):
        say(world, asked, by=by)
    until(world, int(asked["max_fee"][0]) - 1)
    more = world.command(Kind.BOND, amount=59, **given | {"commitment": THIRD})
    answers = world.answer((BANK, more))
    assert answers == [Outcome.APPLIED, Outcome.BOND_BELOW_LEAST], "the block of the change is judged by it"
    assert rules(world).stake == msgspec.structs.replace(STAKE, least_bond=60)
    assert world.answer((BANK, world.after(Kind.UNBOND, bonds[0]))) == [Outcome.BOND_BELOW_LEAST]
    raised = ask(world, Rule.LEAST_BOND, 500)
    world.apply((BANK, raised))
    for by in (BANK, ISSUER):
        say(world, raised, by=by)
    until(world, int(raised["max_fee"][0]))
    assert say(world, ask(world)) == [Outcome.PROPOSAL_UNKNOWN], "who has less still votes"


@pytest.mark.parametrize("make", LEDGERS)
def test_where_nobody_votes_nothing_is_voted_on(make: type) -> None:
    world = World(make, stake=STAKE)
    asked = proposal(world, Rule.JAIL_S, 5, by=BANK, height=10**6)
    assert world.answer((BANK, asked)) == [Outcome.NOT_GOVERNED]
    assert say(world, asked) == [Outcome.NOT_GOVERNED]
    unbonded = World(make, validators=GRANTED)
    for rule, expected in (
        (Rule.JAIL_S, Outcome.RULE_OUT_OF_BOUNDS),
        (Rule.UNBONDING_S, Outcome.RULE_OUT_OF_BOUNDS),
        (Rule.RECOVERY_DELAY_S, Outcome.APPLIED),
    ):
        assert unbonded.answer((BANK, ask(unbonded, rule, 172_800))) == [expected]


def test_votes_that_are_refused(world: World) -> None:
    asked = ask(world)
    world.apply((BANK, asked))
    for row, signer, expected in (
        (ballot(world, asked, Ballot.YES, BANK), ISSUER, Outcome.NOT_AUTHORISED),
        (ballot(world, asked, Ballot.YES, MALLORY), MALLORY, Outcome.NOT_AUTHORISED),
        (ballot(world, asked, 0, BANK), BANK, Outcome.MALFORMED),
        (ballot(world, asked, 3, BANK), BANK, Outcome.MALFORMED),
        (ballot(world, ask(world), Ballot.YES, BANK), BANK, Outcome.PROPOSAL_UNKNOWN),
    ):
        assert world.answer((signer, row)) == [expected]


def test_an_institution_has_so_many_proposals_at_once(world: World) -> None:
    rows = [ask(world, value=n + 1) for n in range(MAX_OWN_PROPOSALS + 1)]
    answers = [world.answer((BANK, row))[0] for row in rows]
    assert answers == [Outcome.APPLIED] * MAX_OWN_PROPOSALS + [Outcome.PROPOSALS_FULL]
    assert world.answer((ISSUER, ask(world, by=ISSUER))) == [Outcome.APPLIED]
    say(world, rows[1], Ballot.NO, ISSUER)
    assert world.answer() == [Outcome.DECLINED]
    assert world.answer((BANK, ask(world))) == [Outcome.APPLIED]
    world.apply((BANK, ballot(world, rows[2], Ballot.NO, BANK)))
    assert id_of(world.apply()[0], "id") == id_of(rows[2][0], "id"), "the gap was closed in order"


def test_an_id_of_another_institutions_proposal_is_taken(world: World) -> None:
    asked = ask(world)
    world.apply((BANK, asked))
    assert world.answer((ISSUER, ask(world, by=ISSUER, id=id_of(asked[0], "id")))) == [
        Outcome.PROPOSAL_EXISTS
    ]


def test_the_later_of_two_changes_of_a_rule_stays(world: World) -> None:
    due = height(world) + NOTICE_BLOCKS + 8
    rows = [ask(world, value=value, height=due) for value in (7, 8)]
    for row in rows:
        world.apply((BANK, row))
        for by in (BANK, ISSUER):
            say(world, row, by=by)
    assert [outcome for _, outcome in until(world, due)][-2:] == [Outcome.APPLIED] * 2
    assert rules(world).rules.review_for_s == 8


def test_what_is_open_and_in_force_is_told_and_survives_a_snapshot() -> None:
    world = World(ColumnarLedger, stake=STAKE, validators=GRANTED)
    ledger = world.ledger
    assert isinstance(ledger, ColumnarLedger)
    first, second = ask(world, value=7), ask(world, Rule.JAIL_S, 9, by=ISSUER, height=999)
    world.apply((BANK, first), (ISSUER, second))
    for by in (BANK, ISSUER):
        say(world, first, by=by)
    say(world, second, Ballot.YES)
    until(world, int(first["max_fee"][0]) - 9)
    accepted, pending = open_items.proposals(ledger)
    assert (accepted.accepted, accepted.yes, accepted.no, accepted.total) == (True, 9, 0, 9)
    assert (pending.accepted, pending.yes, pending.total) == (False, 6, 9)
    assert pending.change == Change(Rule.JAIL_S, (9, 0, 0, 0))
    assert pending.proposer == authority_id(ISSUER.public)
    until(world, int(first["max_fee"][0]) - 1)
    copy = ColumnarLedger(world.genesis)
    copy.restore(layout.dump(ledger.state), ledger._blocks)
    for _ in range(2):
        block = world.batch()
        assert copy.apply(block).tobytes() == ledger.apply(block).tobytes()
        assert copy.in_force == ledger.in_force
        again = ColumnarLedger(world.genesis)
        again.restore(layout.dump(copy.state), copy._blocks)
        assert again.in_force == ledger.in_force
    assert ledger.in_force.rules.review_for_s == 7
    told = open_items.changed_rules(ledger)
    assert [(one.change, one.since) for one in told] == [
        (Change(Rule.REVIEW_FOR_S, (7, 0, 0, 0)), int(first["max_fee"][0]))
    ]


def test_a_ledger_that_never_voted_has_the_tables_it_had() -> None:
    world = World(ColumnarLedger, stake=STAKE, validators=GRANTED)
    assert isinstance(world.ledger, ColumnarLedger)
    used = layout.tables(world.ledger.state)
    assert {name for name in layout.LATER if not len(used[name])} == {"models", "proposals", "changes"}


def test_the_id_of_a_network_is_that_of_its_founding() -> None:
    genesis = small_genesis(stake=Stake(1, 10))
    changed = in_force(genesis, [Change(Rule.SLASH_PPM, (7,)), Change(Rule.SCHEMES, (2,))])
    assert (changed.stake, changed.rules.schemes) == (Stake(1, 10, slash_ppm=7), (2,))
    assert in_force(genesis, []) == genesis


def test_numbers_never_change() -> None:
    assert [(rule.name, int(rule)) for rule in Rule] == [
        ("REVIEW_FOR_S", 1),
        ("RECOVERY_DELAY_S", 2),
        ("SCHEMES", 3),
        ("UNBONDING_S", 4),
        ("SLASH_PPM", 5),
        ("JAIL_S", 6),
        ("AWAY_BLOCKS", 7),
        ("FEE", 8),
        ("LEAST_BOND", 9),
    ]
    assert [int(kind) for kind in (Kind.PROPOSE, Kind.VOTE)] == [31, 32]


def test_tables_with_a_rule_that_is_none_are_refused() -> None:
    ledger = ColumnarLedger(small_genesis(validators=GRANTED))
    tables = layout.dump(ledger.state)
    tables["changes"] = np.zeros(1, layout.CHANGE)
    tables["changes"]["rule"] = max(Rule) + 1
    with pytest.raises(InvariantViolation, match="rules changed"):
        ledger.restore(tables, 1)
