"""Drift: inputs, scores and outcomes that are no longer what they were, told as events."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from bezant.chain.blocks import CommittedBlock
from bezant.intelligence.adwin import Adwin
from bezant.intelligence.model import Model
from bezant.intelligence.reference import Counts, Reference, stability_index
from bezant.intelligence.scored import Scored
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, Label, of_kind

DRIFTED, STABLE = 0.25, 0.1
"""An index from which on something drifted, and below which it no longer does."""
WINDOW = 2_000
"""Payments that one index is computed over."""
SAMPLE = 512
"""Payments of one look whose inputs are counted; scores are watched of all."""
KEPT = 256
AGE = "debtor_age"
YOUNG_BINS, YOUNG_SHARE = 3, 0.5
"""Young is a network while over half of its payments are of accounts like the youngest 30 % in training."""
PATIENCE = 20
"""Windows after which whatever still is young is taken for what this network is like."""
_PPM_DOUBLINGS = math.log2(1_000_001)

EventKind = Literal["model.drift", "stage.drift"]


@dataclass(frozen=True, slots=True)
class Drift:
    """Something changed: an input, ``score``, ``labels``, or a stage.

    `measure` is ``psi``, where `after` is the index and `before` the bound it passed, or ``adwin``, where
    both are means: of scores in parts per million, of the share of labels that say fraud, or of a stage's
    microseconds a batch.
    """

    kind: EventKind
    subject: str
    measure: Literal["psi", "adwin"]
    before: float
    after: float
    at_ns: int


class _Told(msgspec.Struct):
    """What is told to have drifted, of the model of this name."""

    model: str
    drifted: list[str]


class DriftLog:
    """The last events, and who wants to hear of new ones."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._events: deque[Drift] = deque(maxlen=KEPT)
        self.listeners: list[Callable[[Drift], None]] = []
        self.count = 0
        """Events there ever were since the node was opened."""

    def tell(
        self, kind: EventKind, subject: str, measure: Literal["psi", "adwin"], before: float, after: float
    ) -> None:
        event = Drift(kind, subject, measure, before, after, self._now_ns())
        self._events.append(event)
        self.count += 1
        for listener in self.listeners:
            listener(event)

    @property
    def events(self) -> list[Drift]:
        """The last KEPT events, oldest first."""
        return list(self._events)


class DriftWatch:
    """Holds live payments against what the champion's card says of its training.

    In a young network every window still fills and every payee is new: that is no drift, and nothing is told
    of inputs and scores before accounts are about as old as those in training. Indices are shown meanwhile.
    What was told of a model is kept in a file, so that a restart does not tell it again.
    """

    def __init__(
        self, champion: Callable[[], Model | None], log: DriftLog, memory: Path | None = None
    ) -> None:
        self._champion, self._log, self._memory = champion, log, memory
        self._labels, self._lock = Adwin(), threading.Lock()
        self._begin(b"", None)

    @property
    def indices(self) -> dict[str, float]:
        """The last index of each input and of ``score``, by name; empty before WINDOW payments were seen."""
        return dict(self._indices)

    def look(self, seen: Scored) -> None:
        """Take payments that a model scored; those that rules scored say nothing of a model."""
        if not any(seen.model):
            return
        if seen.model != self._model:
            champion = self._champion()
            if champion is None or champion.name != seen.model:
                return
            self._begin(seen.model, champion)
        if not self._young:
            self._watch_scores(seen)
        if self._reference is not None:
            self._count(seen, self._reference)

    def follow(self, block: CommittedBlock) -> None:
        """Take the labels of a durable block; subscriber of the engine."""
        labels = of_kind(block.records, Kind.LABEL)
        if not labels.any():
            return
        labels &= block.receipts["outcome"][block.system_count :] == Outcome.APPLIED
        with self._lock:
            change = self._labels.update(block.records["amount"][labels] == Label.FRAUD)
        if change is not None:
            self._log.tell("model.drift", "labels", "adwin", round(change.before, 6), round(change.after, 6))

    def _begin(self, model: bytes, champion: Model | None) -> None:
        """Begin anew with another champion."""
        self._model = model
        self._scores = Adwin()
        self._reference: Reference | None = None
        self._names: tuple[str, ...] = ()
        if champion is not None and champion.card.reference is not None:
            self._reference, self._names = champion.card.reference, champion.card.features
        self._indices: dict[str, float] = {}
        self._drifted = self._recall()
        # Without a reference there is nothing to tell youth by.
        self._young, self._windows = self._reference is not None and AGE in self._names, 0
        self._empty()

    def _empty(self) -> None:
        bins = () if self._reference is None else (*self._reference.inputs, self._reference.score)
        self._counts: list[Counts] = [np.zeros(len(one.shares), np.int64) for one in bins]
        self._seen = 0

    def _watch_scores(self, seen: Scored) -> None:
        """In doublings: most scores are tiny, and a mean of parts per million hears only the largest."""
        change = self._scores.update(np.log2(seen.score_ppm + 1.0) / _PPM_DOUBLINGS)
        if change is not None:
            self._log.tell("model.drift", "score", "adwin", _ppm(change.before), _ppm(change.after))

    def _count(self, seen: Scored, reference: Reference) -> None:
        rows = slice(0, None, max(1, -(-len(seen.x) // SAMPLE)))
        x, scores = seen.x[rows], seen.score_ppm[rows]
        for column, bins in enumerate(reference.inputs):
            self._counts[column] += bins.count(x[:, column])
        self._counts[-1] += reference.score.count(scores)
        self._seen += len(x)
        if self._seen >= WINDOW:
            self._conclude(reference)

    def _conclude(self, reference: Reference) -> None:
        self._windows += 1
        self._young = self._young and self._windows < PATIENCE and self._is_young()
        names, bins = (*self._names, "score"), (*reference.inputs, reference.score)
        before = set(self._drifted)
        for name, expected, counts in zip(names, bins, self._counts, strict=True):
            index = self._indices[name] = round(stability_index(expected, counts), 4)
            if self._young:
                continue
            if index >= DRIFTED and name not in self._drifted:
                self._drifted.add(name)
                self._log.tell("model.drift", name, "psi", DRIFTED, index)
            elif index < STABLE:
                self._drifted.discard(name)
        if self._drifted != before:
            self._keep()
        self._empty()

    def _recall(self) -> set[str]:
        """Return what an earlier run told of this model; a file that cannot be read says nothing."""
        if self._memory is None or not self._model:
            return set()
        try:
            told = msgspec.json.decode(self._memory.read_bytes(), type=_Told)
        except (OSError, msgspec.MsgspecError):
            return set()
        return set(told.drifted) if told.model == self._model.hex() else set()

    def _keep(self) -> None:
        if self._memory is None:
            return
        draft = self._memory.with_name(self._memory.name + ".new")
        draft.write_bytes(msgspec.json.encode(_Told(self._model.hex(), sorted(self._drifted))))
        draft.replace(self._memory)

    def _is_young(self) -> bool:
        """Whether this window's payments are mostly of accounts younger than most were in training."""
        ages = self._counts[self._names.index(AGE)]
        return int(ages[:YOUNG_BINS].sum()) > YOUNG_SHARE * int(ages.sum())


def _ppm(doublings: float) -> float:
    return round(2.0 ** (doublings * _PPM_DOUBLINGS) - 1.0, 1)
