"""When snapshots are made, and by whom: drafted at a checkpoint by the thread that applies, written beside.

What a draft takes from the applying thread is a copy of the small tables and of what goes with them;
the accounts come from the state tree's own image, remembered ids are never copied at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bezant.chain.blocks import CommittedBlock, StateRoot
from bezant.chain.storage.background import Runner, Task
from bezant.chain.storage.files import ChainFiles
from bezant.chain.storage.snapshots import Arrays, Snapshot, Snapshots
from bezant.chain.storage.state_roots import StateRoots, Taken
from bezant.errors import StorageError
from bezant.ledger import state as layout
from bezant.ledger.columnar import ColumnarLedger


@dataclass(frozen=True, slots=True)
class Cadence:
    """After how many receipts a snapshot is made: at a checkpoint while running, and on closing."""

    running: int = 2_000_000
    closing: int = 50_000


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a snapshot will hold, once its block is durable and its state hashed."""

    block: CommittedBlock
    taken: Taken
    companions: Arrays


class SnapshotWriter:
    """Follows one chain. `count` and `begin` by the thread that applies, `durable` by the one that writes."""

    def __init__(
        self,
        snapshots: Snapshots,
        files: ChainFiles,
        dump_companions: Callable[[], Arrays],
        cadence: Cadence,
        runner: Runner,
    ) -> None:
        self._snapshots, self._files, self._runner = snapshots, files, runner
        self._dump_companions, self._cadence = dump_companions, cadence
        self._receipts = 0
        self._draft: _Draft | None = None
        self._writing = False
        self._task: Task | None = None
        self.failure: StorageError | None = None
        """Why the last snapshot could not be written, if it could not: the chain goes on without."""

    @property
    def is_due(self) -> bool:
        """Whether the next checkpoint should be kept for a snapshot."""
        return self._draft is None and not self._writing and self._receipts >= self._cadence.running

    def count(self, block: CommittedBlock) -> None:
        """Hear of every block that is applied or replayed."""
        self._receipts += len(block.receipts)

    def begin(self, block: CommittedBlock, taken: Taken) -> None:
        """Draft a snapshot after `block`, whose state was `taken` to be kept."""
        self._receipts = 0
        self._draft = _Draft(block, taken, self._dump_companions())

    def durable(self, height: int) -> None:
        """Hear up to which height everything is durable; begin writing what was drafted until there."""
        draft = self._draft
        if draft is None or draft.block.height > height:
            return
        self._writing, self._draft = True, None

        def write() -> bool:
            draft.taken.wait()
            waiting = StateRoot(draft.taken.height, draft.taken.root)
            self._write(draft.block, waiting, draft.taken.tables, draft.companions)
            self._writing = False
            return False

        self._task = self._runner("snapshot", write)

    def close(self, block_time_ns: int, app_hash: bytes, roots: StateRoots, ledger: ColumnarLedger) -> None:
        """Finish what is being written; write a last one if replaying what came since would take long."""
        if self._task is not None:
            self._task.join()
        if self._receipts < self._cadence.closing:
            return
        height = self._files.journal.height
        at = self._files.position_after(height, block_time_ns, app_hash)
        self._keep(
            Snapshot(
                replace(at, waiting=roots.settle()), layout.tables(ledger.state), self._dump_companions()
            )
        )

    def _write(self, block: CommittedBlock, waiting: StateRoot, tables: Arrays, companions: Arrays) -> None:
        at = self._files.position_after(block.height, block.time_ns, block.app_hash)
        self._keep(Snapshot(replace(at, waiting=waiting), tables, companions))

    def _keep(self, snapshot: Snapshot) -> None:
        try:
            self._files.sync_derived()
            self._snapshots.write(snapshot)
            self.failure = None
        except StorageError as error:
            self.failure = error
