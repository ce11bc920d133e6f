"""Looking at payments beside their way: on a thread of its own, bounded, and shed when late.

Whoever observes gets payments some time after they were handed over, many at once, so that observing costs
a payment next to nothing and never makes one wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from bezant.intelligence.scored import Scored
from bezant.model.records import NO_ROW
from bezant.pipeline.batch import PaymentBatch

INTERVAL_S = 0.2
"""How long payments gather before they are looked at together."""
MOST_WAITING = 20_000
"""Payments that may wait to be looked at; what comes above that is not looked at."""


Look = Callable[[Scored], None]


class Observer:
    """Hands what went through the pipeline to everybody who looks at it."""

    def __init__(self, looks: Sequence[Look], ticks: Sequence[Callable[[], None]] = ()) -> None:
        """`ticks` are called each time too, whether or not anything was offered."""
        self._looks, self._ticks = looks, ticks
        self._batches: deque[PaymentBatch] = deque()
        # Each is counted by one thread alone, so that neither needs a lock.
        self._offered = self._looked = 0
        self._looking = threading.Lock()
        self._closing = threading.Event()
        self.shed = 0
        """Payments that nobody looked at, because too many were waiting."""
        self.failures = 0
        """Times that somebody who looks failed."""
        self._thread = threading.Thread(target=self._work, name="observer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, batch: PaymentBatch) -> None:
        """Take a batch that nothing changes any more; called by the thread that payments wait for."""
        count = len(batch)
        if self._offered - self._looked + count > MOST_WAITING:
            self.shed += count
            return
        self._offered += count
        self._batches.append(batch)

    def look(self) -> None:
        """Have everything looked at that was offered before."""
        with self._looking:
            batches = [self._batches.popleft() for _ in range(len(self._batches))]
            for scored in join_scored(batches):
                for look in self._looks:
                    self._try(partial(look, scored))
            for tick in self._ticks:
                self._try(tick)
            self._looked += sum(len(batch) for batch in batches)

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            # Whoever looks may fail as it likes; no payment is to hear of it.
            self.failures += 1

    def close(self) -> None:
        """Look at what is left, then stop."""
        self._closing.set()
        self._thread.join()
        self.look()

    def _work(self) -> None:
        while not self._closing.wait(INTERVAL_S):
            self.look()


def join_scored(batches: Sequence[PaymentBatch]) -> list[Scored]:
    """Return what the batches scored, together for each model in the order in which they come."""
    by_model: dict[bytes, list[Scored]] = {}
    for batch in batches:
        known = (batch.debtor_row != NO_ROW) & (batch.creditor_row != NO_ROW)
        rows = np.flatnonzero(batch.pays & known)
        if len(rows) and len(batch.features) == len(batch):
            records = batch.records
            by_model.setdefault(batch.model, []).append(
                Scored(
                    records["id_lo"][rows],
                    records["id_hi"][rows],
                    batch.features[rows],
                    batch.score_ppm[rows],
                    batch.model,
                )
            )
    return [
        Scored(
            np.concatenate([part.id_lo for part in parts]),
            np.concatenate([part.id_hi for part in parts]),
            np.concatenate([part.x for part in parts]),
            np.concatenate([part.score_ppm for part in parts]),
            model,
        )
        for model, parts in by_model.items()
    ]
