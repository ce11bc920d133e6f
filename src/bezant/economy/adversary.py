"""Thieves who learn: each tries a payment, hears what the network answered, and thinks again.

An attacker is a generator. It yields an `Attempt` and is sent the `Answer`; what it knows of thresholds
it found out that way. Whoever drives it pays for real and keeps count; nothing here knows a network.
Parties are positions in `World.parties`; amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from bezant.economy.world import World

MINUTE_S, HOUR_S, DAY_S = 60.0, 3_600.0, 86_400.0
FIRST_MINOR = 500
"""The first thing a probe tries; payments under a fifth of it are not worth a thief's while."""
PATIENCE = 3
"""Refusals in a row after which an attacker gives a victim up."""


class Answer(IntEnum):
    """What the network made of an attempt."""

    SETTLED = 0
    HELD = 1
    REFUSED = 2


@dataclass(frozen=True, slots=True)
class Attempt:
    """A payment to be made `after_s` simulated seconds from now; `theft`: it takes a victim's money."""

    debtor: int
    creditor: int
    amount_minor: int
    after_s: float
    theft: bool = True


Attacker = Generator[Attempt, Answer, None]


@dataclass(frozen=True, slots=True)
class Plan:
    """One attacker, its kind, and how much it is after."""

    kind: str
    goal_minor: int
    attacker: Attacker


def plan_attacks(world: World, seed: int, each: int) -> list[Plan]:
    """Return `each` attackers of every kind; nobody is the victim of two. The same seed, the same plans."""
    rng = np.random.default_rng([seed, 77])
    people = iter(rng.permutation(world.parties.consumers).tolist())
    merchants = world.parties.consumers + rng.integers(0, world.parties.merchants, each)
    plans = []
    for merchant in merchants.tolist():
        start_s = float(rng.uniform(0, 3 * DAY_S))
        goal = [int(rng.uniform(0.3, 0.9) * world.parties.opening_minor[0]) for _ in range(4)]
        plans += [
            Plan("probe", goal[0], probe(next(people), next(people), goal[0], start_s)),
            Plan("split", goal[1], split(next(people), next(people), goal[1], start_s)),
            Plan("warm_up", goal[2], warm_up(next(people), next(people), goal[2], start_s)),
        ]
        ring = [next(people) for _ in range(6)]
        plans.append(Plan("mule_chain", goal[3], mule_chain(ring, merchant, goal[3], start_s)))
    return plans


def probe(victim: int, mule: int, goal_minor: int, start_s: float) -> Attacker:
    """Find by bisection the largest payment that settles, then take that until it no longer does."""
    low, high, taken, wait_s = 0, goal_minor, 0, start_s
    amount = FIRST_MINOR
    while taken < goal_minor and high - low > FIRST_MINOR:
        answer = yield Attempt(victim, mule, amount, wait_s)
        if answer is Answer.SETTLED:
            low, taken = amount, taken + amount
        else:
            high = amount
        amount, wait_s = max(min((low + high) // 2, goal_minor - taken), 1), 10 * MINUTE_S
    yield from _drain(victim, mule, low, goal_minor - taken, 20 * MINUTE_S)


def split(victim: int, mule: int, goal_minor: int, start_s: float) -> Attacker:
    """Take a sum in twenty parts through two days; halve a part that is stopped and wait longer."""
    part, taken, refused, wait_s = goal_minor // 20, 0, 0, start_s
    while taken < goal_minor and refused < PATIENCE and part >= FIRST_MINOR // 5:
        part = min(part, goal_minor - taken)
        answer = yield Attempt(victim, mule, part, wait_s)
        if answer is Answer.SETTLED:
            taken, refused, wait_s = taken + part, 0, 2 * HOUR_S
        else:
            part, refused, wait_s = part // 2, refused + 1, 6 * HOUR_S


def warm_up(victim: int, mule: int, goal_minor: int, start_s: float) -> Attacker:
    """Pay the mule a little every other day, as one would a friend; then take four large sums."""
    wait_s = start_s
    for _ in range(5):
        yield Attempt(victim, mule, 2_500, wait_s)
        wait_s = 2 * DAY_S
    yield from _drain(victim, mule, max(goal_minor // 4, 1), goal_minor, HOUR_S)


def mule_chain(ring: list[int], merchant: int, goal_minor: int, start_s: float) -> Attacker:
    """Three victims pay the first of three mules; what arrives is passed on twice and cashed out."""
    *mules, _, _, _ = ring
    wait_s, arrived = start_s, 0
    for victim in ring[3:]:
        answer = yield Attempt(victim, mules[0], goal_minor // 3, wait_s)
        arrived += goal_minor // 3 if answer is Answer.SETTLED else 0
        wait_s = 30 * MINUTE_S
    for payer, payee in zip(mules, [*mules[1:], merchant], strict=True):
        refused = 0
        while arrived > 0 and refused < PATIENCE:
            answer = yield Attempt(payer, payee, arrived * 95 // 100 >> refused, wait_s, theft=False)
            if answer is Answer.SETTLED:
                break
            refused += 1
        if arrived == 0 or refused == PATIENCE:
            return
        arrived = arrived * 95 // 100 >> refused


def _drain(victim: int, mule: int, part_minor: int, left_minor: int, wait_s: float) -> Attacker:
    """Take `part_minor` again and again; less and less where it is stopped, until patience ends."""
    refused = 0
    while left_minor > 0 and refused < PATIENCE and part_minor >= FIRST_MINOR // 5:
        part_minor = min(part_minor, left_minor)
        answer = yield Attempt(victim, mule, part_minor, wait_s)
        if answer is Answer.SETTLED:
            left_minor, refused = left_minor - part_minor, 0
        else:
            part_minor, refused = part_minor // 2, refused + 1
