"""Cases of review beside a clock that the test sets: what lapses, what a restart and a rebuild keep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bezant.errors import ConflictError
from bezant.gateway.cases import MOST_ENTRIES, Remark
from bezant.gateway.links import SAME_DEVICE, SAME_TERMINAL
from bezant.model.identifiers import PaymentId
from bezant.model.outcomes import Outcome
from bezant.model.payment import Payload
from bezant.node import Node
from bezant.stages.sightings import Sightings
from bezant.store import PaymentStatus
from bezant.store.reviews import Wanted
from bezant.testing.nodes import SmallNode

SETTINGS = """
[pipeline]
score = "bezant.testing.scores:ScoreByAmount"
budget_factor = 0
[policy]
control_share = 0.0
"""
HOURS = 3_600
SUSPICIOUS = "77.77"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallNode]:
    with SmallNode(tmp_path / "data", settings=SETTINGS, with_store=True) as small:
        yield small


def held(small: SmallNode, amount: str = SUSPICIOUS, payload: Payload | None = None) -> PaymentId:
    identity, answers = small.pay(amount, payload=payload)
    assert answers.first is Outcome.HELD_FOR_REVIEW
    small.tick()
    return identity


def queue(node: Node, **wanted: object) -> list[int]:
    found, _ = node.history.reviews(Wanted(**wanted))  # type: ignore[arg-type]
    return [review.standing.payment for review in found]


def test_what_nobody_answers_lapses_and_says_so(small: SmallNode) -> None:
    node, waiting = small.node, held(small)
    (review,), _ = node.history.reviews()
    assert review.standing.held is not None
    assert review.standing.held.expires_ns == review.standing.created_ns + 72 * HOURS * 10**9
    node.cases.escalate(waiting, "compliance", Remark(), small.new_id())
    small.pay("2.00", hold_for_s=60)  # a reserve that nobody reviews
    expires_ns = review.standing.held.expires_ns
    assert node.history.lapsing(expires_ns - 1) == []
    assert node.history.lapsing(expires_ns) == [waiting]
    small.tick(72 * HOURS + 1)
    small.pay("1.00")
    assert queue(node) == []
    assert [event.did for event in node.cases.history(waiting)] == ["held_for_review", "escalated", "lapsed"]
    with pytest.raises(ConflictError, match="it was lapsed at 2026-01-0") as late:
        node.cases.approve(waiting, identity=small.new_id())
    assert late.value.code == "not_held"
    assert (
        node.history.review(node.history.queries().payment(waiting)).standing.status is PaymentStatus.EXPIRED
    )


def test_a_restart_keeps_queue_case_and_links(small: SmallNode) -> None:
    phone = Payload(device="phone", terminal="till")
    before, other = small.pay("2.00", payload=phone)[0], small.enrol("Carol Cole", 10_000)[1]
    small.pay("3.00", debtor=other, payload=Payload(device="phone"))
    waiting = held(small, payload=phone)
    small.node.cases.escalate(waiting, "compliance", Remark("Ada", "odd hour"), small.new_id())
    node = small.restart()
    assert queue(node, escalated=True) == [waiting]
    assert [(e.did, e.by, e.to, e.note) for e in node.cases.history(waiting)][1:] == [
        ("escalated", "Ada", "compliance", "odd hour")
    ]
    shared = node.instruments.sightings.shared(waiting, 10)
    assert (len(shared.device), shared.terminal) == (2, (before,)), "taken from the vault again"
    links = node.links.of(node.history.queries().payment(waiting))
    assert {one.account: one.via for one in links.accounts}[other][0] == SAME_DEVICE
    assert SAME_TERMINAL not in {via for one in links.accounts for via in one.via}, "that was the payer"
    node.cases.reject(waiting, identity=small.new_id(), remark=Remark("Bo"))
    assert queue(node) == []


def test_a_store_made_again_has_the_same_queue(small: SmallNode) -> None:
    many = [held(small, f"{euros}77.77") for euros in (3, 1, 2)]
    small.node.cases.escalate(many[1], "compliance", Remark(), small.new_id())
    ordered = [many[0], many[2], many[1]]
    assert queue(small.node) == ordered
    assert small.node.store is not None
    small.node.close()
    with Node(small.path, clock=small.clock, with_store=False) as without:
        without.rebuild_store()
    node = small.restart()
    assert queue(node) == ordered
    assert queue(node, escalated=True) == [many[1]]


def test_a_case_does_not_grow_for_ever(small: SmallNode) -> None:
    waiting = held(small)
    for number in range(MOST_ENTRIES):
        small.node.cases.escalate(waiting, f"desk {number}", Remark(), small.new_id())
    with pytest.raises(ConflictError) as full:
        small.node.cases.escalate(waiting, "one more", Remark(), small.new_id())
    assert full.value.code == "case_full"
    with pytest.raises(ConflictError) as said:
        small.node.cases.approve(waiting, identity=small.new_id(), remark=Remark(note="a word"))
    assert said.value.code == "case_full"
    assert small.node.cases.approve(waiting, identity=small.new_id())[0].outcome is Outcome.CAPTURED


def test_sightings_are_bounded_and_the_newest_stay(small: SmallNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bezant.stages.sightings.KEPT", 4)
    phone = Payload(device="phone")
    ids = []
    for euros in range(1, 8):
        ids.append(small.pay(f"{euros}.00", payload=phone)[0])
        small.tick()
    again = Sightings(small.node.vault)
    assert again.shared(ids[-1], 10).device == tuple(ids[-4:-1]), "the vault's newest four, but itself"
    assert again.shared(ids[-1], 2).device == tuple(ids[-3:-1])
