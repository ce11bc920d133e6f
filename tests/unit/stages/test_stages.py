"""Each stage alone, on batches as they stand in front of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bezant.errors import ConfigError, Overloaded
from bezant.gateway.accounts import Opening
from bezant.intelligence.evidence import commitments, decode_evidence
from bezant.intelligence.reasons import Reasons
from bezant.intelligence.replay import replay
from bezant.intelligence.rules import REVIEW_PPM
from bezant.model.identifiers import new_payment_id
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.payment import Payload
from bezant.model.records import NO_ROW, Kind, RecordArray, id_of, set_id
from bezant.pipeline.batch import PENDING, PaymentBatch, Submission, join_submissions
from bezant.stages.admit import LONGEST_WAIT_S, Admit
from bezant.stages.authenticate import Authenticate
from bezant.stages.decide import Decide
from bezant.stages.policy import Policy
from bezant.stages.route import Route
from bezant.stages.screen import Screen
from bezant.stages.settle import Settle
from bezant.store import Lag
from bezant.testing.ledgers import seeded_key
from bezant.testing.nodes import START_NS, SmallNode
from bezant.vault import VaultKind


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[SmallNode]:
    with SmallNode(tmp_path_factory.mktemp("town") / "node", model=model_file) as town:
        yield town


def fresh(town: SmallNode, *submissions: Submission) -> PaymentBatch:
    return join_submissions(list(submissions), town.clock.time_ns)


def outcomes(batch: PaymentBatch) -> list[int]:
    return batch.refused.tolist()


# authenticate


def test_signatures_are_told_apart(town: SmallNode) -> None:
    good = town.submission(town.transfers(2), together=True)
    altered = town.submission(town.transfers(2), together=True)
    altered.records["amount"][1] += np.uint64(1)
    forged = town.submission(town.transfers(1))
    forged.authorisations["signature"][0, 5] ^= 1
    stranger = town.node.desk.sign(town.transfers(1), seeded_key("stranger"))
    scheme = town.submission(town.transfers(1))
    scheme.authorisations["scheme"] = 9
    batch = Authenticate(town.node.resources)(fresh(town, good, altered, forged, stranger, scheme))
    assert outcomes(batch) == [
        PENDING,
        PENDING,
        Outcome.BAD_SIGNATURE,
        Outcome.BAD_SIGNATURE,
        Outcome.BAD_SIGNATURE,
        Outcome.UNKNOWN_AUTHORITY,
        Outcome.BAD_SIGNATURE,
    ]
    assert batch.record_hashes.shape == (7, 32)


def test_a_signature_is_good_for_its_network_alone(town: SmallNode) -> None:
    made = town.submission(town.transfers(1))
    other = dataclasses.replace(made, authorisations=made.authorisations.copy())
    key = town.node.desk.institution_key
    other.authorisations["signature"][0] = np.frombuffer(key.sign(bytes(112)), np.uint8)
    assert outcomes(Authenticate(town.node.resources)(fresh(town, other))) == [Outcome.BAD_SIGNATURE]


# admit


def admitted(town: SmallNode, records: RecordArray) -> PaymentBatch:
    return Admit(town.node.resources)(town.batch_before("admit", records=records))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", 0),
        ("kind", 99),
        ("flags", 4),
        ("flags", 0x8000),
        ("hold_for_s", 5),
        ("id_lo", 0),
        ("id_hi", 1),
    ],
)
def test_malformed_records_are_refused_before_they_are_ordered(
    town: SmallNode, field: str, value: int
) -> None:
    records = town.transfers(2)
    records[field][0] = value
    assert outcomes(admitted(town, records)) == [Outcome.MALFORMED, PENDING]


def test_ids_are_good_from_thirty_seconds_ahead_until_they_expire(town: SmallNode) -> None:
    now_ms = max(town.clock.time_ns, town.node.engine.time_ns) // 1_000_000
    cases = {
        now_ms: PENDING,
        now_ms + 30_000: PENDING,
        now_ms + 30_001: Outcome.ID_IN_FUTURE,
        now_ms - 600_000: PENDING,
        now_ms - 600_001: Outcome.EXPIRED,
        2**48 - 1: Outcome.ID_IN_FUTURE,
        # Times whose nanoseconds wrap around to about now, and to long ago.
        now_ms + 2**64 // 1_000_000: Outcome.ID_IN_FUTURE,
        2**63 // 1_000_000 + 1: Outcome.ID_IN_FUTURE,
        0: Outcome.EXPIRED,
    }
    records = town.transfers(len(cases))
    for row, time_ms in enumerate(cases):
        set_id(records[row], "id", new_payment_id(time_ms))
    batch = admitted(town, records)
    assert dict(zip(cases, outcomes(batch), strict=True)) == cases
    # The ledger, asked alone, says the same.
    for row, expected in enumerate(cases.values()):
        answers = town.node.intake.call(town.submission(records[row : row + 1]))
        assert (answers.first is expected) if expected != PENDING else not answers.first.refused


def test_validity_may_be_shorter_than_the_window(town: SmallNode) -> None:
    records = town.transfers(2)
    for row in range(2):
        set_id(records[row], "id", new_payment_id(town.clock.time_ns // 1_000_000 - 5_000))
    records["valid_for_s"] = 5, 4
    assert outcomes(admitted(town, records)) == [PENDING, Outcome.EXPIRED]


def test_what_was_answered_is_answered_again_with_the_first_outcome(town: SmallNode) -> None:
    paid, held = town.transfers(1), town.transfers(1)
    held["kind"], held["hold_for_s"] = Kind.HOLD, 60
    unpaid = town.transfers(1, amount_minor=10**12)
    answered = [int(town.node.intake.call(town.submission(r)).first) for r in (paid, held, unpaid)]
    assert answered[2] >= 16, "a refusal is remembered too"
    other = paid.copy()
    other["amount"] += np.uint64(1)
    batch = admitted(town, np.concatenate([paid, held, unpaid, other, town.transfers(1)]))
    assert outcomes(batch) == [
        Outcome.EXISTS,
        Outcome.EXISTS,
        Outcome.EXISTS,
        Outcome.EXISTS_WITH_OTHER_CONTENT,
        PENDING,
    ]
    first = [town.node.intake.call(town.submission(r)).first_outcome[0] for r in (paid, held, unpaid)]
    assert first == batch.first_outcome[:3].tolist() == answered
    assert (batch.debtor_row != NO_ROW).all()


def test_a_store_far_behind_sheds_load(town: SmallNode) -> None:
    lag = [Lag(blocks=1, payments=501, seconds=2.0, payments_per_second=100.0)]
    resources = dataclasses.replace(town.node.resources, store_lag=lambda: lag[0], max_store_lag_payments=250)
    admit = Admit(resources)
    with pytest.raises(Overloaded, match="501 payments behind, 250 is the most") as caught:
        admit(town.batch_before("admit"))
    assert (caught.value.code, caught.value.retry_after_s) == ("store_lagging", 3)
    lag[0] = dataclasses.replace(lag[0], payments=1_000_000)
    with pytest.raises(Overloaded) as caught:
        admit(town.batch_before("admit"))
    assert caught.value.retry_after_s == LONGEST_WAIT_S
    lag[0] = dataclasses.replace(lag[0], payments=251, payments_per_second=0.0)
    with pytest.raises(Overloaded) as caught:
        admit(town.batch_before("admit"))
    assert caught.value.retry_after_s == 1
    lag[0] = dataclasses.replace(lag[0], payments=250)
    assert admit(town.batch_before("admit")).debtor_row[0] != NO_ROW, "it recovers by itself"


# screen


def test_the_worse_of_both_parties_counts(town: SmallNode) -> None:
    batch = town.batch_before("screen", 4)
    parties = town.node.resources.parties
    rows = [int(batch.debtor_row[0]), int(batch.creditor_row[0])]
    batch.creditor_row[3] = NO_ROW
    try:
        for verdicts, expected in (((0, 0), 0), ((1, 0), 1), ((0, 2), 2), ((2, 1), 2)):
            for row, verdict in zip(rows, verdicts, strict=True):
                parties.set(row, 1, verdict)
            screened = Screen(town.node.resources)(batch).screening.tolist()
            assert screened[:3] == [expected] * 3
            assert screened[3] == verdicts[0]
    finally:
        parties.set(rows[0], town.alice_party, 0)
        parties.set(rows[1], town.bob_party, 0)


# decide


def decided(town: SmallNode, batch: PaymentBatch, **policy: float) -> PaymentBatch:
    known = Policy(**{"control_share": 0.0, **policy})  # type: ignore[arg-type]
    return Decide(dataclasses.replace(town.node.resources, policy=known))(batch)


def test_thresholds_give_verdicts_and_evidence_stands_row_by_row(town: SmallNode) -> None:
    batch = town.batch_before("decide", 5)
    batch.score_ppm[:] = 0, 499_999, 500_000, 899_999, 900_000
    batch.refused[1] = Outcome.EXPIRED
    batch = decided(town, batch, review_ppm=500_000, block_ppm=900_000)
    assert batch.decisions["verdict"].tolist() == [0, 0, 1, 1, 2]
    evidence = decode_evidence(batch.evidence)
    assert evidence["score_ppm"].tolist() == batch.score_ppm.tolist()
    assert evidence["verdict"].tolist() == [0, 0, 1, 1, 2]
    pays = batch.pays
    assert np.array_equal(batch.decisions["commitment"][pays], commitments(batch.evidence)[pays])
    assert not batch.decisions[1:2].tobytes().strip(b"\0"), "what was refused has no decision"
    assert (evidence["reasons"][[2, 3, 4]] & Reasons.MODEL_REVIEW > 0).all()
    assert evidence["reasons"][4] & Reasons.MODEL_BLOCK
    assert not evidence["reasons"][0] & Reasons.MODEL_REVIEW


def test_without_blocking_the_worst_is_reviewed(town: SmallNode) -> None:
    batch = town.batch_before("decide", 1)
    batch.score_ppm[:] = 1_000_000
    batch = decided(town, batch, review_ppm=500_000, block_ppm=900_000, block=False)
    assert batch.decisions["verdict"].tolist() == [Verdict.REVIEW]


def test_rules_have_a_threshold_of_their_own_and_never_block(town: SmallNode) -> None:
    batch = town.batch_before("decide", 2)
    batch.score_ppm[:], batch.model = (REVIEW_PPM - 1, 1_000_000), bytes(16)
    batch = decided(town, batch, review_ppm=1, block_ppm=2)
    assert batch.decisions["verdict"].tolist() == [Verdict.ALLOW, Verdict.REVIEW]


def test_a_listed_name_outweighs_the_score(town: SmallNode) -> None:
    batch = town.batch_before("decide", 3)
    batch.score_ppm[:] = 0, 0, 600_000
    batch.screening[:] = 1, 2, 2
    batch = decided(town, batch, review_ppm=500_000, block_ppm=900_000)
    assert batch.decisions["verdict"].tolist() == [1, 2, 2]
    assert (batch.reasons & Reasons.LISTED_NAME > 0).all()


def test_the_control_group_is_small_random_and_marked(town: SmallNode) -> None:
    batch = town.batch_before("decide", 4_000)
    batch.score_ppm[:] = 600_000
    batch.records["amount"][:2_000] = 100_001
    batch = decided(town, batch, review_ppm=500_000, block_ppm=900_000, control_share=0.005)
    passed = np.flatnonzero(batch.decisions["verdict"] == Verdict.ALLOW)
    # 2,000 draws of 0.5 %: fewer than 1 or more than 30 comes up less than once in 10,000 runs.
    assert 1 <= len(passed) <= 30
    assert (passed >= 2_000).all(), "large payments are never passed as control"
    marked = batch.reasons & np.uint32(Reasons.CONTROL_GROUP) > 0
    assert np.array_equal(np.flatnonzero(marked), passed)
    with pytest.raises(ConfigError, match=r"0 to 0\.005"):
        Policy(control_share=0.006)
    with pytest.raises(ConfigError, match="above block_ppm"):
        Policy(review_ppm=900_000, block_ppm=100_000)


class Always:
    """A draw that everybody wins."""

    def random(self, count: int) -> np.ndarray:
        return np.zeros(count)


def test_control_waives_neither_a_block_nor_a_listed_name(town: SmallNode) -> None:
    batch = town.batch_before("decide", 3)
    batch.score_ppm[:], batch.screening[:] = (600_000, 950_000, 600_000), (0, 0, 1)
    policy = Policy(review_ppm=500_000, block_ppm=900_000)
    stage = Decide(dataclasses.replace(town.node.resources, policy=policy))
    stage._random = Always()  # type: ignore[assignment]
    batch = stage(batch)
    assert batch.decisions["verdict"].tolist() == [0, 2, 1]
    marked = batch.reasons & np.uint32(Reasons.CONTROL_GROUP) > 0
    assert marked.tolist() == [True, False, False], "who did not pass is not in the group"


def test_what_was_decided_is_in_the_evidence_and_nothing_else_is_needed(town: SmallNode) -> None:
    """Verdicts of score, list, lot and fall-back, computed again from the row alone."""
    batch = town.batch_before("decide", 5)
    model = town.node.model
    assert model is not None
    batch.score_ppm[:] = model.score(batch.features)
    batch.screening[:] = 0, 0, 1, 2, 0
    batch.creditor_row[4], batch.score_ppm[4] = NO_ROW, 0
    policy = Policy(review_ppm=1, block_ppm=1_000_000)
    stage = Decide(dataclasses.replace(town.node.resources, policy=policy))
    stage._random = Always()  # type: ignore[assignment]
    for made, verdicts in ((stage, [0, 0, 1, 2, 0]), (None, [1, 1, 1, 2, 1])):
        decided = stage.fall_back(batch) if made is None else stage(batch)
        assert decided.decisions["verdict"].tolist() == verdicts
        again = [replay(row, model) for row in decided.evidence]
        assert all(one.equal for one in again)
        assert [one.recomputed.verdict for one in again] == verdicts
        assert decode_evidence(decided.evidence)["model"].tobytes() == model.digest * 5
        batch = decided
        batch.reasons[:] = 0


def test_lots_are_foreseen_by_whoever_knows_the_seed(town: SmallNode) -> None:
    def drawn(seed: int) -> list[int]:
        batch = town.batch_before("decide", 3_000)
        batch.score_ppm[:] = 600_000
        policy = Policy(review_ppm=500_000, block_ppm=900_000)
        resources = dataclasses.replace(town.node.resources, policy=policy, lottery_seed=seed)
        return np.flatnonzero(Decide(resources)(batch).decisions["verdict"] == Verdict.ALLOW).tolist()

    assert drawn(5) == drawn(5) != drawn(6)


def test_when_deciding_fails_a_listed_party_stays_blocked(town: SmallNode) -> None:
    batch = town.batch_before("decide", 3)
    batch.screening[:] = 0, 1, 2
    batch = Decide(town.node.resources).fall_back(batch)
    assert batch.decisions["verdict"].tolist() == [1, 1, 2]


# route


def test_a_payment_that_would_need_an_exchange_is_refused(town: SmallNode) -> None:
    usd = town.node.accounts.asset("USD")
    (dollars,) = town.node.accounts.open([Opening(town.bob_party, usd)])
    records = town.transfers(4)
    set_id(records[1], "creditor", dollars)
    records["asset"][2] = usd.number
    set_id(records[3], "creditor", 12345)
    batch = Route(town.node.resources)(town.batch_before("route", records=records))
    assert outcomes(batch) == [PENDING, Outcome.ASSET_MISMATCH, Outcome.ASSET_MISMATCH, PENDING]
    answers = town.node.intake.call(town.submission(records))
    assert answers.outcome[[1, 2]].tolist() == [Outcome.ASSET_MISMATCH] * 2
    assert answers.outcome[3] == Outcome.CREDITOR_UNKNOWN


# settle


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
