"""What is ordered: assets that meet, verdicts as holds and blocks, batches that are cut and never mixed."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.gateway.accounts import Opening
from bezant.intelligence.evidence import commitments
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.payment import Payload
from bezant.model.records import Kind, RecordArray, id_of, set_id
from bezant.pipeline.batch import PENDING, PaymentBatch, join_submissions
from bezant.stages.route import Route
from bezant.stages.settle import Settle
from bezant.testing.nodes import START_NS, SmallNode
from bezant.vault import VaultKind


def test_a_payment_that_would_need_an_exchange_is_refused(town: SmallNode) -> None:
    usd = town.node.accounts.asset("USD")
    (dollars,) = town.node.accounts.open([Opening(town.bob_party, usd)])
    records = town.transfers(4)
    set_id(records[1], "creditor", dollars)
    records["asset"][2] = usd.number
    set_id(records[3], "creditor", 12345)
    batch = Route(town.node.resources)(town.batch_before("route", records=records))
    assert batch.refused.tolist() == [PENDING, Outcome.ASSET_MISMATCH, Outcome.ASSET_MISMATCH, PENDING]
    answers = town.node.intake.call(town.submission(records))
    assert answers.outcome[[1, 2]].tolist() == [Outcome.ASSET_MISMATCH] * 2
    assert answers.outcome[3] == Outcome.CREDITOR_UNKNOWN


def with_verdict(town: SmallNode, verdict: Verdict, count: int = 1) -> PaymentBatch:
    batch = town.batch_before("settle", count)
    batch.decisions["verdict"] = verdict
    return batch


def settled(town: SmallNode, batch: PaymentBatch) -> RecordArray:
    batch = Settle(town.node.resources)(batch)
    assert batch.block is not None
    town.node.engine.wait_durable(batch.block.height)
    return batch.block.receipts[batch.block.system_count :]


def test_a_review_becomes_a_hold(town: SmallNode) -> None:
    before = town.node.accounts.row(town.alice)["debits_pending_lo"]
    (receipt,) = settled(town, with_verdict(town, Verdict.REVIEW))
    assert receipt["outcome"] == Outcome.HELD_FOR_REVIEW
    assert town.node.accounts.row(town.alice)["debits_pending_lo"] - before == 100


def test_a_blocked_payment_is_ordered_with_its_evidence(town: SmallNode) -> None:
    batch = with_verdict(town, Verdict.BLOCK)
    (receipt,) = settled(town, batch)
    assert receipt["outcome"] == Outcome.BLOCKED
    identity = id_of(batch.records[0], "id")
    sealed = town.node.vault.read(VaultKind.EVIDENCE, identity)
    assert commitments(np.frombuffer(sealed, np.uint8).reshape(1, -1)).tobytes() == (
        batch.decisions["commitment"][0].tobytes()
    )


def test_a_batch_that_was_refused_whole_is_not_ordered(town: SmallNode) -> None:
    batch = town.batch_before("settle", 3)
    batch.refused[:] = Outcome.EXPIRED
    height = town.node.engine.height
    batch = Settle(town.node.resources)(batch)
    assert (batch.block, len(batch.ordered), town.node.engine.height) == (None, 0, height)


@pytest.mark.parametrize("refusal", [Outcome.ID_IN_FUTURE, Outcome.CAPACITY, Outcome.NOT_AUTHORISED])
@pytest.mark.parametrize("kind", [Kind.TRANSFER, Kind.SET_FROZEN])
def test_what_a_stage_refused_never_passes_beside_what_it_was_signed_with(
    town: SmallNode, refusal: Outcome, kind: Kind
) -> None:
    records = town.transfers(3)
    if kind is Kind.SET_FROZEN:
        records["kind"][1], records["flags"][1], records["amount"][1] = kind, 0, 0
        records["creditor_lo"][1] = records["creditor_hi"][1] = 0
    batch = join_submissions([town.submission(records, together=True)], town.clock.time_ns)
    batch = town.advance(batch, "settle")
    batch.refused[1] = refusal
    batch.decisions[1:2] = np.zeros(1, batch.decisions.dtype)
    receipts = settled(town, batch)
    assert len(receipts) == 3, "a signature over many goes whole"
    assert Outcome(int(receipts["outcome"][1])).refused
    assert not any(Outcome(int(code)).refused for code in receipts["outcome"][[0, 2]])


def test_a_refusal_that_the_ledger_repeats_keeps_its_name(town: SmallNode) -> None:
    records = town.transfers(3)
    town.node.intake.call(town.submission(records[:1]))
    records["flags"][2] = 64
    answers = town.node.intake.call(town.submission(records, together=True))
    assert answers.outcome[0] == Outcome.EXISTS
    assert answers.outcome[2] == Outcome.MALFORMED
    assert not answers.outcome[1] >= 16


def test_large_batches_are_split_into_orders_that_fit(town: SmallNode) -> None:
    batch = Settle(town.node.resources)(town.batch_before("settle", 3_000))
    assert batch.block is not None
    assert batch.ordered.tolist() == list(range(3_000))
    assert np.array_equal(batch.block.records["id_lo"], batch.records["id_lo"])
    town.node.engine.wait_durable(batch.block.height)


def test_the_text_of_an_account_that_does_not_exist_is_not_kept(town: SmallNode) -> None:
    identity, answers = town.pay(debtor=town.alice ^ 1, payload=Payload(debtor_name="Nobody Known"))
    assert answers.first is Outcome.DEBTOR_UNKNOWN
    assert town.node.payments.payload(identity) is None
    kept, _ = town.pay(payload=Payload(debtor_name="Alice Arden"))
    assert town.node.payments.payload(kept) == Payload(debtor_name="Alice Arden")
    assert town.clock.time_ns >= START_NS
