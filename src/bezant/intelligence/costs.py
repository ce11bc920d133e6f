"""What mistakes cost, and the thresholds that follow: the cheapest of passing, asking a person, blocking.

With a fraud's probability p, the loss L if it is one, a review's cost R and an insulted customer's cost I, a
payment that passes is expected to cost p L, a review R, and a block (1 - p) I. Everything is in integers:
probabilities in parts per million, money in minor units, and a threshold is the lowest score that exceeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bezant.errors import ConfigError
from bezant.intelligence.metrics import NEVER_PPM

MILLION = 1_000_000
MOST_COST_MINOR = 10**12
"""Bounds what a review or an insult may cost, so that a million of it stays within 64 bits."""
_MOST_LOSS = np.uint64(10**18)

U64Array = npt.NDArray[np.uint64]
U32Array = npt.NDArray[np.uint32]
BoolArray = npt.NDArray[np.bool_]


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Payments that cost otherwise than the rest: by amount, and whether the payee is new to the payer.

    What is not set holds for all, and costs as in `Costs`.
    """

    name: str
    from_minor: int = 0
    below_minor: int = 2**63
    new_payee: bool | None = None
    lost_ppm: int | None = None
    review_minor: int | None = None
    insult_minor: int | None = None


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What frauds, reviews and insults cost, in minor units of one asset; others keep a card's thresholds."""

    asset: str
    lost_ppm: int = MILLION
    """Share of a fraud's amount that is lost in the end."""
    review_minor: int = 500
    insult_minor: int = 5_000
    """What it costs to block an honest customer's payment."""
    alerts_per_day: int = 0
    """Most reviews in any 24 hours, those with the highest expected loss; 0 is no bound."""
    segments: tuple[Segment, ...] = ()
    """The first that fits a payment counts."""

    def __post_init__(self) -> None:
        names = [segment.name for segment in self.segments]
        if len(set(names)) < len(names):
            raise ConfigError("costs: two segments have one name; rename one", param="costs.segments")
        if self.alerts_per_day < 0:
            raise ConfigError("costs: alerts_per_day is 0 (no bound) or more", param="costs.alerts_per_day")
        for one in (self, *(self._filled(segment) for segment in self.segments)):
            if not 0 < one.lost_ppm <= MILLION:
                raise ConfigError("costs: lost_ppm is 1 to 1000000", param="costs.lost_ppm")
            if not (0 < one.review_minor <= MOST_COST_MINOR and 0 < one.insult_minor <= MOST_COST_MINOR):
                raise ConfigError(
                    f"costs: a review and an insult cost 1 to {MOST_COST_MINOR} minor units", param="costs"
                )

    def thresholds(self, amount_minor: U64Array, new_payee: BoolArray) -> Thresholds:
        """Return thresholds of payments (n,) in this asset."""
        segment = np.zeros(len(amount_minor), np.uint8)
        columns = np.empty((3, len(amount_minor)), np.uint64)
        columns[:] = np.array([self.lost_ppm, self.review_minor, self.insult_minor], np.uint64)[:, None]
        for number, one in reversed(list(enumerate(self.segments, 1))):
            fits = (amount_minor >= np.uint64(one.from_minor)) & (amount_minor < np.uint64(one.below_minor))
            if one.new_payee is not None:
                fits &= new_payee == one.new_payee
            filled = self._filled(one)
            segment[fits] = number
            columns[:, fits] = np.array(
                [filled.lost_ppm, filled.review_minor, filled.insult_minor], np.uint64
            )[:, None]
        lost, review, insult = columns
        loss = np.minimum(_share(amount_minor, lost), _MOST_LOSS)
        return Thresholds(
            _review_from(loss, review), _block_from(loss, review, insult), loss, review, insult, segment
        )

    def segment_name(self, number: int) -> str:
        """Return the name of a segment by the number in `Thresholds.segment`; the rest have none."""
        return self.segments[number - 1].name if number else ""

    def _filled(self, segment: Segment) -> Costs:
        def or_own(value: int | None, own: int) -> int:
            return own if value is None else value

        return Costs(
            self.asset,
            or_own(segment.lost_ppm, self.lost_ppm),
            or_own(segment.review_minor, self.review_minor),
            or_own(segment.insult_minor, self.insult_minor),
        )


