"""Which of this node's Orders go through the mempool, and which wait until it is its turn to propose.

What enters the mempool is sent to every validator by every other, and all of it once more in its block. So a
node sends ahead as much as keeps the network going, which is answered soonest, and keeps the rest for the
block that it proposes itself: that is the first the others hear of it. Where no turn comes (no votes, few of
them, many validators, a network that does not take its proposals) everything goes through the mempool.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bezant.chain.cometbft.outcomes import Outstanding

AHEAD_BYTES = 128 * 1024
"""Of a node's Orders, bytes in the mempool at once. More costs every validator what the block costs it
again; less, and a small payment waits for a turn that it need not wait for."""
TURN_BLOCKS = 8
"""A node that was not asked to propose for so many blocks does not wait for its turn."""
TURN_S = 3.0
"""Seconds after which an Order no longer waits, twice as many for one that was proposed; under full load two
turns are a second apart."""


@dataclass(slots=True, eq=False)
class Own:
    """An Order of this node on its way into a block, and who waits for it.

    `may_wait`: it may be proposed. `ahead`: the mempool has it or is being given it; `offered`: it may have
    been in a proposal of this node's, or the mempool may have taken it without a word. Either way any
    validator may have it. `proposed`: it is in a proposal for the next block that everybody may accept.
    """

    name: bytes
    data: bytes
    outstanding: Outstanding
    may_wait: bool = False
    since_s: float = 0.0
    ahead: bool = False
    offered: bool = False
    proposed: bool = False


class Turns:
    """This node's Orders until their block. Methods may be called from any thread."""

    def __init__(self, patience_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        """After `patience_s` seconds an Order is nobody's any more: who waited was told that nobody knows."""
        self._patience_s, self._clock_s = patience_s, clock_s
        self._lock = threading.Lock()
        self._own: dict[bytes, Own] = {}
        self._height = self._turn = 0
        """The last block, and the last one that this node was asked to propose."""
        self._closed = False

    def keep(self, own: Own) -> bool:
        """Return whether this Order waits here. One that does not is to be handed to the mempool now."""
        with self._lock:
            known = self._own.setdefault(own.name, own)
            if known is own:
                own.since_s = self._clock_s()
                ahead = self._ahead_bytes()
                own.ahead = not (own.may_wait and self._turns_come and _is_full(ahead, own))
            return not known.ahead

    def returned(self, own: Own, *, perhaps_taken: bool = False) -> None:
        """The mempool has not taken this Order, for all that is known: it is here again, to be offered and
        sent as before. The mempool minds no Order that it has."""
        with self._lock:
            own.ahead = False
            own.offered = own.offered or perhaps_taken

    def drop(self, own: Own) -> None:
        """Forget an Order that nobody is to have; the same one of another submission stays."""
        with self._lock:
            if self._own.get(own.name) is own:
                del self._own[own.name]

    def offer(self, height: int) -> list[bytes]:
        """Return what waits, oldest first: this node is asked to propose this block."""
        with self._lock:
            self._turn = height
            waiting = [own for own in self._own.values() if not own.ahead]
            for own in waiting:
                own.offered = True
            return [own.data for own in waiting]

    def proposed(self, names: Iterable[bytes]) -> list[Own]:
        """Note what is in a proposal that everybody may accept; return what is to be handed to the mempool
        now, so that whoever proposes next has something when it begins."""
        with self._lock:
            for name in names:
                if name in self._own:
                    self._own[name].proposed = True
            return self._due()

    def settled(self, height: int, names: Iterable[bytes]) -> list[Own]:
        """Note what is in a block; return what is to be handed to the mempool now."""
        with self._lock:
            self._height = height
            for name in names:
                self._own.pop(name, None)
            for own in self._own.values():
                own.proposed = False
            return self._due()

    def overdue(self) -> list[Own]:
        """Return what has waited for a turn for too long and is to be handed to the mempool now."""
        with self._lock:
            latest_s = self._clock_s() - self._patience_s
            for name in [own.name for own in self._own.values() if own.since_s < latest_s]:
                del self._own[name]
            return self._due()

    def close(self) -> list[Own]:
        """Keep nothing back from now on; return what waited."""
        with self._lock:
            self._closed = True
            return self._due()

    @property
    def _turns_come(self) -> bool:
        return not self._closed and bool(self._turn) and self._height - self._turn < TURN_BLOCKS

    def _ahead_bytes(self) -> int:
        return sum(len(own.data) for own in self._own.values() if own.ahead and not own.proposed)

    def _due(self) -> list[Own]:
        """Return what need not wait any more, marked as sent."""
        turns_come, now_s, ahead = self._turns_come, self._clock_s(), self._ahead_bytes()
        due = []
        for own in self._own.values():
            if own.proposed:
                # A network that halts never says that a proposal came to nothing.
                waits = now_s - own.since_s < 2 * TURN_S
            else:
                waits = turns_come and now_s - own.since_s < TURN_S and _is_full(ahead, own)
            if own.ahead or waits:
                continue
            own.ahead = True
            ahead += len(own.data)
            due.append(own)
        return due


def _is_full(ahead_bytes: int, own: Own) -> bool:
    """Return whether so many bytes of this node in the mempool leave no room for this Order."""
    return ahead_bytes > 0 and ahead_bytes + len(own.data) > AHEAD_BYTES
