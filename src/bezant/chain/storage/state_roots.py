"""When state roots are taken, computed and covered, without holding payments up.

A checkpoint is every block whose height the rules' interval divides, and where a node orders by itself
every block without orders (so that it can ask for one). What changed since the last is copied out then,
most of it in slices over the blocks before; a task beside the applying thread hashes it. The chain covers
the root half an interval later, or in the next block that asks: both follow from the ordered blocks
alone, so every node that applies them puts the same root into the same block. A root that is the same
again is left out.

Where a network offers snapshots, the state after every `snapshot_interval`-th block is covered by that very
block instead, and with it where the chain stands: whoever knows that block's app hash can begin there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.chain.blocks import CommittedBlock, StateRoot
from bezant.chain.state_tree import (
    AccountTree,
    Positions,
    WriteOnceDigest,
    state_root,
    table_digest,
    tables_digest,
)
from bezant.chain.storage.background import Runner, Task
from bezant.chain.storage.frames import JournaledBlock
from bezant.errors import InvariantViolation, StorageError
from bezant.ledger import state as layout
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.digest import TAG_STANDING, as_rows, sha256
from bezant.model.genesis import Genesis
from bezant.model.records import COMMAND_KINDS, NO_ROW, RecordArray

SLICES = 16
"""Over how many blocks before a checkpoint most of what changed is copied: at a million accounts that
changed all, under 1 ms each, where one copy takes more than 10."""

Rows = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class AccountProof:
    """One account as a covered state root has it."""

    row: bytes
    position: int
    count: int
    path: tuple[bytes, ...]
    tables: bytes
    state: StateRoot


@dataclass(slots=True)
class Taken:
    """A state that was copied out: after block `height`, and what hashing it gave.

    `tables` are those beside the accounts; where the state is kept, hashing adds the accounts to them.
    """

    height: int
    parts: list[tuple[Positions, Rows]]
    tables: dict[str, npt.NDArray[Any]]
    generation: int
    kept: bool = False
    task: Task | None = None
    standing: bytes = b""
    root: bytes = b""
    digest: bytes = b""
    failure: BaseException | None = field(default=None)

    @property
    def state(self) -> StateRoot:
        """What it hashed to."""
        return StateRoot(self.height, self.root)

    def wait(self) -> None:
        """Return once it is hashed; raises what stopped that."""
        if self.task is not None:
            self.task.join()
        if self.failure is not None:
            raise self.failure


def is_offered(genesis: Genesis, journaled: JournaledBlock) -> bool:
    """Return whether the app hash of a block covers the state after itself: others may begin there."""
    return bool(genesis.snapshot_interval) and journaled.height % genesis.snapshot_interval == 0


def standing_digest(height: int, time_ns: int, archive_root: bytes, receipts: RecordArray) -> bytes:
    """Return where a chain stands after a block, as the state there has it: the root over the archive in
    front of that block, and the block's own receipts."""
    numbers = height.to_bytes(8, "little") + time_ns.to_bytes(8, "little")
    own = sha256(np.ascontiguousarray(receipts).view(np.uint8).data)
    return sha256(TAG_STANDING, numbers, archive_root, own)


def root_of(tables: Mapping[str, npt.NDArray[Any]], ledger_seed: bytes, standing: bytes = b"") -> bytes:
    """Return the state root of tables that came from elsewhere: they are hashed, and nothing in them is
    followed. `standing` is empty but where a snapshot is offered."""
    accounts = as_rows(np.ascontiguousarray(tables["accounts"]))
    tree = AccountTree(ledger_seed, layout.ACCOUNT.itemsize)
    accounts_root = tree.update(np.arange(len(accounts)), accounts)
    once = {name: WriteOnceDigest() for name in layout.WRITE_ONCE}
    return state_root(len(accounts), accounts_root, _digest_tables(tables, once, 0, standing))


def is_request(genesis: Genesis, journaled: JournaledBlock) -> bool:
    """Return whether a block asks for a state root: one without orders does, unless there is a network.

    A network makes blocks without orders by itself, and nothing may follow from those.
    """
    return not journaled.orders and not genesis.validators


