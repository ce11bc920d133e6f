"""One honest day: purchases, transfers between people, collections, salaries, rents and invoices."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bezant.economy.calendar import (
    DAY_NS,
    HOUR_NS,
    SECOND_NS,
    WEEKDAY_FACTOR,
    FloatArray,
    Int64Array,
    day_of_month,
    habitual_times,
    shop_times,
    weekday,
    within_day,
)
from bezant.economy.parties import (
    CATEGORY_MEDIAN,
    CATEGORY_SPREAD,
    FAVOURITES,
    FRIENDS,
    MINOR,
    SUPPLIERS,
    Habits,
)
from bezant.economy.traffic import Scenario

FAVOURITE_SHARE = 0.86
STRANGER_SHARE = 0.08
SPREES_PER_DAY = 0.01
COLLECTIONS_PER_DAY = 0.006
LARGE_SHARE = 0.02


class Flow(NamedTuple):
    """Payments of one cause, unsorted columns of one length; times are simulated."""

    debtor: npt.NDArray[np.int32]
    creditor: npt.NDArray[np.int32]
    amount_minor: npt.NDArray[np.uint64]
    time_ns: Int64Array
    scenario: Scenario


def flow(debtor: Any, creditor: Any, amount: FloatArray, time_ns: Int64Array, scenario: Scenario) -> Flow:
    """Return a Flow from amounts in major units; nobody pays less than one minor unit."""
    minor = np.maximum(np.rint(amount * MINOR), 1.0).astype(np.uint64)
    return Flow(debtor.astype(np.int32), creditor.astype(np.int32), minor, time_ns, scenario)


def honest_day(rng: np.random.Generator, habits: Habits, day: int) -> list[Flow]:
    """Return everything honest that happens on one day (counted from 1970-01-01)."""
    return [
        _purchases(rng, habits, day),
        _sprees(rng, habits, day),
        _transfers(rng, habits, day),
        *_collections(rng, habits, day),
        _salaries(rng, habits, day),
        _rents(rng, habits, day),
        _invoices(rng, habits, day),
    ]


def expected_per_day(habits: Habits) -> float:
    """Return how many honest payments an average day has."""
    consumers = habits.salary.size
    return float(
        habits.purchases_per_day.sum()
        + habits.transfers_per_day.sum()
        + consumers * (6.5 * SPREES_PER_DAY + 4.0 * COLLECTIONS_PER_DAY + 2.0 * 12.0 / 365.25)
        + habits.invoices_per_day.sum() * 5.0 / 7.0
    )


def purchase_amount(rng: np.random.Generator, habits: Habits, debtor: Any, merchant: Any) -> FloatArray:
    """Return what these consumers would spend at these merchants, in major units."""
    category = habits.category[merchant - habits.salary.size]
    noise = np.exp(CATEGORY_SPREAD[category] * rng.standard_normal(debtor.size))
    return CATEGORY_MEDIAN[category] * np.sqrt(habits.level[debtor]) * noise


def any_merchant(rng: np.random.Generator, habits: Habits, count: int) -> npt.NDArray[np.int32]:
    """Return merchants drawn by popularity."""
    place = np.searchsorted(habits.popularity, rng.random(count))
    return (np.minimum(place, habits.popularity.size - 1) + habits.salary.size).astype(np.int32)


def _purchases(rng: np.random.Generator, habits: Habits, day: int) -> Flow:
    counts = rng.poisson(habits.purchases_per_day * WEEKDAY_FACTOR[weekday(day)])
    debtor = np.repeat(np.arange(counts.size), counts)
    # Squaring a uniform draw makes the first favourites the most visited.
    choice = (FAVOURITES * rng.random(debtor.size) ** 2).astype(np.int64)
    known = rng.random(debtor.size) < FAVOURITE_SHARE
    creditor = np.where(known, habits.favourites[debtor, choice], any_merchant(rng, habits, debtor.size))
    times = habitual_times(rng, day, habits.peak_hour[debtor])
    return flow(debtor, creditor, purchase_amount(rng, habits, debtor, creditor), times, Scenario.PURCHASE)


def _sprees(rng: np.random.Generator, habits: Habits, day: int) -> Flow:
    """A few consumers shop through an afternoon, at places new to them, for more than usual."""
    people = rng.integers(0, habits.salary.size, rng.poisson(SPREES_PER_DAY * habits.salary.size))
    counts = rng.integers(3, 11, people.size)
    debtor = np.repeat(people, counts)
    start = np.repeat(shop_times(rng, day, people.size), counts)
    times = np.minimum(start + (rng.random(debtor.size) * 2 * HOUR_NS).astype(np.int64), _last(day))
    creditor = any_merchant(rng, habits, debtor.size)
    amount = purchase_amount(rng, habits, debtor, creditor) * rng.uniform(1.0, 3.0, debtor.size)
    return flow(debtor, creditor, amount, times, Scenario.PURCHASE)


def _transfers(rng: np.random.Generator, habits: Habits, day: int) -> Flow:
    """Person to person: mostly friends, sometimes a stranger; now and then the price of a used car."""
    counts = rng.poisson(habits.transfers_per_day)
    debtor = np.repeat(np.arange(counts.size), counts)
    friend = habits.friends[debtor, rng.integers(0, FRIENDS, debtor.size)]
    stranger = rng.integers(0, counts.size, debtor.size)
    creditor = np.where(rng.random(debtor.size) < STRANGER_SHARE, stranger, friend)
    amount = 18.0 * habits.level[debtor] * np.exp(0.8 * rng.standard_normal(debtor.size))
    large = rng.random(debtor.size) < LARGE_SHARE
    amount = np.where(large, amount * rng.uniform(15.0, 90.0, debtor.size), amount)
    keep = creditor != debtor
    times = habitual_times(rng, day, habits.peak_hour[debtor] + 3.0)
    return flow(debtor[keep], creditor[keep], amount[keep], times[keep], Scenario.TRANSFER)


def _collections(rng: np.random.Generator, habits: Habits, day: int) -> list[Flow]:
    people = rng.integers(0, habits.salary.size, rng.poisson(COLLECTIONS_PER_DAY * habits.salary.size))
    share = rng.uniform(8.0, 120.0, people.size)
    start = np.minimum(shop_times(rng, day, people.size), _last(day) - 3 * HOUR_NS)
    debtor = habits.friends[people, :3].reshape(-1)
    payee = np.repeat(people, 3)
    times = np.repeat(start, 3) + (rng.random(payee.size) * HOUR_NS).astype(np.int64)
    keep = debtor != payee
    paid_at = start + HOUR_NS + (rng.random(people.size) * HOUR_NS).astype(np.int64)
    merchant = any_merchant(rng, habits, people.size)
    shares = np.repeat(share, 3)
    return [
        flow(debtor[keep], payee[keep], shares[keep], times[keep], Scenario.COLLECTION),
        flow(people, merchant, 4.0 * share, paid_at, Scenario.COLLECTION),
    ]


def _salaries(rng: np.random.Generator, habits: Habits, day: int) -> Flow:
    """Each employer pays everyone in one run, early in the morning of its payday."""
    consumers = habits.salary.size
    staff = np.flatnonzero(habits.payday[habits.employer - consumers] == day_of_month(day))
    run = within_day(day, 5.0 + 3.0 * rng.random(habits.payday.size))
    employer = habits.employer[staff]
    times = run[employer - consumers] + rng.integers(0, 600 * SECOND_NS, staff.size)
    amount = habits.salary[staff] * np.where(rng.random(staff.size) < 0.05, 1.3, 1.0)
    return flow(employer, staff, amount, times, Scenario.SALARY)


def _rents(rng: np.random.Generator, habits: Habits, day: int) -> Flow:
    tenants = np.flatnonzero(habits.rent_day == day_of_month(day))
    times = within_day(day, 6.0 + 2.0 * rng.random(tenants.size))
    return flow(tenants, habits.landlord[tenants], habits.rent[tenants], times, Scenario.RENT)


def _invoices(rng: np.random.Generator, habits: Habits, day: int) -> Flow:
    """Buyers settle what is due in one payment run of theirs, on weekdays at office hours."""
    due = rng.poisson(habits.invoices_per_day * (1.0 if weekday(day) < 5 else 0.0))
    buyer = np.repeat(np.arange(due.size), due)
    relation = rng.integers(0, SUPPLIERS, buyer.size)
    run = within_day(day, rng.uniform(8.5, 16.5, due.size))
    times = run[buyer] + rng.integers(0, 120 * SECOND_NS, buyer.size)
    amount = habits.supply_level[buyer, relation] * np.exp(0.35 * rng.standard_normal(buyer.size))
    creditor = habits.suppliers[buyer, relation]
    debtor = habits.buyers[buyer]
    keep = debtor != creditor
    return flow(debtor[keep], creditor[keep], amount[keep], times[keep], Scenario.INVOICE)


def _last(day: int) -> int:
    return (day + 1) * DAY_NS - 1
