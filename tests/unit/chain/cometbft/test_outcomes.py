"""Who waits is told once: out of the block, or that nobody can say."""

from __future__ import annotations

import numpy as np

from bezant.chain.blocks import AppHash, CommittedBlock
from bezant.chain.cometbft.application import Placed
from bezant.chain.cometbft.outcomes import Outcomes
from bezant.chain.engine import Answered, Awaited
from bezant.errors import BezantError, Overloaded, StorageError, UnknownOutcome
from bezant.model.records import AUTHORISATION, DECISION, RECEIPT, RECORD

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def block(height: int, amounts: list[int], system: int = 0) -> CommittedBlock:
    receipts = np.zeros(system + len(amounts), RECEIPT)
    receipts["amount"][system:] = amounts
    return CommittedBlock(
        height, height * 10, AppHash.known(bytes(32)), np.zeros(len(amounts), RECORD),
        np.zeros(len(amounts), DECISION), np.zeros(0, AUTHORISATION), receipts,
    )  # fmt: skip


def listen(awaited: Awaited) -> list[Answered | BezantError]:
    told: list[Answered | BezantError] = []
    awaited.tell(told.append)
    return told


def test_orders_in_two_blocks_are_answered_together_in_their_order() -> None:
    outcomes = Outcomes(30)
    told = listen(outcomes.expect([A, B]).awaited)
    outcomes.settle(block(5, [7, 1, 2], system=1), [Placed(C, 0, 1), Placed(B, 1, 3)])
    assert told == []
    outcomes.settle(block(6, [3]), [Placed(A, 0, 1)])
    (answer,) = told
    assert isinstance(answer, Answered)
    assert answer.receipts["amount"].tolist() == [3, 1, 2]
    assert (answer.height.tolist(), answer.time_ns.tolist()) == ([6, 5, 5], [60, 50, 50])
    assert outcomes.stalled_s == 0


def test_the_same_order_sent_twice_answers_both() -> None:
    outcomes = Outcomes(30)
    told = [listen(outcomes.expect([A]).awaited) for _ in range(2)]
    outcomes.settle(block(1, [9]), [Placed(A, 0, 1)])
    assert [len(one) for one in told] == [1, 1]


def test_who_waits_for_too_long_is_told_that_nobody_knows_and_only_once() -> None:
    clock = Clock()
    outcomes = Outcomes(30, clock)
    early = listen(outcomes.expect([A]).awaited)
    clock.now_s = 20
    late = listen(outcomes.expect([B]).awaited)
    assert outcomes.stalled_s == 20
    clock.now_s = 31
    outcomes.expire()
    assert [type(one) for one in early] == [UnknownOutcome]
    assert late == []
    outcomes.settle(block(1, [9]), [Placed(A, 0, 1)])
    assert len(early) == 1
    outcomes.lose(StorageError("the disk is full"))
    assert [type(one) for one in late] == [UnknownOutcome]


def test_what_was_refused_is_waited_for_no_more() -> None:
    outcomes = Outcomes(30)
    refused = outcomes.expect([A, B])
    other = listen(outcomes.expect([B]).awaited)
    told = listen(refused.awaited)
    outcomes.give_up(refused, Overloaded("full"))
    outcomes.settle(block(1, [1, 2]), [Placed(A, 0, 1), Placed(B, 1, 2)])
    assert [type(one) for one in told] == [Overloaded]
    assert [type(one) for one in other] == [Answered]


def test_a_long_queue_that_moves_is_no_standstill() -> None:
    clock = Clock()
    outcomes = Outcomes(30, clock)
    outcomes.expect([A])
    outcomes.expect([B])
    clock.now_s = 12
    assert outcomes.stalled_s == 12
    outcomes.settle(block(1, [9]), [Placed(B, 0, 1)])
    assert outcomes.stalled_s == 0
    clock.now_s = 15
    assert outcomes.stalled_s == 3
