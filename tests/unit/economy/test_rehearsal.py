"""Attackers in the traffic that a model learns from: others each time, and honest payments as they were."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.economy.adversary import KINDS, draw_style
from bezant.economy.rehearsal import add_attackers
from bezant.economy.traffic import Scenario, Traffic, join_traffic
from bezant.economy.training import START_NS, train_on_economy, world_of

COUNT = 15_000


def traffic_of(seed: int, rate: float | None = None) -> tuple[Traffic, Traffic]:
    """Return a world's traffic without attackers and with."""
    world = world_of(9, 150)
    plain = join_traffic(world.traffic(START_NS, count=COUNT, payments_per_second=rate))
    return plain, add_attackers(world, plain, world.pace(START_NS, rate), seed)


def rows(traffic: Traffic, chosen: np.ndarray) -> list[tuple[int, ...]]:
    columns = (traffic.debtor, traffic.creditor, traffic.amount_minor, traffic.simulated_ns)
    return list(zip(*(column[chosen].tolist() for column in columns), strict=True))


def test_what_is_honest_stays_and_attacks_are_all_through_it() -> None:
    plain, attacked = traffic_of(4)
    attacks = attacked.scenario == Scenario.ATTACK
    assert np.array_equal(attacked.serial[~attacks], plain.serial)
    assert len(set(attacked.serial.tolist())) == len(attacked)
    assert (attacked.label[attacks] == 1).all()
    assert (np.diff(attacked.time_ns) >= 0).all()
    for part in np.array_split(attacks, 3):
        assert part.sum() > 5


def test_a_seed_says_who_attacks_and_how() -> None:
    first, again, other = (traffic_of(seed)[1] for seed in (4, 4, 5))
    attacks = [rows(one, one.scenario == Scenario.ATTACK) for one in (first, again, other)]
    assert attacks[0] == attacks[1]
    assert not set(attacks[0]) & set(attacks[2])
    rng = np.random.default_rng(1)
    assert len({draw_style(rng) for _ in range(50)}) == 50


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_can_be_left_out(kind: str) -> None:
    world = world_of(9, 150)
    plain, attacked = traffic_of(4)
    pace = world.pace(START_NS, None)
    without = add_attackers(world, plain, pace, 4, [other for other in KINDS if other != kind])
    alone = add_attackers(world, plain, pace, 4, [kind])
    assert len(plain) < len(without) < len(attacked)
    assert len(plain) < len(alone) < len(attacked)


def test_attacks_keep_the_pace_of_a_live_economy() -> None:
    _, slow = traffic_of(4)
    _, fast = traffic_of(4, rate=50.0)
    attacks = [one.scenario == Scenario.ATTACK for one in (slow, fast)]
    assert rows(slow, attacks[0]) == rows(fast, attacks[1])
    lasted = [int(np.ptp(one.time_ns)) for one in (slow, fast)]
    assert lasted[1] < lasted[0] / 1_000


def test_the_card_says_what_a_model_met() -> None:
    taught, plain = (train_on_economy(5, 15_000, attackers=met) for met in (True, False))
    assert "attackers" in taught.card.source
    assert "attackers" not in plain.card.source
    assert taught.card.frauds_trained > plain.card.frauds_trained
