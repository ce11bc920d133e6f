"""Every outcome there is, produced at least once by both ledgers, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bezant.ledger.batch import NS_PER_S
from bezant.model.governance import Ballot
from bezant.model.identifiers import new_payment_id
from bezant.model.keys import authority_id
from bezant.model.outcomes import Outcome, SigningMode, Verdict
from bezant.model.records import (
    NO_ROW,
    Fault,
    Flag,
    Kind,
    ModelRole,
)
from bezant.testing.ledgers import (
    ALICE,
    BANK,
    BOB,
    ISSUER,
    LEDGERS,
    MALLORY,
    OPENING,
    Quorum,
    World,
    record,
    seeded_key,
)

from .scenarios import (
    account_closed,
    again,
    bond,
    bonded_too_little,
    charged,
    closed,
    ends_at,
    expired_hold,
    faulty,
    frozen,
    full,
    governed,
    held_by_the_bank,
    hold,
    jailed,
    key_command,
    linked_failed,
    locked,
    mandate_of_the_bank,
    model,
    models_full,
    not_approved,
    one,
    opening,
    overflowing,
    paused,
    pay,
    proposals_full,
    proposed,
    proposed_by_others,
    recovery,
    rejoin,
    reversed_payment,
    rewarded,
    unbonded,
    under_mandate,
    validators_full,
    vote_for_nothing,
    window_closed,
)

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
