"""Every outcome there is, produced at least once by both ledgers, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from bezant.ledger.batch import NS_PER_S, account_id
from bezant.model.digest import sha256
from bezant.model.genesis import MAX_VALIDATORS, Fee, GenesisValidator
from bezant.model.governance import MAX_OWN_PROPOSALS, Ballot, Rule
from bezant.model.identifiers import new_payment_id
from bezant.model.keys import SigningKey, authority_id
from bezant.model.outcomes import Outcome, SigningMode, Verdict
from bezant.model.records import (
    MAX_MODELS,
    NO_ROW,
    Fault,
    Flag,
    Kind,
    ModelRole,
    RecordArray,
    Role,
    id_of,
)
from bezant.testing.ledgers import (
    ALICE,
    BANK,
    BOB,
    CAROL,
    ISSUER,
    LEDGERS,
    MALLORY,
    OPENING,
    STAKE,
    Quorum,
    World,
    ballot,
    fault,
    proposal,
    record,
    seeded_key,
)

TOP = 2**128 - 1 - 2**64


def hold(world: World, amount: int = 100, **fields: Any) -> RecordArray:
    given = {"id": world.scribe.new_id(), "debtor": world.alice, "creditor": world.bob, "hold_for_s": 3600}
    return record(Kind.HOLD, amount=amount, **(given | fields))


def close(world: World, kind: Kind, held: RecordArray, amount: int = 100, **fields: Any) -> RecordArray:
    related = int(held["id_hi"][0]) << 64 | int(held["id_lo"][0])
    given = {"id": world.scribe.new_id(), "debtor": world.alice, "creditor": world.bob, "related": related}
    return record(kind, amount=amount, **(given | fields))


def pay(world: World, **fields: Any) -> RecordArray:
    debtor, creditor = fields.pop("debtor", world.alice), fields.pop("creditor", world.bob)
    return world.transfer(debtor, creditor, fields.pop("amount", 100), **fields)


def opening(world: World, *, asset: int = 1, holder: SigningKey = ALICE, **fields: Any) -> RecordArray:
    """Return an opening record of a new account at the Bank; `fields` spoil it afterwards."""
    authority = authority_id(holder.public)
    identity = account_id(2, authority, asset, 5)
    given = {"id": world.scribe.new_id(), "debtor": identity, "creditor": authority, "related": 5}
    return record(Kind.OPEN_ACCOUNT, asset=asset, **(given | fields))


def one(signer: SigningKey, make: Callable[[World], RecordArray], **known: Any) -> Callable[[World], Outcome]:
    return lambda world: world.answer((signer, make(world)), **known)[-1]


def again(**changed: Any) -> Callable[[World], Outcome]:
    def case(world: World) -> Outcome:
        row = pay(world)
        world.apply((ALICE, row))
        for name, value in changed.items():
            row[name] = value
        return world.answer((ALICE, row))[-1]

    return case


def closed(signer: SigningKey, kind: Kind, amount: int = 100, **fields: Any) -> Callable[[World], Outcome]:
    def case(world: World) -> Outcome:
        held = hold(world)
        assert world.answer((ALICE, held)) == [Outcome.HELD]
        return world.answer((signer, close(world, kind, held, amount, **fields)))[-1]

    return case


def expired_hold(world: World) -> Outcome:
    world.apply((ALICE, hold(world, hold_for_s=10)))
    return world.answer((ALICE, pay(world)), after_s=10)[0]


def full(world: World) -> Outcome:
    small = World(type(world.ledger), max_live_ids=20)
    for _ in range(20):
        small.apply((ALICE, pay(small)))
    return small.answer((ALICE, pay(small)))[-1]


def held_by_the_bank(world: World) -> Outcome:
    row = hold(world)
    assert world.answer((BANK, row)) == [Outcome.HELD]
    return world.answer((ALICE, row))[-1]


def frozen(side: str) -> Callable[[World], Outcome]:
    def case(world: World) -> Outcome:
        freeze = record(Kind.SET_FROZEN, id=world.scribe.new_id(), debtor=getattr(world, side), amount=1)
        assert world.answer((BANK, freeze)) == [Outcome.APPLIED]
        return world.answer((ALICE, pay(world)))[-1]

    return case


def overflowing(world: World) -> Outcome:
    world.set_sides(world.bob, credits_posted=TOP)
    return world.answer((ALICE, pay(world)))[-1]


def linked_failed(world: World) -> Outcome:
    rows = np.concatenate([pay(world, flags=Flag.LINKED), pay(world, creditor=8)])
    return world.answer((ALICE, rows))[0]


def locked(world: World, opened_with: bytes) -> list[Outcome]:
    held = world.hold(flags=Flag.LINKED)
    lock = world.after(Kind.LOCK, held, commitment=sha256(b"s" * 32))
    first = world.answer((ALICE, np.concatenate([held, lock])))
    return first + world.answer((BOB, world.after(Kind.CAPTURE, held, 100, commitment=opened_with)))


def reversed_payment(world: World, amount: int, **fields: Any) -> Outcome:
    paid = pay(world)
    world.apply((ALICE, paid))
    return world.answer((BOB, world.after(Kind.REVERSE, paid, amount, **fields)))[-1]


def window_closed(world: World) -> Outcome:
    short = World(type(world.ledger), {"refund_window_s": 3})
    paid = pay(short)
    short.apply((ALICE, paid))
    return short.answer((BOB, short.after(Kind.REVERSE, paid, 1)), after_s=5)[-1]


def under_mandate(world: World, amount: int, after_s: int = 0, **fields: Any) -> Outcome:
    """BOB pays himself from alice's account under a mandate of 60 a payment and 100 a day."""
    grant = mandate(world, **fields)
    assert world.answer((ALICE, grant)) == [Outcome.APPLIED]
    named = {"related": id_of(grant[0], "id"), "flags": Flag.UNDER_MANDATE}
    rows = [pay(world, amount=amount, **named) for _ in range(2)]
    return world.answer((BOB, np.concatenate(rows)), after_s=after_s)[-1]


