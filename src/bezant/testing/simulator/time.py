"""Time that passes only when the simulation says so: a wall clock that can jump, and a monotonic one."""

from __future__ import annotations

from bezant.chain.clock import SystemClock
from bezant.ledger.batch import NS_PER_S
from bezant.testing.ledgers import START_S


class SimulatedTime:
    """Both clocks of the machine, in nanoseconds."""

    def __init__(self) -> None:
        self.wall_ns = START_S * NS_PER_S
        self._monotonic_ns = 0

    def advance(self, duration_ns: int) -> None:
        """Let time pass."""
        self.wall_ns += duration_ns
        self._monotonic_ns += duration_ns

    def jump(self, by_ns: int) -> None:
        """Set the wall clock forward or back; the monotonic one knows nothing of it."""
        self.wall_ns += by_ns

    def clock(self) -> SystemClock:
        """Return the clock that a node starting now has."""
        return SystemClock(lambda: self.wall_ns, lambda: self._monotonic_ns)
