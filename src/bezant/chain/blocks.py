"""Blocks as every layer above the ledger sees them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from bezant.model.records import RecordArray


class AppHash:
    """The app hash after a block, computed once by whoever asks first.

    Nothing that is applied depends on it, and hashing a block's leaves takes as long as applying it: the
    thread that applies leaves it to the one that writes. Any thread may ask; the others wait.
    """

    __slots__ = ("_compute", "_lock", "_value")

    def __init__(self, compute: Callable[[], bytes]) -> None:
        self._lock = threading.Lock()
        self._compute: Callable[[], bytes] | None = compute
        self._value = b""

    @classmethod
    def known(cls, value: bytes) -> AppHash:
        """Return one that is computed already."""
        found = cls(lambda: value)
        found._value, found._compute = value, None
        return found

    @property
    def value(self) -> bytes:
        with self._lock:
            if self._compute is not None:
                # Set apart only when it succeeded: whoever asks after a failure hears of it too.
                self._value = self._compute()
                self._compute = None
            return self._value


@dataclass(frozen=True, slots=True)
class StateRoot:
    """What the whole state hashed to after block `height`."""

    height: int
    root: bytes


@dataclass(frozen=True, slots=True)
class CommittedBlock:
    """One durable block with its answers; what projections, streams and learning follow.

    `records`, `decisions` (n,) stand row by row as ordered; `authorisations` (m,) cover them.
    `receipts` (s + n,): first `s` system receipts (holds that expired as this block's time
    came), whose `order_index` is NO_ROW, then one receipt per record in order. `state_root` is of an
    earlier block; where there is one, it is the last leaf under this block's app hash.
    """

    height: int
    time_ns: int
    app: AppHash
    records: RecordArray
    decisions: RecordArray
    authorisations: RecordArray
    receipts: RecordArray
    state_root: StateRoot | None = None

    @property
    def app_hash(self) -> bytes:
        return self.app.value

    @property
    def system_count(self) -> int:
        return len(self.receipts) - len(self.records)

    @property
    def leaf_count(self) -> int:
        """How many leaves the app hash covers."""
        return len(self.receipts) + (self.state_root is not None)
