"""Verdicts: of a score, a listed name, a lot or a fall-back, each with its evidence."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bezant.errors import ConfigError
from bezant.intelligence.evidence import commitments, decode_evidence
from bezant.intelligence.reasons import Reasons
from bezant.intelligence.replay import replay
from bezant.intelligence.rules import REVIEW_PPM
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import NO_ROW
from bezant.pipeline.batch import PaymentBatch
from bezant.stages.decide import Decide
from bezant.stages.policy import Policy
from bezant.stages.screen import Screen
from bezant.testing.nodes import SmallNode


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
