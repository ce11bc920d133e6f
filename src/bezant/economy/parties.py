"""Who lives in the world: consumers, merchants and firms, as columns, and how each one behaves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from bezant.economy import names
from bezant.economy.calendar import FloatArray

Int32Array = npt.NDArray[np.int32]
Uint64Array = npt.NDArray[np.uint64]

FAVOURITES = 10
FRIENDS = 5
SUPPLIERS = 4
MINOR = 100
"""The world pays in an asset of scale 2."""

_COUNTRIES = ("DE", "FR", "IT", "ES", "NL", "BE", "AT", "PT", "IE", "FI")
_COUNTRY_SHARES = np.array([0.24, 0.19, 0.17, 0.14, 0.08, 0.05, 0.04, 0.04, 0.03, 0.02])


class PartyKind(IntEnum):
    CONSUMER = 0
    MERCHANT = 1
    FIRM = 2


class Category(IntEnum):
    """What a merchant sells."""

    GROCERIES = 0
    RESTAURANT = 1
    TRANSPORT = 2
    FASHION = 3
    ELECTRONICS = 4
    TRAVEL = 5
    UTILITIES = 6
    LEISURE = 7


_CATEGORY_SHARES = np.array([0.26, 0.24, 0.1, 0.12, 0.07, 0.05, 0.04, 0.12])
CATEGORY_MEDIAN = np.array([24.0, 18.0, 6.0, 38.0, 90.0, 140.0, 55.0, 15.0])
"""Median purchase in major units."""
CATEGORY_SPREAD = np.array([0.5, 0.5, 0.6, 0.6, 0.8, 0.7, 0.4, 0.7])
"""Standard deviation of the logarithm of a purchase."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Everyone, as columns of length n: first the consumers, then the merchants, then the firms.

    `assets` lists, for each party, the codes of the assets in which it holds an account; the
    first is the one that traffic is paid in. `opening_minor (n,) uint64` is a balance to open
    with: a few salaries for a consumer, a year of payroll for an employer.
    """

    name: tuple[str, ...]
    kind: npt.NDArray[np.uint8]
    country: tuple[str, ...]
    assets: tuple[tuple[str, ...], ...]
    opening_minor: Uint64Array
    consumers: int
    merchants: int
    firms: int

    def __len__(self) -> int:
        return self.consumers + self.merchants + self.firms


@dataclass(frozen=True, slots=True)
class Habits:
    """How each party behaves; consumer columns have length c, buyers are merchants and firms.

    `salary`, `rent` and `level` (against the median consumer) are in major units and ratios;
    `*_per_day` are expected payments; `peak_hour` is the middle of a consumer's own day.
    """

    salary: FloatArray
    rent: FloatArray
    level: FloatArray
    purchases_per_day: FloatArray
    transfers_per_day: FloatArray
    peak_hour: FloatArray
    employer: Int32Array
    landlord: Int32Array
    rent_day: Int32Array
    favourites: Int32Array
    friends: Int32Array
    category: Int32Array
    popularity: FloatArray
    buyers: Int32Array
    invoices_per_day: FloatArray
    suppliers: Int32Array
    supply_level: FloatArray
    payday: Int32Array


def found_habits(rng: np.random.Generator, consumers: int, merchants: int, firms: int) -> Habits:
    """Return the habits of a new population; arrays are indexed as `Parties` orders them."""
    first_firm = consumers + merchants
    size = rng.pareto(1.3, merchants) + 0.2
    employers = np.concatenate([size * 0.5, rng.pareto(1.2, firms) + 1.0])
    salary = 2_600.0 * np.exp(0.35 * rng.standard_normal(consumers))
    buyers = np.arange(consumers, first_firm + firms, dtype=np.int32)
    return Habits(
        salary=salary,
        rent=np.round(salary * rng.uniform(0.2, 0.34, consumers)),
        level=salary / 2_600.0 * np.exp(0.3 * rng.standard_normal(consumers)),
        purchases_per_day=rng.gamma(4.0, 0.45, consumers),
        transfers_per_day=rng.gamma(1.5, 0.1, consumers),
        peak_hour=14.0 + 2.5 * rng.standard_normal(consumers),
        employer=_draw(rng, employers, consumers) + np.int32(consumers),
        landlord=rng.integers(first_firm, first_firm + firms, consumers, dtype=np.int32),
        rent_day=rng.integers(1, 6, consumers, dtype=np.int32),
        favourites=_draw(rng, size, consumers * FAVOURITES).reshape(consumers, FAVOURITES)
        + np.int32(consumers),
        friends=rng.integers(0, consumers, (consumers, FRIENDS), dtype=np.int32),
        category=_draw(rng, _CATEGORY_SHARES, merchants),
        popularity=np.cumsum(size / size.sum()),
        buyers=buyers,
        invoices_per_day=rng.gamma(1.0, 0.8, buyers.size),
        suppliers=rng.integers(first_firm, first_firm + firms, (buyers.size, SUPPLIERS), dtype=np.int32),
        supply_level=np.exp(6.3 + 0.9 * rng.standard_normal((buyers.size, SUPPLIERS))),
        payday=rng.integers(25, 29, buyers.size, dtype=np.int32),
    )


def found_parties(
    rng: np.random.Generator, habits: Habits, merchants: int, firms: int, asset: str
) -> Parties:
    """Return the columns that a ledger needs to open everyone's account."""
    consumers = habits.salary.size
    total = consumers + merchants + firms
    kinds = np.repeat(np.arange(3, dtype=np.uint8), [consumers, merchants, firms])
    payroll = np.bincount(habits.employer - consumers, habits.salary, merchants + firms)
    opening = np.concatenate([3.0 * habits.salary, 12.0 * payroll + 100_000.0])
    return Parties(
        name=(
            *names.person_names(rng, consumers),
            *names.shop_names(rng, [Category(c).name for c in habits.category.tolist()]),
            *names.firm_names(rng, firms),
        ),
        kind=kinds,
        country=tuple(_COUNTRIES[c] for c in _draw(rng, _COUNTRY_SHARES, total).tolist()),
        assets=((asset,),) * total,
        opening_minor=np.round(opening * MINOR).astype(np.uint64),
        consumers=consumers,
        merchants=merchants,
        firms=firms,
    )


def _draw(rng: np.random.Generator, weights: FloatArray, count: int) -> Int32Array:
    """Return (count,) positions drawn in proportion to weights."""
    edges = np.cumsum(weights / weights.sum())
    return np.minimum(np.searchsorted(edges, rng.random(count)), weights.size - 1).astype(np.int32)
