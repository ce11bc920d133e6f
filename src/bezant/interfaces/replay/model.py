"""A model learned from the first days of a labelled file, to judge the days after them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bezant.errors import InputError
from bezant.intelligence.model import Model
from bezant.intelligence.training import History, Progress, train
from bezant.interfaces.files.cards import CardBatch, CardFile

DAY_NS = 86_400_000_000_000
LABEL_DELAY_DAYS = 7
"""Days until a label is known, as in the fraud handbook's protocol; nothing is judged before."""


@dataclass(frozen=True, slots=True)
class LearnedModel:
    """The model, and from when on its decisions may be held against the labels."""

    model: Model
    judged_from_ns: int


def learn_from_file(file: CardFile, days: int, seed: int, progress: Progress | None = None) -> LearnedModel:
    """Train on the first `days` of a labelled file.

    Everything after those days and the label delay is unseen. Raises: InputError for a file
    without labels, ModelError where the days hold too little fraud.
    """
    parts: list[CardBatch] = []
    start_ns = end_ns = 0
    for batch in file:
        if batch.label is None:
            raise InputError("the file has no labels to learn from; use --train-days 0", param="train_days")
        start_ns = start_ns or int(batch.time_ns[0])
        end_ns = start_ns + days * DAY_NS
        parts.append(batch)
        if int(batch.time_ns[-1]) >= end_ns:
            break
    # Card 5 is not terminal 5: terminals are numbered behind all cards.
    terminals_from = max(int(part.debtor.max(initial=0)) for part in parts) + 1
    time_ns = np.concatenate([part.time_ns for part in parts])
    rows = slice(0, int(np.searchsorted(time_ns, end_ns)))
    history = History(
        np.concatenate([part.debtor for part in parts])[rows].astype(np.int64),
        np.concatenate([part.creditor for part in parts])[rows].astype(np.int64) + terminals_from,
        np.concatenate([part.amount_minor for part in parts])[rows],
        time_ns[rows],
        np.concatenate([part.label for part in parts if part.label is not None])[rows],
    )
    source = f"{file.path.name}, its first {days} days"
    return LearnedModel(train(history, seed, progress, source=source), end_ns + LABEL_DELAY_DAYS * DAY_NS)
