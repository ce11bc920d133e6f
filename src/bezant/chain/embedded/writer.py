"""The thread that writes: everything queued in one group, one sync, and only then is anybody told."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from bezant.chain import history
from bezant.chain.blocks import CommittedBlock
from bezant.chain.embedded import frames
from bezant.chain.embedded.background import Runner, Task
from bezant.chain.embedded.files import ChainFiles
from bezant.chain.embedded.frames import JournaledBlock
from bezant.chain.embedded.snapshot_writer import SnapshotWriter
from bezant.chain.engine import Subscriber
from bezant.errors import BezantError, StorageError, UnknownOutcome

QUEUE_BLOCKS = 64
"""Blocks applied ahead of the disk; beyond that the caller waits."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A block that is applied and not yet durable, and what has to be durable before it."""

    journaled: JournaledBlock
    block: CommittedBlock
    prepare: Callable[[], object]


class JournalWriter:
    """Makes applied blocks durable, in order. `put` by the thread that applies, the rest from any."""

    def __init__(
        self,
        network: bytes,
        files: ChainFiles,
        reading: threading.Lock,
        snapshots: SnapshotWriter,
        before_sync: Callable[[], None],
    ) -> None:
        self._network, self._before_sync = network, before_sync
        self._journal, self._archive, self._history = files.journal, files.archive, files.history
        self._reading, self._snapshots = reading, snapshots
        self._queue: queue.Queue[Pending | None] = queue.Queue(QUEUE_BLOCKS)
        self._durable = threading.Condition()
        self._idle_s = 0.0
        self._task: Task | None = None
        self.subscribers: list[Subscriber] = []
        self.on_failure: list[Callable[[BezantError], None]] = []
        self.failure: BezantError | None = None
        """What stopped the engine, if anything has."""

    def start(self, runner: Runner, idle_s: float) -> None:
        """Begin. `idle_s`: seconds without a block after which the journal confirms its last one."""
        self._idle_s = idle_s
        self._task = runner("journal", self._write_group)

    def put(self, pending: Pending) -> None:
        self._queue.put(pending)

    def file(self, block: CommittedBlock) -> None:
        """Add a block that is, or is becoming, durable to what is derived from the journal."""
        with self._reading:
            self._archive.append(block)
            self._history.append(
                history.block_leaf(block.height, block.time_ns, block.leaf_count, block.app_hash)
            )

    def wait_durable(self, height: int, timeout_s: float | None = None) -> None:
        """Return once block `height` is durable. Raises: what stopped the engine; UnknownOutcome."""
        with self._durable:
            told = self._durable.wait_for(
                lambda: self._journal.durable_height >= height or self.failure is not None, timeout_s
            )
        if not told:
            raise UnknownOutcome(f"block {height} is not durable after {timeout_s:g} s; query it by id")
        if self._journal.durable_height < height:
            self.check_running()

    def check_running(self) -> None:
        if self.failure is not None:
            raise self.failure

    def fail(self, doing: str, error: Exception) -> None:
        """Stop for good: memory is ahead of the disk now, and only a restart brings them together."""
        if not isinstance(error, BezantError):
            error = StorageError(f"{doing} failed and the engine stopped: {error!r}", code="storage_failed")
        self.failure = error
        for listener in self.on_failure:
            listener(error)

    def close(self) -> None:
        """Write what is queued, then stop."""
        self._queue.put(None)
        if self._task is not None:
            self._task.join()

    def _write_group(self) -> bool:
        """Take what is queued, write it, sync once, tell the subscribers; return False when told to stop.

        Where nothing comes for a while, have the journal confirm its last block instead.
        """
        group: list[Pending | None] = []
        confirmed = self._journal.confirmed or self.failure is not None
        with contextlib.suppress(queue.Empty):
            group.append(self._queue.get(timeout=None if confirmed else self._idle_s))
        while not self._queue.empty():
            group.append(self._queue.get())
        pending = [item for item in group if item is not None]
        try:
            if pending and self.failure is None:
                self._write(pending)
            elif self.failure is None:
                self._journal.confirm()
        except Exception as error:
            self.fail("writing the journal", error)
        with self._durable:
            self._durable.notify_all()
        return len(pending) == len(group)

    def _write(self, pending: list[Pending]) -> None:
        for item in pending:
            item.prepare()
        self._before_sync()
        for item in pending:
            self._journal.append(frames.encode_block(self._network, item.journaled))
            self.file(item.block)
        self._journal.sync()
        self._snapshots.durable(self._journal.durable_height)
        for item in pending:
            for subscriber in self.subscribers:
                subscriber(item.block)
