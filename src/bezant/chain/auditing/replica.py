"""A chain recomputed from what was ordered, block by block, in memory: what an audit compares with.

It composes ledger, state roots and hashes anew rather than through the engine that wrote the files, so
that the two have to agree.
"""

from __future__ import annotations

from dataclasses import dataclass

from bezant.chain import leaves
from bezant.chain.blocks import AppHash, CommittedBlock, StateRoot
from bezant.chain.history import Peaks, block_leaf
from bezant.chain.storage.background import Step
from bezant.chain.storage.columns import Columns, batch_of, block_of
from bezant.chain.storage.frames import JournaledBlock
from bezant.chain.storage.state_roots import StateRoots, is_request
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
        self._seed = ledger_seed

    @property
    def height(self) -> int:
        return self.history.size

    def apply(self, journaled: JournaledBlock, columns: Columns, hashes: Digests) -> Recomputed:
        """Apply the next block as the journal has it; `hashes` (n, 32) are its records' leaf hashes.

        Raises: InvariantViolation.
        """
        height, asked = self.height + 1, is_request(self.ledger.genesis, journaled)
        receipts = self.ledger.apply(batch_of(journaled, columns, hashes))
        state = self.roots.due(height, asked=asked)
        self.covered = state or self.covered
        built = leaves.build_leaves(
            receipts, hashes, columns.decisions, self._seed, self.ledger.accounts, state
        )
        if len(built):
            self.app_hash = leaves.next_app_hash(self.app_hash, root(leaves.hash_leaves(built)))
        self.time_ns = journaled.time_ns
        block = block_of(journaled, columns, receipts, AppHash.known(self.app_hash), state)
        self.roots.applied(block, asked=asked)
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
