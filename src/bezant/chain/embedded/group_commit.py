"""The thread that commits: everything queued in one group, one sync, and only then is anybody told.

Whoever applied a block and would only wait for it may hold it back from that thread, and commit it itself.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from bezant.chain.storage.background import Runner, Task, run_in_thread
from bezant.chain.storage.writer import Applied, BlockWriter
from bezant.errors import StorageError

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
        self._queue: deque[Pending] = deque()
        self._changed = threading.Condition()
        """Guards the queue and the next two."""
        self._due = self._closing = False
        self._writing = threading.Lock()
        """Held from taking blocks out of the queue until they are written, so that they are in order."""
        self._idle_s = 0.0
        self._runner: Runner = run_in_thread
        self._task: Task | None = None

    def start(self, runner: Runner, idle_s: float) -> None:
        """Begin. `idle_s`: seconds without a block after which the journal confirms its last one."""
        self._idle_s, self._runner = idle_s, runner
        self._task = runner("journal", self._step)

    def put(self, pending: Pending, *, held: bool = False) -> None:
        """Queue the next block; the thread is told of it unless it is `held` until `commit`."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) < QUEUE_BLOCKS)
            self._queue.append(pending)
        if not held:
            self._tell()

    def commit(self) -> None:
        """Make durable on this thread what is queued. After a rest the journal's own does it, which has to
        begin to watch for the next one."""
        with self._writing:
            # Read while nobody appends: halfway through, the last block passes for confirmed.
            if not self._writer.confirmed and not self._closing:
                if pending := self._take():
                    self._commit(pending)
                return
        self._tell()

    def close(self) -> None:
        """Write what is queued, then stop."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._task is not None:
            self._task.join()

    def _tell(self) -> None:
        with self._changed:
            self._due = True
            self._changed.notify_all()

    def _take(self) -> list[Pending]:
        with self._changed:
            taken = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        return taken

    def _step(self) -> bool:
        """Wait for blocks and commit them; return False when told to stop.

        Where nothing comes for a while, have the journal confirm its last block instead.
        """
        writer = self._writer
        with self._writing:
            height, rests = writer.height, writer.confirmed or writer.failure is not None
        with self._changed:
            self._changed.wait_for(lambda: self._due or self._closing, None if rests else self._idle_s)
            self._due, closing = False, self._closing
        with self._writing:
            pending = self._take()
            # Where somebody else wrote meanwhile, this is no rest.
            if pending or closing or writer.height == height:
                self._commit(pending)
        return not closing

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
        except BaseException as error:
            # Whatever ends this thread: nothing may follow a block that is not written.
            broken = StorageError(f"writing the journal was broken off: {error!r}", code="storage_failed")
            writer.fail("writing the journal", broken)
            raise
        finally:
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
