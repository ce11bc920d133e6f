"""The layers of defence that attackers are set against, each at the same share of honest payments reviewed.

Models and thresholds come from another world than the one that is defended: its seed is never attacked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bezant.economy.adversary import KINDS
from bezant.economy.rehearsal import add_attackers
from bezant.economy.traffic import join_traffic
from bezant.economy.training import START_NS, history_of, world_of
from bezant.intelligence.features import COLUMN, FloatMatrix
from bezant.intelligence.graph import GRAPH_FEATURES
from bezant.intelligence.history import replay_features
from bezant.intelligence.model import Model
from bezant.intelligence.rules import REVIEW_PPM, score_rules
from bezant.intelligence.training import TRAINED, fit
from bezant.pipeline.batch import PaymentBatch
from bezant.stages.resources import Resources
from bezant.stages.score import Score

TRAINING_SEED = 1_007
CONSUMERS = 1_000
"""Of the world that models learn from: chosen on worlds 101 to 103, where 300 taught too little."""
BUDGET = 0.005
"""Share of honest payments that each layer may stop in the world it learned from; a model's usual budget."""
LET_ALL_PASS = "review_ppm = 1000000\nblock = false\n"
NEVER_PPM = 1_000_001
LISTED = 4
"""Of so many attackers one has a first mule whose name is on the watchlist: an assumption, and no finding."""
Told = Literal["", "paid", "all"]
"""Which thefts become known a week later: none, those that were paid, or those that were stopped too."""

Note = Callable[[str, float], None]
Scores = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Defence:
    """A layer, or several: a model and its policy, the score from which on rules stop a payment, configured
    rules, screening by a list that knows some mules, and what it is told."""

    name: str
    model: Model | None = None
    policy: str = ""
    rules_ppm: int = 0
    """0: rules decide where there is no model, and not at all where there is one."""
    against: tuple[str, ...] = KINDS
    """The kinds of attackers that it is set against."""
    configured: str = ""
    """``[[rules]]`` of its node."""
    screening: bool = False
    told: Told = ""


class RulesOf(Score):
    """Built-in rules from another score on than they are shipped with."""

    def __init__(self, resources: Resources, rules_ppm: int) -> None:
        super().__init__(resources)
        self._rules_ppm = rules_ppm

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        batch = self.fall_back(batch)
        stopped = batch.score_ppm >= self._rules_ppm
        batch.score_ppm = np.where(stopped, np.maximum(batch.score_ppm, REVIEW_PPM), 0).astype(np.uint32)
        return batch


def defences(note: Note) -> list[Defence]:
    """Return every layer; training takes about a minute."""
    note("train", 0.0)
    plain, honest_x = _learn("economy", ())
    note("train", 0.2)
    taught, x = _learn("economy with attackers", KINDS)
    without, blind_x = _learn("economy with attackers, without the account graph", KINDS, graph=False)
    rules, half = score_rules(honest_x)[0], _review(taught, x, BUDGET / 2)
    own_rule, half_rule = _configured(honest_x, BUDGET), _configured(honest_x, BUDGET / 2)
    whole, unmet = _review(taught, x), _review(plain, honest_x)
    layers = [
        Defence("nothing", policy=LET_ALL_PASS, rules_ppm=NEVER_PPM),
        Defence("screening", policy=LET_ALL_PASS, rules_ppm=NEVER_PPM, screening=True),
        Defence("built-in rules", rules_ppm=_at_budget(rules, BUDGET)),
        Defence("built-in rules as shipped"),
        Defence("configured rule", policy=LET_ALL_PASS, rules_ppm=NEVER_PPM, configured=own_rule),
        Defence("model that never met an attacker", plain, unmet),
        Defence("the same, told of thefts that were paid", plain, unmet, told="paid"),
        Defence("the same, told of those that were stopped too", plain, unmet, told="all"),
        Defence("model", taught, whole),
        Defence("model without the account graph", without, _review(without, blind_x)),
        Defence("all: screening, configured rule, model", taught, half, configured=half_rule, screening=True),
        Defence("all but screening", taught, half, configured=half_rule),
        Defence("all but the configured rule", taught, whole, screening=True),
        Defence(
            "all but the model",
            policy=LET_ALL_PASS,
            rules_ppm=NEVER_PPM,
            configured=own_rule,
            screening=True,
        ),
        Defence("model at its own thresholds", taught),
    ]
    for number, kind in enumerate(KINDS):
        note("train", 0.5 + number / 8)
        others = [other for other in KINDS if other != kind]
        model, seen = _learn(f"economy with attackers but {kind}", others)
        layers.append(Defence(f"model that never met {kind}", model, _review(model, seen), against=(kind,)))
    return layers


def _learn(source: str, kinds: Collection[str], *, graph: bool = True) -> tuple[Model, FloatMatrix]:
    """Return a model of a world with these attackers, and features of honest payments it was not grown on."""
    world = world_of(TRAINING_SEED, CONSUMERS)
    traffic = join_traffic(world.traffic(START_NS, count=CONSUMERS * 100))
    if kinds:
        traffic = add_attackers(world, traffic, world.pace(START_NS, None), TRAINING_SEED, kinds)
    history = history_of(traffic)
    x = replay_features(history, lambda step, share: None)
    if not graph:
        x[:, [COLUMN[name] for name in GRAPH_FEATURES]] = 0.0
    model = fit(x, history.label, history.time_ns, TRAINING_SEED, lambda step, share: None, source=source)
    later = np.arange(len(x)) >= int(TRAINED * len(x))
    return model, x[later & (history.label == 0)]


def _at_budget(score_ppm: Scores, budget: float) -> int:
    """Return the lowest score from which on there is at most that share of honest scores (n,)."""
    ranked = np.sort(score_ppm)[::-1]
    return int(ranked[int(budget * len(ranked))]) + 1


def _configured(honest_x: FloatMatrix, budget: float) -> str:
    """Return a rule as an operator would write it, that stops at most that share of honest payments (n, F):
    more than so much to a payee who was never paid before."""
    new_payee = honest_x[:, COLUMN["pair_new"]] > 0
    amounts = np.where(new_payee, np.expm1(honest_x[:, COLUMN["amount"]].astype(np.float64)), 0.0)
    least = np.sort(amounts)[::-1][int(budget * len(amounts))]
    return (
        '[[rules]]\nname = "large-and-new"\nverdict = "review"\nreason = "A large sum to a new payee."\n'
        f'when = ["amount > {least:.2f} EUR", "pair_new = 1"]\n'
    )


def _review(model: Model, honest_x: FloatMatrix, budget: float = BUDGET) -> str:
    """Return the policy under which a model stops that share of honest payments."""
    return f"review_ppm = {_at_budget(model.score(honest_x), budget)}\n"
