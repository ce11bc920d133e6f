"""Blocks into the files: appended, synced once for all of them, and only then is anybody told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bezant.chain import history
from bezant.chain.blocks import CommittedBlock
from bezant.chain.engine import Subscriber
from bezant.chain.storage import frames
from bezant.chain.storage.archive import archive_leaf
from bezant.chain.storage.files import ChainFiles
from bezant.chain.storage.frames import JournaledBlock
from bezant.chain.storage.offers import Offers
from bezant.chain.storage.snapshot_writer import SnapshotWriter
from bezant.errors import BezantError, InvariantViolation, StorageError, UnknownOutcome


@dataclass(frozen=True, slots=True)
class Applied:
    """A block as the journal keeps it, and with the ledger's answers."""

    journaled: JournaledBlock
    block: CommittedBlock


class BlockWriter:
    """Makes blocks durable and tells of them, in order. One thread at a time writes; any may wait."""

    def __init__(
        self,
        network: bytes,
        files: ChainFiles,
        reading: threading.Lock,
        snapshots: SnapshotWriter,
        offers: Offers,
    ) -> None:
        self._network = network
        self._journal, self._archive, self._history = files.journal, files.archive, files.history
        self._answers = files.answers
        self._reading, self._snapshots, self._offers = reading, snapshots, offers
        self._durable = threading.Condition()
        self.subscribers: list[Subscriber] = []
        self.on_failure: list[Callable[[BezantError], None]] = []
        self.failure: BezantError | None = None
        """What stopped the engine, if anything has."""

    def write(self, applied: Sequence[Applied], settle_first: Callable[[], None] = lambda: None) -> None:
        """Make the next blocks durable with one sync, then tell the subscribers of each.

        `settle_first` returns once what the blocks rest on is durable; until then nothing of them is in the
        journal, and what is derived from it is made meanwhile.
        """
        if applied[0].block.height != self.height + 1:
            raise InvariantViolation(f"block {applied[0].block.height} is to be written behind {self.height}")
        bodies = [frames.encode_block(self._network, item.journaled) for item in applied]
        for item in applied:
            self.file(item.block)
        settle_first()
        for body in bodies:
            self._journal.append(body)
        self._journal.sync()
        for follower in (self._snapshots, self._offers):
            follower.durable(self._journal.durable_height)
        for item in applied:
            for subscriber in self.subscribers:
                subscriber(item.block)

    def file(self, block: CommittedBlock) -> None:
        """Add a block that is, or is becoming, durable to what is derived from the journal."""
        with self._reading:
            entry = self._archive.append(block)
            self._history.append(
                history.block_leaf(block.height, block.time_ns, block.leaf_count, block.app_hash)
            )
            if self._answers is not None:
                self._answers.append(archive_leaf(entry, block.receipts))

    @property
    def height(self) -> int:
        """The last height written."""
        return self._journal.height

    @property
    def confirmed(self) -> bool:
        """Whether something on the disk says that the last block was durable."""
        return self._journal.confirmed

    def confirm(self) -> None:
        """Have the disk say that the last block was durable."""
        self._journal.confirm()

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

    def wake(self) -> None:
        """Have whoever waits look again: something was written, or the engine stopped."""
        with self._durable:
            self._durable.notify_all()

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
