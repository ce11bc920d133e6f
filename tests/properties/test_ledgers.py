"""The two ledgers under the same random batches: the same bytes, and the books of both in order.

The world is small on purpose, so that accounts run dry, holds meet their ends, ids come twice and
chains fail half-way.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from bezant.ledger.batch import NS_PER_S, Batch
from bezant.ledger.books import Answer, Hold, State
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.reference import ReferenceLedger
from bezant.model.genesis import Genesis
from bezant.model.identifiers import new_payment_id
from bezant.model.keys import SigningKey, authority_id
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import Flag, Kind, RecordArray, id_of
from bezant.testing.ledgers import ALICE, BANK, BOB, CAROL, ISSUER, MALLORY, World, record

SIGNERS = (ALICE, BOB, CAROL, BANK, BANK, BANK, ISSUER, MALLORY)
RULES = {
    "id_window_s": 40,
    "id_future_s": 5,
    "review_for_s": 6,
    "checkpoint_interval": 1,
    "max_live_ids": 150,
}

Step = tuple[int, ...]
STEP = st.tuples(
    st.sampled_from([1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 16, 17, 18, 19, 99]),
    st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4]),
    st.integers(0, 4),
    st.sampled_from([-5, -1, 0, 0, 1, 5, 9, 10, 11, 300, 990, 1000, 1001]),
    st.integers(0, 3),
    st.sampled_from([0, 0, 0, 2, 2, 1, 1, 3, 4]),
    st.sampled_from([0, 0, 0, 0, 0, 1, 2]),
    st.integers(0, 11),
)
"""kind, debtor (0: the signer's own account), creditor, amount (of a capture: beyond what is held),
which earlier record, flags, verdict, how the id is made."""
BLOCK = st.tuples(
    st.sampled_from([0, 0, 0, 1, 3, 11]),
    st.lists(st.tuples(st.integers(0, len(SIGNERS) - 1), st.lists(STEP, min_size=1, max_size=5)), max_size=4),
    st.sampled_from([True] * 9 + [False]),
)
BLOCKS = st.lists(BLOCK, min_size=1, max_size=8)


class Play:
    """Turns drawn numbers into batches; the same draws give the same bytes."""

    def __init__(self, make: Callable[[Any], Any] = ReferenceLedger) -> None:
        self.world = World(make, **RULES)
        self.earlier: list[RecordArray] = []
        self.holds: list[RecordArray] = []

    def batch(self, drawn: Any) -> Batch:
        after_s, parts, good = drawn
        self.world.scribe.now_ns += after_s * NS_PER_S
        signed: list[tuple[SigningKey, RecordArray]] = []
        verdicts: list[int] = []
        for signer, steps in parts:
            signed.append((SIGNERS[signer], np.concatenate([self.record(signer, step) for step in steps])))
            verdicts += [step[6] if step[0] < 3 else 0 for step in steps]
        known = {row: Verdict(verdict) for row, verdict in enumerate(verdicts)}
        return self.world.scribe.batch(*signed, verdicts=known, authentic=good)

    def record(self, signer: int, step: Step) -> RecordArray:
        kind, debtor, creditor, amount, which, flags, _, age = step
        world = self.world
        accounts = (world.alice, world.bob, world.carol, world.yen, 7)
        other = self.earlier[-1 - which % len(self.earlier)] if self.earlier else None
        if age == 11 and other is not None:
            return other
        made_ms = world.scribe.now_ns // 10**6 + {10: 60_000, 9: -60_000}.get(age, 0)
        fields: dict[str, Any] = {
            "id": new_payment_id(made_ms, world.scribe.new_id()),
            "amount": max(amount, 0),
        }
        own = accounts[signer if debtor == 0 and signer < 3 else debtor]
        fields |= {"debtor": own, "creditor": accounts[creditor], "flags": flags}
        fields["asset"] = 2 if own == world.yen else 1
        if kind == Kind.HOLD:
            fields["hold_for_s"] = 1 + which
        if kind in (Kind.CAPTURE, Kind.RELEASE) and self.holds:
            held = self.holds[-1 - which % len(self.holds)][0]
            fields |= {"related": id_of(held, "id"), "amount": max(int(held["amount"]) + amount, 0)}
            fields |= {side: id_of(held, side) for side in ("debtor", "creditor")}
        if kind >= Kind.REGISTER_AUTHORITY and which:
            fields["flags"] = 0
        if kind == Kind.SET_DELEGATE:
            fields["creditor"] = authority_id(SIGNERS[creditor].public)
        if age == 8 and other is not None:
            fields["id"] = id_of(other[0], "id")
        made = record(kind, **fields)
        self.earlier.append(made)
        if kind == Kind.HOLD or flags & Flag.MAY_REVIEW:
            self.holds.append(made)
        return made


def differ(blocks: Any, reference: Callable[[Any], Any] = ReferenceLedger) -> str:
    """Return where the two ledgers part, or an empty text."""
    play, twin = Play(reference), World(ColumnarLedger, **RULES)
    for height, drawn in enumerate(blocks):
        batch = play.batch(drawn)
        ours, theirs = play.world.ledger.apply(batch), twin.ledger.apply(batch)
        if ours.tobytes() != theirs.tobytes():
            at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), -1)
            return f"block {height} receipt {at}: {ours[at]} and {theirs[at]}"
        for account in (play.world.alice, play.world.bob, play.world.carol, play.world.yen):
            if play.world.sides(account) != twin.sides(account):
                return f"block {height}: counters of {account:032x}"
    return ""


PROFILE = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@PROFILE
@given(BLOCKS)
def test_both_ledgers_answer_with_the_same_bytes(blocks: Any) -> None:
    assert differ(blocks) == ""


@PROFILE
@given(BLOCKS)
def test_the_books_stay_in_order(blocks: Any) -> None:
    """Value is conserved, nobody is below a limit, what is pending is what is held."""
    play = Play(ColumnarLedger)
    world = play.world
    accounts = (world.alice, world.bob, world.carol, world.yen, world.treasury)
    for drawn in blocks:
        receipts = world.ledger.apply(play.batch(drawn))
        assert len(receipts) >= sum(len(steps) for _, steps in drawn[1])
        world.ledger.check_invariants()
        sides = {account: world.sides(account) for account in accounts}
        assert sum(posted for _, posted, _, _ in sides.values()) == sum(side[3] for side in sides.values())
        assert sum(side[0] for side in sides.values()) == sum(side[2] for side in sides.values())
        for account in (world.alice, world.bob, world.carol, world.yen):
            pending, debits, _, credits = sides[account]
            assert credits - debits - pending >= 0
        _, debits, expected, credits = sides[world.carol]
        assert credits + expected - debits <= 1010
        held = int(world.ledger.state.counters["open_holds"][0])
        assert (held == 0) == (sum(side[0] for side in sides.values()) == 0)


@PROFILE
@given(BLOCKS)
def test_a_batch_sent_again_changes_nothing(blocks: Any) -> None:
    """What was answered for good exists; what was not (forged, too early, too late) still moves nothing."""
    play = Play(ColumnarLedger)
    world = play.world
    for drawn in blocks:
        batch = play.batch(drawn)
        first = world.ledger.apply(batch)[-len(batch.records) or None :]
        before = world.ledger.accounts["debits_posted_lo"].tolist()
        count = len(batch.records)
        again = world.ledger.apply(
            Batch(
                batch.time_ns + 1,
                batch.records,
                batch.decisions,
                batch.authorisations,
                batch.authentic,
                batch.accepted,
                batch.record_hashes,
            )
        )
        assert world.ledger.accounts["debits_posted_lo"].tolist() == before
        if not count:
            continue
        for one, other in zip(first[-count:], again[-count:], strict=True):
            if one["outcome"] < Outcome.MALFORMED:
                assert other["outcome"] == Outcome.EXISTS
                assert other["first_outcome"] == one["outcome"]
            assert other["outcome"] >= Outcome.MALFORMED, "an effect came twice"


# A test that cannot fail proves nothing: these references are wrong by a little, and must be found out.


class OffByOneFunds(ReferenceLedger):
    """Allows one minor unit more than there is."""

    def _pay(self, record: Any, kind: Kind, *rest: Any) -> Answer:
        debtor = self.state.accounts.get(id_of(record, "debtor"))
        if debtor is not None:
            debtor.credit_limit += 1
        answer = super()._pay(record, kind, *rest)
        if debtor is not None:
            debtor.credit_limit -= 1
        return answer


class LateState(State):
    def expired(self, time_ns: int) -> list[Hold]:
        return State.expired(self, time_ns - 1)


class OffByOneExpiry(ReferenceLedger):
    """Lets a hold live one nanosecond past its end."""

    def __init__(self, genesis: Genesis) -> None:
        super().__init__(genesis)
        self.state = LateState(self.state.keys, self.state.institution_of)


class ForgetsRefusals(ReferenceLedger):
    """Remembers effects only."""

    def _remember(self, record: Any, signer: Any, outcome: Outcome) -> None:
        if not outcome.refused:
            super()._remember(record, signer, outcome)


class WholeCapture(ReferenceLedger):
    """Captures one unit more than was held."""

    def _close_hold(self, record: Any, kind: Kind, signer: Any) -> Answer:
        answer = super()._close_hold(record, kind, signer)
        if answer.outcome is Outcome.AMOUNT_ABOVE_HOLD:
            changed = record.copy()
            changed["amount"] = int(record["amount"]) - 1
            return super()._close_hold(changed, kind, signer)
        return answer


@pytest.mark.parametrize("wrong", [OffByOneFunds, OffByOneExpiry, ForgetsRefusals, WholeCapture])
def test_a_planted_fault_is_found(wrong: type[ReferenceLedger]) -> None:
    profile = settings(PROFILE, max_examples=600, phases=[Phase.generate], derandomize=False)
    try:
        found = find(BLOCKS, lambda blocks: bool(differ(blocks, wrong)), settings=profile, random=Random(7))
    except NoSuchExample:
        pytest.fail(f"{wrong.__name__} went unnoticed")
    assert differ(found) == "", "the right ledger agrees on what gave the wrong one away"
