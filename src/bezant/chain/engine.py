"""What every engine offers, few methods on purpose: submit, follow, prove.

An engine orders what it is given, makes it durable, applies it, and hands the committed block to whoever
subscribed. There are two: the embedded one, where this node orders by itself and knows the outcome at
once, and CometBFT, where a network agrees first and the outcome comes with the block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bezant.chain.balances import AccountEvidence
from bezant.chain.blocks import CommittedBlock
from bezant.chain.checkpoints import Note
from bezant.chain.receipts import Evidence
from bezant.chain.signatures import Checked, Signatures
from bezant.chain.storage.base import Opening
from bezant.errors import BezantError
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.digest import Digests
from bezant.model.genesis import Genesis
from bezant.model.identifiers import AccountId
from bezant.model.orders import Order
from bezant.model.records import RecordArray

Subscriber = Callable[[CommittedBlock], None]
"""Called once for each block, in order, after it is durable; must not block for long."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of Orders, record by record as they stood in them; durable.

    `receipts` (n,) RECEIPT; `height`, `time_ns` (n,) int64 of the block that each is in.
    """

    receipts: RecordArray
    height: npt.NDArray[np.int64]
    time_ns: npt.NDArray[np.int64]


Listener = Callable[[Answered | BezantError], None]


class Awaited:
    """Orders on their way into blocks. What became of them is told once, on the thread that learns it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._result: Answered | BezantError | None = None
        self._listener: Listener | None = None

    def tell(self, listener: Listener) -> None:
        """Have `listener` told, now if it is known already."""
        with self._lock:
            known = self._result
            self._listener = listener
        if known is not None:
            listener(known)

    def resolve(self, result: Answered | BezantError) -> None:
        """Say what became of them; only the first word counts."""
        with self._lock:
            if self._result is not None:
                return
            self._result, listener = result, self._listener
        if listener is not None:
            listener(result)

    @property
    def is_resolved(self) -> bool:
        return self._result is not None


@dataclass(frozen=True, slots=True)
class Pace:
    """How an engine wants to be fed.

    `under_way` batches at most, and two of them begun `gather_s` apart at least, so that what comes in
    between goes together; beside another one only from `overlap_from` payments on; `lanes`: whether an Order
    is to hold either commands or none.
    """

    under_way: int
    gather_s: float = 0.0
    lanes: bool = False
    overlap_from: int = 1


class Engine(Protocol):
    """Orders, makes durable, proves."""

    network: bytes
    genesis: Genesis
    ledger: ColumnarLedger
    signatures: Signatures
    height: int
    """The last height applied; durable a moment later."""
    time_ns: int
    begins_behind: int
    """The block that this node's chain begins behind: 0, or the one of the snapshot it began at."""
    pace: Pace

    @property
    def still(self) -> AbstractContextManager[object]:
        """Held by whoever reads several things of the ledger, or of what learns from it, that have to be
        of one moment: no block is applied meanwhile."""

    @property
    def durable_height(self) -> int: ...

    @property
    def failure(self) -> BezantError | None:
        """What stopped the engine, if anything has."""

    def start(self) -> None:
        """Begin to take blocks: whoever subscribed before hears of all of them."""

    def submit(
        self,
        orders: Sequence[Order],
        prepare: Callable[[], object] = ...,
        record_hashes: Digests | None = None,
        checked: Checked | None = None,
        held: bool = False,
    ) -> CommittedBlock | Awaited:
        """Have orders applied; subscribers hear of their block once it is durable.

        Returned is the block where the engine orders by itself, else what its answers are told by.
        `prepare` is called, usually on another thread, before anything of the block is written or sent: what
        it does (sealing evidence) is durable first. `record_hashes` (n, 32) are the records' leaf hashes
        where the caller has them already, `checked` what was found of the Orders' signatures, in order.
        `held` says that the caller has nothing to do until the block is durable and will `commit` it: its
        subscribers are told before that returns, on this thread, and must not submit anything themselves.

        Raises: StorageError when the engine can accept nothing (disk full, clock jumped); Overloaded.
        """

    def commit(self) -> None:
        """Make durable on this thread what was submitted and held, if the engine orders by itself."""

    def subscribe(self, subscriber: Subscriber) -> None:
        """Follow committed blocks from the next one on."""

    def watch_failure(self, listener: Callable[[BezantError], None]) -> None:
        """Have `listener` told, once, when the engine can go on no more."""

    def blocks_from(self, height: int) -> Iterator[CommittedBlock]:
        """Yield durable blocks from `height` on, as far as there are any now."""

    @property
    def first_height(self) -> int:
        """The first block that this node has: 1, but where its chain began at a snapshot."""

    def opening(self) -> Opening | None:
        """Return what the ledger was where its chain begins behind a block, None where with block 1."""

    def receipts_until(self, height: int) -> int:
        """Return how many receipts the blocks up to a durable height have."""

    def app_hash_at(self, height: int) -> bytes:
        """Return the app hash after a durable block. Raises: NotFound."""

    def wait_durable(self, height: int, timeout_s: float | None = None) -> None:
        """Return once block `height` is durable. Raises: what stopped the engine; UnknownOutcome."""

    def find(self, payment: int) -> Evidence:
        """Return a record and its answer with the way up to its block. Raises: NotFound."""

    def prove(self, payment: int) -> Evidence:
        """Return everything a receipt file needs: what is found, and who vouches for it. Raises: NotFound."""

    def prove_account(self, account: AccountId) -> AccountEvidence:
        """Return an account as the last covered state root has it. Raises: NotFound."""

    def checkpoint(self, height: int | None = None) -> Note:
        """Return the signed checkpoint of the first `height` blocks, or of all. Raises: NotFound."""

    def prove_consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the first `new` blocks begin with the first `old`. Raises: NotFound."""

    def prove_block(self, height: int, size: int) -> list[bytes]:
        """Return the path from block `height` to the root of the first `size`. Raises: NotFound."""

    def close(self) -> None:
        """Finish what is queued, then stop."""
