"""What every engine offers, few methods on purpose: submit, follow, prove.

An engine orders what it is given, makes it durable, applies it, and hands the committed block
to whoever subscribed. This release has one, the embedded engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from bezant.chain.blocks import CommittedBlock
from bezant.chain.receipts import Evidence
from bezant.chain.signatures import Checked
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.digest import Digests
from bezant.model.orders import Order

Subscriber = Callable[[CommittedBlock], None]
"""Called once for each block, in order, after it is durable; must not block for long."""


class Engine(Protocol):
    """Orders, makes durable, proves."""

    network: bytes
    ledger: ColumnarLedger

    def submit(
        self,
        orders: Sequence[Order],
        prepare: Callable[[], object] = ...,
        record_hashes: Digests | None = None,
        checked: Checked | None = None,
    ) -> CommittedBlock:
        """Apply orders as the next block and return it; subscribers hear of it once it is durable.

        `prepare` is called by the writing thread before anything of the block is written: what it
        does (sealing evidence) is durable first. `record_hashes` (n, 32) are the records' leaf hashes
        where the caller has them already, `checked` what was found of the Orders' signatures, in order.

        Raises: StorageError when the engine can accept nothing (disk full, clock jumped).
        """

    def subscribe(self, subscriber: Subscriber) -> None:
        """Follow committed blocks from the next one on."""

    def blocks_from(self, height: int) -> Iterator[CommittedBlock]:
        """Yield durable blocks from `height` on, as far as there are any now."""

    def prove(self, payment: int) -> Evidence:
        """Return everything a receipt file needs. Raises: NotFound."""

    def close(self) -> None:
        """Finish what is queued, then stop."""
