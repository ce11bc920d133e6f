"""The embedded engine: apply at once, make durable in groups, tell only then.

The caller applies a block and queues it. `group_commit`, on a thread of its own, takes everything queued,
seals and makes durable what belongs in the vault, writes the frames, syncs once, and then tells the
subscribers. While one group is on its way to the disk the next blocks are applied. A caller with nothing
to do meanwhile commits its block itself: handing it to another thread, and core, takes a tenth of its time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack

from bezant.chain.balances import AccountEvidence
from bezant.chain.blocks import CommittedBlock
from bezant.chain.clock import Clock, SystemClock
from bezant.chain.embedded.group_commit import GroupCommit, Pending
from bezant.chain.engine import Pace
from bezant.chain.signatures import Checked
from bezant.chain.storage.background import Runner, run_in_thread
from bezant.chain.storage.chain import Options, StoredChain
from bezant.model.digest import Digests
from bezant.model.genesis import Genesis
from bezant.model.identifiers import AccountId
from bezant.model.keys import SigningKey
from bezant.model.orders import Order, check_shape

IDLE_S = 0.02
"""Seconds without a block after which the journal confirms its last one."""
BATCHES_UNDER_WAY = 3
"""One being verified, one being settled, one on its way to the disk. While all three are taken the
next one gathers, so that load makes batches larger, not more."""
OVERLAP_FROM = 256
"""Payments from which the next batch begins beside one under way. Three small ones side by side spend half as
much again on taking turns: at 20,000 payments a second 6.5 ms at the median, and 3.9 one after another."""


def _nothing() -> None:
    """Prepare nothing: the block has no evidence to seal."""


class EmbeddedEngine(StoredChain):
    """One node's own chain; see `Engine` for the protocol."""

    pace = Pace(BATCHES_UNDER_WAY, overlap_from=OVERLAP_FROM)

    def __init__(
        self,
        folder: Path,
        genesis: Genesis,
        node_key: SigningKey,
        ledger_seed: bytes,
        *,
        clock: Clock | None = None,
        before_sync: Callable[[], None] = lambda: None,
        runner: Runner = run_in_thread,
        idle_s: float = IDLE_S,
        **options: Unpack[Options],
    ) -> None:
        """Open the chain in `folder` and replay its journal; see `StoredChain` for what else is given.

        `before_sync` makes durable what must be so before an Order is (the vault).
        Raises: JournalDamaged, StorageError.
        """
        super().__init__(folder, genesis, node_key, ledger_seed, runner=runner, **options)
        self._clock = clock or SystemClock()
        self._applying = threading.Lock()
        self._commit = GroupCommit(self._writer, before_sync)
        self._commit.start(runner, idle_s)

    def start(self) -> None:
        """Load what blocks run, which a new release has to compile: payments would wait for it."""
        self.load_kernels()

    def submit(
        self,
        orders: Sequence[Order],
        prepare: Callable[[], object] = _nothing,
        record_hashes: Digests | None = None,
        checked: Checked | None = None,
        held: bool = False,
    ) -> CommittedBlock:
        """Apply orders as the next block; see `Engine.submit`."""
        for order in orders:
            check_shape(order)
        with self._applying:
            self._writer.check_running()
            self._journal.check_room()
            now_ns = max(self._clock.now_ns(), self.time_ns + 1)
            applied = self.apply(self.compose(orders, now_ns, record_hashes, checked))
            self._commit.put(Pending(applied, prepare), held=held)
            return applied.block

    def commit(self) -> None:
        """Make durable what is held; see `Engine.submit`."""
        self._commit.commit()

    def prove_account(self, account: AccountId) -> AccountEvidence:
        """Return an account as the last covered state root has it. Raises: NotFound.

        Where the chain covers no state yet, or none with this account, it is made to cover one first.
        """
        if self._roots.prove(self.account_row(account)) is None:
            self.cover_state()
        return super().prove_account(account)

    def cover_state(self) -> None:
        """Have the chain cover the state as it is now, unless it does: two blocks without orders.

        Raises: StorageError when the engine can accept nothing.
        """
        if self._roots.is_current:
            return
        self.submit([])
        self._roots.settle()
        self.wait_durable(self.submit([]).height)

    def close(self) -> None:
        """Finish what is queued, then stop."""
        if not self._closed:
            self._commit.close()
        super().close()
