"""A model learned from the first days of a labelled file, to judge the days after them."""

from __future__ import annotations

from dataclasses import dataclass

from bezant.intelligence.history import LABEL_DELAY_NS, Progress
from bezant.intelligence.model import Model
from bezant.intelligence.training import train
from bezant.interfaces.files.cards import CardFile
from bezant.interfaces.histories import DAY_NS, history_of_file


@dataclass(frozen=True, slots=True)
class LearnedModel:
    """The model, and from when on its decisions may be held against the labels."""

    model: Model
    judged_from_ns: int


def learn_from_file(
    file: CardFile, days: int, seed: int, progress: Progress | None = None, *, scale: int | None = None
) -> LearnedModel:
    """Train on the first `days` of a labelled file, whose amounts have `scale` decimals.

    Everything after those days and the delay of labels is unseen: nothing is judged before. Raises:
    InputError for a file without labels, ModelError where the days hold too little fraud.
    """
    history = history_of_file(file, days=days, scale=scale)
    model = train(history, seed, progress, source=f"{file.path.name}, its first {days} days")
    return LearnedModel(model, int(history.time_ns[0]) + days * DAY_NS + LABEL_DELAY_NS)
