"""Allow, review or block, by a policy in configuration; and the evidence of why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bezant.errors import ConfigError
from bezant.intelligence.alerts import alert_threshold
from bezant.intelligence.conditions import Facts
from bezant.intelligence.costs import Costs, expected_loss
from bezant.intelligence.evidence import RULES, commitments, encode_evidence
from bezant.intelligence.features import COLUMN
from bezant.intelligence.rulebook import NO_BOOK
from bezant.intelligence.rules import REVIEW_PPM
from bezant.intelligence.verdict import NEVER_PPM, Bytes, Circumstance, Grounds, conclude
from bezant.model.money import U64_MAX
from bezant.model.outcomes import Verdict
from bezant.model.records import NO_ROW, Kind
from bezant.pipeline.batch import PaymentBatch
from bezant.stages.resources import Resources

Countries = npt.NDArray[np.uint16]
# As numpy's own numbers: of a member of an enumeration numpy asks first whether it is an array.
_BY_RULES, _UNSCORED, _ISSUES, _NOTHING = (
    np.uint8(bit) for bit in (Circumstance.BY_RULES, Circumstance.UNSCORED, Circumstance.ISSUES, 0)
)
_UNKNOWN = bytes(16)
"""In place of the second half of a model's digest, where another stage scored by a model of its own."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The thresholds of a batch: one for all of it or (n,); see `Grounds` and `EVIDENCE`."""

    review_ppm: npt.ArrayLike
    block_ppm: npt.ArrayLike
    alert_ppm: npt.ArrayLike = 0
    segment: npt.ArrayLike = 0
    loss_minor: npt.NDArray[np.uint64] | None = None
    """What is lost if a payment is fraud (n,), where thresholds follow cost."""


