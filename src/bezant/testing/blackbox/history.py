"""What clients asked and heard, and whether one world can have answered all of it.

An operation without an answer is unknown: it may have happened or not. A later answer or reading of the
same payment decides; from then on every other one must say the same. Nothing may be paid twice, whatever
was retried, and in the end the balances are what the payments that happened add up to.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Fate(Enum):
    """What is known of one payment."""

    UNKNOWN = "unknown"
    PAID = "paid"
    REFUSED = "refused"


class Contradiction(AssertionError):
    """Two things that clients heard cannot both be true."""


@dataclass(slots=True)
class Operation:
    """One payment that a client asked for under a key of its own; amounts in minor units."""

    key: str
    debtor: str
    creditor: str
    amount_minor: int
    fate: Fate = Fate.UNKNOWN
    told: list[str] = field(default_factory=list)
    """Every answer and reading, in order, for the message of a contradiction."""


class History:
    """All operations of all clients. Any thread may write."""

    def __init__(self, opening: dict[str, int]) -> None:
        """`opening` are the balances before the first operation, in minor units."""
        self._opening = opening
        self._operations: dict[str, Operation] = {}
        self._lock = threading.Lock()

    def begin(self, operation: Operation) -> None:
        """Write down that something is about to be asked."""
        with self._lock:
            self._operations[operation.key] = operation

    def hear(self, key: str, fate: Fate, source: str) -> None:
        """Write down what was answered or read. Raises: Contradiction with something heard before."""
        with self._lock:
            operation = self._operations[key]
            operation.told.append(f"{source}: {fate.value}")
            if fate is Fate.UNKNOWN:
                return
            if operation.fate is not Fate.UNKNOWN and operation.fate is not fate:
                raise Contradiction(f"payment {key} was told as {'; '.join(operation.told)}")
            operation.fate = fate

    def miss(self, key: str, source: str) -> None:
        """Write down that a payment was looked for and is not there. Raises: Contradiction if it must be."""
        with self._lock:
            operation = self._operations[key]
            operation.told.append(f"{source}: not there")
            if operation.fate is Fate.PAID:
                raise Contradiction(f"payment {key} is gone; it was told as {'; '.join(operation.told)}")

    def with_fate(self, fate: Fate) -> list[Operation]:
        with self._lock:
            return [operation for operation in self._operations.values() if operation.fate is fate]

    def check_balances(self, balances: dict[str, int]) -> None:
        """Raise Contradiction unless the balances are what the payments that happened add up to.

        Every fate has to be known by now: ask again under the same key first.
        """
        if self.with_fate(Fate.UNKNOWN):
            raise Contradiction("some operations are still unknown; their balances cannot be judged")
        expected = Counter(self._opening)
        for operation in self.with_fate(Fate.PAID):
            expected[operation.debtor] -= operation.amount_minor
            expected[operation.creditor] += operation.amount_minor
        for account, balance in balances.items():
            if balance != expected[account]:
                raise Contradiction(
                    f"account {account} holds {balance}, the payments that happened make {expected[account]}"
                )
