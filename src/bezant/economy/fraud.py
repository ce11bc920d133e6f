"""Fraud in the world: account takeovers, and rings whose mules pass stolen money on.

Mules are consumers with an ordinary life beside it, so no account is simply "a bad one". An
episode starts on one day and may run into the next, never further.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bezant.economy.calendar import DAY_NS, HOUR_NS, SECOND_NS, FloatArray, Int64Array, shop_times, within_day
from bezant.economy.flows import Flow, any_merchant, flow, purchase_amount
from bezant.economy.parties import Habits
from bezant.economy.traffic import Scenario

TAKEOVER_PAYMENTS = 5.0
"""Mean payments of one takeover (3 to 7)."""
CHAIN_PAYMENTS = 23.0
"""Mean payments of one chain, as its steps below have it; a test measures it."""

Int32Array = npt.NDArray[np.int32]


def found_rings(rng: np.random.Generator, consumers: int) -> list[Int32Array]:
    """Return rings of 5 to 9 consumers each, about one for 250 consumers."""
    return [
        rng.choice(consumers, min(consumers, int(rng.integers(5, 10))), replace=False).astype(np.int32)
        for _ in range(max(1, consumers // 250))
    ]


def fraud_day(
    rng: np.random.Generator, habits: Habits, rings: list[Int32Array], day: int, payments: float
) -> list[Flow]:
    """Return the episodes that start on a day, `payments` expected in all, half of each scenario."""
    takeovers = int(rng.poisson(payments / 2 / TAKEOVER_PAYMENTS))
    chains = int(rng.poisson(payments / 2 / CHAIN_PAYMENTS))
    episodes = [_takeover(rng, habits, rings, day) for _ in range(takeovers)]
    for _ in range(chains):
        episodes += _chain(rng, habits, rings[int(rng.integers(len(rings)))], day)
    return episodes


def _takeover(rng: np.random.Generator, habits: Habits, rings: list[Int32Array], day: int) -> Flow:
    """One victim's account is emptied: half of the time at night, to mules or to goods that resell."""
    victim, count = int(rng.integers(habits.salary.size)), int(rng.integers(3, 8))
    at_night = rng.random() < 0.5
    start = within_day(day, rng.uniform(0.0, 5.5, 1)) if at_night else shop_times(rng, day, 1)
    pause = 4.0 * 60 if rng.random() < 0.75 else 1.5 * 3_600
    times = start + np.cumsum(rng.exponential(pause * SECOND_NS, count)).astype(np.int64)
    ring = rings[int(rng.integers(len(rings)))]
    merchant = any_merchant(rng, habits, count)
    creditor = np.where(rng.random(count) < 0.5, rng.choice(ring, count), merchant)
    debtor = np.full(count, victim)
    amount = purchase_amount(rng, habits, debtor, merchant) * rng.uniform(1.5, 7.0, count)
    amount[0] = rng.uniform(1.0, 15.0)  # The first payment tries whether the door is open.
    return _episode(debtor, creditor, amount, times, day, Scenario.TAKEOVER)


def _chain(rng: np.random.Generator, habits: Habits, ring: Int32Array, day: int) -> list[Flow]:
    """Victims pay the ring's first mule; each arrival is passed on, sometimes split, and cashed out."""
    victims = rng.integers(0, habits.salary.size, int(rng.integers(2, 7)))
    arrived = shop_times(rng, day, 1) + (rng.random(victims.size) * 4 * HOUR_NS).astype(np.int64)
    amount = np.exp(rng.uniform(np.log(80.0), np.log(4_000.0), victims.size))
    members = rng.permutation(ring)
    holder = np.full(victims.size, members[0])
    hops = [_episode(victims, holder, amount, arrived, day, Scenario.MULE_CHAIN)]
    pause = 15.0 * 60 if rng.random() < 0.7 else 5.0 * 3_600
    for layer in range(1, 4):
        last = layer == 3
        parts = np.where(rng.random(holder.size) < 0.25, 2, 1)
        payer = np.repeat(holder, parts)
        amount = np.repeat(amount / parts, parts) * rng.uniform(0.88, 0.98, payer.size)
        arrived = np.repeat(arrived, parts) + rng.exponential(pause * SECOND_NS, payer.size).astype(np.int64)
        payee = any_merchant(rng, habits, payer.size) if last else members[_layer(rng, payer.size, layer)]
        hops.append(_episode(payer, payee, amount, arrived, day, Scenario.MULE_CHAIN))
        holder = payee
    return hops


def _layer(rng: np.random.Generator, count: int, layer: int) -> Int64Array:
    """Return positions inside a ring: two mules for each layer behind the first."""
    return 2 * layer - 1 + rng.integers(0, 2, count)


def _episode(
    debtor: npt.NDArray[np.int_] | Int32Array,
    creditor: npt.NDArray[np.int_] | Int32Array,
    amount: FloatArray,
    times: Int64Array,
    day: int,
    scenario: Scenario,
) -> Flow:
    """Return a Flow without payments to oneself, cut to end within the following day."""
    keep = debtor != creditor
    ends = np.minimum(times, (day + 2) * DAY_NS - 1)
    return flow(debtor[keep], creditor[keep], amount[keep], ends[keep], scenario)
