"""From the pipeline's threads back to the event loop, once for a whole group of answers.

Answers come from the journal's thread, many at a time. Waking the loop for each would cost more
than the answer, so the first of a group wakes it and the others ride along.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from bezant.errors import UnknownOutcome
from bezant.pipeline.batch import Submission
from bezant.pipeline.intake import Answers, Intake

_Result = Answers | BaseException


class Replies:
    """Submits without blocking, and awaits the durable answer. Made on the loop that uses it."""

    def __init__(self, intake: Intake, timeout_s: float) -> None:
        self._intake, self._timeout_s = intake, timeout_s
        self.loop = asyncio.get_running_loop()
        self._ready: deque[tuple[asyncio.Future[Answers], _Result]] = deque()
        self._lock = threading.Lock()
        self._woken = False

    async def submit(self, submission: Submission) -> Answers:
        """Return the answers once durable. Raises: what refused it; Overloaded; UnknownOutcome."""
        future: asyncio.Future[Answers] = self.loop.create_future()

        def reply(result: _Result) -> None:
            with self._lock:
                self._ready.append((future, result))
                wake, self._woken = not self._woken, True
            if wake:
                self._wake()

        self._intake.submit(submission, reply)
        overdue = self.loop.call_later(self._timeout_s, self._give_up, future)
        try:
            return await future
        finally:
            overdue.cancel()

    def _wake(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self._drain)
        except RuntimeError:
            # The loop has ended; nobody waits any more.
            self._ready.clear()

    def _drain(self) -> None:
        with self._lock:
            self._woken = False
            ready, self._ready = self._ready, deque()
        for future, result in ready:
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _give_up(self, future: asyncio.Future[Answers]) -> None:
        if not future.done():
            future.set_exception(
                UnknownOutcome(
                    f"no answer within {self._timeout_s:g} s; it may still be settled, so query it before "
                    "doing anything else, or send it again under the same key"
                )
            )
