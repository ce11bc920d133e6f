"""From the event loop into the pipeline and back, a whole group of payments at a time.

What arrives within one turn of the loop is signed together, submitted together and answered
together: one signature, one wake-up of the loop. A lone payment goes alone and waits for nobody.
Each of these steps lets go of the interpreter's lock and has to win it back, so what counts is
how few there are, more than how long they take.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from bezant.errors import BezantError, UnknownOutcome
from bezant.gateway.instructions import Instruction
from bezant.gateway.payments import Answered, Payments, answered_rows
from bezant.model.orders import MAX_AUTHORISED_RECORDS
from bezant.pipeline.batch import Submission
from bezant.pipeline.intake import Answers, Intake

T = TypeVar("T")
_LOG = logging.getLogger("bezant.rest")
Done = Callable[[Answered | BaseException], None]
"""Is told, once and on the loop, how a payment was answered, or what refused it."""


class Replies:
    """Submits without blocking, and tells the durable answer. Made on the loop that uses it."""

    def __init__(self, intake: Intake, payments: Payments, timeout_s: float) -> None:
        self._intake, self._payments, self._timeout_s = intake, payments, timeout_s
        self.loop = asyncio.get_running_loop()
        self._gathered: dict[bool, list[tuple[Instruction, Done]]] = {False: [], True: []}

    def hand_in(self, instruction: Instruction, done: Done, *, by_institution: bool = False) -> None:
        """Have a payment submitted with what else this turn of the loop gathers.

        What `done` is told may be any error that `pay` raises.
        """
        gathered = self._gathered[by_institution]
        if not gathered:
            self.loop.call_soon(self._submit_gathered, by_institution)
        gathered.append((instruction, done))

    async def pay(self, instruction: Instruction, *, by_institution: bool = False) -> Answered:
        """Return how a payment was answered, once durable. Raises: what refused it; Overloaded;
        UnknownOutcome."""
        future: asyncio.Future[Answered] = self.loop.create_future()
        self.hand_in(instruction, partial(_resolve, future), by_institution=by_institution)
        return await future

    async def submit(self, submission: Submission) -> Answers:
        """Return the answers to what somebody else signed, once durable; raises as `pay` does."""
        future: asyncio.Future[Answers] = self.loop.create_future()
        self._submit(submission, partial(_resolve, future))
        return await future

    def _submit_gathered(self, by_institution: bool) -> None:
        gathered, self._gathered[by_institution] = self._gathered[by_institution], []
        for group in _groups(gathered):
            self._submit_group(group, by_institution)

    def _submit_group(self, group: list[tuple[Instruction, Done]], by_institution: bool) -> None:
        """Sign and submit a group, and tell each its own answer."""
        instructions = [instruction for instruction, _ in group]

        def done(result: Answers | BaseException) -> None:
            if isinstance(result, BaseException):
                told: Sequence[Answered | BaseException] = [result] * len(group)
            else:
                told = answered_rows(submission, result)
            for (_, one), answered in zip(group, told, strict=True):
                try:
                    one(answered)
                except Exception:
                    # One who cannot be told keeps nobody else from being told.
                    _LOG.exception("an answer could not be given")

        try:
            submission = self._payments.sign(instructions, by_institution=by_institution)
        except Exception as error:
            # Whatever it is, nobody may wait for ever, or keep a key taken.
            done(error)
        else:
            self._submit(submission, done)

    def _submit(self, submission: Submission, done: Callable[[Answers | BaseException], None]) -> None:
        """Submit; `done` is called once on the loop, with UnknownOutcome where the answer takes too long."""
        waiting = _Waiting(done)
        overdue = self.loop.call_later(self._timeout_s, waiting.tell, self._late)

        def finish(result: Answers | BaseException) -> None:
            overdue.cancel()
            waiting.tell(result)

        def reply(result: Answers | BaseException) -> None:
            try:
                self.loop.call_soon_threadsafe(finish, result)
            except RuntimeError:
                # The loop has ended; nobody waits any more.
                return

        try:
            self._intake.submit(submission, reply)
        except BezantError as error:
            finish(error)

    @property
    def _late(self) -> UnknownOutcome:
        return UnknownOutcome(
            f"no answer within {self._timeout_s:g} s; it may still be settled, so query it before doing "
            "anything else, or send it again under the same key"
        )


class _Waiting:
    """Somebody who is told once: the answer, or that it takes too long."""

    __slots__ = ("_done",)

    def __init__(self, done: Callable[[Answers | BaseException], None]) -> None:
        self._done: Callable[[Answers | BaseException], None] | None = done

    def tell(self, result: Answers | BaseException) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(result)


def _groups(gathered: list[tuple[Instruction, Done]]) -> Iterator[list[tuple[Instruction, Done]]]:
    """Split what was gathered so that each part fits under one signature."""
    group: list[tuple[Instruction, Done]] = []
    size = 0
    for one in gathered:
        if size + one[0].records > MAX_AUTHORISED_RECORDS:
            yield group
            group, size = [], 0
        group.append(one)
        size += one[0].records
    if group:
        yield group


def _resolve(future: asyncio.Future[T], result: T | BaseException) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
