"""What features are measured in: many stand as logarithms, and people count in euros, days and payments."""

from __future__ import annotations

import math
from enum import Enum
from typing import Final

from bezant.intelligence.features import FEATURES


class Unit(Enum):
    """How a feature's number is to be read; those of the first three are log(1 + it)."""

    MONEY = "money"
    """Major units of the payment's asset."""
    SECONDS = "seconds"
    """-1 where there was nothing to count from."""
    ACCOUNTS = "accounts"
    COUNT = "count"
    """A number of payments or accounts that fades with age, so seldom a whole one."""
    PLAIN = "plain"


_MONEY: Final = ("amount", "creditor_sent_1d", "debtor_received_1h", "usual_amount", "usual_spread")
_SECONDS: Final = (
    *("debtor_gap", "pair_gap", "creditor_gap", "debtor_age", "creditor_age", "device_gap", "held_for"),
    *("debtor_stay", "creditor_stay", "place_last_fraud", "place_first_fraud"),
)
_COUNTS: Final = ("new_payees_1d", "new_payers_1d", "outliers_", "_frauds_", "device_payers_", "_count_")


def unit_of(feature: str) -> Unit:
    """Return what a feature is measured in."""
    if feature in _MONEY or feature.startswith(("sent_amount_", "received_amount_")):
        return Unit.MONEY
    if feature in _SECONDS:
        return Unit.SECONDS
    if "_fan_" in feature:
        return Unit.ACCOUNTS
    return Unit.COUNT if any(part in feature for part in _COUNTS) else Unit.PLAIN


UNITS: Final[dict[str, Unit]] = {name: unit_of(name) for name in FEATURES}
_LOGARITHMS: Final = (Unit.MONEY, Unit.SECONDS, Unit.ACCOUNTS)


def natural(feature: str, value: float) -> float:
    """Return a feature's number as people count it; what never was stays -1.

    >>> round(natural("amount", math.log1p(940.0)), 6)
    940.0
    """
    return math.expm1(min(value, 700.0)) if UNITS[feature] in _LOGARITHMS and value > 0 else value


def as_feature(feature: str, value: float) -> float:
    """Return what people count as the feature has it; the opposite of `natural`."""
    return math.log1p(value) if UNITS[feature] in _LOGARITHMS and value > 0 else value
