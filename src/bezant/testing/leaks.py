"""Nothing that was not knowable may enter a feature: a check for whatever replays a history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bezant.intelligence.features import FEATURES, FloatMatrix
from bezant.intelligence.history import LABEL_DELAY_NS, History, Progress

Replay = Callable[[History, Progress], FloatMatrix]


class LeakFound(AssertionError):
    """A feature changed with something that happened, or became known, after its payment."""


def check_point_in_time(replay: Replay, history: History, cuts: int = 8, seed: int = 1) -> None:
    """Raise LeakFound where a row depends on what comes after it, or on a label before it is known.

    At each cut the future is made another one: later payments get other parties and amounts, and every
    label that is not known yet is turned round. What was computed before the cut must not change by a bit.
    """
    rng = np.random.default_rng(seed)
    known_ns = history.known_ns if history.known_ns.size else history.time_ns + LABEL_DELAY_NS
    history = replace(history, known_ns=known_ns)
    silent: Progress = lambda step, share: None  # noqa: E731
    x = replay(history, silent)
    for cut in np.sort(rng.choice(np.arange(1, len(history)), cuts, replace=False)).tolist():
        now_ns = int(history.time_ns[cut - 1])
        later, unknown = np.arange(len(history)) >= cut, known_ns > now_ns
        other = replace(
            history,
            debtor=np.where(later, history.creditor, history.debtor),
            creditor=np.where(later, history.debtor, history.creditor),
            amount_minor=np.where(later, history.amount_minor[::-1], history.amount_minor),
            label=np.where(later | unknown, 1 - history.label, history.label).astype(np.uint8),
        )
        changed = (replay(other, silent)[:cut] != x[:cut]).any(axis=0)
        if changed.any():
            names = ", ".join(FEATURES[column] for column in np.flatnonzero(changed)[:5])
            raise LeakFound(f"features of the first {cut} payments change with what came after: {names}")
