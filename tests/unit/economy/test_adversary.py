"""Attackers react to what they are answered, and find a threshold they were never told."""

from __future__ import annotations

import pytest

from bezant.economy.adversary import (
    Answer,
    Attacker,
    Attempt,
    mule_chain,
    plan_attacks,
    probe,
    split,
    warm_up,
)
from bezant.economy.training import world_of

LIMIT = 20_000


def play(attacker: Attacker, limit: int) -> list[tuple[Attempt, Answer]]:
    """Let everything up to a limit settle and hold the rest."""
    told: list[tuple[Attempt, Answer]] = []
    attempt = next(attacker)
    while True:
        answer = Answer.SETTLED if attempt.amount_minor <= limit else Answer.HELD
        told.append((attempt, answer))
        try:
            attempt = attacker.send(answer)
        except StopIteration:
            return told


def taken(told: list[tuple[Attempt, Answer]]) -> int:
    return sum(a.amount_minor for a, answer in told if a.theft and answer is Answer.SETTLED)


def test_a_probe_finds_the_threshold() -> None:
    told = play(probe(1, 2, 1_000_000, 0.0), LIMIT)
    largest = max(a.amount_minor for a, answer in told if answer is Answer.SETTLED)
    assert LIMIT - 500 <= largest <= LIMIT
    assert taken(told) == 1_000_000


def test_splitting_goes_below_the_threshold_and_takes_no_more_than_it_sought() -> None:
    told = play(split(1, 2, 1_000_000, 0.0), LIMIT)
    assert told[0][1] is Answer.HELD
    assert taken(told) == 1_000_000


def test_a_warm_up_lasts_a_week_before_the_theft() -> None:
    told = [a for a, _ in play(warm_up(1, 2, 400_000, 0.0), 10**9)]
    assert [a.amount_minor for a in told] == [2_500] * 5 + [100_000] * 4
    assert sum(a.after_s for a in told[:5]) >= 7 * 86_400


def test_a_chain_passes_on_what_arrived_and_only_the_first_legs_are_thefts() -> None:
    told = play(mule_chain([1, 2, 3, 4, 5, 6], 9, 300_000, 0.0), 10**9)
    assert [(a.debtor, a.creditor, a.theft) for a, _ in told] == [
        *((victim, 1, True) for victim in (4, 5, 6)),
        (1, 2, False),
        (2, 3, False),
        (3, 9, False),
    ]
    amounts = [a.amount_minor for a, _ in told][3:]
    assert amounts == sorted(amounts, reverse=True)


@pytest.mark.parametrize("kind", [probe, split, warm_up])
def test_whoever_meets_only_refusals_gives_up(kind: object) -> None:
    assert callable(kind)
    told = play(kind(1, 2, 1_000_000, 0.0), 0)
    assert taken(told) == 0
    assert len(told) < 30


def test_plans_are_the_seeds_and_nobody_is_attacked_twice() -> None:
    world = world_of(3, 200)
    one, two = plan_attacks(world, 5, 2), plan_attacks(world, 5, 2)
    first, second = ([next(plan.attacker) for plan in plans] for plans in (one, two))
    assert first == second
    assert len({a.debtor for a in first}) == len(first) == 8
