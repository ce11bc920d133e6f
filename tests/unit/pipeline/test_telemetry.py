"""Quantiles of logarithmic buckets against the exact ones."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.pipeline.telemetry import BUCKETS, BUCKETS_PER_DOUBLING, Histogram, StageTelemetry


@pytest.mark.parametrize("shape", ["lognormal", "uniform", "two humps"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_quantiles_are_right_to_one_bucket(shape: str, share: float) -> None:
    random = np.random.default_rng(3)
    times = {
        "lognormal": random.lognormal(12, 1.5, 5_000),
        "uniform": random.uniform(1_000, 1_000_000, 5_000),
        "two humps": np.concatenate((random.normal(5e4, 1e3, 2_500), random.normal(5e7, 1e6, 2_500))),
    }[shape].astype(np.int64)
    histogram = Histogram()
    for time in times.tolist():
        histogram.add(time)
    exact = float(np.quantile(times, share, method="inverted_cdf"))
    assert exact * 0.999 <= histogram.quantile_ns(share) <= exact * 2 ** (1 / BUCKETS_PER_DOUBLING) * 1.001
    assert histogram.sum_ns == times.sum()
    assert histogram.total == len(times)


def test_the_edges_of_the_histogram() -> None:
    histogram = Histogram()
    assert histogram.quantile_ns(0.5) == 0
    histogram.add(0)
    histogram.add(10**18, times=3)
    assert histogram.counts[0] == 1
    assert histogram.counts[BUCKETS - 1] == 3
    assert histogram.quantile_ns(0.1) <= 2
    assert histogram.total == 4


def test_a_stage_counts_what_it_did() -> None:
    told = StageTelemetry()
    told.note(3_000, 2, 1)
    told.note(1_000, 2, 0)
    assert (told.batches, told.payments, told.refused, told.busy_ns) == (2, 4, 1, 4_000)
