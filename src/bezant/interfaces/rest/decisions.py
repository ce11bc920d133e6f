"""Decisions: the evidence of what was concluded about a payment, computed again, and why in words."""

from __future__ import annotations

from typing import Literal

import numpy as np
from litestar import get
from litestar.params import FromPath

from bezant.errors import ModelError, NotFound
from bezant.intelligence.features import FEATURES
from bezant.intelligence.reasons import Reasons
from bezant.intelligence.replay import Finding
from bezant.intelligence.rulebook import MOST_RULES
from bezant.intelligence.verdict import Circumstance
from bezant.interfaces.rest.render import verdict_word
from bezant.interfaces.rest.services import Given, Services, in_thread
from bezant.interfaces.rest.shapes import Out
from bezant.model.identifiers import PaymentId, parse_payment_id, render_payment_id
from bezant.pipeline.flow import STAGES

_PPM = 1_000_000


class FiredRule(Out, frozen=True):
    """A configured rule that held."""

    name: str
    verdict: Literal["allow", "review", "block"]
    reason: str


class DecisionView(Out, frozen=True):
    """The evidence behind one decision; disclosing it to a payer may be tipping-off."""

    payment_id: str
    verdict: Literal["allow", "review", "block"]
    score: float
    threshold: float
    """The score from which on a person looks at it."""
    block_threshold: float
    """The score from which on it is refused; above 1 where no score does that."""
    segment: int
    """The part of the customers whose thresholds these are, 0 where the model knows only one."""
    screening: Literal["allow", "review", "block"]
    """What the screening of names asked for."""
    circumstances: tuple[str, ...]
    """What else decided: ``issues``, ``unscored``, ``strict``, ``control``, ``by_rules``."""
    reasons: tuple[str, ...]
    rules: tuple[FiredRule, ...]
    """The configured rules that held."""
    model: str
    """SHA-256 of the model's file, or ``rules``."""
    generation: int
    fallback_stages: tuple[str, ...]
    features: dict[str, float]


class ContributionView(Out, frozen=True):
    feature: str
    value: float
    """In payments, seconds or major units."""
    weight: float


class IdeaView(Out, frozen=True):
    """Features that say one thing together."""

    name: str
    text: str
    weight: float
    """What it added to the log odds of fraud."""
    contributions: tuple[ContributionView, ...]


class ExplanationView(Out, frozen=True):
    """Why a payment scored as it did; disclosing it to a payer may be tipping-off."""

    payment_id: str
    text: str
    """What spoke for fraud, each with this customer's own normal; fit for a report."""
    base: float
    margin: float
    """The log odds before calibration: `base` and all weights together; 0 where rules gave the score."""
    ideas: tuple[IdeaView, ...]


class FindingView(Out, frozen=True):
    score_ppm: int
    """Parts per million."""
    verdict: Literal["allow", "review", "block"]
    reasons: tuple[str, ...]
    rules_fired: str
    """Bits in hexadecimal, the lowest for the first configured rule."""


class ReplayView(Out, frozen=True):
    payment_id: str
    recorded: FindingView
    recomputed: FindingView
    equal: bool
    """Whether score, verdict and reasons are the same, bit for bit."""


# Webhooks.


@get("/decisions/{payment_id:str}")
async def get_decision(services: Given, payment_id: FromPath[str]) -> DecisionView:
    """Return the evidence of a decision: every feature, the score, the threshold, the reasons."""
    return await in_thread(_decision, services, parse_payment_id(payment_id))


@get("/decisions/{payment_id:str}/replay")
async def replay_decision(services: Given, payment_id: FromPath[str]) -> ReplayView:
    """Compute a decision again from its evidence; `equal` says whether it is the same bit for bit."""
    payment, node = parse_payment_id(payment_id), services.node
    replayed = await in_thread(node.payments.replay_decision, payment, node.models.named, node.books.find)
    return ReplayView(
        render_payment_id(payment),
        _finding(replayed.recorded),
        _finding(replayed.recomputed),
        replayed.equal,
    )


@get("/decisions/{payment_id:str}/explanation")
async def explain_decision(services: Given, payment_id: FromPath[str]) -> ExplanationView:
    """Say why a payment scored as it did: exact TreeSHAP weights, and the customer's own normal."""
    payment, node = parse_payment_id(payment_id), services.node
    found = await in_thread(node.payments.explain, payment, node.models.named)
    ideas = tuple(
        IdeaView(
            idea.name,
            idea.text,
            idea.weight,
            tuple(ContributionView(one.feature, one.value, one.weight) for one in idea.contributions),
        )
        for idea in found.ideas
    )
    return ExplanationView(render_payment_id(payment), found.text, found.base, found.margin, ideas)


def fired_rules(services: Services, evidence: np.void) -> tuple[FiredRule, ...]:
    """Return the configured rules that held; where their text is lost, what is known of them."""
    bits = int(evidence["rules_fired"])
    try:
        rules = services.node.books.find(evidence["rulebook"].tobytes()).of(bits)
    except ModelError as error:
        places = [place for place in range(MOST_RULES) if bits >> place & 1]
        asked = verdict_word(int(evidence["asked"]))
        return tuple(FiredRule(f"rule {place + 1}", asked, error.message) for place in places)
    return tuple(FiredRule(rule.name, rule.verdict, rule.reason) for rule in rules)


def _finding(found: Finding) -> FindingView:
    return FindingView(
        found.score_ppm, verdict_word(found.verdict), tuple(found.reasons.words), f"{found.rules_fired:x}"
    )


def _decision(services: Services, payment: PaymentId) -> DecisionView:
    try:
        evidence = services.node.payments.evidence(payment)
    except NotFound:
        raise NotFound(
            f"there is no decision about {render_payment_id(payment)}", code="decision_unknown"
        ) from None
    model = evidence["model"].tobytes()
    fallback = int(evidence["fallback"])
    return DecisionView(
        payment_id=render_payment_id(payment),
        verdict=verdict_word(int(evidence["verdict"])),
        score=int(evidence["score_ppm"]) / _PPM,
        threshold=max(int(evidence["review_ppm"]), int(evidence["alert_ppm"])) / _PPM,
        block_threshold=min(int(evidence["block_ppm"]), _PPM + 1) / _PPM,
        segment=int(evidence["segment"]),
        screening=verdict_word(int(evidence["screening"])),
        circumstances=Circumstance(int(evidence["circumstances"])).words,
        reasons=tuple(Reasons(int(evidence["reasons"])).words),
        rules=fired_rules(services, evidence),
        model=(model if any(model[16:]) else model[:16]).hex() if any(model) else "rules",
        generation=int(evidence["generation"]),
        fallback_stages=tuple(name for place, name in enumerate(STAGES) if fallback >> place & 1),
        features=dict(zip(FEATURES, (round(float(x), 6) for x in evidence["x"]), strict=True)),
    )


ROUTES = [get_decision, explain_decision, replay_decision]
