"""The thread that commits: everything queued in one group, one sync, and only then is anybody told.

Whoever applied a block and would only wait for it commits it without that thread, if nothing is in front.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from bezant.chain.storage.background import Runner, Task, run_in_thread
from bezant.chain.storage.writer import Applied, BlockWriter

QUEUE_BLOCKS = 64
"""Blocks applied ahead of the disk; beyond that the caller waits."""
BESIDE_FROM = 1_024
"""Payments in a group from which the vault is synced beside the work on its blocks: 2 ms of 10 for four
thousand. For fewer the sync takes less than beginning a thread."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A block that is applied and not yet durable, and what has to be durable before it."""

    applied: Applied
    prepare: Callable[[], object]


class GroupCommit:
    """Makes applied blocks durable, in order. `put` by one thread at a time, the rest from any."""

    def __init__(self, writer: BlockWriter, before_sync: Callable[[], None]) -> None:
        """`before_sync` makes durable what must be so before a group's blocks are."""
        self._writer, self._before_sync = writer, before_sync
        self._queue: queue.Queue[Pending | None] = queue.Queue(QUEUE_BLOCKS)
        self._writing = threading.Lock()
        self._idle_s = 0.0
        self._runner: Runner = run_in_thread
        self._task: Task | None = None

    def start(self, runner: Runner, idle_s: float) -> None:
        """Begin. `idle_s`: seconds without a block after which the journal confirms its last one."""
        self._idle_s, self._runner = idle_s, runner
        self._task = runner("journal", self._write_group)

    def put(self, pending: Pending, *, at_once: bool = False) -> None:
        """Have the next block made durable: by the thread, or `at_once`, if it is the next one to be written.

        After a rest it is the thread in any case, which has to begin to watch for the next one.
        """
        if at_once and self._writing.acquire(blocking=False):
            try:
                if self._writer.is_next(pending.applied.block) and not self._writer.confirmed:
                    self._commit([pending])
                    return
            finally:
                self._writing.release()
        self._queue.put(pending)

    def close(self) -> None:
        """Write what is queued, then stop."""
        self._queue.put(None)
        if self._task is not None:
            self._task.join()

    def _write_group(self) -> bool:
        """Take what is queued and commit it; return False when told to stop.

        Where nothing comes for a while, have the journal confirm its last block instead.
        """
        group: list[Pending | None] = []
        writer = self._writer
        height, confirmed = writer.height, writer.confirmed or writer.failure is not None
        with contextlib.suppress(queue.Empty):
            group.append(self._queue.get(timeout=None if confirmed else self._idle_s))
        with self._writing:
            if not group and writer.height != height:
                # Somebody wrote at once meanwhile: this is no rest.
                return True
            while not self._queue.empty():
                group.append(self._queue.get())
            pending = [item for item in group if item is not None]
            self._commit(pending)
        return len(pending) == len(group)

    def _commit(self, pending: list[Pending]) -> None:
        """Write blocks, sync once, tell the subscribers; without any, confirm the last one."""
        writer = self._writer
        try:
            if pending and writer.failure is None:
                self._write(pending)
            elif writer.failure is None:
                writer.confirm()
        except Exception as error:
            writer.fail("writing the journal", error)
        writer.wake()

    def _write(self, pending: list[Pending]) -> None:
        for item in pending:
            item.prepare()
        payments = sum(len(item.applied.block.records) for item in pending)
        settle_first = self._before_sync if payments < BESIDE_FROM else self._begin_sync()
        self._writer.write([item.applied for item in pending], settle_first)

    def _begin_sync(self) -> Callable[[], None]:
        """Begin `before_sync` beside this thread; return what waits for its end and raises what it did."""
        synced: Future[None] = Future()

        def sync() -> bool:
            try:
                self._before_sync()
            except BaseException as error:
                synced.set_exception(error)
            else:
                synced.set_result(None)
            return False

        task = self._runner("journal-before", sync)

        def wait() -> None:
            task.join()
            synced.result(0)

        return wait
