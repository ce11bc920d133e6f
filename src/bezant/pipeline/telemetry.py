"""What each stage cost and did: counts and latencies, cheap enough for every batch.

Latencies go into logarithmic buckets, 64 to a doubling, so a quantile is right to 1 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

BUCKETS_PER_DOUBLING = 64
BUCKETS = 40 * BUCKETS_PER_DOUBLING


@dataclass(slots=True)
class Histogram:
    """Nanoseconds, counted in logarithmic buckets."""

    counts: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    total: int = 0
    sum_ns: int = 0

    def add(self, elapsed_ns: int, times: int = 1) -> None:
        bucket = int(math.log2(max(elapsed_ns, 1)) * BUCKETS_PER_DOUBLING)
        self.counts[min(bucket, BUCKETS - 1)] += times
        self.total += times
        self.sum_ns += elapsed_ns * times

    def quantile_ns(self, share: float) -> int:
        """Return the latency that `share` of all observations stay under; 0 when there are none."""
        wanted, seen = share * self.total, 0
        for bucket, count in enumerate(self.counts):
            seen += count
            if count and seen >= wanted:
                return int(2 ** ((bucket + 1) / BUCKETS_PER_DOUBLING))
        return 0


@dataclass(slots=True)
class StageTelemetry:
    """One stage's life so far."""

    batches: int = 0
    payments: int = 0
    refused: int = 0
    fallbacks: int = 0
    failures: int = 0
    over_budget: int = 0
    busy_ns: int = 0
    per_batch: Histogram = field(default_factory=Histogram)

    def note(self, elapsed_ns: int, payments: int, refused: int) -> None:
        self.batches += 1
        self.payments += payments
        self.refused += refused
        self.busy_ns += elapsed_ns
        self.per_batch.add(elapsed_ns)
