"""Observing is beside the payments' way: bounded, shed when late, and never a payment's trouble."""

from __future__ import annotations

import threading

import numpy as np

from bezant.intelligence.scored import Scored
from bezant.model.outcomes import Outcome
from bezant.pipeline import observer as module
from bezant.pipeline.batch import PaymentBatch, join_submissions
from bezant.pipeline.observer import Observer, join_scored
from bezant.testing.nodes import SmallNode


def batch_of(small: SmallNode, count: int) -> PaymentBatch:
    return small.batch_before("settle", count)


def test_what_is_offered_is_seen_in_order(small: SmallNode) -> None:
    seen: list[Scored] = []
    observer = Observer([seen.append])
    observer.start()
    batches = [batch_of(small, count) for count in (1, 3, 2)]
    for batch in batches:
        observer.offer(batch)
    observer.close()
    expected = np.concatenate([batch.records["id_lo"] for batch in batches])
    assert np.concatenate([one.id_lo for one in seen]).tolist() == expected.tolist()
    assert np.array_equal(
        np.concatenate([one.x for one in seen]), np.concatenate([b.features for b in batches])
    )
    assert {one.model for one in seen} == {small.node.model.name}
    assert (observer.shed, observer.failures) == (0, 0)


def test_what_was_refused_or_is_no_payment_is_not_scored(small: SmallNode) -> None:
    batch = batch_of(small, 3)
    batch.refuse(np.array([False, True, False]), Outcome.EXISTS)
    (scored,) = join_scored([batch])
    assert scored.id_lo.tolist() == batch.records["id_lo"][[0, 2]].tolist()
    assert join_scored([batch_of(small, 0)]) == []
    unscored = join_submissions([small.submission(small.transfers(2))], small.clock.time_ns)
    assert join_scored([unscored]) == []


def test_models_are_kept_apart(small: SmallNode) -> None:
    one, other = batch_of(small, 2), batch_of(small, 3)
    other.model = b"another model..."
    assert [(len(part.x), part.model) for part in join_scored([one, other, one])] == [
        (4, one.model),
        (3, other.model),
    ]


def test_above_its_bound_it_sheds_and_goes_on_afterwards(small: SmallNode) -> None:
    holding, held = threading.Event(), threading.Event()

    def stuck(scored: Scored) -> None:
        held.set()
        holding.wait()

    observer, batch = Observer([stuck]), batch_of(small, 1_000)
    observer.start()
    observer.offer(batch)
    assert held.wait(10.0)
    for _ in range(module.MOST_WAITING // 1_000 + 4):
        observer.offer(batch)
    assert observer.shed == 5_000, "what is being looked at counts too"
    holding.set()
    observer.look()
    observer.offer(batch)
    assert observer.shed == 5_000
    observer.close()


def test_whoever_fails_is_counted_and_keeps_nobody_else_from_looking(small: SmallNode) -> None:
    seen: list[Scored] = []

    def broken(scored: Scored) -> None:
        raise ZeroDivisionError

    observer = Observer([broken, seen.append])
    observer.start()
    observer.offer(batch_of(small, 2))
    observer.close()
    assert (observer.failures, len(seen)) == (1, 1)


def test_a_rehearsal_is_not_observed(small: SmallNode) -> None:
    seen: list[int] = []
    small.node.resources.observe = lambda batch: seen.append(len(batch))
    small.node.replace_stage("notify", "bezant.stages.notify:Notify")
    small.node.payments.rehearse(small.node.payments.instruct(small.alice, small.bob, "1.00", "EUR"))
    assert seen == []
    small.pay()
    assert seen == [1]
