"""Which batches begin when, beside which others, and on which thread."""

from __future__ import annotations

import threading

import pytest

from bezant.chain.engine import Pace
from bezant.errors import Overloaded
from bezant.pipeline.batch import PaymentBatch

from .desks import Agreeing, Desk, Quiet, answered, submission


def test_batches_that_a_network_agrees_on_in_another_order_are_answered_as_they_come() -> None:
    desk = Desk(settle := Agreeing("settle"), Pace(under_way=2))
    first = desk.intake.future(submission(1, 2))
    one, of_one = settle.take()
    second = desk.intake.future(submission(3))
    two, of_two = settle.take()
    of_two.resolve(answered(two, 5))
    told = second.result(30)
    assert (told.height, told.time_ns, told.receipts["amount"].tolist()) == (5, 5_000, [3])
    assert not first.done()
    of_one.resolve(answered(one, 6, 7))
    told = first.result(30)
    assert (told.height, told.time_ns, told.receipts["amount"].tolist()) == (7, 7_000, [1, 2])
    desk.intake.close()


def test_a_network_that_refuses_is_heard_and_makes_room_for_the_next() -> None:
    desk = Desk(settle := Agreeing("settle"), Pace(under_way=1))
    refused = desk.intake.future(submission(1))
    _, of_one = settle.take()
    after = desk.intake.future(submission(2))
    assert settle.sent.empty(), "a second batch was begun beside the one that may be"
    of_one.resolve(Overloaded("the network is full"))
    with pytest.raises(Overloaded, match="network is full"):
        refused.result(30)
    two, of_two = settle.take()
    of_two.resolve(answered(two, 1))
    assert after.result(30).receipts["amount"].tolist() == [2]
    desk.intake.close()


def test_a_small_batch_waits_for_the_one_under_way_and_a_large_one_begins_beside_it() -> None:
    desk = Desk(settle := Agreeing("settle"), Pace(under_way=3, overlap_from=3))
    first = desk.intake.future(submission(1))
    _, of_first = settle.take()
    second = desk.intake.future(submission(2))
    third = desk.intake.future(submission(3))
    assert settle.sent.empty(), "two payments were begun beside a batch, where three are worth it"
    fourth = desk.intake.future(submission(4))
    beside, of_beside = settle.take()
    assert beside.records["amount"].tolist() == [2, 3, 4]
    fifth = desk.intake.future(submission(5))
    of_beside.resolve(answered(beside, 1, 1, 1))
    assert fourth.result(30).receipts["amount"].tolist() == [4]
    assert second.done()
    assert third.done()
    assert settle.sent.empty(), "the first is still under way"
    of_first.resolve(Overloaded("the network is full"))
    with pytest.raises(Overloaded, match="network is full"):
        first.result(30)
    last, of_last = settle.take()
    of_last.resolve(answered(last, 2))
    assert fifth.result(30).receipts["amount"].tolist() == [5]
    desk.intake.close()


def test_a_small_batch_stays_on_one_thread_and_a_large_one_leaves_room_for_the_next() -> None:
    """From verifying to settling a small one changes neither thread nor core."""

    class Noting(Quiet):
        def __call__(self, batch: PaymentBatch) -> PaymentBatch:
            threads.setdefault(len(batch), []).append((threading.current_thread().name, batch.alone))
            return super().__call__(batch)

    threads: dict[int, list[tuple[str, bool]]] = {}
    desk = Desk(settle := Agreeing("settle"), Pace(under_way=3, overlap_from=3))
    for name in ("authenticate", "decide"):
        desk.intake.flow.replace(Noting(name))
    for amounts in ((1,), (1, 2), (1, 2, 3)):
        answer = desk.intake.future(submission(*amounts))
        batch, awaited = settle.take()
        awaited.resolve(answered(batch, *[1] * len(batch)))
        answer.result(30)
    assert threads == {
        1: [("intake", False), ("intake", True)],
        2: [("intake", False), ("intake", True)],
        3: [("intake", False), ("pipeline", False)],
    }
    desk.intake.close()


def test_what_comes_within_a_moment_goes_together() -> None:
    desk = Desk(settle := Agreeing("settle"), Pace(under_way=8, gather_s=0.5))
    futures = [desk.intake.future(submission(amount)) for amount in range(1, 31)]
    sizes: list[int] = []
    while sum(sizes) < len(futures):
        batch, awaited = settle.take()
        sizes.append(len(batch))
        awaited.resolve(answered(batch, *[1] * len(batch)))
    assert len(sizes) <= 3
    assert [future.result(30).receipts["amount"].tolist() for future in futures] == [
        [n] for n in range(1, 31)
    ]
    desk.intake.close()