class Thresholds(msgspec.Struct, frozen=True):
    """Of payments (n,): scores from which on each is reviewed and blocked, and the costs they follow from.

    A payment whose review would cost more than its loss is never reviewed (NEVER_PPM). `segment` counts from
    1; 0 is the rest.
    """

    review_ppm: U32Array
    block_ppm: U32Array
    loss_minor: U64Array
    """What is lost if it is fraud."""
    review_minor: U64Array
    insult_minor: U64Array
    segment: npt.NDArray[np.uint8]


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a way to decide costs on labelled payments, in minor units for 1,000 payments, and its parts."""

    per_1000_minor: int
    lost_minor: int
    reviews: int
    insults: int


class CostReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same scores decided at one threshold for all, and at thresholds that follow cost.

    Of payments in one asset, the one that costs are in; `other_assets` counts those in others, of which it
    says nothing: minor units of two assets cannot be added.
    """

    asset: str
    payments: int
    fixed: Cost
    by_cost: Cost
    other_assets: int = 0


def read_costs(settings: Mapping[str, Any]) -> Costs | None:
    """Return the costs in a configuration, None where none are configured. Raises: ConfigError."""
    if not settings:
        return None
    try:
        return msgspec.convert(settings, Costs, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"costs: {error}", param="costs") from None


def expected_loss(score_ppm: U32Array, loss_minor: U64Array) -> U64Array:
    """Return what payments (n,) are expected to lose if they pass, in whole minor units."""
    return _share(loss_minor, score_ppm.astype(np.uint64))


def compare(
    costs: Costs,
    label: npt.NDArray[np.uint8],
    score_ppm: U32Array,
    amount_minor: U64Array,
    new_payee: BoolArray,
    review_ppm: int,
    block_ppm: int,
) -> CostReport:
    """Return what labelled payments (n,) cost at two fixed thresholds, and at those that follow cost.

    A review finds every fraud; no alert budget is applied.
    """
    at = costs.thresholds(amount_minor, new_payee)
    fraud = label.astype(np.bool_)

    def cost(review: U32Array | int, block: U32Array | int) -> Cost:
        blocked = score_ppm >= block
        reviewed = ~blocked & (score_ppm >= review)
        insulted, missed = blocked & ~fraud, fraud & ~blocked & ~reviewed
        lost = _sum(at.loss_minor[missed])
        total = lost + _sum(at.review_minor[reviewed]) + _sum(at.insult_minor[insulted])
        return Cost(total * 1_000 // max(len(label), 1), lost, int(reviewed.sum()), int(insulted.sum()))

    return CostReport(costs.asset, len(label), cost(review_ppm, block_ppm), cost(at.review_ppm, at.block_ppm))


def _sum(minor: U64Array) -> int:
    """Return a sum that no number of payments can take out of range."""
    return sum(minor.tolist())


def _share(value: U64Array, ppm: U64Array) -> U64Array:
    """Return value (n,) times parts per million, rounded down, without leaving 64 bits."""
    million = np.uint64(MILLION)
    return value // million * ppm + value % million * ppm // million


def _review_from(loss: U64Array, review: U64Array) -> U32Array:
    """Return the lowest scores (n,) with p L > R."""
    million = np.uint64(MILLION)
    lowest = review * million // np.maximum(loss, np.uint64(1)) + np.uint64(1)
    return np.minimum(lowest, np.uint64(NEVER_PPM)).astype(np.uint32)


def _block_from(loss: U64Array, review: U64Array, insult: U64Array) -> U32Array:
    """Return the lowest scores (n,) with (1 - p) I < p L and (1 - p) I < R: a block is the cheapest."""
    million = np.uint64(MILLION)
    than_passing = insult * million // (loss + insult) + np.uint64(1)
    worth = -(-(review * million).astype(np.int64) // insult.astype(np.int64))
    than_review = np.maximum(NEVER_PPM - worth, 0).astype(np.uint64)
    lowest = np.maximum(than_passing, than_review)
    return np.minimum(lowest, np.uint64(NEVER_PPM)).astype(np.uint32)
