"""Why a payment scored as it did, in words: what weighed most, and what is normal for this customer.

Weights are path-dependent TreeSHAP values (Lundberg et al. 2020), exact, as LightGBM computes them: with
the base they add up to the model's margin, the log odds before calibration. Everything said comes from the
signed record and from the features in the evidence, so that a text can be made again at any time. Off the
way of payments: one explanation takes milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bezant.intelligence.features import COLUMN, FEATURES, FloatMatrix
from bezant.intelligence.model import Model
from bezant.intelligence.units import natural
from bezant.model.money import Asset, render_minor

MOST_IDEAS: Final = 5


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature added to the log odds of fraud; `value` in the units that people count in."""

    feature: str
    value: float
    weight: float


@dataclass(frozen=True, slots=True)
class Idea:
    """Features that say one thing together: their weights added, and the thing in words."""

    name: str
    text: str
    weight: float
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Ideas, those that speak most for fraud first; `base` and all weights add up to `margin`.

    Where rules gave the score there are no weights, and base and margin are 0.
    """

    base: float
    margin: float
    ideas: tuple[Idea, ...]

    @property
    def text(self) -> str:
        """What spoke for fraud, for a report."""
        telling = [idea.text for idea in self.ideas if idea.weight > 0 or not self.margin]
        return " ".join(telling[:MOST_IDEAS])


@dataclass(frozen=True, slots=True)
class Payment:
    """What is said of a payment itself: its amount in minor units, its asset, and when it was signed."""

    amount_minor: int
    asset: Asset
    time_ns: int


def contributions(model: Model, x: FloatMatrix) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the base and what each feature adds (F,) to the margin of a row x (1, F)."""
    told = np.asarray(_booster(model.trees).predict(np.asarray(x, np.float64), pred_contrib=True))[0]
    return float(told[-1]), told[:-1].astype(np.float64)


def explain(model: Model | None, x: FloatMatrix, payment: Payment) -> Explanation:
    """Return why a row x (1, F) scored as it did, by a model, or by rules where it is None."""
    base, weights = (0.0, np.zeros(len(FEATURES))) if model is None else contributions(model, x)
    seen = {name: natural(name, float(x[0, at])) for name, at in COLUMN.items()}
    by_idea: dict[str, list[Contribution]] = {name: [] for name in _IDEAS}
    for name, weight in zip(FEATURES, weights.tolist(), strict=True):
        by_idea[idea_of(name)].append(Contribution(name, seen[name], weight))
    ideas = [
        Idea(
            name,
            _IDEAS[name](seen, payment),
            math.fsum(one.weight for one in said),
            tuple(sorted(said, key=lambda one: -abs(one.weight))),
        )
        for name, said in by_idea.items()
    ]
    ideas.sort(key=lambda idea: -idea.weight)
    margin = math.fsum([base, *weights.tolist()]) if model is not None else 0.0
    return Explanation(base, margin, tuple(ideas))


def idea_of(feature: str) -> str:
    """Return the idea that a feature belongs to."""
    return next(idea for idea, parts in _PARTS.items() if feature.startswith(parts))


@lru_cache(maxsize=2)
def _booster(trees: str) -> Any:
    import lightgbm  # Takes 0.7 s to import, and few nodes are asked for explanations.

    return lightgbm.Booster(model_str=trees)


# Which feature belongs to which idea: the first that its name begins with.

_PARTS: Final[dict[str, tuple[str, ...]]] = {
    "fraud known here": ("place_", "debtor_frauds"),
    "device and terminal": ("device_", "terminal_"),
    "time": ("hour_", "night", "weekend", "quarter_share"),
    "payee and payer": ("pair_", "paid_back", "amount_over_creditor_mean"),
    "new payees": ("new_payee", "debtor_fan_out"),
    "money passed on": (
        *("debtor_received", "pass_through", "passed_on", "debtor_passed", "debtor_stay", "held_for"),
        *("circle", "debtor_fan_in"),
    ),
    "amount": ("amount", "usual_", "recent_over", "outliers_"),
    "pace": ("sent_", "debtor_gap"),
    "the payer's account": ("debtor_age",),
    "the payee's account": ("creditor_", "received_", "new_payer"),
}

# What each idea says of a payment: the value, and the customer's own normal beside it.

_Seen = Mapping[str, float]


