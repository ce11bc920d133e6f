"""Where payments come in: many callers, two threads that run the flow over whatever is waiting.

Of batches only so many are under way, and while they are the next one gathers, so batches grow with load by
themselves, and a lone payment goes through alone. Small batches go one after another, each on one thread from
the queue to the disk; large ones beside each other, on two and the engine's. Where a network has to agree
first, two batches begin a moment apart at least.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from bezant.chain.blocks import CommittedBlock
from bezant.chain.engine import Answered, Pace
from bezant.errors import BezantError, InvariantViolation, Overloaded, UnknownOutcome
from bezant.model.outcomes import Outcome
from bezant.model.records import RECEIPT, RecordArray
from bezant.pipeline.batch import PaymentBatch, Submission, join_submissions
from bezant.pipeline.flow import Flow

_LOG: Final = logging.getLogger("bezant.pipeline")
MAX_BATCH = 4_096
MAX_WAITING = 200_000
"""Payments that may wait; beyond that the caller is told to come back."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of one submission, row by row; durable when it is handed over.

    `outcome`, `first_outcome` (n,) uint16; `receipts` (n,) zeroed rows for what was refused before
    ordering; `height` 0 where nothing was ordered, the last one's where a network put rows into several.
    """

    height: int
    time_ns: int
    outcome: npt.NDArray[np.uint16]
    first_outcome: npt.NDArray[np.uint16]
    receipts: RecordArray

    @property
    def first(self) -> Outcome:
        """The outcome of the first record; of the only one, usually."""
        return Outcome(int(self.outcome[0]))


Reply = Callable[[Answers | BaseException], None]


@dataclass(slots=True)
class _Waiting:
    """A submission, and who is told once what became of it."""

    submission: Submission
    reply: Reply | None

    def tell(self, result: Answers | BaseException) -> None:
        """Reply, unless that was done; one who cannot be told keeps nobody else from being told."""
        # Two threads may come here: the interpreter does not switch between the two halves of this.
        reply, self.reply = self.reply, None
        if reply is None:
            return
        try:
            reply(result)
        except Exception:
            _LOG.exception("an answer could not be given")


@dataclass(slots=True)
class _Group:
    """Submissions that went into one batch; it counts as under way until they are told."""

    waiting: list[_Waiting]
    is_under_way: bool = True


class Intake:
    """Collects submissions, runs the flow, answers when durable."""

    def __init__(
        self,
        flow: Flow,
        now_ns: Callable[[], int],
        durable_height: int = 0,
        pace: Pace = Pace(under_way=3),  # noqa: B008
        commit: Callable[[], None] = lambda: None,
    ) -> None:
        """`durable_height` is the engine's before its first block from here, `pace` how it wants batches;
        `commit` makes durable on this thread what a batch that is `alone` had ordered."""
        self.flow = flow
        self._now_ns, self._commit = now_ns, commit
        self._queue: deque[_Waiting] = deque()
        self._waiting = 0
        self._running = _Group([])
        self._finishing = threading.Lock()
        self._begun: queue.SimpleQueue[tuple[PaymentBatch, _Group] | None] = queue.SimpleQueue()
        self._pace, self._under_way, self._last_begun_s = pace, 0, 0.0
        self._undurable: deque[tuple[PaymentBatch, _Group]] = deque()
        self._durable_height = durable_height
        self._lost: UnknownOutcome | None = None
        self._lock = threading.Lock()
        self._due = threading.Condition(self._lock)
        """Told when a batch may begin."""
        self._closed = False
        self.failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._begin_batches, name="intake", daemon=True),
            threading.Thread(target=self._finish_batches, name="pipeline", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, submission: Submission, reply: Reply) -> None:
        """Queue a submission; `reply` is called once, on another thread. Raises: Overloaded."""
        with self._lock:
            if self._closed or self.failure is not None:
                raise Overloaded("the node is stopping; nothing was accepted", code="stopping")
            if self._waiting + len(submission) > MAX_WAITING:
                raise Overloaded(f"{self._waiting} payments are waiting; try again in a moment")
            self._waiting += len(submission)
            self._queue.append(_Waiting(submission, reply))
            if self._is_due():
                self._due.notify()

    def call(self, submission: Submission, timeout_s: float | None = 60.0) -> Answers:
        """Submit and wait. Raises: what refused it; UnknownOutcome after `timeout_s`."""
        try:
            return self.future(submission).result(timeout_s)
        except TimeoutError:
            raise UnknownOutcome(f"no answer within {timeout_s:g} s; query it by id") from None

    def future(self, submission: Submission) -> Future[Answers]:
        """Submit and return a future of the answers; what was handed in cannot be cancelled."""
        future: Future[Answers] = Future()
        future.set_running_or_notify_cancel()

        def reply(result: Answers | BaseException) -> None:
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(submission, reply)
        return future

    @property
    def waiting(self) -> int:
        """Payments queued in front of the flow."""
        return self._waiting

    def close(self) -> None:
        """Finish what is queued, then stop."""
        with self._lock:
            self._closed = True
            self._due.notify()
        for thread in self._threads:
            thread.join()

    # Called by the notify stage, whichever thread commits, and the engine when it fails.

    def announce(self, batch: PaymentBatch) -> None:
        """Remember who waits for this batch, or answer at once where there is nothing to wait for.

        The journal has a thread of its own, so the block may be durable, or lost, before this.
        """
        if batch.awaited is not None:
            batch.awaited.tell(partial(self._on_answered, batch, self._running))
            return
        with self._lock:
            lost = self._lost
            ready = batch.durable_at <= self._durable_height
            if not ready and lost is None:
                self._undurable.append((batch, self._running))
        if ready:
            self._answer(batch, self._running)
        elif lost is not None:
            self._refuse(self._running, lost)

    def _on_answered(self, batch: PaymentBatch, group: _Group, result: Answered | BezantError) -> None:
        """Answer a batch whose outcome came with blocks that are durable, or say why there is none."""
        if isinstance(result, BezantError):
            self._refuse(group, result)
        else:
            batch.answered = result
            self._answer(batch, group)

    def on_durable(self, block: CommittedBlock) -> None:
        """Answer everybody whose batch went into a durable block, or was answered out of one."""
        ready = []
        with self._lock:
            self._durable_height = block.height
            while self._undurable and self._undurable[0][0].durable_at <= block.height:
                ready.append(self._undurable.popleft())
        for batch, group in ready:
            self._answer(batch, group)

    def on_failure(self, error: BezantError) -> None:
        """Tell everybody whose block may or may not have reached the disk."""
        unknown = UnknownOutcome(
            f"the node stopped before this was durable ({error.message}); query it by id once it is back"
        )
        with self._lock:
            self._lost = unknown
            lost = list(self._undurable)
            self._undurable.clear()
        for _, group in lost:
            self._refuse(group, unknown)

    def _begin_batches(self) -> None:
        """Put what waits into batches and begin them, whenever one is due."""
        while True:
            with self._lock:
                while not (self._is_due() or (self._closed and not self._queue)):
                    self._due.wait()
                if not self._queue:
                    break
                self._under_way += 1
            self._keep_apart()
            self._begin(self._next_group())
        self._begun.put(None)

    def _is_due(self) -> bool:
        """Whether something waits and may begin: at once where nothing is under way, and beside other batches
        where enough waits to gain more side by side than taking turns costs."""
        if not self._queue or self._under_way >= self._pace.under_way:
            return False
        return self._under_way == 0 or self._waiting >= self._pace.overlap_from

    def _next_group(self) -> _Group:
        """Take what waits, in order, until a batch is full."""
        taken, count = [], 0
        with self._lock:
            while self._queue and count < MAX_BATCH:
                taken.append(self._queue.popleft())
                count += len(taken[-1].submission)
            self._waiting -= count
        return _Group(taken)

    def _keep_apart(self) -> None:
        """Wait until the last batch began long enough ago; what comes in meanwhile joins this one."""
        if self._pace.gather_s:
            time.sleep(max(self._last_begun_s + self._pace.gather_s - time.monotonic(), 0.0))
            self._last_begun_s = time.monotonic()

    def _begin(self, group: _Group) -> None:
        try:
            joined = join_submissions([one.submission for one in group.waiting], self._now_ns())
            batch = self.flow.begin(joined)
        except InvariantViolation as violation:
            self.failure = violation
            self._refuse(group, violation)
        except Exception as error:
            self._refuse(group, error)
        else:
            self._go_on(batch, group)

    def _go_on(self, batch: PaymentBatch, group: _Group) -> None:
        """Finish a small batch here, for it began when no other was under way; else on the other thread."""
        if len(batch) < self._pace.overlap_from and self._finishing.acquire(blocking=False):
            try:
                batch.alone = True
                self._finish(batch, group)
                # Behind the stages, whose time the disk is not.
                self._commit()
            finally:
                self._finishing.release()
        else:
            self._begun.put((batch, group))

    def _finish_batches(self) -> None:
        while (begun := self._begun.get()) is not None:
            with self._finishing:
                self._finish(*begun)

    def _finish(self, batch: PaymentBatch, group: _Group) -> None:
        """Run the stages that see batches one after another."""
        self._running = group
        try:
            if self.failure is not None:
                raise Overloaded("the node is stopping; nothing was accepted", code="stopping")
            self.flow.finish(batch)
        except InvariantViolation as violation:
            self.failure = violation
            self._refuse(group, violation)
        except Exception as error:
            ordered = batch.block is not None or batch.awaited is not None
            self._refuse(group, _after_ordering(error) if ordered else error)

    def _answer(self, batch: PaymentBatch, group: _Group) -> None:
        self._end(group)
        _hand_out(batch, group.waiting)

    def _end(self, group: _Group) -> None:
        """Make room for the next batch."""
        with self._lock:
            if not group.is_under_way:
                return
            group.is_under_way = False
            self._under_way -= 1
            if self._is_due():
                self._due.notify()

    def _refuse(self, group: _Group, error: Exception) -> None:
        self._end(group)
        known = error if isinstance(error, BezantError) else BezantError(f"the pipeline failed: {error!r}")
        for one in group.waiting:
            one.tell(known)


def _after_ordering(error: Exception) -> UnknownOutcome:
    return UnknownOutcome(f"this was ordered, and then the pipeline failed: {error!r}; query it by id")


def _hand_out(batch: PaymentBatch, waiting: list[_Waiting]) -> None:
    """Put each row's outcome together and hand every submission its own rows."""
    own = batch.own_receipts
    if own is not None and len(own) == len(batch):
        # Every row was ordered, and receipts come in the order of the rows: there is nothing to put together.
        outcome, first, receipts = own["outcome"].copy(), own["first_outcome"].copy(), own
    else:
        outcome, first, receipts = batch.refused.copy(), batch.first_outcome, np.zeros(len(batch), RECEIPT)
        if own is not None:
            receipts[batch.ordered] = own
            outcome[batch.ordered] = own["outcome"]
            first = first.copy()
            first[batch.ordered] = own["first_outcome"]
    start = 0
    for one, size, (height, time_ns) in zip(waiting, batch.sizes, _places(batch), strict=False):
        end = start + size
        one.tell(Answers(height, time_ns, outcome[start:end], first[start:end], receipts[start:end]))
        start = end


def _places(batch: PaymentBatch) -> Iterator[tuple[int, int]]:
    """Yield height and time of the last block that has rows of each submission, zeros for none."""
    if batch.answered is None:
        block = batch.block
        yield from itertools.repeat((0, 0) if block is None else (block.height, block.time_ns))
        return
    start = 0
    height, time_ns = np.zeros(len(batch), np.int64), np.zeros(len(batch), np.int64)
    height[batch.ordered], time_ns[batch.ordered] = batch.answered.height, batch.answered.time_ns
    for size in batch.sizes:
        rows = slice(start, start + size)
        yield int(height[rows].max(initial=0)), int(time_ns[rows].max(initial=0))
        start += size
