"""Block time: never backwards, and never a silent leap.

One bad step of the system clock could expire every hold, so a forward jump against the
monotonic clock stops block production until an operator confirms it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from bezant.errors import StorageError

MAX_JUMP_NS = 60_000_000_000


class Clock(Protocol):
    """Says what time a block is."""

    def now_ns(self) -> int:
        """Return Unix nanoseconds."""


class SystemClock:
    """The machine's clock, held against its monotonic one; both are callables that return nanoseconds."""

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._offset_ns = wall() - monotonic()

    def now_ns(self) -> int:
        """Return Unix nanoseconds. Raises: StorageError code ``clock_jumped`` after a leap forward."""
        now = self._wall()
        offset = now - self._monotonic()
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
