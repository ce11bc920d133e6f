"""Who waits for which Order: told out of the block that it is in, or that nobody can say."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bezant.chain.blocks import CommittedBlock
from bezant.chain.cometbft.application import Placed
from bezant.chain.engine import Answered, Awaited
from bezant.errors import BezantError, UnknownOutcome
from bezant.model.records import RecordArray


@dataclass(slots=True)
class Outstanding:
    """Orders that were submitted together, by name, and those of their answers that are there."""

    names: tuple[bytes, ...]
    awaited: Awaited = field(default_factory=Awaited)
    since_s: float = 0.0
    answers: dict[bytes, tuple[RecordArray, int, int]] = field(default_factory=dict)

    def join(self) -> Answered:
        """Return all answers, in the order of submission."""
        parts = [self.answers[name] for name in self.names]
        sizes = [len(rows) for rows, _, _ in parts]
        return Answered(
            np.concatenate([rows for rows, _, _ in parts]),
            np.repeat(np.array([height for _, height, _ in parts], np.int64), sizes),
            np.repeat(np.array([time_ns for _, _, time_ns in parts], np.int64), sizes),
        )


class Outcomes:
    """Remembers who waits. Methods may be called from any thread."""

    def __init__(self, patience_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        """After `patience_s` seconds whoever waits is told that the outcome is unknown."""
        self._patience_s, self._clock_s = patience_s, clock_s
        self._lock = threading.Lock()
        self._waiting: dict[bytes, list[Outstanding]] = {}
        self._agreed_s = clock_s()

    def expect(self, names: Sequence[bytes]) -> Outstanding:
        """Return what will be told of Orders of these names; to be called before they are sent."""
        made = Outstanding(tuple(names), since_s=self._clock_s())
        with self._lock:
            for name in made.names:
                self._waiting.setdefault(name, []).append(made)
        return made

    def give_up(self, outstanding: Outstanding, error: BezantError) -> None:
        """Tell one who waits that there will be no answer, and why."""
        self._drop(outstanding)
        outstanding.awaited.resolve(error)

    def settle(self, block: CommittedBlock, placed: Sequence[Placed]) -> None:
        """Tell whoever waits for Orders of a durable block."""
        ready: list[Outstanding] = []
        own = block.receipts[block.system_count :]
        with self._lock:
            for place in placed:
                for one in self._waiting.pop(place.name, ()):
                    self._agreed_s = self._clock_s()
                    one.answers[place.name] = (own[place.start : place.stop], block.height, block.time_ns)
                    if len(one.answers) == len(set(one.names)):
                        ready.append(one)
        for one in ready:
            one.awaited.resolve(one.join())

    def expire(self) -> None:
        """Tell those who have waited for too long that nobody knows."""
        latest_s = self._clock_s() - self._patience_s
        with self._lock:
            late = {id(one): one for many in self._waiting.values() for one in many if one.since_s < latest_s}
        for one in late.values():
            self.give_up(
                one,
                UnknownOutcome(
                    f"the network did not agree on this within {self._patience_s:g} s; it still may, so "
                    "query it by id before doing anything else, or send it again under the same key"
                ),
            )

    def lose(self, error: BezantError) -> None:
        """Tell everybody: this node goes on no more."""
        with self._lock:
            lost = {id(one): one for many in self._waiting.values() for one in many}
        unknown = UnknownOutcome(
            f"the node stopped before the network agreed on this ({error.message}); query it by id"
        )
        for one in lost.values():
            self.give_up(one, unknown)

    @property
    def stalled_s(self) -> float:
        """For how many seconds somebody has waited while nothing was agreed on for anybody, 0 where nobody
        waits. A long queue is no standstill."""
        with self._lock:
            first = next(iter(self._waiting.values()), None)
            return self._clock_s() - max(first[0].since_s, self._agreed_s) if first else 0.0

    def wait_until_empty(self, timeout_s: float) -> None:
        """Return once nobody waits any more, or after so many seconds."""
        until_s = self._clock_s() + timeout_s
        while self._waiting and self._clock_s() < until_s:
            time.sleep(0.01)

    def _drop(self, outstanding: Outstanding) -> None:
        with self._lock:
            for name in outstanding.names:
                others = [one for one in self._waiting.get(name, ()) if one is not outstanding]
                if others:
                    self._waiting[name] = others
                else:
                    self._waiting.pop(name, None)
