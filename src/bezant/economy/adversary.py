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
class Style:
    """How an attacker goes about it. Amounts in minor units, waits in simulated seconds."""

    first_minor: int = FIRST_MINOR
    """The first thing that a probe tries; it stops when it knows the threshold to within this."""
    probe_wait_s: float = 10 * MINUTE_S
    parts: int = 20
    """How many payments a sum is split into."""
    split_wait_s: float = 2 * HOUR_S
    friendly: int = 5
    """Small payments that warm an account up, of `friendly_minor` each."""
    friendly_minor: int = 2_500
    friendly_wait_s: float = 2 * DAY_S
    thefts: int = 4
    """Large payments that follow a warm-up."""
    drain_wait_s: float = HOUR_S
    victims: int = 3
    """Who pay the first mule of a chain."""
    passing_wait_s: float = 30 * MINUTE_S
    kept_percent: int = 5
    """What a mule keeps of what it passes on."""


USUAL = Style()


def draw_style(rng: np.random.Generator) -> Style:
    """Return a style of its own: no two attackers go about it alike."""

    def around(value: float) -> float:
        return float(value * np.exp(rng.uniform(-1.2, 1.2)))

    return Style(
        first_minor=int(around(FIRST_MINOR)),
        probe_wait_s=around(USUAL.probe_wait_s),
        parts=int(rng.integers(6, 41)),
        split_wait_s=around(USUAL.split_wait_s),
        friendly=int(rng.integers(2, 9)),
        friendly_minor=int(around(USUAL.friendly_minor)),
        friendly_wait_s=around(USUAL.friendly_wait_s),
        thefts=int(rng.integers(1, 8)),
        drain_wait_s=around(USUAL.drain_wait_s),
        victims=int(rng.integers(1, 4)),
        passing_wait_s=around(USUAL.passing_wait_s),
        kept_percent=int(rng.integers(2, 13)),
    )


KINDS = ("probe", "split", "warm_up", "mule_chain")


@dataclass(frozen=True, slots=True)
class Plan:
    """One attacker, its kind, how much it is after, and who its mules are."""

    kind: str
    goal_minor: int
    attacker: Attacker
    mules: tuple[int, ...]


def plan_attacks(
    world: World, seed: int, each: int, *, within_s: float = 3 * DAY_S, varied: bool = False
) -> list[Plan]:
    """Return `each` attackers of every kind, who begin `within_s`; nobody is the victim of two.

    The same seed, the same plans. `varied`: each has a style of its own.
    """
    rng = np.random.default_rng([seed, 77])
    people = iter(rng.permutation(world.parties.consumers).tolist())
    merchants = world.parties.consumers + rng.integers(0, world.parties.merchants, each)
    plans = []
    for merchant in merchants.tolist():
        start_s = float(rng.uniform(0, within_s))
        goal = [int(rng.uniform(0.3, 0.9) * world.parties.opening_minor[0]) for _ in range(4)]
        style = draw_style(rng) if varied else USUAL
        for kind, sought, act in zip(KINDS, goal, (probe, split, warm_up), strict=False):
            victim, mule = next(people), next(people)
            plans.append(Plan(kind, sought, act(victim, mule, sought, start_s, style), (mule,)))
        ring = [next(people) for _ in range(6)]
        attacker = mule_chain(ring, merchant, goal[3], start_s, style)
        plans.append(Plan(KINDS[3], goal[3], attacker, tuple(ring[:3])))
    return plans


def probe(victim: int, mule: int, goal_minor: int, start_s: float, style: Style = USUAL) -> Attacker:
    """Find by bisection the largest payment that settles, then take that until it no longer does."""
    low, high, taken, wait_s = 0, goal_minor, 0, start_s
    amount = style.first_minor
    while taken < goal_minor and high - low > style.first_minor:
        answer = yield Attempt(victim, mule, amount, wait_s)
        if answer is Answer.SETTLED:
            low, taken = amount, taken + amount
        else:
            high = amount
        amount, wait_s = max(min((low + high) // 2, goal_minor - taken), 1), style.probe_wait_s
    yield from _drain(victim, mule, low, goal_minor - taken, 2 * style.probe_wait_s)


def split(victim: int, mule: int, goal_minor: int, start_s: float, style: Style = USUAL) -> Attacker:
    """Take a sum in many parts through days; halve a part that is stopped and wait longer."""
    part, taken, refused, wait_s = goal_minor // style.parts, 0, 0, start_s
    while taken < goal_minor and refused < PATIENCE and part >= FIRST_MINOR // 5:
        part = min(part, goal_minor - taken)
        answer = yield Attempt(victim, mule, part, wait_s)
        if answer is Answer.SETTLED:
            taken, refused, wait_s = taken + part, 0, style.split_wait_s
        else:
            part, refused, wait_s = part // 2, refused + 1, 3 * style.split_wait_s


def warm_up(victim: int, mule: int, goal_minor: int, start_s: float, style: Style = USUAL) -> Attacker:
    """Pay the mule a little every other day, as one would a friend; then take large sums."""
    wait_s = start_s
    for _ in range(style.friendly):
        yield Attempt(victim, mule, style.friendly_minor, wait_s)
        wait_s = style.friendly_wait_s
    yield from _drain(victim, mule, max(goal_minor // style.thefts, 1), goal_minor, style.drain_wait_s)


def mule_chain(
    ring: list[int], merchant: int, goal_minor: int, start_s: float, style: Style = USUAL
) -> Attacker:
    """Up to three victims pay the first of three mules; what arrives is passed on twice and cashed out."""
    mules, victims = ring[:3], ring[3 : 3 + style.victims]
    wait_s, arrived, share = start_s, 0, goal_minor // len(victims)
    for victim in victims:
        answer = yield Attempt(victim, mules[0], share, wait_s)
        arrived += share if answer is Answer.SETTLED else 0
        wait_s = style.passing_wait_s
    left = 100 - style.kept_percent
    for payer, payee in zip(mules, [*mules[1:], merchant], strict=True):
        refused = 0
        while arrived > 0 and refused < PATIENCE:
            answer = yield Attempt(payer, payee, arrived * left // 100 >> refused, wait_s, theft=False)
            if answer is Answer.SETTLED:
                break
            refused += 1
        if arrived == 0 or refused == PATIENCE:
            return
        arrived = arrived * left // 100 >> refused


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
