"""Allow, review or block, by a policy in configuration; and the evidence of why."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bezant.intelligence.evidence import RULES, commitments, encode_evidence
from bezant.intelligence.reasons import Reasons, observe
from bezant.intelligence.rules import REVIEW_PPM
from bezant.model.money import U64_MAX
from bezant.model.outcomes import Verdict
from bezant.model.records import NO_ROW, Kind
from bezant.pipeline.batch import PaymentBatch
from bezant.stages.resources import Resources


class Decide:
    """Thresholds on the score, the screening's verdict, and a small random control group."""

    name: ClassVar = "decide"
    version: ClassVar = "thresholds-1"
    reads: ClassVar = frozenset(
        {"records", "debtor_row", "refused", "screening", "features", "score_ppm", "reasons", "model"}
    )
    writes: ClassVar = frozenset({"decisions", "evidence", "reasons"})
    has_fallback: ClassVar = True
    budget_us: ClassVar = 50.0
    budget_base_us: ClassVar = 100_000.0

    def __init__(self, resources: Resources) -> None:
        self._policy, self._model = resources.policy, resources.model
        self._ledger = resources.engine.ledger
        self._random = np.random.default_rng()

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        review_ppm, block_ppm = self._thresholds(batch)
        pays = batch.pays
        verdict = np.zeros(len(batch), np.uint8)
        scored = pays & ~self._issues(batch)
        review, block = scored & (batch.score_ppm >= review_ppm), scored & (batch.score_ppm >= block_ppm)
        verdict[review] = Verdict.REVIEW
        verdict[block] = Verdict.BLOCK
        self._pass_control_group(batch, verdict)
        self._explain(batch, review, block)
        verdict = np.where(pays, np.maximum(verdict, batch.screening), self._reversals(batch))
        batch.reasons[pays & (batch.screening > 0)] |= np.uint32(Reasons.LISTED_NAME)
        return self._record(batch, verdict, review_ppm)

    def fall_back(self, batch: PaymentBatch) -> PaymentBatch:
        """A person looks at every payment, unless a listed party is in it."""
        strict = np.maximum(batch.screening, np.uint8(Verdict.REVIEW))
        verdict = np.where(batch.pays, strict, self._reversals(batch))
        batch.reasons[batch.pays & (batch.screening > 0)] |= np.uint32(Reasons.LISTED_NAME)
        return self._record(batch, verdict, 0)

    @staticmethod
    def _reversals(batch: PaymentBatch) -> npt.NDArray[np.uint8]:
        """Return BLOCK where a listed party is in a reversal; nothing else is said of one, for it is no
        new payment and cannot wait."""
        blocked = (batch.records["kind"] == Kind.REVERSE) & (batch.screening == Verdict.BLOCK)
        return np.where(blocked, np.uint8(Verdict.BLOCK), np.uint8(Verdict.ALLOW))

    def _issues(self, batch: PaymentBatch) -> npt.NDArray[np.bool_]:
        """Return the rows that bring new money from an issuer's account. A model of customers has
        nothing to say of those; names are screened all the same."""
        limits = self._ledger.accounts["credit_limit"]
        known = batch.debtor_row != NO_ROW
        issues = np.zeros(len(batch), np.bool_)
        issues[known] = limits[batch.debtor_row[known]] == U64_MAX
        return issues

    def _thresholds(self, batch: PaymentBatch) -> tuple[int, int]:
        """Return (review, block); rules have their own and never block."""
        if batch.model == RULES or self._model is None:
            return REVIEW_PPM, 1_000_001
        card, policy = self._model.card, self._policy
        block_ppm = policy.block_ppm or card.block_ppm
        return policy.review_ppm or card.review_ppm, block_ppm if policy.block else 1_000_001

    def _pass_control_group(self, batch: PaymentBatch, verdict: npt.NDArray[np.uint8]) -> None:
        """Let a few through that the score alone would hold; what a name asks for is never waived."""
        held = np.flatnonzero((verdict == Verdict.REVIEW) & (batch.screening == Verdict.ALLOW))
        if not len(held):
            return
        small = batch.records["amount"][held] <= self._policy.control_max_minor
        passed = held[small & (self._random.random(len(held)) < self._policy.control_share)]
        verdict[passed] = Verdict.ALLOW
        batch.reasons[passed] |= np.uint32(Reasons.CONTROL_GROUP)

    def _explain(
        self, batch: PaymentBatch, review: npt.NDArray[np.bool_], block: npt.NDArray[np.bool_]
    ) -> None:
        """Say why, for the few that are flagged."""
        flagged = np.flatnonzero(review)
        if not len(flagged) or batch.model == RULES:
            return
        batch.reasons[flagged] |= observe(batch.features[flagged]) | np.uint32(Reasons.MODEL_REVIEW)
        batch.reasons[block] |= np.uint32(Reasons.MODEL_BLOCK)

    def _record(self, batch: PaymentBatch, verdict: npt.NDArray[np.uint8], review_ppm: int) -> PaymentBatch:
        model = np.frombuffer(batch.model, np.uint8)
        decisions = batch.decisions
        pays = batch.pays
        decisions["generation"], decisions["verdict"] = batch.generation, verdict
        decisions["score_ppm"], decisions["threshold_ppm"] = batch.score_ppm, review_ppm
        decisions["fallback"], decisions["model"] = batch.fallback, model
        batch.evidence = encode_evidence(
            batch.features,
            batch.score_ppm,
            review_ppm,
            verdict,
            batch.fallback,
            batch.reasons,
            batch.generation,
            model,
        )
        decisions["commitment"] = commitments(batch.evidence)
        decisions[~pays] = np.zeros(1, decisions.dtype)
        decisions["verdict"] = verdict
        return batch