def ends_at(world: World, seconds: int) -> bytes:
    """Return the commitment of a mandate that ends this long from now."""
    return (world.scribe.now_ns // NS_PER_S + seconds).to_bytes(8, "little") + bytes(24)


def mandate(world: World, **fields: Any) -> RecordArray:
    given = {
        "debtor": world.alice,
        "creditor": world.bob,
        "related": authority_id(BOB.public),
        "amount": 60,
        "max_fee": 100,
        "hold_for_s": 86_400,
    }
    return world.command(Kind.SET_MANDATE, **(given | fields))


def mandate_of_the_bank(world: World) -> Outcome:
    row = mandate(world)
    assert world.answer((BANK, row)) == [Outcome.APPLIED]
    return world.answer((ALICE, row))[-1]


def paused(world: World) -> Outcome:
    pausable = World(type(world.ledger), {"pausable": True})
    assert pausable.answer((ISSUER, pausable.command(Kind.SET_PAUSED, amount=1))) == [Outcome.APPLIED]
    return pausable.answer((ALICE, pay(pausable)))[-1]


def account_closed(side: str) -> Callable[[World], Outcome]:
    """Pay out of, or into, an account of ALICE's that was closed before."""

    def case(world: World) -> Outcome:
        opened, account = world.scribe.open(2, ALICE, salt=7)
        world.apply((BANK, opened))
        assert world.answer((ALICE, world.command(Kind.CLOSE_ACCOUNT, debtor=account))) == [Outcome.APPLIED]
        return world.answer((ALICE, pay(world, **{side: account})))[-1]

    return case


def not_approved(side: str) -> Callable[[World], Outcome]:
    def case(world: World) -> Outcome:
        strict = World(type(world.ledger), {"approve_holders": True})
        opened, account = strict.scribe.open(2, ALICE, salt=7)
        strict.apply((BANK, opened))
        return strict.answer((ALICE, pay(strict, **{side: account})))[-1]

    return case


def key_command(kind: Kind, **fields: Any) -> Callable[[World], Outcome]:
    return one(ALICE, lambda world: world.command(kind, debtor=authority_id(ALICE.public), **fields))


def recovery(world: World, again_after_s: int) -> list[Outcome]:
    """ALICE lets CAROL recover her authority, and CAROL asks twice for a new key."""
    alice, spare = authority_id(ALICE.public), seeded_key("spare")
    helper = {"related": 1, "amount": 1, "max_fee": int(Role.RECOVER), "commitment": CAROL.public}
    may = world.command(Kind.SET_THRESHOLDS, debtor=alice, amount=0x01_01_01_01)
    world.apply((ALICE, np.concatenate([world.command(Kind.SET_KEY, debtor=alice, **helper), may])))
    helper_alone = Quorum(alice, {1: CAROL})
    asked = world.command(Kind.RECOVER, debtor=alice, amount=1, commitment=spare.public)
    first = world.answer((helper_alone, asked))
    world.scribe.now_ns += again_after_s * NS_PER_S
    later = world.command(Kind.RECOVER, debtor=alice, amount=1, commitment=spare.public)
    return first + world.answer((helper_alone, later))


def model(world: World, role: ModelRole, number: int = 1, signer: SigningKey = BANK) -> Outcome:
    fields = {"debtor": authority_id(signer.public), "amount": role, "commitment": bytes([number]) * 32}
    return world.answer((signer, world.command(Kind.SET_MODEL, **fields)))[-1]


def models_full(world: World) -> Outcome:
    answers = {model(world, ModelRole.REGISTERED, number) for number in range(1, MAX_MODELS + 1)}
    assert answers == {Outcome.APPLIED}
    return model(world, ModelRole.REGISTERED, MAX_MODELS + 1)


def bond(world: World, amount: int = 100, key: int = 9, **fields: Any) -> RecordArray:
    given = {"debtor": world.alice, "creditor": world.treasury, "amount": amount}
    return world.command(Kind.BOND, **(given | fields), commitment=key.to_bytes(32, "big"))


def unbonded(world: World, *others: RecordArray) -> Outcome:
    row = bond(world)
    world.apply((BANK, np.concatenate([row, *others])))
    return world.answer((BANK, world.after(Kind.UNBOND, row)))[-1]


def faulty(world: World, kind: Fault) -> list[Outcome]:
    """Bond for two validators and report a fault of one."""
    world.apply((BANK, np.concatenate([bond(world), bond(world, key=8)])))
    return world.answer(faults=fault((9).to_bytes(32, "big"), kind))


def rejoin(world: World) -> Outcome:
    bank = authority_id(BANK.public)
    key = (9).to_bytes(32, "big")
    return world.answer((BANK, world.command(Kind.REJOIN, debtor=bank, commitment=key)))[0]


def jailed(world: World) -> Outcome:
    faulty(world, Fault.ABSENT)
    return rejoin(world)


def bonded_too_little(world: World) -> Outcome:
    raised = World(type(world.ledger), stake=msgspec.structs.replace(STAKE, least_bond=101))
    return raised.answer((BANK, bond(raised)))[0]


def validators_full(world: World) -> Outcome:
    """The issuer bonds its own money, so that no balance changes."""
    opened, paid_for_faults = world.scribe.open(1, ISSUER, salt=5)
    world.apply((ISSUER, opened))
    accounts = {"debtor": world.treasury, "creditor": paid_for_faults}
    rows = [bond(world, 1, key, **accounts) for key in range(1, MAX_VALIDATORS + 2)]
    for half in (rows[:500], rows[500:-1]):
        assert set(world.answer((ISSUER, np.concatenate(half)))) == {Outcome.BONDED}
    return world.answer((ISSUER, rows[-1]))[0]


def governed(world: World) -> World:
    """Return a world in which the Bank has the only votes."""
    return World(type(world.ledger), validators=(GenesisValidator("ab" * 32, 1, 2),))


def proposed(world: World, said: Ballot | None = None, **fields: Any) -> list[Outcome]:
    """Propose that reviews may last a minute, and vote on it."""
    asked = proposal(world, Rule.REVIEW_FOR_S, **({"value": 60, "by": BANK, "height": 999} | fields))
    answers = world.answer((BANK, asked))
    if said is not None:
        world.apply((BANK, ballot(world, asked, said, BANK)))
        answers += world.answer()
    return answers


def vote_for_nothing(world: World) -> Outcome:
    own = authority_id(BANK.public)
    return world.answer((BANK, world.command(Kind.VOTE, debtor=own, related=7, amount=1)))[0]


def proposed_by_others(world: World) -> Outcome:
    both = (GenesisValidator("ab" * 32, 1, 2), GenesisValidator("cd" * 32, 1, 1))
    ours = World(type(world.ledger), validators=both)
    asked = proposal(ours, Rule.REVIEW_FOR_S, 60, by=ISSUER, height=999)
    assert ours.answer((ISSUER, asked)) == [Outcome.APPLIED]
    return proposed(ours, id=id_of(asked[0], "id"))[0]


def proposals_full(world: World) -> Outcome:
    ours = governed(world)
    answers = [proposed(ours)[0] for _ in range(MAX_OWN_PROPOSALS + 1)]
    assert set(answers[:-1]) == {Outcome.APPLIED}
    return answers[-1]


def charged(world: World) -> World:
    """Return a world in which payments cost a cent, and what comes in goes to bonds at every block."""
    return World(type(world.ledger), stake=STAKE, fees=(Fee(1, flat=1, maximum=1),), checkpoint_interval=1)


def rewarded(world: World) -> Outcome:
    ours = charged(world)
    ours.apply((BANK, bond(ours)))
    assert ours.answer((ALICE, pay(ours, max_fee=1))) == [Outcome.APPLIED]
    return ours.answer()[-1]


CASES: dict[Outcome, Callable[[World], Outcome]] = {
    Outcome.APPLIED: one(ALICE, pay),
    Outcome.HELD: one(ALICE, hold),
    Outcome.HELD_FOR_REVIEW: one(
        ALICE, lambda w: pay(w, flags=Flag.MAY_REVIEW), verdicts={0: Verdict.REVIEW}
    ),
    Outcome.CAPTURED: closed(BOB, Kind.CAPTURE),
    Outcome.RELEASED: closed(BOB, Kind.RELEASE),
    Outcome.HOLD_EXPIRED: expired_hold,
    Outcome.LOCKED: lambda w: locked(w, b"s" * 32)[1],
    Outcome.CAPTURED_IN_PART: closed(BOB, Kind.CAPTURE, 60, flags=Flag.KEEP_REST),
    Outcome.RECOVERY_STARTED: lambda w: recovery(w, 0)[0],
    Outcome.BONDED: one(BANK, bond),
    Outcome.UNBONDING: lambda w: unbonded(w, bond(w, key=8)),
    Outcome.SLASHED: lambda w: faulty(w, Fault.DOUBLE_SIGN)[1],
    Outcome.JAILED: lambda w: faulty(w, Fault.ABSENT)[0],
    Outcome.ACCEPTED: lambda w: proposed(governed(w), Ballot.YES)[-1],
    Outcome.DECLINED: lambda w: proposed(governed(w), Ballot.NO)[-1],
    Outcome.REWARDED: rewarded,
    Outcome.MALFORMED: one(ALICE, lambda w: pay(w, hold_for_s=1)),
    Outcome.UNKNOWN_AUTHORITY: one(seeded_key("a stranger"), pay),
    Outcome.BAD_SIGNATURE: one(ALICE, pay, authentic=False),
    Outcome.GATEWAY_NOT_ACCEPTED: one(ALICE, pay, accepted=False),
    Outcome.THRESHOLD_NOT_MET: lambda w: w.answer((Quorum(authority_id(ALICE.public), {1: ALICE}), pay(w)))[
        -1
    ],
    Outcome.ID_IN_FUTURE: one(
        ALICE, lambda w: pay(w, id=new_payment_id(w.scribe.now_ns // 10**6 + 31_001, 1))
    ),
    Outcome.EXPIRED: one(ALICE, lambda w: pay(w, valid_for_s=0)),
    Outcome.EXISTS: again(),
    Outcome.EXISTS_WITH_OTHER_CONTENT: again(amount=101),
    Outcome.CAPACITY: full,
    Outcome.BLOCKED: one(ALICE, pay, verdicts={0: Verdict.BLOCK}),
    Outcome.REVIEW_NOT_PERMITTED: one(ALICE, pay, verdicts={0: Verdict.REVIEW}),
    Outcome.ORIGINAL_UNKNOWN: lambda w: reversed_payment(w, 100, related=12345),
    Outcome.REFUND_WINDOW_CLOSED: window_closed,
    Outcome.NOT_GOVERNED: lambda w: proposed(w)[0],
    Outcome.DEBTOR_UNKNOWN: one(ALICE, lambda w: pay(w, debtor=7)),
    Outcome.CREDITOR_UNKNOWN: one(ALICE, lambda w: pay(w, creditor=7)),
    Outcome.NOT_AUTHORISED: one(MALLORY, pay),
    Outcome.SAME_ACCOUNT: one(ALICE, lambda w: pay(w, creditor=w.alice)),
    Outcome.ASSET_MISMATCH: one(ALICE, lambda w: pay(w, creditor=w.yen)),
    Outcome.AMOUNT_ZERO: one(ALICE, lambda w: pay(w, amount=0)),
    Outcome.ASSET_PAUSED: paused,
    Outcome.POLICY_FORBIDS: one(ISSUER, lambda w: w.command(Kind.SET_FROZEN, debtor=w.alice, amount=1)),
    Outcome.DEBTOR_FROZEN: frozen("alice"),
    Outcome.CREDITOR_FROZEN: frozen("bob"),
    Outcome.DEBTOR_CLOSED: account_closed("debtor"),
    Outcome.CREDITOR_CLOSED: account_closed("creditor"),
    Outcome.DEBTOR_NOT_APPROVED: not_approved("debtor"),
    Outcome.CREDITOR_NOT_APPROVED: not_approved("creditor"),
    Outcome.RULE_OUT_OF_BOUNDS: lambda w: proposed(governed(w), value=0)[0],
    Outcome.SCHEDULE_REFUSED: lambda w: proposed(governed(w), height=9)[0],
    Outcome.HOLD_UNKNOWN: closed(BOB, Kind.CAPTURE, related=12345),
    Outcome.HOLD_MISMATCH: closed(BANK, Kind.CAPTURE, asset=2),
    Outcome.AMOUNT_ABOVE_HOLD: closed(BOB, Kind.CAPTURE, 101),
    Outcome.HOLD_EXISTS: held_by_the_bank,
    Outcome.PREIMAGE_MISMATCH: lambda w: locked(w, b"t" * 32)[-1],
    Outcome.MANDATE_EXPIRED: lambda w: under_mandate(w, 10, 9, commitment=ends_at(w, 5)),
    Outcome.ABOVE_MANDATE: lambda w: under_mandate(w, 61),
    Outcome.ABOVE_MANDATE_PERIOD: lambda w: under_mandate(w, 60),
    Outcome.OVERFLOW: overflowing,
    Outcome.INSUFFICIENT_FUNDS: one(ALICE, lambda w: pay(w, amount=OPENING + 1)),
    Outcome.BALANCE_LIMIT: one(ALICE, lambda w: pay(w, creditor=w.carol, amount=11)),
    Outcome.ABOVE_ORIGINAL: lambda w: reversed_payment(w, 101),
    Outcome.FEE_ABOVE_MAX: lambda w: one(ALICE, pay)(charged(w)),
    Outcome.ACCOUNT_NOT_EMPTY: one(ALICE, lambda w: w.command(Kind.CLOSE_ACCOUNT, debtor=w.alice)),
    Outcome.LIMIT_BELOW_BALANCE: one(
        BANK, lambda w: w.command(Kind.SET_LIMITS, debtor=w.alice, max_fee=OPENING - 1)
    ),
    Outcome.AUTHORITY_EXISTS: one(BANK, lambda w: w.scribe.register(ALICE)),
    Outcome.ACCOUNT_EXISTS: one(BANK, lambda w: w.scribe.open(2, ALICE)[0]),
    Outcome.ID_NOT_DERIVED: one(BANK, lambda w: opening(w, related=6)),
    Outcome.ASSET_UNKNOWN: one(BANK, lambda w: opening(w, asset=3)),
    Outcome.HOLDER_UNKNOWN: one(BANK, lambda w: opening(w, holder=seeded_key("nobody"))),
    Outcome.CREDIT_NOT_PERMITTED: one(BANK, lambda w: opening(w, amount=1)),
    Outcome.KEY_SLOT: key_command(Kind.SET_KEY, related=1, amount=1, max_fee=1, commitment=ALICE.public),
    Outcome.THRESHOLD_UNREACHABLE: key_command(Kind.SET_THRESHOLDS, amount=0x01_01_02),
    Outcome.RECOVERY_WAITING: lambda w: recovery(w, 60)[-1],
    Outcome.VALIDATOR_JAILED: jailed,
    Outcome.MANDATE_UNKNOWN: one(
        ALICE, lambda w: w.command(Kind.REVOKE_MANDATE, debtor=w.alice, related=12345)
    ),
    Outcome.MANDATE_EXISTS: mandate_of_the_bank,
    Outcome.MODEL_UNKNOWN: lambda w: model(w, ModelRole.CHAMPION),
    Outcome.MODELS_FULL: models_full,
    Outcome.VALIDATOR_UNKNOWN: rejoin,
    Outcome.VALIDATORS_FULL: validators_full,
    Outcome.LINKED_FAILED: linked_failed,
    Outcome.CHAIN_OPEN: one(ALICE, lambda w: pay(w, flags=Flag.LINKED)),
    Outcome.LAST_VALIDATOR: unbonded,
    Outcome.PROPOSAL_UNKNOWN: lambda w: vote_for_nothing(governed(w)),
    Outcome.PROPOSAL_EXISTS: proposed_by_others,
    Outcome.PROPOSALS_FULL: proposals_full,
    Outcome.BOND_BELOW_LEAST: bonded_too_little,
}


def test_the_table_covers_every_outcome_in_order() -> None:
    assert list(CASES) == list(Outcome)


@pytest.mark.parametrize("outcome", list(Outcome), ids=lambda outcome: outcome.name)
def test_outcome_is_answered(world: World, outcome: Outcome) -> None:
    assert CASES[outcome](world) is outcome
    if outcome is not Outcome.OVERFLOW:  # which needs counters that no payment brought about
        world.ledger.check_invariants()


@pytest.mark.parametrize("outcome", [o for o in Outcome if o.refused], ids=lambda outcome: outcome.name)
def test_a_refusal_moves_nothing(world: World, outcome: Outcome) -> None:
    def worth(world: World) -> int:
        return world.balance(world.treasury)

    before = worth(world)
    CASES[outcome](world)
    assert worth(world) == before == -3 * OPENING


def test_every_refusal_from_blocked_on_is_remembered_and_none_before(world: World) -> None:
    rows = {
        Outcome.MALFORMED: (pay(world, hold_for_s=1), {}),
        Outcome.BAD_SIGNATURE: (pay(world), {"authentic": False}),
        Outcome.GATEWAY_NOT_ACCEPTED: (pay(world), {"accepted": False}),
        Outcome.BLOCKED: (pay(world), {"verdicts": {0: Verdict.BLOCK}}),
        Outcome.CREDITOR_UNKNOWN: (pay(world, creditor=7), {}),
        Outcome.INSUFFICIENT_FUNDS: (pay(world, amount=10**6), {}),
    }
    for outcome, (row, known) in rows.items():
        assert world.answer((ALICE, row), **known) == [outcome]
        second = world.apply((ALICE, row))
        if outcome >= Outcome.BLOCKED:
            assert second["outcome"].tolist() == [Outcome.EXISTS]
            assert second["first_outcome"].tolist() == [outcome]
        else:
            assert second["outcome"].tolist() != [Outcome.EXISTS]


def test_another_authority_has_its_own_ids(world: World) -> None:
    """A stranger who uses an id first cannot keep its owner from using it."""
    row = pay(world)
    assert world.answer((MALLORY, row)) == [Outcome.NOT_AUTHORISED]
    assert world.answer((ALICE, row)) == [Outcome.APPLIED]


def test_the_receipt_says_what_moved_and_who_signed(world: World) -> None:
    for signer, mode in ((ALICE, SigningMode.SELF), (BANK, SigningMode.INSTITUTION)):
        receipt = world.apply((signer, pay(world, amount=7)))[0]
        assert (receipt["amount"], receipt["mode"], receipt["order_index"]) == (7, mode, 0)
        assert int(receipt["debtor_side"]["debits_posted_lo"]) == world.sides(world.alice)[1]
        assert int(receipt["creditor_side"]["credits_posted_lo"]) == world.sides(world.bob)[3]
    refused = world.apply((MALLORY, pay(world)))[0]
    assert refused["debtor_row"] == refused["creditor_row"] == NO_ROW
    assert not refused["debtor_side"].tobytes().strip(b"\0")


def test_an_id_at_either_edge_of_the_window(world: World) -> None:
    """Both edges are inclusive: exactly `id_future_s` ahead, exactly `id_window_s` old."""
    now_ms = (world.scribe.now_ns + NS_PER_S) // 10**6
    edges = [(30_000, Outcome.APPLIED), (30_001, Outcome.ID_IN_FUTURE)]
    edges += [(-600_000, Outcome.APPLIED), (-600_001, Outcome.EXPIRED)]
    rows = [pay(world, id=new_payment_id(now_ms + shift, 900 + i)) for i, (shift, _) in enumerate(edges)]
    assert world.answer((ALICE, np.concatenate(rows))) == [outcome for _, outcome in edges]


def test_a_forgotten_id_can_never_apply_again(world: World) -> None:
    row = pay(world, valid_for_s=2**32 - 1)
    assert world.answer((ALICE, row)) == [Outcome.APPLIED]
    for after_s in (29, 300, 270, 1, 30, 600, 3600):
        answer = world.answer((ALICE, row), after_s=after_s)
        assert answer in ([Outcome.EXISTS], [Outcome.EXPIRED])
    assert answer == [Outcome.EXPIRED]
    assert world.balance(world.bob) == OPENING + 100


def test_an_authority_registered_in_this_block_signs_from_the_next_on(world: World) -> None:
    late = seeded_key("late")
    opened, account = world.scribe.open(2, late)
    answers = world.answer(
        (BANK, np.concatenate([world.scribe.register(late), opened])),
        (late, world.transfer(account, world.bob, 1)),
    )
    assert answers == [Outcome.APPLIED, Outcome.APPLIED, Outcome.UNKNOWN_AUTHORITY]
    assert world.answer((late, world.transfer(account, world.bob, 1))) == [Outcome.INSUFFICIENT_FUNDS]


def test_only_institutions_command(world: World) -> None:
    assert world.answer((ALICE, world.scribe.register(seeded_key("x")))) == [Outcome.NOT_AUTHORISED]
    assert world.answer((ALICE, opening(world))) == [Outcome.NOT_AUTHORISED]
    freeze = record(Kind.SET_FROZEN, id=world.scribe.new_id(), debtor=world.alice, amount=1)
    assert world.answer((ALICE, freeze)) == [Outcome.NOT_AUTHORISED]
    treasury = record(Kind.SET_FROZEN, id=world.scribe.new_id(), debtor=world.treasury, amount=1)
    assert world.answer((BANK, treasury)) == [Outcome.NOT_AUTHORISED], "another institution's account"


def test_the_ledgers_under_test_are_two() -> None:
    assert len(set(LEDGERS)) == 2
