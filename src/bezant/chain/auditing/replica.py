"""A chain recomputed from what was ordered, block by block, in memory: what an audit compares with.

It composes ledger, state roots and hashes anew rather than through the engine that wrote the files, so
that the two have to agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bezant.chain import leaves
from bezant.chain.auditing.beginning import Beginning
from bezant.chain.blocks import AppHash, CommittedBlock, StateRoot
from bezant.chain.history import Peaks, block_leaf
from bezant.chain.storage.archive import ENTRY, archive_leaf, next_entry
from bezant.chain.storage.background import Step
from bezant.chain.storage.columns import Columns, batch_of, block_of
from bezant.chain.storage.frames import JournaledBlock
from bezant.chain.storage.state_roots import StateRoots, is_offered, is_request, standing_digest
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.digest import Digests
from bezant.model.genesis import Genesis
from bezant.model.merkle import root


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A block as it must be, and the nodes that it adds to the history tree."""

    block: CommittedBlock
    nodes: tuple[bytes, ...]


class Replica:
    """Applies journaled blocks from the first on."""

    def __init__(self, genesis: Genesis, ledger_seed: bytes) -> None:
        self.ledger = ColumnarLedger(genesis)
        self.roots = StateRoots(self.ledger, ledger_seed, genesis.rules.checkpoint_interval, _at_once)
        self.history = Peaks()
        self.app_hash = bytes(32)
        self.time_ns = 0
        self.covered: StateRoot | None = None
        """The last state root that the chain covers."""
        self.entry = np.zeros(1, ENTRY)
        """The ENTRY (1,) of the last block."""
        self._answers = Peaks()
        self._seed = ledger_seed

    def begin(self, at: Beginning) -> None:
        """Go on from where a chain begins, in place of before block 1."""
        position = at.opening.position
        self.ledger.restore(at.opening.tables, position.height)
        self.roots.restore(position.height, None, at.covered)
        self.history, self._answers = at.history, at.answers
        self.app_hash, self.time_ns = position.app_hash, position.time_ns
        self.covered, self.entry = at.covered, at.entry

    @property
    def height(self) -> int:
        return self.history.size

    @property
    def rows(self) -> int:
        """How many receipts there are by now."""
        return int(self.entry["first"][0]) + int(self.entry["count"][0])

    def apply(self, journaled: JournaledBlock, columns: Columns, hashes: Digests) -> Recomputed:
        """Apply the next block as the journal has it; `hashes` (n, 32) are its records' leaf hashes.

        Raises: InvariantViolation.
        """
        height, asked = self.height + 1, is_request(self.ledger.genesis, journaled)
        receipts = self.ledger.apply(batch_of(journaled, columns, hashes))
        offered = is_offered(self.ledger.genesis, journaled)
        if offered:
            standing = standing_digest(height, journaled.time_ns, self._answers.root(), receipts)
            state: StateRoot | None = self.roots.cover(height, columns.records, receipts, standing).state
        else:
            state = self.roots.due(height, asked=asked)
        self.covered = state or self.covered
        built = leaves.build_leaves(
            receipts, hashes, columns.decisions, self._seed, self.ledger.accounts, state
        )
        if len(built):
            self.app_hash = leaves.next_app_hash(self.app_hash, root(leaves.hash_leaves(built)))
        self.time_ns = journaled.time_ns
        block = block_of(journaled, columns, receipts, AppHash.known(self.app_hash), state)
        if not offered:
            self.roots.applied(block, asked=asked)
        self.entry = next_entry(self.entry, block, self.rows)
        self._answers.append(archive_leaf(self.entry, receipts))
        leaf = block_leaf(height, journaled.time_ns, len(built), self.app_hash)
        return Recomputed(block, tuple(self.history.append(leaf)))


@dataclass(frozen=True, slots=True)
class _Done:
    """A task that was over before anybody could wait for it."""

    def join(self) -> None:
        """Return at once."""


def _at_once(name: str, step: Step) -> _Done:
    """Do a task now: a `Runner` that needs no thread."""
    while step():
        pass
    return _Done()
