"""Attackers who react, against the real pipeline, layer by layer, in several worlds.

In each world the same attackers meet a fresh node for each layer of defence.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, cast

import numpy as np

from bezant.chain.clock import SetClock
from bezant.economy.adversary import Plan, plan_attacks
from bezant.economy.training import START_NS, world_of
from bezant.economy.world import World
from bezant.folder import create_folder
from bezant.interfaces.bench.battle import ATTACK_DAYS, ID_WINDOW_S, Battle, Count
from bezant.interfaces.bench.defences import (
    BUDGET,
    CONSUMERS,
    LISTED,
    TRAINING_SEED,
    Defence,
    RulesOf,
    defences,
)
from bezant.interfaces.bench.machine import describe_machine
from bezant.model.genesis import Rules
from bezant.node import Node
from bezant.pipeline.stage import Stage

SETTINGS = "[pipeline]\nbudget_factor = 0\n[policy]\ncontrol_share = 0\n"
"""No control group, which is drawn by chance, and no time budgets: a slow machine would come to other
verdicts."""
SCREENING = '[screening]\nlist = "list.txt"\n'
NOTE = "simulated data: attackers and customers are the economy's, not the world's"

Note = Callable[[str, float], None]


def run_adversary_bench(
    folder: Path, *, seeds: Sequence[int], consumers: int, days: int, each: int, note: Note
) -> dict[str, Any]:
    """Measure every layer in every world, in folders inside a fresh one, and return the report for JSON.

    `seeds` are of worlds and their attackers; `days` of honest payments come before the attacks; `each`
    attackers of every kind.
    """
    layers = defences(note)
    worlds: dict[str, dict[str, Any]] = {layer.name: {} for layer in layers}
    for at, seed in enumerate(seeds):
        for number, layer in enumerate(layers):

            def progress(share: float, done: int = at * len(layers) + number, name: str = layer.name) -> None:
                note(name, (done + share) / (len(layers) * len(seeds)))

            place = folder / f"{seed}-{number}"
            worlds[layer.name][str(seed)] = _fight(
                place, layer, seed, consumers, days, each, progress
            ).as_dict()
    return {
        "data": NOTE,
        "machine": describe_machine(),
        "seeds": list(seeds),
        "consumers": consumers,
        "honest_days_before": days,
        "attack_days": ATTACK_DAYS,
        "attackers": 4 * each,
        "honest_share_allowed": BUDGET,
        "learned_from": f"world {TRAINING_SEED} of {CONSUMERS} consumers, attackers in styles of their own",
        "layers": {name: {**_over(of), "worlds": of} for name, of in worlds.items()},
        "assumed": f"the watchlist knows the first mule of one attacker in {LISTED}; thefts become known a "
        "week later, where a layer is told",
    }


def _fight(
    place: Path,
    layer: Defence,
    seed: int,
    consumers: int,
    days: int,
    each: int,
    progress: Callable[[float], None],
) -> Count:
    """Return what became of one world's payments behind one layer."""
    create_folder(place, rules=Rules(id_window_s=ID_WINDOW_S), created_ms=START_NS // 1_000_000)
    world = world_of(seed, consumers)
    plans = plan_attacks(world, seed, each)
    (place / "list.txt").write_text(
        "\n".join(_listed(world, plans, seed)) if layer.screening else "", "utf-8"
    )
    (place / "bezant.toml").write_text(SETTINGS + layer.policy + SCREENING + layer.configured, "ascii")
    if layer.model is not None:
        layer.model.save(place / "models" / "current.model")
    clock = SetClock(START_NS)
    with Node(place, clock=clock, with_store=False) as node:
        if layer.rules_ppm:
            node.flow.replace(cast(Stage, RulesOf(node.resources, layer.rules_ppm)))
        met = [plan for plan in plans if plan.kind in layer.against]
        count = Battle(node, clock, world, met, layer.told).run(days, progress)
    # Prepared journal segments are 128 MiB, and there are dozens of fights.
    shutil.rmtree(place)
    return count


def _listed(world: World, plans: Sequence[Plan], seed: int) -> list[str]:
    """Return the names on the watchlist: of some attackers the first mule, the same behind every layer."""
    chosen = np.random.default_rng([seed, 79]).permutation(len(plans))[: len(plans) // LISTED]
    return [world.parties.name[plans[number].mules[0]] for number in sorted(chosen.tolist())]


def _over(worlds: dict[str, Any]) -> dict[str, Any]:
    """Return the mean and the spread (sample standard deviation) over worlds."""
    stopped = [one["all"]["share_stopped"] for one in worlds.values()]
    insulted = [one["insult_rate"] for one in worlds.values()]
    return {
        "share_stopped": _spread(stopped),
        "share_missed": _spread([1 - share for share in stopped]),
        "insult_rate": _spread(insulted),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "mean": round(mean(values), 4),
        "spread": round(stdev(values), 4) if len(values) > 1 else 0.0,
    }
