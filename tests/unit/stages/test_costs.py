"""Thresholds that follow cost, in the pipeline: recorded with each decision, and bounded by a budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bezant.errors import ConfigError
from bezant.intelligence.costs import Costs
from bezant.intelligence.evidence import decode_evidence
from bezant.intelligence.reasons import Reasons
from bezant.model.outcomes import Verdict
from bezant.model.records import RecordArray
from bezant.testing.nodes import EUR, SmallNode

PRICED = """
[policy]
control_share = 0
block = false
[costs]
asset = "EUR"
review_minor = 1
insult_minor = 5000
{more}
"""


def decided(small: SmallNode, *amounts: int) -> tuple[RecordArray, RecordArray]:
    """Return decisions and evidence of payments from Alice to Bob in one batch."""
    records = small.transfers(len(amounts))
    records["amount"] = amounts
    batch = small.batch_before("route", records=records)
    return batch.decisions, decode_evidence(batch.evidence)


def test_each_payment_has_the_threshold_of_its_amount(tmp_path: Path, model_file: Path) -> None:
    with SmallNode(tmp_path / "node", model=model_file, settings=PRICED.format(more="")) as small:
        decisions, evidence = decided(small, 1, 5_000, 400_000)
    at = Costs("EUR", review_minor=1, insult_minor=5_000).thresholds(
        np.array([1, 5_000, 400_000], np.uint64), np.ones(3, np.bool_)
    )
    assert evidence["review_ppm"].tolist() == decisions["threshold_ppm"].tolist() == at.review_ppm.tolist()
    assert (evidence["block_ppm"] == 1_000_001).all()
    assert decisions["verdict"].tolist() == [
        Verdict.REVIEW if score >= review else Verdict.ALLOW
        for score, review in zip(evidence["score_ppm"], at.review_ppm, strict=True)
    ]
    assert decisions["verdict"][2] == Verdict.REVIEW


def test_a_budget_passes_what_saves_least_and_says_so(tmp_path: Path, model_file: Path) -> None:
    with SmallNode(
        tmp_path / "node", model=model_file, settings=PRICED.format(more="alerts_per_day = 2")
    ) as small:
        decisions, evidence = decided(small, 300_000, 500_000, 400_000)
        later, _ = decided(small, 600_000)
        small.tick(26 * 3_600)
        tomorrow, _ = decided(small, 600_000)
    expected = evidence["score_ppm"].astype(np.uint64) * np.array([3, 5, 4], np.uint64)
    passed = int(np.argmin(expected))
    verdicts = decisions["verdict"].tolist()
    assert verdicts.count(Verdict.REVIEW) == 2
    assert verdicts[passed] == Verdict.ALLOW
    assert evidence["alert_ppm"][passed] > evidence["score_ppm"][passed] >= evidence["review_ppm"][passed]
    assert not evidence["reasons"][passed] & Reasons.MODEL_REVIEW
    assert later["verdict"].tolist() == [Verdict.ALLOW], "the day's reviews are given out"
    assert tomorrow["verdict"].tolist() == [Verdict.REVIEW]


def test_a_budget_goes_on_where_the_last_run_ended(tmp_path: Path, model_file: Path) -> None:
    with SmallNode(
        tmp_path / "node", model=model_file, settings=PRICED.format(more="alerts_per_day = 2")
    ) as small:
        first, _ = decided(small, 400_000, 400_001)
        small.restart()
        small.tick()
        second, _ = decided(small, 600_000)
        small.node.close()
        (small.path / "models" / "alerts.counts").write_bytes(b"not counts")
        small.restart()
        small.tick()
        third, _ = decided(small, 600_000)
    assert first["verdict"].tolist() == [Verdict.REVIEW] * 2
    assert second["verdict"].tolist() == [Verdict.ALLOW], "the day had its two reviews before the restart"
    assert third["verdict"].tolist() == [Verdict.REVIEW], "a file that holds no counts begins anew"


def test_a_budget_blocks_what_it_blocked_before(tmp_path: Path, model_file: Path) -> None:
    settings = PRICED.format(more="alerts_per_day = 1").replace("block = false", "")
    with SmallNode(tmp_path / "node", model=model_file, settings=settings.replace("5000", "1")) as small:
        decided(small, 300_000)
        decisions, evidence = decided(small, 900_000, 900_000)
    # An insult that costs no more than a review: whatever is worth a look is blocked.
    assert (evidence["score_ppm"] >= evidence["block_ppm"]).all()
    assert decisions["verdict"].tolist() == [Verdict.BLOCK, Verdict.BLOCK]


def test_costs_in_an_asset_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none of this network's assets"):
        SmallNode(tmp_path / "node", settings='[costs]\nasset = "XXX"\n')


def test_without_costs_and_for_other_assets_the_card_s_thresholds_stay(
    tmp_path: Path, model_file: Path
) -> None:
    with SmallNode(
        tmp_path / "node", model=model_file, settings='[costs]\nasset = "USD"\nreview_minor = 1\n'
    ) as small:
        assert small.node.accounts.asset("EUR").number == EUR
        decisions, _ = decided(small, 100, 400_000)
        card = small.node.model
    assert card is not None
    assert decisions["threshold_ppm"].tolist() == [card.card.review_ppm] * 2
