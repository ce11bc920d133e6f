"""Block time: never backwards, and never a silent leap.

One bad step of the system clock could expire every hold, so a forward jump against the
monotonic clock stops block production until an operator confirms it.
"""

from __future__ import annotations

import time
from typing import Protocol

from bezant.errors import StorageError

MAX_JUMP_NS = 60_000_000_000


class Clock(Protocol):
    """Says what time a block is."""

    def now_ns(self) -> int:
        """Return Unix nanoseconds."""


class SystemClock:
    """The machine's clock, held against its monotonic one."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Return Unix nanoseconds. Raises: StorageError code ``clock_jumped`` after a leap forward."""
        now = time.time_ns()
        offset = now - time.monotonic_ns()
        if offset - self._offset_ns > MAX_JUMP_NS:
            seconds = (offset - self._offset_ns) // 1_000_000_000
            raise StorageError(
                f"the system clock jumped {seconds} s ahead; check it, then restart the node to accept it",
                code="clock_jumped",
            )
        self._offset_ns = offset
        return now


class SetClock:
    """Time as a file tells it; a replay sets it before each batch."""

    def __init__(self, start_ns: int = 0) -> None:
        self.time_ns = start_ns

    def now_ns(self) -> int:
        return self.time_ns
