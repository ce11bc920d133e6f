"""The simulated world: the same seed, the same world; coherent whatever the rate."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

from bezant.economy import Pace, PartyKind, Scenario, Traffic, World, join_traffic
from bezant.economy.calendar import DAY_NS, HOUR_NS, day_of_month, weekday, year_month
from bezant.economy.fraud import CHAIN_PAYMENTS, TAKEOVER_PAYMENTS, _chain, _takeover
from bezant.errors import InputError

START = 1_767_225_600_000_000_000  # 2026-01-01, a Thursday.


@pytest.fixture(scope="module")
def world() -> World:
    return World(11, consumers=600, merchants=60, firms=20)


@pytest.fixture(scope="module")
def month(world: World) -> Traffic:
    return join_traffic(world.traffic(START, duration_s=35 * 86_400))


def equal(a: Traffic, b: Traffic) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Traffic))


def test_calendar_knows_known_days() -> None:
    day = START // DAY_NS
    assert (weekday(day), year_month(day), day_of_month(day)) == (3, (2026, 1), 1)
    assert (year_month(day - 1), day_of_month(day - 1)) == ((2025, 12), 31)
    assert (year_month(day + 58), day_of_month(day + 58)) == ((2026, 2), 28)


def test_same_seed_same_world_other_seed_other_world(world: World, month: Traffic) -> None:
    again = World(11, consumers=600, merchants=60, firms=20)
    assert again.parties.name == world.parties.name
    assert equal(join_traffic(again.traffic(START, count=3_000)), month.rows(0, 3_000))
    other = World(12, consumers=600, merchants=60, firms=20)
    assert other.parties.name != world.parties.name
    assert not np.array_equal(join_traffic(other.traffic(START, count=500)).debtor, month.debtor[:500])


def test_another_process_makes_the_same_payments(month: Traffic) -> None:
    code = (
        "from bezant.economy import World\n"
        f"t = next(World(11, 600, 60, 20).traffic({START}, count=500))\n"
        "print(int(t.amount_minor.sum()), int(t.time_ns.sum() % 2**62))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "77", "PYTHONPATH": ":".join(sys.path)},
    )
    first = month.rows(0, 500)
    assert out.stdout.split() == [str(int(first.amount_minor.sum())), str(int(first.time_ns.sum() % 2**62))]


def test_a_later_start_gives_the_tail_of_an_earlier_one(world: World, month: Traffic) -> None:
    later = START + 9 * DAY_NS + 11 * HOUR_NS
    tail = join_traffic(world.traffic(later, count=2_000))
    first = int(np.searchsorted(month.time_ns, later))
    assert equal(tail, month.rows(first, first + 2_000))


def test_batches_cut_the_same_payments(world: World, month: Traffic) -> None:
    parts = list(world.traffic(START, count=2_500, batch=700))
    assert [len(p) for p in parts] == [700, 700, 700, 400]
    assert equal(join_traffic(parts), month.rows(0, 2_500))


def test_columns_are_sound(world: World, month: Traffic) -> None:
    people = len(world.parties)
    assert (np.diff(month.time_ns) >= 0).all()
    assert month.time_ns[0] >= START
    assert month.time_ns[-1] < START + 35 * DAY_NS
    assert ((month.debtor >= 0) & (month.debtor < people)).all()
    assert ((month.creditor >= 0) & (month.creditor < people)).all()
    assert (month.debtor != month.creditor).all()
    assert (month.amount_minor > 0).all()
    assert np.array_equal(month.label, (month.scenario >= 16).astype(np.uint8))
    assert len(set(month.serial.tolist())) == len(month)
    assert [getattr(month, n).dtype.name for n in ("debtor", "amount_minor", "time_ns", "label")] == [
        "int32",
        "uint64",
        "int64",
        "uint8",
    ]


def test_every_scenario_happens_between_the_right_parties(world: World, month: Traffic) -> None:
    assert set(np.unique(month.scenario).tolist()) == {int(s) for s in Scenario if s is not Scenario.ATTACK}
    kind = world.parties.kind
    salary = month.scenario == Scenario.SALARY
    assert (kind[month.debtor[salary]] != PartyKind.CONSUMER).all()
    assert (kind[month.creditor[salary]] == PartyKind.CONSUMER).all()
    assert np.bincount(month.creditor[salary])[: world.parties.consumers].max() == 1
    invoice = month.scenario == Scenario.INVOICE
    assert (kind[month.creditor[invoice]] == PartyKind.FIRM).all()
    assert all(weekday(int(t) // DAY_NS) < 5 for t in month.time_ns[invoice])


def test_people_have_habits(world: World, month: Traffic) -> None:
    """The five most visited shops take most of a consumer's purchases; day is busier than night."""
    bought = month.scenario == Scenario.PURCHASE
    shares = []
    for consumer in range(50):
        shops = np.sort(np.bincount(month.creditor[bought & (month.debtor == consumer)]))[::-1]
        shares.append(shops[:5].sum() / max(shops.sum(), 1))
    assert np.mean(shares) > 0.5
    hour = month.time_ns[bought] % DAY_NS // HOUR_NS
    assert (hour < 6).mean() < 0.06
    assert ((hour >= 9) & (hour < 21)).mean() > 0.75