def _amount(seen: _Seen, payment: Payment) -> str:
    paid = f"{payment.asset.code} {render_minor(payment.amount_minor, payment.asset.scale)}"
    if not seen["usual_amount"]:
        return f"{paid}; this customer has no usual amount yet."
    low = max(seen["usual_amount"] - seen["usual_spread"], 0.0)
    text = f"{paid}; usual {low:.0f}–{seen['usual_amount'] + seen['usual_spread']:.0f}"
    if seen["amount_over_largest"] > 1:
        text += f", {seen['amount_over_largest']:.1f} times the largest so far"
    return text + "."


def _time(seen: _Seen, payment: Payment) -> str:
    at = datetime.fromtimestamp(payment.time_ns // 1_000_000_000, UTC)
    quarter = at.hour // 6
    when = ("at night", "in the morning", "in the afternoon", "in the evening")[quarter]
    text = f"At {at:%H:%M} UTC on {at:%A}"
    share = seen["quarter_share"]
    if share < 0:
        return f"{text}; this customer has no usual times yet."
    if share == 0:
        return f"{text}; never before {when}."
    return f"{text}; {_percent(share)} of this customer's payments are made {when}."


def _pace(seen: _Seen, payment: Payment) -> str:
    daily = seen["sent_count_30d"] / 30
    text = f"{_count(seen['sent_count_1h'])} within the hour and {_count(seen['sent_count_1d'])} within a day"
    return f"Before it the customer made {text}; usual {daily:.1f} a day."


def _pair(seen: _Seen, payment: Payment) -> str:
    if seen["pair_new"] > 0:
        return "The customer has not paid this payee before."
    return (
        f"The customer paid this payee {_span(seen['pair_gap'])} ago, "
        f"{_count(seen['pair_count_30d'])} in 30 days."
    )


def _new_payees(seen: _Seen, payment: Payment) -> str:
    ever = max(0.0, seen["debtor_fan_out"])
    new = _count(seen["new_payees_1d"], "payee")
    return f"{new} new to the customer within a day; {_count(ever, 'payee')} ever."


def _passing(seen: _Seen, payment: Payment) -> str:
    share = _percent(min(max(seen["passed_on_1d"], 0.0), 1.0))
    usual = _percent(min(max(seen["debtor_passed_1d"], 0.0), 1.0))
    return f"{share} of it is money that came within a day; usual {usual} of what the customer receives."


def _place(seen: _Seen, payment: Payment) -> str:
    known = _percent(min(max(seen["place_risk_slow"], 0.0), 1.0))
    frauds = _count(seen["place_frauds_30d"], "known fraud")
    return (
        f"{frauds} here within 30 days, {known} of what is known lately; "
        f"{seen['debtor_frauds_30d']:.0f} that the customer suffered."
    )


def _instruments(seen: _Seen, payment: Payment) -> str:
    texts = []
    for name in ("device", "terminal"):
        new = seen[f"{name}_new"]
        used = f"{_count(seen[f'{name}_count_30d'])} with it in 30 days"
        state = "not named" if new < 0 else "new to the customer" if new else f"known, {used}"
        texts.append(f"{name} {state}")
    return f"{', '.join(texts).capitalize()}."


def _payer(seen: _Seen, payment: Payment) -> str:
    return f"The customer's account was first seen {_span(seen['debtor_age'])} ago."


def _payee(seen: _Seen, payment: Payment) -> str:
    if seen["creditor_age"] < 0:
        return "The payee's account was never seen before."
    payers = _count(seen["new_payers_1d"], "new payer")
    return (
        f"The payee's account, first seen {_span(seen['creditor_age'])} ago, received "
        f"{_count(seen['received_count_1d'])} within a day, from {payers}; "
        f"usual {seen['received_count_30d'] / 30:.1f} a day."
    )


_IDEAS: Final[dict[str, Callable[[_Seen, Payment], str]]] = {
    "amount": _amount,
    "time": _time,
    "payee and payer": _pair,
    "pace": _pace,
    "new payees": _new_payees,
    "money passed on": _passing,
    "fraud known here": _place,
    "device and terminal": _instruments,
    "the payer's account": _payer,
    "the payee's account": _payee,
}


def _count(fading: float, what: str = "payment") -> str:
    whole = round(fading)
    return f"1 {what}" if whole == 1 else f"{whole} {what}s"


def _percent(share: float) -> str:
    return "under 1 %" if 0 < share < 0.005 else f"{share:.0%}".replace("%", " %")


def _span(seconds: float) -> str:
    """Return seconds as people say them."""
    for unit, length in (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} seconds"
