"""A thread that keeps the store up with the chain, and never holds the chain up.

Committed blocks are offered to a queue that holds a bounded number of receipts. When it is full a block
is simply not queued: the thread sees the gap and reads what it missed from the chain, from where it
also starts after a restart. So the queue is an optimisation, the chain the only source, and memory
stays bounded however far the store is behind.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from bezant.chain.blocks import CommittedBlock
from bezant.errors import StorageError
from bezant.store.lag import NS_PER_S, Lag, Pace
from bezant.store.store import GROUP_RECORDS, Store, in_groups

BlocksFrom = Callable[[int], Iterable[CommittedBlock]]
"""Yields the durable blocks from a height on, that one included."""

QUEUE_RECEIPTS: Final = 131_072
"""About 60 MB of blocks."""
_PAUSE_S: Final = 0.05
_RETRY_S: Final = 1.0
"""Rest after the database refused: restarted, unlocked or given room, it mostly comes back of itself."""
_GATHER_S: Final = 0.2


class Follower:
    """Projects offered blocks in the background. Everything but `start` from any thread."""

    def __init__(
        self,
        store: Store,
        blocks_from: BlocksFrom,
        *,
        durable_height: int = 0,
        durable_receipts: int = 0,
        queue_receipts: int = QUEUE_RECEIPTS,
        now_ns: Callable[[], int] = time.time_ns,
        pace: Pace | None = None,
        retry_s: float = _RETRY_S,
    ) -> None:
        """`durable_height` is how far the chain is by now, `durable_receipts` how many receipts its blocks
        have until there; `now_ns` is the clock that block times are told by; `retry_s` is how long it rests
        after the database refused."""
        self._store = store
        self._blocks_from = blocks_from
        self._capacity, self._queued = queue_receipts, 0
        self._now_ns, self._pace, self._retry_s = now_ns, pace or Pace(), retry_s
        self._queue: deque[tuple[CommittedBlock, Mapping[int, str] | None]] = deque()
        self._changed = threading.Condition()
        self._offered_height = max(store.height, durable_height)
        self._offered_receipts = max(store.receipts, durable_receipts)
        self._oldest_ns: int | None = None
        """The time of the oldest block that waits, as far as one was seen."""
        self._stopping = False
        self._awaited = 0
        """How many callers wait for the store to get on."""
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="store-follower", daemon=True)

    def start(self) -> None:
        """Catch up from the chain, then follow what `follow` hears of."""
        self._thread.start()

    def follow(self, block: CommittedBlock, end_to_end_ids: Mapping[int, str] | None = None) -> None:
        """Hear of a durable block; never waits and never fails, so a chain can call it.

        After a failure blocks are only counted: `lag` grows, and `check` says why.
        """
        with self._changed:
            if block.height > self._offered_height:
                self._offered_height = block.height
                self._offered_receipts += len(block.receipts)
                self._oldest_ns = self._oldest_ns or block.time_ns
            fits = not self._queue or self._queued + len(block.receipts) <= self._capacity
            if self._failure is None and fits:
                self._queue.append((block, end_to_end_ids))
                self._queued += len(block.receipts)
            self._changed.notify_all()

    def check(self) -> None:
        """Raise StorageError ``follower_failed`` if the thread had to stop, or cannot go on now."""
        failure = self._failure
        if failure is not None:
            at, remedy = self._store.height, "restart the node, and rebuild the store if it happens again"
            raise StorageError(
                f"the store cannot follow from block {at} on: {failure}; it is tried again"
                if isinstance(failure, StorageError)
                else f"the store stopped following at block {at}: {failure}; {remedy}",
                code="follower_failed",
            ) from failure

    @property
    def height(self) -> int:
        return self._store.height

    @property
    def lag(self) -> Lag:
        """What is known to be committed and not projected yet."""
        payments = max(0, self._offered_receipts - self._store.receipts)
        oldest_ns = self._oldest_ns
        waited_ns = max(0, self._now_ns() - oldest_ns) if oldest_ns is not None else 0
        return Lag(
            max(0, self._offered_height - self._store.height),
            payments,
            waited_ns / NS_PER_S,
            self._pace.per_second,
        )

    @property
    def failure(self) -> BaseException | None:
        """What stopped the thread, or keeps it from going on; None while it is well."""
        return self._failure

    def wait_for(self, height: int, timeout_s: float) -> bool:
        """Return whether the store reached a height in time. Raises: StorageError if it never will."""
        with self._changed:
            self._awaited += 1
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._store.height >= height or self._failure is not None, timeout_s
            )
            self._awaited -= 1
            if self._store.height >= height:
                return True
            self.check()
            return False

    def close(self) -> None:
        """Finish the group at hand and end the thread. Raises: StorageError if it had failed."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        self.check()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._pace.begin()
                self._catch_up()
                self._recover()
                while self._wait():
                    self._gather()
                    self._pace.begin()
                    self._project_queued()
            except StorageError as error:
                self._fail(error)
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, self._retry_s)
            except BaseException as error:
                # Nothing may end this thread unseen: every caller hears of it from now on.
                self._fail(error)
                return

    def _fail(self, error: BaseException) -> None:
        """Tell everybody, and keep no blocks: the chain has them."""
        with self._changed:
            self._failure = error
            self._queue.clear()
            self._queued = 0
            self._changed.notify_all()

    def _recover(self) -> None:
        """Go on as if nothing had failed, once everything there is has been projected."""
        with self._changed:
            self._failure = None

    def _wait(self) -> bool:
        """Wait for work; return False when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._behind())
            return not self._stopping

    def _gather(self) -> None:
        """Let blocks gather for a moment unless somebody waits or they fill a group: a transaction costs
        as much for one block as for a hundred, and takes the interpreter from whoever pays meanwhile."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or self._awaited > 0 or self._queued >= GROUP_RECORDS, _GATHER_S
            )

    def _behind(self) -> bool:
        return bool(self._queue) or self._offered_height > self._store.height

    def _project_queued(self) -> None:
        group, known = self._take_group()
        if group and group[0].height == self._store.height + 1:
            self._project(group, known)
        elif self._offered_height > self._store.height:
            self._catch_up()
            self._pause_if_still_behind()

    def _take_group(self) -> tuple[list[CommittedBlock], dict[int, str]]:
        """Take consecutive blocks off the queue, without those that are already in."""
        group: list[CommittedBlock] = []
        known: dict[int, str] = {}
        records = 0
        with self._changed:
            while self._queue and records < GROUP_RECORDS:
                block, texts = self._queue[0]
                if group and block.height != group[-1].height + 1:
                    break
                self._queue.popleft()
                self._queued -= len(block.receipts)
                if block.height > self._store.height:
                    group.append(block)
                    records += len(block.records)
                    known.update(texts or {})
        return group, known

    def _catch_up(self) -> None:
        for group in in_groups(self._blocks_from(self._store.height + 1)):
            if self._stopping:
                return
            self._project(group, None)

    def _pause_if_still_behind(self) -> None:
        """Wait a moment where the chain does not give yet what was offered, rather than spin."""
        with self._changed:
            if not self._stopping and not self._queue and self._offered_height > self._store.height:
                self._changed.wait(_PAUSE_S)

    def _project(self, group: list[CommittedBlock], known: Mapping[int, str] | None) -> None:
        with self._changed:
            self._oldest_ns = group[0].time_ns
        before = self._store.receipts
        self._store.project(group, known)
        self._pace.note(self._store.receipts - before)
        with self._changed:
            self._offered_height = max(self._offered_height, self._store.height)
            self._offered_receipts = max(self._offered_receipts, self._store.receipts)
            # Where more waits it is hardly younger than what was just taken in.
            self._oldest_ns = group[-1].time_ns if self._behind() else None
            self._changed.notify_all()