def test_fraud_is_as_frequent_as_asked(world: World) -> None:
    """Over 150 days, since a chain alone is some 23 payments."""
    long = join_traffic(world.traffic(START, duration_s=150 * 86_400))
    assert long.label.mean() == pytest.approx(world.fraud_share, rel=0.25)
    honest = World(11, 600, 60, 20, fraud_share=0.0)
    assert join_traffic(honest.traffic(START, count=5_000)).label.sum() == 0


def test_episode_sizes_are_the_documented_means(world: World) -> None:
    rng = np.random.default_rng(5)
    takeovers = [_takeover(rng, world.habits, world.rings, 20_000).debtor.size for _ in range(2_000)]
    chains = [
        sum(f.debtor.size for f in _chain(rng, world.habits, world.rings[0], 20_000)) for _ in range(2_000)
    ]
    assert np.mean(takeovers) == pytest.approx(TAKEOVER_PAYMENTS, rel=0.05)
    assert np.mean(chains) == pytest.approx(CHAIN_PAYMENTS, rel=0.05)


def test_a_chain_passes_the_money_on_and_never_makes_any(world: World) -> None:
    hops = _chain(np.random.default_rng(3), world.habits, world.rings[0], 20_000)
    totals = [int(h.amount_minor.sum()) for h in hops]
    assert len(hops) == 4
    assert totals == sorted(totals, reverse=True)
    assert set(hops[1].debtor.tolist()) <= set(hops[0].creditor.tolist())
    assert min(hops[1].time_ns) >= min(hops[0].time_ns)


@pytest.mark.parametrize("rate", [5.0, 2_000.0])
def test_a_rate_is_kept_and_changes_nothing_else(world: World, month: Traffic, rate: float) -> None:
    fast = join_traffic(world.traffic(START, count=len(month), payments_per_second=rate))
    assert equal(
        Traffic(*(getattr(month if f.name == "time_ns" else fast, f.name) for f in fields(Traffic))), month
    )
    seconds = (fast.time_ns[-1] - fast.time_ns[0]) / 1e9
    assert len(fast) / seconds == pytest.approx(rate, rel=0.1)
    assert (np.diff(fast.time_ns) >= 0).all()


def test_duration_is_of_the_time_handed_in(world: World) -> None:
    fast = join_traffic(world.traffic(START, duration_s=3.0, payments_per_second=3_000))
    assert fast.time_ns[-1] < START + 3_000_000_000
    assert fast.time_ns[-1] > START + 2_900_000_000
    assert len(fast) == pytest.approx(9_000, rel=0.15)


def test_pace_goes_there_and_back() -> None:
    pace = Pace(START, 1_000.0)
    times = START + np.array([0, 10**9, 10**12, 10**15])
    assert pace.time_ns(pace.simulated_ns(times)).tolist() == pytest.approx(times.tolist(), abs=1)


def test_texts_are_rendered_per_row(month: Traffic) -> None:
    row = int(np.flatnonzero(month.scenario == Scenario.INVOICE)[0])
    assert month.remittance_information(row).startswith("INV ")
    assert month.remittance_information(row).endswith("/26")
    salary = int(np.flatnonzero(month.scenario == Scenario.SALARY)[0])
    assert month.remittance_information(salary) == "Salary 01/2026"
    assert len({month.end_to_end_id(i) for i in range(300)}) == 300
    assert all(len(month.end_to_end_id(i)) <= 35 for i in range(300))  # ISO 20022 Max35Text
    assert all(len(month.remittance_information(i)) <= 140 for i in range(300))


def test_parties_have_all_their_columns(world: World) -> None:
    parties = world.parties
    assert len(parties) == 680
    assert len(parties.name) == len(parties.kind) == len(parties.country) == len(parties.assets) == 680
    assert np.bincount(parties.kind).tolist() == [600, 60, 20]
    assert parties.assets[0] == ("EUR",)
    assert parties.opening_minor.min() > 0


def test_opening_balances_carry_a_month(world: World, month: Traffic) -> None:
    """Nobody but victims of fraud and the spendthrift ends a month below zero."""
    moved = month.amount_minor.astype(np.int64)
    balance = world.parties.opening_minor.astype(np.int64)
    np.subtract.at(balance, month.debtor, moved)
    np.add.at(balance, month.creditor, moved)
    assert (balance < 0).mean() < 0.05


@pytest.mark.parametrize(
    ("arguments", "param"),
    [({"consumers": 3}, "consumers"), ({"firms": 1}, "consumers"), ({"fraud_share": 0.7}, "fraud_share")],
)
def test_impossible_worlds_are_refused(arguments: dict[str, float], param: str) -> None:
    with pytest.raises(InputError) as caught:
        World(1, **arguments)  # type: ignore[arg-type]
    assert caught.value.param == param


def test_a_rate_of_zero_is_refused(world: World) -> None:
    with pytest.raises(InputError, match="above zero"):
        next(world.traffic(START, payments_per_second=0.0))
