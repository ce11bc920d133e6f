"""What a score costs: features and trees together, one payment at a time and in batches, on one core."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bezant.economy.traffic import join_traffic
from bezant.economy.training import train_on_economy, world_of
from bezant.intelligence.features import BYTES_PER_ACCOUNT, FeatureState
from bezant.interfaces.bench.machine import describe_machine, describe_model

BATCH = 1_024
START_NS = 1_767_225_600_000_000_000
WARM = 20_000
"""Payments before anything is measured: accounts have habits, and code is compiled."""


def run_scoring_bench(
    *, singles: int, batches: int, accounts: int, seed: int, note: Callable[[str], None]
) -> dict[str, object]:
    """Return the report, ready for JSON; microseconds, of the model that the other benchmarks use.

    Payments of a simulated world are scored and then learned, in their order; learning is timed apart.
    """
    note("train a model")
    model = train_on_economy(seed)
    note("make payments")
    count = WARM + singles + batches * BATCH
    traffic = join_traffic(world_of(seed, accounts).traffic(START_NS, count=count))
    state = FeatureState(accounts)
    learning: list[int] = []

    def score(start: int, size: int) -> tuple[int, int]:
        """Return nanoseconds for features and for the trees of one batch, which is then learned."""
        rows = slice(start, start + size)
        debtor, creditor = traffic.debtor[rows], traffic.creditor[rows]
        amount, at = traffic.amount_minor[rows], traffic.time_ns[rows]
        begun = time.perf_counter_ns()
        x = state.compute(debtor, creditor, amount, at)
        between = time.perf_counter_ns()
        model.examine(x)
        done = time.perf_counter_ns()
        state.learn(debtor, creditor, amount, at)
        learning.append(time.perf_counter_ns() - done)
        return between - begun, done - between

    for start in range(0, WARM, BATCH):
        score(start, min(BATCH, WARM - start))
    for start in range(200):  # The first calls of one row warm what calls of many do not.
        score(start, 1)
    note("one payment at a time")
    one = np.array([score(WARM + i, 1) for i in range(singles)])
    note(f"batches of {BATCH}")
    learning.clear()
    many = np.array([score(WARM + singles + i * BATCH, BATCH) for i in range(batches)]) / BATCH
    return {
        "machine": describe_machine(),
        "seed": seed,
        "model": describe_model(model),
        "accounts": len(np.union1d(traffic.debtor, traffic.creditor)),
        "bytes_per_account": BYTES_PER_ACCOUNT,
        "payments": "of a simulated world",
        "one_payment": _describe(one),
        "batches_of_1024": _describe(many)
        | {"learning_us": round(float(np.median(learning)) / BATCH / 1000, 3)},
    }


def _describe(taken: npt.NDArray[np.floating]) -> dict[str, float]:
    """Return microseconds a payment of (n, 2) nanoseconds: features, trees."""
    both = taken.sum(axis=1)
    return {
        "p50_us": round(float(np.median(both)) / 1000, 3),
        "p99_us": round(float(np.quantile(both, 0.99)) / 1000, 3),
        "features_p50_us": round(float(np.median(taken[:, 0])) / 1000, 3),
        "trees_p50_us": round(float(np.median(taken[:, 1])) / 1000, 3),
    }
