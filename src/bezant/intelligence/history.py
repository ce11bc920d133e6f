"""What happened, as columns: payments in order, what they turned out to be, and when that became known.

A history is what a model is trained on, wherever it comes from. `replay_features` walks through it as
serving would have, so that no feature of a payment knows what was not yet known when it was made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.intelligence.features import FEATURES, FeatureState, FloatMatrix

Progress = Callable[[str, float], None]
"""Called with the name of a step and how much of it is done, 0 to 1."""

BATCH = 1_000
LABEL_DELAY_NS = 7 * 86_400 * 1_000_000_000
"""When a fraud becomes known, where a history does not say: a week later, as in the fraud handbook."""


@dataclass(frozen=True, slots=True)
class History:
    """Settled payments in order of time, as columns (n,), and which of them were fraud.

    `debtor`, `creditor` are account rows; `amount_minor` in minor units of an asset with `scale`
    decimals, one for all or (n,); `time_ns` since 1970; `label` 1 for fraud. What follows is empty where
    it does not apply. `known_ns` is when a fraud became known, else a week after its payment. `cleared_ns`
    is when what was called fraud at `known_ns` was found genuine, 0 where it was not; with `known_ns` 0 it
    was never called fraud, with a later one it was called so again. `judged` marks what a model learns to
    judge; the rest only happened. `device` and `terminal` are 64-bit keys. `refused` are payments that never
    took place: nothing is learned of them but what they were called, and when. `asset` are codes of assets;
    without it all are of one.
    """

    debtor: npt.NDArray[np.integer]
    creditor: npt.NDArray[np.integer]
    amount_minor: npt.NDArray[np.uint64]
    time_ns: npt.NDArray[np.int64]
    label: npt.NDArray[np.uint8]
    scale: int | npt.NDArray[np.int64] = 2
    known_ns: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    cleared_ns: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    judged: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    device: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    terminal: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    refused: History | None = None
    asset: npt.NDArray[np.bytes_] = field(default_factory=lambda: np.zeros(0, "S12"))

    def __len__(self) -> int:
        return self.debtor.size


def replay_features(history: History, progress: Progress) -> FloatMatrix:
    """Return X (n, F) as serving would have computed it: batch after batch, and a label when it is known.

    A label that becomes known within a batch counts from the next one on: later than it might, never earlier.
    """
    state, total = FeatureState(), len(history)
    x = np.empty((total, len(FEATURES)), np.float32)
    labels = _Labels(history)
    for start in range(0, total, BATCH):
        rows = slice(start, start + BATCH)
        labels.tell(state, int(history.time_ns[start]))
        columns = (
            history.debtor[rows],
            history.creditor[rows],
            history.amount_minor[rows],
            history.time_ns[rows],
        )
        scale = history.scale if isinstance(history.scale, int) else history.scale[rows]
        device = history.device[rows] if history.device.size else None
        terminal = history.terminal[rows] if history.terminal.size else None
        x[rows] = state.compute(*columns, scale=scale, device=device, terminal=terminal)
        state.learn(*columns, scale=scale, device=device, terminal=terminal)
        progress("features", min(start + BATCH, total) / total)
    return x


class _Labels:
    """What a history's payments were called, in the order in which it became known."""

    def __init__(self, history: History) -> None:
        parts = [history] if history.refused is None else [history, history.refused]

        def column(of: Callable[[History], npt.NDArray[Any]]) -> npt.NDArray[Any]:
            return np.concatenate([of(part) for part in parts])

        self._debtor, self._creditor = column(lambda part: part.debtor), column(lambda part: part.creditor)
        self._paid_ns = column(lambda part: part.time_ns)
        self._terminal = column(lambda part: part.terminal if part.terminal.size else _zeros(part, np.uint64))
        self._refused = np.arange(self._debtor.size) >= len(history)
        label, cleared_ns = column(lambda part: part.label), column(_cleared_ns)
        called_ns = column(_known_ns)
        cleared = np.flatnonzero(cleared_ns)
        frauds = np.union1d(np.flatnonzero(label), cleared[called_ns[cleared] != 0])
        rows = np.concatenate([frauds, cleared])
        known_ns = np.concatenate([called_ns[frauds], cleared_ns[cleared]])
        order = np.argsort(known_ns, kind="stable")
        self._rows, self._known_ns = rows[order], known_ns[order]
        self._fraud = (np.arange(rows.size) < frauds.size)[order]
        # Only a payment with a name of its own can be found again to take back what was said of it.
        self._named = bool(cleared.size)
        self._told = 0

    def tell(self, state: FeatureState, now_ns: int) -> None:
        """Tell the state of everything that is known by now and was not told before."""
        until = int(np.searchsorted(self._known_ns, now_ns, side="right"))
        if until == self._told:
            return
        said = slice(self._told, until)
        rows = self._rows[said]
        state.label(
            self._debtor[rows],
            self._creditor[rows],
            self._paid_ns[rows],
            self._known_ns[said],
            terminal=self._terminal[rows],
            payment=rows + 1 if self._named else None,
            fraud=self._fraud[said],
            refused=self._refused[rows],
        )
        self._told = until


def _known_ns(part: History) -> npt.NDArray[np.int64]:
    return part.known_ns if part.known_ns.size else part.time_ns + LABEL_DELAY_NS


def _cleared_ns(part: History) -> npt.NDArray[np.int64]:
    return part.cleared_ns if part.cleared_ns.size else _zeros(part, np.int64)


def _zeros(part: History, kind: type[np.generic]) -> npt.NDArray[Any]:
    return np.zeros(len(part), kind)