class StateRoots:
    """Follows the applying thread block by block. `prove` from any thread, the rest from that one."""

    def __init__(self, ledger: ColumnarLedger, ledger_seed: bytes, interval: int, runner: Runner) -> None:
        self._ledger = ledger
        self._interval, self._lag = interval, max(1, interval // 2)
        self._runner = runner
        self._tree = AccountTree(ledger_seed, layout.ACCOUNT.itemsize)
        self._write_once = {name: WriteOnceDigest() for name in layout.WRITE_ONCE}
        self._dirty = np.zeros(0, np.bool_)
        self._slice = 0
        self._parts: list[tuple[Positions, Rows]] = []
        self._taken: Taken | None = None
        self._last: StateRoot | None = None
        self._covered: tuple[StateRoot, bytes] | None = None
        """The root that balances are proved under, and the digest of the tables beside the accounts."""
        self._covered_through = 0
        self._changed_at = 0
        self._proving = threading.Lock()

    # Called for every block, in this order.

    def due(self, height: int, *, asked: bool) -> StateRoot | None:
        """Return the state root that block `height` has to cover; `asked`: see `is_request`."""
        taken = self._taken
        if taken is None or not (asked or height >= taken.height + self._lag):
            return None
        taken.wait()
        self._taken = None
        with self._proving:
            self._tree.cover()
            changed = self._last is None or taken.root != self._last.root
            if changed:
                self._last = StateRoot(taken.height, taken.root)
            if taken.digest and self._last is not None:
                self._covered, self._covered_through = (self._last, taken.digest), taken.height
            elif changed:
                self._covered = None
        return self._last if changed else None

    def applied(self, block: CommittedBlock, *, asked: bool, keep: bool = False) -> Taken | None:
        """Note what a block changed; return its state if it is a checkpoint, whole if it is to `keep`."""
        self._mark(block.records, block.receipts)
        if len(block.receipts):
            self._changed_at = block.height
        to_go = -block.height % self._interval
        if 0 < to_go <= SLICES:
            self._copy_slice(SLICES - to_go)
        return None if to_go and not asked else self._take(block.height, keep)

    def cover(self, height: int, records: RecordArray, receipts: RecordArray, standing: bytes) -> Taken:
        """Take, hash and cover the state after block `height` at once, with where the chain stands there.

        In place of `due` and `applied`, for the blocks whose state is offered to new members.
        """
        if self._taken is not None:
            raise InvariantViolation(f"the state before block {height} is not covered yet")
        self._mark(records, receipts)
        taken = self._take(height, True, standing)
        taken.wait()
        self._taken = None
        with self._proving:
            self._tree.cover()
            self._last = StateRoot(height, taken.root)
            self._covered, self._covered_through = (self._last, taken.digest), height
            self._changed_at = height
        return taken

    # For proofs and snapshots.

    def prove(self, row: int) -> AccountProof | None:
        """Return an account under the covered root, None where it is not under it (yet)."""
        with self._proving:
            if self._covered is None or row >= self._tree.covered_count:
                return None
            state, tables = self._covered
            return AccountProof(
                self._tree.image.covered(row),
                row,
                self._tree.covered_count,
                tuple(self._tree.covered_path(row)),
                tables,
                state,
            )

    @property
    def is_current(self) -> bool:
        """Whether balances are proved as they are now."""
        return self._covered is not None and self._changed_at <= self._covered_through

    def settle(self) -> StateRoot | None:
        """Wait until a state that was taken is hashed; return its root, None if the chain covers it."""
        taken = self._taken
        if taken is None:
            return None
        taken.wait()
        return StateRoot(taken.height, taken.root)

    def restore(self, height: int, waiting: StateRoot | None, last: StateRoot | None) -> None:
        """Go on from a ledger restored as of block `height`.

        `waiting` was taken and is not covered yet, `last` is the one that the chain covers. Raises:
        StorageError ``snapshot_differs`` where the ledger is not what `waiting` says.
        """
        accounts = as_rows(self._ledger.accounts)
        accounts_root = self._tree.update(np.arange(len(accounts)), accounts)
        self._dirty, self._last = np.zeros(len(accounts), np.bool_), last
        if waiting is None:
            return
        self._taken = Taken(waiting.height, [], {}, 0, root=waiting.root)
        if waiting.height == height:
            tables = layout.tables(self._ledger.state)
            digest = _digest_tables(tables, self._write_once, self._generation())
            if state_root(len(accounts), accounts_root, digest) != waiting.root:
                raise StorageError("the restored state has another root", code="snapshot_differs")
            self._taken.digest = digest

    # Within.

    def _mark(self, records: RecordArray, receipts: RecordArray) -> None:
        count = self._ledger.account_count
        known = len(self._dirty)
        if count > known:
            bigger = np.ones(count + count // 8 + 1024, np.bool_)
            bigger[:known] = self._dirty
            self._dirty = bigger
        for side in ("debtor_row", "creditor_row"):
            self._mark_rows(receipts[side])
        if self._ledger.limits.charges:
            self._mark_rows(receipts["fee_row"][receipts["fee"] != 0])
        commands = records["kind"] >= COMMAND_KINDS
        if commands.any():
            chosen = records[commands]
            for side in ("debtor", "creditor"):
                self._mark_rows(self._ledger.account_rows(chosen[f"{side}_lo"], chosen[f"{side}_hi"]))

    def _mark_rows(self, rows: npt.NDArray[np.uint32]) -> None:
        self._dirty[rows[rows != NO_ROW]] = True

    def _copy_slice(self, number: int) -> None:
        count = self._ledger.account_count
        self._copy(count * number // SLICES, count * (number + 1) // SLICES)

    def _copy(self, start: int, end: int) -> None:
        at = np.flatnonzero(self._dirty[start:end]) + start
        self._dirty[at] = False
        self._parts.append((at, np.take(as_rows(self._ledger.accounts), at, axis=0)))

    def _take(self, height: int, keep: bool, standing: bytes = b"") -> Taken:
        self._copy(0, self._ledger.account_count)
        tables = {
            name: rows if name in layout.WRITE_ONCE else rows.copy()
            for name, rows in layout.tables(self._ledger.state).items()
            if name != "accounts"
        }
        taken = Taken(height, self._parts, tables, self._generation(), keep, standing=standing)
        self._parts = []
        self._taken = taken

        def compute() -> bool:
            try:
                self._compute(taken)
            except BaseException as error:
                taken.failure = error
            return False

        taken.task = self._runner("state-root", compute)
        return taken

    def _generation(self) -> int:
        return int(self._ledger.state.counters["generation_ns"][0])

    def _compute(self, taken: Taken) -> None:
        at, rows = _merge(taken.parts)
        with self._proving:
            accounts_root = self._tree.update(at, rows)
            count = self._tree.image.count
        taken.digest = _digest_tables(taken.tables, self._write_once, taken.generation, taken.standing)
        taken.root = state_root(count, accounts_root, taken.digest)
        taken.parts = []
        if taken.kept:
            taken.tables["accounts"] = self._tree.image.rows.copy().view(layout.ACCOUNT).reshape(-1)
        else:
            taken.tables = {}


def _digest_tables(
    tables: Mapping[str, npt.NDArray[Any]],
    write_once: Mapping[str, WriteOnceDigest],
    generation: int,
    standing: bytes = b"",
) -> bytes:
    """Return the digest of the tables beside the accounts, and where it is said, of where the chain is."""
    digests = {
        name: (
            len(rows),
            write_once[name].digest(generation, rows) if name in write_once else table_digest(rows),
        )
        for name, rows in tables.items()
        if name != "accounts" and (len(rows) or name not in layout.LATER)
    }
    if standing:
        digests["standing"] = 1, standing
    return tables_digest(digests)


def _merge(parts: list[tuple[Positions, Rows]]) -> tuple[Positions, Rows]:
    """Return all changed rows at ascending positions, the last copy of each."""
    at = np.concatenate([positions for positions, _ in parts])
    rows = np.concatenate([copied for _, copied in parts])
    order = np.argsort(at, kind="stable")
    at = at[order]
    last = np.append(at[1:] != at[:-1], True)[: len(at)]
    return at[last], np.take(rows, order[last], axis=0)
