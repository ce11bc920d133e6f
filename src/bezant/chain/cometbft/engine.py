"""The engine of a network: CometBFT agrees on blocks, this node applies them and waits for its own Orders.

::

    submit ─ seal, sync the vault ─ broadcast ─ CometBFT, with the other validators ─┐
    answers ─ out of the rows of the block ─ journal synced ─ apply ─ decided block ─┘

Blocks have CometBFT's heights; those without Orders are in the journal too. What was applied and not
committed when a process ended is applied again from CometBFT's own store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from bezant.chain.balances import AccountEvidence
from bezant.chain.cometbft import home
from bezant.chain.cometbft.application import Application, Decided
from bezant.chain.cometbft.broadcast import Broadcaster, Sending
from bezant.chain.cometbft.joining import Joining
from bezant.chain.cometbft.orders import KnownOrders
from bezant.chain.cometbft.outcomes import Outcomes
from bezant.chain.cometbft.peers import Cut
from bezant.chain.cometbft.retention import Retention, TrailKeeper, evidence_age
from bezant.chain.cometbft.rpc import Rpc
from bezant.chain.cometbft.server import AbciServer
from bezant.chain.cometbft.trail import Trail
from bezant.chain.cometbft.turns import Own, Turns
from bezant.chain.cometbft.votes import finality
from bezant.chain.engine import Awaited, Pace
from bezant.chain.finality import Finality
from bezant.chain.receipts import Evidence
from bezant.chain.signatures import Checked, gateway_keys
from bezant.chain.storage.chain import Options, StoredChain
from bezant.errors import Overloaded
from bezant.ledger.batch import NS_PER_S
from bezant.model.digest import Digests, sha256
from bezant.model.genesis import Genesis
from bezant.model.identifiers import AccountId
from bezant.model.keys import SigningKey
from bezant.model.orders import Order, check_shape
from bezant.model.packing import pack_order

BATCHES_UNDER_WAY = 96
"""Batches that wait for a block: at 1,000 payments each, two of the largest blocks. With half as many the
validators wait for the gateway a quarter of the time; at 4,096 each, they take half a gigabyte."""
GATHER_S = 0.05
"""How long payments gather before they go as one Order: little beside the time of a block, and each Order
costs every validator something, however few payments are in it."""
PATIENCE_S = 30.0
"""Seconds after which the outcome of what the network did not agree on is unknown."""
STALLED_S = 10.0
"""Nothing more is accepted while somebody waits and nothing was agreed on for so long."""
CLOSING_S = 3.0
IDLE_S = 25
"""In an idle network the last block is up to so old, which is no halt."""
CAUGHT_UP_S = 50
"""A block whose time lies further back, and whose proposal was not seen here, was agreed on some time ago. In
an idle network there is a block every 20 s, each with the time of the one before."""


def _nothing() -> None:
    """Prepare nothing: the Orders have no evidence to seal."""


def _keep_all(chain: StoredChain) -> int:
    """Have CometBFT forget no block."""
    return 0


class CometEngine(StoredChain):
    """A validator's chain; see `Engine` for the protocol."""

    pace = Pace(BATCHES_UNDER_WAY, GATHER_S, lanes=True)

    def __init__(
        self,
        folder: Path,
        genesis: Genesis,
        node_key: SigningKey,
        ledger_seed: bytes,
        *,
        socket: Path,
        rpc_url: str,
        before_sync: Callable[[], None] = lambda: None,
        patience_s: float = PATIENCE_S,
        joining: Joining | None = None,
        keep_blocks: int = 0,
        now_ns: Callable[[], int] = time.time_ns,
        **options: Unpack[Options],
    ) -> None:
        """Open the chain in `folder` and replay its journal; CometBFT is answered from `start` on.

        `socket` is where CometBFT asks, and in its folder is who it is cut off from; `rpc_url` is where
        CometBFT is asked. `joining` is what it asked until there was a chain, and goes on asking;
        `keep_blocks` is how many blocks it keeps at least, 0: all.
        `ledger_seed` must be the same on every validator, for the app hash covers what is blinded with it.
        `before_sync` makes durable what must be so before an Order is sent (the vault). Raises: ConfigError,
        JournalDamaged, StorageError.
        """
        super().__init__(folder, genesis, node_key, ledger_seed, **options)
        self._still = threading.RLock()
        self._now_ns = now_ns
        self._agreed_ns = self.time_ns or genesis.created_ms * 1_000_000
        """The time of the next block, nearly: it is when the votes on the last one were given."""
        self._known = KnownOrders(self.network, gateway_keys(genesis.gateways))
        self._outcomes = Outcomes(patience_s)
        self._rpc = Rpc(rpc_url)
        turns = Turns(patience_s)
        self._broadcaster = Broadcaster(
            self._rpc, self._outcomes, turns, self._known.is_admissible, before_sync, self._stop
        )
        cut = Cut(socket.parent)
        self._trail = Trail(socket.parent)
        self._keeper: TrailKeeper | None = None
        retain = _keep_all
        if keep_blocks:
            age = evidence_age(socket.parent / "consensus")
            retain = Retention(keep_blocks, age, self._trail).after
            self._keeper = TrailKeeper(self._trail, self._rpc, genesis, lambda: self.durable_height)
        self._application = Application(
            self, self._known, self._settle, cut.refuses, retain, self._broadcaster
        )
        self._joining = joining
        self._server = joining.server if joining else AbciServer(socket, self._application, self._stop)
        self.watch_failure(self._outcomes.lose)

    @property
    def still(self) -> AbstractContextManager[object]:
        """Held while the ledger may not move: blocks come on CometBFT's thread."""
        return self._still

    @property
    def address(self) -> str:
        """Where CometBFT has to ask: its setting ``proxy_app``."""
        return self._server.address

    @property
    def is_reachable(self) -> bool:
        """Whether CometBFT answers."""
        return self._rpc.is_reachable

    def start(self) -> None:
        """Answer CometBFT from now on. Compiled code is loaded first: while a block waits for it, block time
        falls behind, and what clients sign meanwhile has ids in its future."""
        self.load_kernels()
        if self._joining is not None:
            self._joining.hand_over(self._application, self._stop)
        else:
            self._server.start()

    def submit(
        self,
        orders: Sequence[Order],
        prepare: Callable[[], object] = _nothing,
        record_hashes: Digests | None = None,
        checked: Checked | None = None,
        held: bool = False,
    ) -> Awaited:
        """Send orders to the network, on a thread of its own in any case; see `Engine.submit`.

        Raises: Overloaded ``network_stalled`` while earlier ones wait for longer than they should, and
        ``network_behind`` while the next block is to have the time from before a halt.
        """
        for order in orders:
            check_shape(order)
        self._writer.check_running()
        waited_s = self._outcomes.stalled_s
        if waited_s > STALLED_S:
            raise Overloaded(
                f"the network has not agreed on anything for {waited_s:.0f} s; nothing was accepted, try "
                "again once enough validators are there",
                code="network_stalled",
                retry_after_s=5,
            )
        behind_ns = self._now_ns() - self._agreed_ns
        if behind_ns > max(self.genesis.rules.id_future_s, IDLE_S) * NS_PER_S:
            raise Overloaded(
                f"the network agreed on its last block {behind_ns // NS_PER_S} s ago, and what is signed now "
                "would be in the future of the next one; nothing was accepted, try again in a moment",
                code="network_behind",
                retry_after_s=5,
            )
        encoded = tuple(pack_order(self.network, order) for order in orders)
        outstanding = self._outcomes.expect([sha256(data) for data in encoded])
        named = zip(outstanding.names, encoded, strict=True)
        own = tuple(Own(name, data, outstanding) for name, data in named)
        self._broadcaster.put(Sending(own, outstanding, prepare))
        return outstanding.awaited

    def commit(self) -> None:
        """Nothing is held: the network decides when."""

    def prove(self, payment: int) -> Evidence:
        """Return everything a receipt file needs, with the votes under its block. Raises: NotFound."""
        evidence = self.find(payment)
        if evidence.height < home.first_height(self.genesis):
            # Ordered before there was a network: the seal of the node that ordered it vouches.
            return evidence
        return replace(evidence, finality=self._finality(evidence.height))

    def prove_account(self, account: AccountId) -> AccountEvidence:
        """Return an account as the last covered state root has it, with the votes. Raises: NotFound."""
        evidence = super().prove_account(account)
        votes = self._finality(evidence.block.height)
        return replace(evidence, block=replace(evidence.block, finality=votes))

    def _finality(self, height: int) -> Finality:
        return finality(self._rpc, self.genesis, height, self._trail.changes)

    def close(self) -> None:
        """Send what is queued, give its blocks a moment, then stop answering CometBFT."""
        if self._joining is not None:
            self._joining.abandon()
        if not self._closed:
            self._broadcaster.close()
            if self.failure is None:
                self._outcomes.wait_until_empty(CLOSING_S)
            self._server.close()
            self._outcomes.lose(Overloaded("it was closed"))
            if self._keeper is not None:
                self._keeper.close()
            self._rpc.close()
        super().close()

    def _settle(self, decided: Decided) -> None:
        block, now_ns = decided.applied.block, self._now_ns()
        is_new = block.height == self._application.judged_height
        is_new = is_new or now_ns - block.time_ns < CAUGHT_UP_S * NS_PER_S
        self._agreed_ns = now_ns if is_new else block.time_ns
        self._outcomes.settle(block, decided.placed)
        self._broadcaster.settled(block.height, [place.name for place in decided.placed])
        if self._keeper is not None:
            self._keeper.on_durable(decided.applied.block.height)

    def _stop(self, error: Exception) -> None:
        if self.failure is None:
            self._writer.fail("answering CometBFT", error)