class Decide:
    """Thresholds on the score, the screening's verdict, configured rules, and a small control group."""

    name: ClassVar = "decide"
    version: ClassVar = "thresholds-2"
    reads: ClassVar = frozenset(
        {
            "records",
            "debtor_row",
            "creditor_row",
            "refused",
            "screening",
            "features",
            "score_ppm",
            "reasons",
            "model",
        }
    )
    writes: ClassVar = frozenset({"decisions", "evidence", "reasons"})
    has_fallback: ClassVar = True
    budget_us: ClassVar = 50.0
    budget_base_us: ClassVar = 100_000.0

    def __init__(self, resources: Resources) -> None:
        self._policy, self._model = resources.policy, resources.model
        self._book, self._parties = resources.rulebook, resources.parties
        self._ledger = resources.engine.ledger
        self._random = np.random.default_rng(resources.lottery_seed)
        self._costs, self._alerts = resources.costs, resources.alerts
        self._now_ns = resources.now_ns
        self._priced = _asset_number(resources)

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        in_force = self._thresholds(batch)
        grounds = self._grounds(batch, in_force)
        countries = self._countries(batch)
        fired = self._ask_rules(batch, grounds, *countries)
        self._keep_to_budget(batch, grounds, in_force)
        by_score = grounds.by_score
        drawn = self._draw_control_group(batch, grounds.spared(by_score))
        grounds.circumstances[drawn] |= np.uint8(Circumstance.CONTROL)
        return self._record(batch, grounds, by_score, in_force, fired, self._book.name, countries)

    def _countries(self, batch: PaymentBatch) -> tuple[Countries, Countries]:
        """Return the country of each side's party (n,), unknown where no rule may ask."""
        if not self._book.rules:
            none = np.zeros(len(batch), np.uint16)
            return none, none
        return self._parties.countries(batch.debtor_row), self._parties.countries(batch.creditor_row)

    def fall_back(self, batch: PaymentBatch) -> PaymentBatch:
        """A person looks at every payment, unless a listed party is in it; rules are not asked, for it may
        be them that failed."""
        grounds = self._grounds(batch, InForce(0, 0))
        grounds.circumstances |= np.uint8(Circumstance.STRICT)
        return self._record(batch, grounds, grounds.by_score, InForce(0, 0))

    @staticmethod
    def _reversals(batch: PaymentBatch) -> Bytes:
        """Return BLOCK where a listed party is in a reversal; nothing else is said of one, for it is no
        new payment and cannot wait."""
        blocked = (batch.records["kind"] == Kind.REVERSE) & (batch.screening == Verdict.BLOCK)
        return np.where(blocked, np.uint8(Verdict.BLOCK), np.uint8(Verdict.ALLOW))

    def _circumstances(self, batch: PaymentBatch) -> Bytes:
        known = batch.debtor_row != NO_ROW
        found = np.full(len(batch), _BY_RULES if batch.model == RULES else 0, np.uint8)
        found[~known | (batch.creditor_row == NO_ROW)] |= _UNSCORED
        # A batch that goes whole is not chosen from.
        chosen = slice(None) if known.all() else known
        limits = self._ledger.accounts["credit_limit"][batch.debtor_row[chosen]]
        found[chosen] |= np.where(limits == U64_MAX, _ISSUES, _NOTHING)
        return found

    def _grounds(self, batch: PaymentBatch, in_force: InForce) -> Grounds:
        def column(value: npt.ArrayLike) -> npt.NDArray[np.uint32]:
            return np.full(len(batch), value, np.uint32)

        return Grounds(
            x=batch.features,
            score_ppm=batch.score_ppm,
            review_ppm=column(in_force.review_ppm),
            block_ppm=column(in_force.block_ppm),
            alert_ppm=column(in_force.alert_ppm),
            screening=batch.screening,
            asked=np.zeros(len(batch), np.uint8),
            circumstances=self._circumstances(batch),
            reasons=batch.reasons,
        )

    def _thresholds(self, batch: PaymentBatch) -> InForce:
        """Return what is in force; rules have their own and never block."""
        if batch.model == RULES or self._model is None:
            return InForce(REVIEW_PPM, NEVER_PPM)
        card, policy = self._model.card, self._policy
        block_ppm = policy.block_ppm or card.block_ppm
        fixed = InForce(policy.review_ppm or card.review_ppm, block_ppm if policy.block else NEVER_PPM)
        return fixed if self._costs is None else self._by_cost(batch, self._costs, fixed)

    def _by_cost(self, batch: PaymentBatch, costs: Costs, fixed: InForce) -> InForce:
        """Return the thresholds that follow cost for payments in the asset that has costs, else the fixed."""
        rows = np.flatnonzero(batch.pays & (batch.records["asset"] == self._priced))
        new_payee = batch.features[rows, COLUMN["pair_new"]] > 0
        at = costs.thresholds(np.ascontiguousarray(batch.records["amount"][rows]), new_payee)
        review, block = (np.full(len(batch), ppm, np.uint32) for ppm in (fixed.review_ppm, fixed.block_ppm))
        segment, loss = np.zeros(len(batch), np.uint8), np.zeros(len(batch), np.uint64)
        review[rows], segment[rows], loss[rows] = at.review_ppm, at.segment, at.loss_minor
        block[rows] = at.block_ppm if self._policy.block else NEVER_PPM
        return InForce(review, block, segment=segment, loss_minor=loss)

    def _keep_to_budget(self, batch: PaymentBatch, grounds: Grounds, in_force: InForce) -> None:
        """Raise the thresholds of review where costs ask for more than the budget has room for."""
        if self._alerts is None or in_force.loss_minor is None:
            return
        wanted = grounds.spared(grounds.by_score)
        wanted = wanted[batch.pays[wanted] & (batch.records["asset"][wanted] == self._priced)]
        loss = in_force.loss_minor[wanted]
        bar = self._alerts.bar(expected_loss(grounds.score_ppm[wanted], loss), self._now_ns())
        grounds.alert_ppm[wanted] = alert_threshold(bar, loss)

    def _ask_rules(
        self,
        batch: PaymentBatch,
        grounds: Grounds,
        debtor_country: Countries,
        creditor_country: Countries,
    ) -> npt.NDArray[np.uint64] | int:
        """Return which rules of the configuration hold, bits (n,), and let the grounds say what they ask for;
        an issuer's new money is no customer's payment, and theirs is all they speak of."""
        if not self._book.rules:
            return 0
        debtor, creditor = (self._parties.parties(rows) for rows in (batch.debtor_row, batch.creditor_row))
        facts = Facts(batch.records, batch.features, debtor, creditor, debtor_country, creditor_country)
        fired, asked = self._book.ask(facts)
        issues = (grounds.circumstances & Circumstance.ISSUES) > 0
        fired[issues], asked[issues] = 0, 0
        grounds.asked = asked
        return fired

    def _draw_control_group(
        self, batch: PaymentBatch, reviewed: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.intp]:
        """Return those rows, of payments reviewed for their score alone, that pass to measure what reviews
        catch: few, small, and at random."""
        reviewed = reviewed[batch.pays[reviewed]]
        if not len(reviewed):
            return reviewed
        small = batch.records["amount"][reviewed] <= self._policy.control_max_minor
        return reviewed[small & (self._random.random(len(reviewed)) < self._policy.control_share)]

    def _record(
        self,
        batch: PaymentBatch,
        grounds: Grounds,
        by_score: Bytes,
        in_force: InForce,
        rules_fired: npt.ArrayLike = 0,
        rulebook: bytes = NO_BOOK,
        countries: tuple[npt.ArrayLike, npt.ArrayLike] = (0, 0),
    ) -> PaymentBatch:
        """Conclude, and write decisions and evidence; nothing of the batch is changed before."""
        verdict, reasons = conclude(grounds, by_score)
        evidence = encode_evidence(
            grounds,
            verdict,
            reasons,
            model=self._digest(batch.model),
            generation=batch.generation,
            fallback=batch.fallback,
            debtor_row=batch.debtor_row,
            creditor_row=batch.creditor_row,
            debtor_country=countries[0],
            creditor_country=countries[1],
            segment=in_force.segment,
            rules_fired=rules_fired,
            rulebook=rulebook,
        )
        pays, decisions = batch.pays, batch.decisions
        decisions["commitment"], decisions["model"] = (
            commitments(evidence),
            np.frombuffer(batch.model, np.uint8),
        )
        decisions["generation"], decisions["fallback"] = batch.generation, batch.fallback
        decisions["score_ppm"], decisions["threshold_ppm"] = grounds.score_ppm, grounds.least_ppm
        if not pays.all():
            decisions[~pays] = np.zeros(1, decisions.dtype)
            verdict = np.where(pays, verdict, self._reversals(batch))
            reasons = np.where(pays, reasons, batch.reasons)
        decisions["verdict"] = verdict
        batch.evidence, batch.reasons = evidence, reasons
        return batch

    def _digest(self, name: bytes) -> bytes:
        """Return the whole digest of the model that a batch names."""
        model = self._model
        return model.digest if model is not None and model.name == name else name + _UNKNOWN


def _asset_number(resources: Resources) -> int:
    """Return the number of the asset that costs are in, 0 without costs. Raises: ConfigError."""
    if resources.costs is None:
        return 0
    assets = resources.engine.ledger.genesis.assets
    for asset in assets:
        if asset.code == resources.costs.asset:
            return asset.number
    raise ConfigError(
        f"costs: {resources.costs.asset!r} is none of this network's assets: "
        f"{', '.join(asset.code for asset in assets)}",
        param="costs.asset",
    )
