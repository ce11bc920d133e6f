"""From the event loop into the pipeline and back, a whole group of payments at a time.

What arrives within one turn of the loop is signed together, submitted together and answered
together: one signature, one wake-up of the loop. A lone payment goes alone and waits for nobody.
Each of these steps lets go of the interpreter's lock and has to win it back, so what counts is
how few there are, more than how long they take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from bezant.errors import BezantError, UnknownOutcome
from bezant.gateway.instructions import Instruction
from bezant.gateway.payments import Answered, Payments, answered_rows
from bezant.model.orders import MAX_AUTHORISED_RECORDS
from bezant.pipeline.batch import Submission
from bezant.pipeline.intake import Answers, Intake

T = TypeVar("T")
_Waiting = tuple[Instruction, "asyncio.Future[Answered]"]


class Replies:
    """Submits without blocking, and awaits the durable answer. Made on the loop that uses it."""

    def __init__(self, intake: Intake, payments: Payments, timeout_s: float) -> None:
        self._intake, self._payments, self._timeout_s = intake, payments, timeout_s
        self.loop = asyncio.get_running_loop()
        self._gathered: dict[bool, list[_Waiting]] = {False: [], True: []}

    async def pay(self, instruction: Instruction, *, by_institution: bool = False) -> Answered:
        """Return how a payment was answered, once durable. Raises: what refused it; Overloaded;
        UnknownOutcome."""
        future: asyncio.Future[Answered] = self.loop.create_future()
        gathered = self._gathered[by_institution]
        if not gathered:
            self.loop.call_soon(self._hand_in, by_institution)
        gathered.append((instruction, future))
        overdue = self.loop.call_later(self._timeout_s, self._give_up, [future])
        try:
            return await future
        finally:
            overdue.cancel()

    async def submit(self, submission: Submission) -> Answers:
        """Return the answers to what somebody else signed, once durable; raises as `pay` does."""
        future: asyncio.Future[Answers] = self.loop.create_future()
        self._submit(submission, lambda answers: _resolve([future], [answers]), [future])
        overdue = self.loop.call_later(self._timeout_s, self._give_up, [future])
        try:
            return await future
        finally:
            overdue.cancel()

    def _hand_in(self, by_institution: bool) -> None:
        """Sign and submit what this turn of the loop has gathered."""
        gathered, self._gathered[by_institution] = self._gathered[by_institution], []
        # A hold with a lock is two records.
        most = MAX_AUTHORISED_RECORDS // (2 if any(one.hashlock for one, _ in gathered) else 1)
        for start in range(0, len(gathered), most):
            group = gathered[start : start + most]
            futures = [future for _, future in group]
            submission = self._payments.sign([one for one, _ in group], by_institution=by_institution)
            self._submit_group(submission, futures)

    def _submit_group(self, submission: Submission, futures: list[asyncio.Future[Answered]]) -> None:
        self._submit(
            submission, lambda answers: _resolve(futures, answered_rows(submission, answers)), futures
        )

    def _submit(
        self,
        submission: Submission,
        resolve: Callable[[Answers], None],
        futures: Sequence[asyncio.Future[Any]],
    ) -> None:
        def reply(result: Answers | BaseException) -> None:
            try:
                if isinstance(result, BaseException):
                    self.loop.call_soon_threadsafe(_fail, futures, result)
                else:
                    self.loop.call_soon_threadsafe(resolve, result)
            except RuntimeError:
                # The loop has ended; nobody waits any more.
                return

        try:
            self._intake.submit(submission, reply)
        except BezantError as error:
            _fail(futures, error)

    def _give_up(self, futures: Sequence[asyncio.Future[Any]]) -> None:
        late = UnknownOutcome(
            f"no answer within {self._timeout_s:g} s; it may still be settled, so query it before doing "
            "anything else, or send it again under the same key"
        )
        _fail(futures, late)


def _resolve(futures: Sequence[asyncio.Future[T]], results: Sequence[T]) -> None:
    for future, result in zip(futures, results, strict=True):
        if not future.done():
            future.set_result(result)


def _fail(futures: Sequence[asyncio.Future[Any]], error: BaseException) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
