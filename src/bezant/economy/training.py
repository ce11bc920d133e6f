"""A first model, learned from the simulated world: what a new network scores with on its first day."""

from __future__ import annotations

from pathlib import Path

from bezant.economy.rehearsal import add_attackers
from bezant.economy.traffic import Traffic, join_traffic
from bezant.economy.world import World
from bezant.intelligence.costs import Costs
from bezant.intelligence.history import History, Progress
from bezant.intelligence.model import Model
from bezant.intelligence.training import train

PAYMENTS = 200_000
START_NS = 1_767_225_600_000_000_000
"""2026-01-01 in UTC: a fixed date, so that the same seed trains the same model on any day."""
_PAYMENTS_PER_CONSUMER = 100
"""Enough for about 45 days of everybody: salaries, rents and 30-day windows are all in."""


def world_of(seed: int, consumers: int) -> World:
    """Return a world with the usual proportions: a merchant to ten consumers, a firm to thirty-three."""
    consumers = max(100, consumers)
    return World(seed, consumers, max(20, consumers // 10), max(6, consumers // 33))


def train_on_economy(
    seed: int,
    payments: int = PAYMENTS,
    path: Path | str | None = None,
    progress: Progress | None = None,
    *,
    consumers: int | None = None,
    payments_per_second: float | None = None,
    attackers: bool = True,
    costs: Costs | None = None,
) -> Model:
    """Return a model trained on a world of this seed, and save it if there is a path.

    The world grows with `payments`, so that its days are always about 45, unless `consumers` says
    otherwise. With `payments_per_second` the payments come at that pace, as a live demonstration
    hands them in, and windows and gaps are learned at that pace too. `attackers` who react are among
    them, on top of `payments`. `costs` are for its card. The same seed and sizes give the same digest
    on one build. Raises: ModelError where `payments` is too few.
    """
    world = world_of(seed, payments // _PAYMENTS_PER_CONSUMER if consumers is None else consumers)
    traffic = join_traffic(world.traffic(START_NS, count=payments, payments_per_second=payments_per_second))
    if attackers:
        traffic = add_attackers(world, traffic, world.pace(START_NS, payments_per_second), seed)
    source = f"economy, seed {seed}, {payments} payments"
    if attackers:
        source += " and attackers who react"
    if payments_per_second is not None:
        source += f", {payments_per_second:g} a second"
    model = train(history_of(traffic), seed, progress, source=source, costs=costs)
    if path is not None:
        model.save(path)
    return model


def history_of(traffic: Traffic) -> History:
    """Return traffic as a history to train on, at the time it is handed in; party positions serve as
    account rows."""
    return History(traffic.debtor, traffic.creditor, traffic.amount_minor, traffic.time_ns, traffic.label)
