"""How far the store is behind the chain, and how soon it would be up with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

NS_PER_S: Final = 1_000_000_000
_HALF_LIFE: Final = 50_000
"""After so many payments a measured rate counts half."""


@dataclass(frozen=True, slots=True)
class Lag:
    """What is durable and not in the store yet.

    `payments` counts answers of the ledger, holds that expired among them; `seconds` is how old the oldest
    of them is. `payments_per_second` is how fast the store took in the last ones while it had work, 0
    before the first.
    """

    blocks: int = 0
    payments: int = 0
    seconds: float = 0.0
    payments_per_second: float = 0.0

    @property
    def drain_seconds(self) -> float:
        """How long it takes the store to be up with the chain if nothing else comes; 0 if unknown."""
        return self.seconds_until(0)

    def seconds_until(self, payments: int) -> float:
        """Return how long until no more than so many are waiting, if nothing else comes; 0 if unknown."""
        if not self.payments_per_second:
            return 0.0
        return max(self.payments - payments, 0) / self.payments_per_second


class Pace:
    """Measures how fast payments are taken in, whatever that takes: reading blocks, rows, the commit.

    Idle time does not count: `begin` says when work starts, `note` that some of it is done.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock_ns = clock_ns
        self._began_ns = 0
        self._payments = self._busy_ns = 0.0

    def begin(self) -> None:
        self._began_ns = self._clock_ns()

    def note(self, payments: int) -> None:
        now_ns = self._clock_ns()
        kept = 0.5 ** (payments / _HALF_LIFE)
        self._payments = self._payments * kept + payments
        self._busy_ns = self._busy_ns * kept + max(now_ns - self._began_ns, 1)
        self._began_ns = now_ns

    @property
    def per_second(self) -> float:
        """Payments a second of work, recent ones counting most; 0 before the first."""
        return self._payments / self._busy_ns * NS_PER_S if self._busy_ns else 0.0
