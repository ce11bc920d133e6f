"""Many callers, one answer each: the right one, or a clear word that there is none."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from bezant.chain.engine import Pace
from bezant.errors import InvariantViolation, Overloaded, StorageError, UnknownOutcome
from bezant.model.outcomes import Outcome
from bezant.pipeline import intake as intake_module
from bezant.pipeline.batch import PaymentBatch
from bezant.pipeline.intake import Answers
from bezant.stages.authenticate import Authenticate
from bezant.stages.notify import Notify
from bezant.testing.nodes import SmallNode

from .desks import Desk, submission


def test_answers_go_to_whoever_asked(small: SmallNode) -> None:
    records = [small.transfers(1 + i % 4, amount_minor=10 + i) for i in range(120)]
    futures: list[Future[Answers] | None] = [None] * len(records)

    def hand_in(start: int) -> None:
        for i in range(start, len(records), 4):
            futures[i] = small.node.intake.future(small.submission(records[i]))

    threads = [threading.Thread(target=hand_in, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own, future in zip(records, futures, strict=True):
        assert future is not None
        answers = future.result(60)
        assert answers.receipts["id_lo"].tolist() == own["id_lo"].tolist()
        assert answers.outcome.tolist() == answers.receipts["outcome"].tolist()
        assert small.node.engine.durable_height >= answers.height > 0
    assert small.node.intake.waiting == 0


def test_what_was_refused_before_ordering_is_answered_in_place(small: SmallNode) -> None:
    records = small.transfers(3)
    records["flags"][1] = 64
    answers = small.node.intake.call(small.submission(records))
    assert answers.outcome[1] == Outcome.MALFORMED
    assert not answers.receipts[1:2].tobytes().strip(b"\0")
    assert answers.receipts["id_lo"][[0, 2]].tolist() == records["id_lo"][[0, 2]].tolist()
    nothing_left = small.node.intake.call(small.submission(records[1:2]))
    assert (nothing_left.height, nothing_left.first) == (0, Outcome.MALFORMED)


def test_beyond_the_bound_callers_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "MAX_WAITING", 3)
    desk = Desk()
    desk.stages["authenticate"].gate.clear()
    first = desk.intake.future(submission(1))
    assert desk.stages["authenticate"].entered.wait(30)
    accepted = desk.intake.future(submission(2, 3, 4))
    assert desk.intake.waiting == 3
    with pytest.raises(Overloaded, match="3 payments are waiting") as caught:
        desk.intake.submit(submission(5), lambda answers: None)
    assert caught.value.retryable
    desk.stages["authenticate"].gate.set()
    desk.intake.close()
    desk.durable(9)
    assert first.result(30).receipts["amount"].tolist() == [1]
    assert accepted.result(30).receipts["amount"].tolist() == [2, 3, 4], "what was accepted is not dropped"
    with pytest.raises(Overloaded) as caught:
        desk.intake.submit(submission(6), lambda answers: None)
    assert caught.value.code == "stopping"


def test_an_answer_waits_until_its_block_is_durable() -> None:
    desk = Desk()
    one = desk.intake.future(submission(1))
    desk.intake.close()
    assert not one.done()
    desk.durable(0)
    assert not one.done()
    desk.durable(1)
    assert one.result(30).height == 1


def test_a_block_that_is_durable_before_notify_runs_is_answered() -> None:
    desk = Desk()
    desk.notify.gate.clear()
    one = desk.intake.future(submission(1))
    assert desk.notify.entered.wait(30)
    desk.durable(1)
    desk.notify.gate.set()
    assert one.result(30).first is Outcome.APPLIED
    desk.intake.close()


def test_a_failure_between_apply_and_fsync_is_an_unknown_outcome() -> None:
    desk = Desk()
    told = desk.intake.future(submission(1))
    desk.notify.gate.clear()
    late = desk.intake.future(submission(2))
    assert desk.notify.entered.wait(30)
    desk.intake.on_failure(StorageError("the disk is gone"))
    desk.notify.gate.set()
    for future in (told, late):
        with pytest.raises(UnknownOutcome, match="query it by id"):
            future.result(30)
    desk.intake.close()


def test_a_caller_that_gives_up_harms_nobody() -> None:
    desk = Desk()
    one = desk.intake.future(submission(1))
    assert not one.cancel(), "what was handed in may be settled already"
    desk.intake.close()
    desk.durable(1)
    assert one.result(30).first is Outcome.APPLIED


def test_nobody_waits_for_ever() -> None:
    desk = Desk()
    with pytest.raises(UnknownOutcome, match="query it by id"):
        desk.intake.call(submission(1), timeout_s=0.01)
    desk.intake.close()
    desk.durable(1)


@pytest.mark.parametrize("stage", ["authenticate", "settle"])
def test_a_broken_invariant_stops_the_intake(stage: str) -> None:
    desk = Desk()
    desk.stages[stage].error = InvariantViolation("books differ")
    with pytest.raises(Exception, match="books differ"):
        desk.intake.call(submission(1))
    assert isinstance(desk.intake.failure, InvariantViolation)
    with pytest.raises(Overloaded):
        desk.intake.call(submission(2))
    desk.intake.close()


def race_with_the_end() -> int:
    """Hand in 100 submissions while the intake closes; return how many were answered or turned away."""
    desk, start = Desk(), threading.Barrier(3)
    answered: list[object] = []
    refused: list[object] = []

    def hand_in() -> None:
        start.wait()
        for _ in range(50):
            try:
                desk.intake.submit(submission(1), answered.append)
            except Overloaded as error:
                refused.append(error)

    threads = [threading.Thread(target=hand_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    start.wait()
    desk.intake.close()
    for thread in threads:
        thread.join()
    desk.durable(10**6)
    return len(answered) + len(refused)


def test_submissions_that_race_with_the_end_are_answered_or_turned_away() -> None:
    assert [race_with_the_end() for _ in range(20)] == [100] * 20


def test_an_overloaded_notify_still_answers(small: SmallNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Notify, "budget_base_us", -1e9)
    for _ in range(3):
        assert small.node.intake.call(small.submission(small.transfers(1)), timeout_s=10).height > 0


def test_a_failure_behind_the_order_is_an_unknown_outcome() -> None:
    desk = Desk()
    desk.notify.error = RuntimeError("nobody is told")
    with pytest.raises(UnknownOutcome, match="was ordered"):
        desk.intake.call(submission(1))
    desk.intake.close()


def test_one_who_cannot_be_told_keeps_nobody_from_being_told() -> None:
    """Replies come on the thread that makes blocks durable, which an error of theirs must not stop."""
    desk = Desk(pace=Pace(1))
    desk.settle.gate.clear()
    first = desk.intake.future(submission(1))
    assert desk.settle.entered.wait(30)

    def refuse(answers: Answers | BaseException) -> None:
        raise RuntimeError("its loop has ended")

    desk.intake.submit(submission(2), refuse)
    second = desk.intake.future(submission(3))
    desk.settle.gate.set()
    for height in range(1, 4):
        desk.durable(height)
    assert [first.result(30).height, second.result(30).height] == [1, 2]
    assert desk.intake.call(submission(4)).height == 3, "there is room for the next batch"
    desk.intake.close()


def test_whoever_was_told_that_it_was_ordered_is_told_nothing_more() -> None:
    """An error behind the announcement answers first; the block that is durable later must not."""
    desk = Desk(pace=Pace(1))
    announce = desk.intake.announce

    def announce_and_fail(batch: PaymentBatch) -> None:
        announce(batch)
        raise RuntimeError("whoever observes is gone")

    desk.intake.announce = announce_and_fail  # type: ignore[method-assign]
    with pytest.raises(UnknownOutcome, match="was ordered"):
        desk.intake.call(submission(1))
    desk.durable(1)
    desk.intake.announce = announce  # type: ignore[method-assign]
    next_one = desk.intake.future(submission(2))
    desk.intake.close()
    desk.durable(2)
    assert next_one.result(30).height == 2


def test_after_the_journal_fails_nothing_is_accepted(tmp_path: Path, model_file: Path) -> None:
    with SmallNode(tmp_path / "node", model=model_file) as small:
        node, journal = small.node, small.node.engine._journal

        def refuse() -> None:
            raise StorageError("the disk is full", code="disk_full")

        journal.sync = refuse  # type: ignore[method-assign]
        with pytest.raises(UnknownOutcome):
            small.pay()
        with pytest.raises(StorageError, match="disk is full"):
            small.pay()
        assert isinstance(node.flow.stages["authenticate"], Authenticate)
        del journal.sync
        small.restart()
        assert small.balance(small.alice) in (1_000_000, 999_900), "it happened or it did not"


def test_a_small_batch_is_committed_by_the_thread_that_began_it(small: SmallNode) -> None:
    told: queue.Queue[str] = queue.Queue()
    names = []
    for records in (small.transfers(2, amount_minor=10) for _ in range(30)):
        small.node.intake.submit(
            small.submission(records), lambda answer: told.put(threading.current_thread().name)
        )
        names.append(told.get(timeout=30))
    # After a rest the journal's own thread begins.
    assert names.count("intake") >= 15
    assert set(names) <= {"intake", "journal"}


def test_a_large_batch_leaves_the_disk_to_the_journals_thread(small: SmallNode) -> None:
    told: queue.Queue[str] = queue.Queue()
    count = small.node.engine.pace.overlap_from
    small.node.intake.submit(
        small.submission(small.transfers(count, amount_minor=1)),
        lambda answer: told.put(threading.current_thread().name),
    )
    assert told.get(timeout=30) == "journal"
