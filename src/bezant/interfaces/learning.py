"""A model from one of the places that there are to learn from: the economy, a node's journal, a file."""

from __future__ import annotations

from pathlib import Path

from bezant.economy.training import train_on_economy
from bezant.errors import InputError
from bezant.intelligence.costs import Costs
from bezant.intelligence.history import Progress
from bezant.intelligence.model import Model
from bezant.intelligence.training import train
from bezant.interfaces.files.cards import CardFile
from bezant.interfaces.files.mapping import CardMapping
from bezant.interfaces.histories import DAY_NS, history_of_file, history_of_folder

ECONOMY, HISTORY = "economy", "history"


def learn(
    source: str,
    seed: int,
    progress: Progress,
    *,
    folder: Path,
    payments: int,
    mapping: CardMapping | str | None = None,
    delay_days: float = 7.0,
    costs: Costs | None = None,
) -> Model:
    """Return a model learned from ``economy`` (of so many `payments`), from the ``history`` of a data
    `folder` whose frauds take `delay_days` to be reported, or from the labelled file of that path.
    `costs` are for its card.

    Raises: InputError for a source that is none, ModelError where there is too little to learn from.
    """
    if source == ECONOMY:
        return train_on_economy(seed, payments, progress=progress, costs=costs)
    if source == HISTORY:
        history = history_of_folder(folder, progress, delay_ns=round(delay_days * DAY_NS))
        return train(history, seed, progress, source=f"the journal of {folder.resolve().name}", costs=costs)
    path = Path(source)
    if not path.is_file():
        raise InputError(
            f"{source!r} is nothing to learn from: write economy, history, or the path of a labelled file",
            code="source_unknown",
            param="from",
        )
    return train(history_of_file(CardFile(path, mapping)), seed, progress, source=path.name, costs=costs)
