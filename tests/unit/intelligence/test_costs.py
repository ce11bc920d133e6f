"""Thresholds follow cost, in whole numbers; a budget leaves the reviews that save the most."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bezant.economy import World, join_traffic
from bezant.economy.training import START_NS, history_of
from bezant.errors import ConfigError
from bezant.intelligence.alerts import HOUR_NS, AlertBudget, alert_threshold, open_counts
from bezant.intelligence.costs import Costs, Segment, compare, expected_loss, read_costs
from bezant.intelligence.metrics import NEVER_PPM
from bezant.intelligence.training import VALIDATED, train

NOW = 1_767_225_600 * 10**9


def amounts(*minor: int) -> np.ndarray:
    return np.array(minor, np.uint64)


def known(count: int) -> np.ndarray:
    return np.zeros(count, np.bool_)


def test_a_threshold_is_the_lowest_score_at_which_another_verdict_is_cheaper() -> None:
    costs = Costs("EUR", lost_ppm=800_000, review_minor=500, insult_minor=5_000)
    minor = amounts(1, 400, 700, 5_000, 123_457, 10**9, 2**63)
    at = costs.thresholds(minor, known(len(minor)))
    for amount, review, block in zip(minor.tolist(), at.review_ppm, at.block_ppm, strict=True):
        loss = min(amount * 800_000 // 10**6, 10**18)

        def costs_of(ppm: int, loss: int = loss) -> tuple[Fraction, Fraction, Fraction]:
            p = Fraction(ppm, 10**6)
            return p * loss, Fraction(500), (1 - p) * 5_000

        def reviewed(ppm: int) -> bool:
            return costs_of(ppm)[0] > costs_of(ppm)[1]

        def blocked(ppm: int) -> bool:
            passing, asking, insulting = costs_of(ppm)
            return insulting < passing and insulting < asking

        for threshold, holds in ((int(review), reviewed), (int(block), blocked)):
            assert threshold == NEVER_PPM or holds(threshold)
            assert not holds(min(threshold - 1, 10**6))
    # To look at four euros costs more than they are worth.
    assert at.review_ppm[:2].tolist() == [NEVER_PPM, NEVER_PPM]
    assert (np.diff(at.review_ppm.astype(np.int64)) <= 0).all(), "the larger, the sooner a person looks"
    # However large: while a person is cheaper than an insult, only what is nearly certain is blocked.
    assert at.block_ppm[-1] == 900_001


def test_the_first_segment_that_fits_counts() -> None:
    segments = (
        Segment("large and new", from_minor=100_000, new_payee=True, review_minor=100),
        Segment("large", from_minor=100_000, review_minor=900),
        Segment("new", new_payee=True, lost_ppm=500_000),
    )
    costs = Costs("EUR", segments=segments)
    new = np.array([True, False, True, False])
    at = costs.thresholds(amounts(100_000, 100_000, 99_999, 99_999), new)
    assert at.segment.tolist() == [1, 2, 3, 0]
    assert at.review_minor.tolist() == [100, 900, 500, 500]
    assert at.loss_minor.tolist() == [100_000, 100_000, 49_999, 99_999]
    assert [costs.segment_name(n) for n in (0, 1, 3)] == ["", "large and new", "new"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"asset": "EUR", "review_minor": 0}, "minor units"),
        ({"asset": "EUR", "lost_ppm": 1_000_001}, "lost_ppm"),
        ({"review_minor": 5}, "asset"),
        ({"asset": "EUR", "reviews": 5}, "reviews"),
        ({"asset": "EUR", "alerts_per_day": -1}, "alerts_per_day"),
        ({"asset": "EUR", "segments": [{"name": "a"}, {"name": "a"}]}, "one name"),
        ({"asset": "EUR", "segments": [{"name": "a", "insult_minor": 0}]}, "minor units"),
    ],
)
def test_costs_that_make_no_sense_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_costs(settings)


def test_without_costs_there_are_none() -> None:
    assert read_costs({}) is None


def test_a_report_adds_up_what_each_way_costs() -> None:
    costs = Costs("EUR", review_minor=500, insult_minor=5_000)
    label = np.array([1, 1, 0, 0, 0], np.uint8)
    score = np.array([300_000, 999_000, 999_000, 40_000, 1_000], np.uint32)
    minor = amounts(10_000, 20_000, 30_000, 40_000, 900)
    report = compare(costs, label, score, minor, known(5), 500_000, 990_000)
    # At fixed thresholds a fraud of 100.00 passes, and an honest customer is blocked.
    assert (report.fixed.lost_minor, report.fixed.reviews, report.fixed.insults) == (10_000, 0, 1)
    assert report.fixed.per_1000_minor == (10_000 + 5_000) * 1_000 // 5
    # By cost a person looks at that fraud, and at 400.00 with a chance of 4 %.
    assert (report.by_cost.lost_minor, report.by_cost.reviews, report.by_cost.insults) == (0, 2, 1)
    assert report.by_cost.per_1000_minor == (2 * 500 + 5_000) * 1_000 // 5


def test_a_report_says_nothing_of_payments_in_other_assets() -> None:
    traffic = join_traffic(World(7, 60, 10, 6, fraud_share=0.05).traffic(START_NS, count=6_000))
    history, costs = history_of(traffic), Costs("EUR", review_minor=100)
    codes = np.where(np.arange(len(history)) % 3 == 0, b"JPY", b"EUR").astype("S12")
    mixed = train(replace(history, asset=codes), 3, trees=20, costs=costs).card.costs
    alone = train(history, 3, trees=20, costs=costs).card.costs
    assert mixed is not None
    assert alone is not None
    newest = codes[int(len(codes) * VALIDATED) :]
    assert (mixed.payments, mixed.other_assets) == ((newest == b"EUR").sum(), (newest == b"JPY").sum())
    assert (alone.payments, alone.other_assets) == (len(newest), 0)
    assert mixed.fixed.lost_minor < alone.fixed.lost_minor


def test_a_day_never_has_more_reviews_than_the_budget_and_has_the_most_worth_while() -> None:
    rng, budget = np.random.default_rng(3), AlertBudget(100)
    taken: list[tuple[int, int]] = []
    wanted: list[tuple[int, int]] = []
    for step in range(6 * 24 * 4):
        now = NOW + step * HOUR_NS // 4
        loss = np.exp(rng.normal(8.0, 1.5, rng.poisson(4))).astype(np.uint64)
        bar = budget.bar(loss, now)
        wanted += [(now, int(one)) for one in loss]
        taken += [(now, int(one)) for one in loss if one >= bar]
    times = np.array([now for now, _ in taken])
    most = max(int(((times > at - 24 * HOUR_NS) & (times <= at)).sum()) for at in times)
    assert most <= 100
    later = NOW + 72 * HOUR_NS
    after = [loss for now, loss in taken if now > later]
    passed = sorted((loss for now, loss in wanted if now > later), reverse=True)
    assert len(after) > 200, "the budget is used"
    assert sum(after) > 0.8 * sum(passed[: len(after)]), "for what is expected to save the most"


def test_a_burst_takes_the_largest_and_then_nothing_until_the_day_has_passed() -> None:
    budget = AlertBudget(3)
    burst = amounts(10, 50, 40, 30, 20)
    assert (burst >= budget.bar(burst, NOW)).tolist() == [False, True, True, True, False]
    assert budget.bar(amounts(10**6), NOW + HOUR_NS) > 10**6
    assert budget.bar(amounts(10**6), NOW + 26 * HOUR_NS) <= 10**6


def test_counts_are_kept_unless_they_are_of_another_time_or_none(tmp_path: Path) -> None:
    path, now_ns, loss = tmp_path / "alerts.counts", 500 * HOUR_NS, np.array([5, 6], np.uint64)
    AlertBudget(2, open_counts(path, now_ns)).bar(loss, now_ns)
    assert AlertBudget(2, open_counts(path, now_ns)).bar(loss, now_ns) > 6, "nothing is left of the day"
    assert AlertBudget(2, open_counts(path, now_ns + 30 * HOUR_NS)).bar(loss, now_ns + 30 * HOUR_NS) == 0
    assert AlertBudget(2, open_counts(path, now_ns - 30 * HOUR_NS)).bar(loss, now_ns - 30 * HOUR_NS) == 0
    content = bytearray(path.read_bytes())
    content[-1] = 0x80
    path.write_bytes(content)
    assert not open_counts(path, now_ns)["wanted"].any(), "a negative count is none"


def test_an_alert_threshold_is_the_lowest_score_that_reaches_the_bar() -> None:
    loss = amounts(0, 999, 1_000, 123_456, 10**18)
    for bar in (1, 1_000, 777, 2**63):
        for ppm, one in zip(alert_threshold(bar, loss).tolist(), loss, strict=True):
            reaches = expected_loss(
                np.array([min(ppm, 10**6), max(ppm, 1) - 1], np.uint32), amounts(one, one)
            )
            assert ppm == NEVER_PPM or reaches[0] >= bar
            assert reaches[1] < bar
    assert alert_threshold(0, loss).tolist() == [0] * 5
