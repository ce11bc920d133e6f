"""Reviews: what waits for a person, most expected loss first; one case with all that is known of it; and what
people do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter
from msgspec import Meta

from bezant.errors import ModelError, NotFound, VaultError
from bezant.gateway.cases import CaseEvent, Remark
from bezant.gateway.events import render_time
from bezant.gateway.history import Review
from bezant.gateway.links import Links
from bezant.interfaces.rest.decisions import FiredRule, fired_rules
from bezant.interfaces.rest.holds import close_once
from bezant.interfaces.rest.idempotency import Answer
from bezant.interfaces.rest.labels import LABELS, RemarkRequest, label_word, remark_of
from bezant.interfaces.rest.services import AnyRequest, Given, Services, in_thread, read_body
from bezant.interfaces.rest.shapes import ClosedView, Money, Out, PaymentView
from bezant.model.identifiers import (
    PaymentId,
    parse_account_id,
    parse_payment_id,
    render_id,
    render_payment_id,
)
from bezant.model.records import Label
from bezant.store.reviews import Wanted
from bezant.store.views import StoredPayment

_PPM = 1_000_000
_NS_PER_S = 1_000_000_000
_ENCODER = msgspec.json.Encoder()


class ReviewView(Out, frozen=True):
    """A payment that waits, or waited, for a person."""

    payment: PaymentView
    score: float
    """Probability of fraud as the model sees it, 0 to 1; a score of rules only orders."""
    threshold: float
    reasons: tuple[str, ...]
    expected_loss: Money
    """The score's share of the amount: what the queue is ordered by, within an asset."""
    escalated: bool = False
    """Whether somebody passed it on."""
    lapses_at: str = ""
    """When the reserve returns if nobody answers; empty once it is decided."""


class ReviewPage(Out, frozen=True):
    """Asset by asset, what is expected to lose most first; amounts of two assets are not compared."""

    reviews: tuple[ReviewView, ...]
    next_cursor: str | None = None


class CaseEventView(Out, frozen=True):
    """What happened to a payment: how it was answered first (``held_for_review``), then ``escalated``,
    ``approved``, ``rejected``, ``lapsed``, ``labelled``, ``refunded``.

    `block` proves it; what is only said has none. `by` is who somebody says to be: one token opens all.
    """

    at: str
    event: str
    block: int = 0
    by: str = ""
    to: str = ""
    note: str = ""
    label: Literal["", "genuine", "fraud"] = ""


class LinkedPaymentView(Out, frozen=True):
    id: str
    status: str
    debtor: str
    creditor: str
    amount: Money
    created_at: str
    fraud: bool = False
    """Whether it is known to be fraud by now."""


class LinkedAccountView(Out, frozen=True):
    """An account around the parties; `payments` link it, `known_frauds` are among its own last ones."""

    account: str
    via: tuple[str, ...]
    payments: int
    last_at: str
    known_frauds: int = 0


class LinksView(Out, frozen=True):
    """Bounded: the last payments of both parties, their other open reviews, and the nearest accounts."""

    debtor_payments: tuple[LinkedPaymentView, ...] = ()
    creditor_payments: tuple[LinkedPaymentView, ...] = ()
    open_reviews: tuple[LinkedPaymentView, ...] = ()
    accounts: tuple[LinkedAccountView, ...] = ()


class CaseView(Out, frozen=True):
    """All that is known of a payment under review; disclosing it to a payer may be tipping-off."""

    review: ReviewView
    why: str
    """The decision in words, beside the customer's own normal; what keeps it from being told, where it is."""
    rules: tuple[FiredRule, ...]
    """The configured rules that held."""
    links: LinksView
    history: tuple[CaseEventView, ...]
    escalated_to: str = ""


class ReviewAnswer(RemarkRequest, frozen=True):
    label: Literal["", "genuine", "fraud"] = ""
    """What the payment turned out to be, where that is known already; it is ordered as a label."""


class EscalationRequest(RemarkRequest, frozen=True, kw_only=True):
    to: Annotated[str, Meta(min_length=1, max_length=64, description="Who is to decide")]


class EscalationView(Out, frozen=True):
    payment_id: str
    to: str
    at: str
    by: str = ""
    note: str = ""


@get("/reviews")
async def list_reviews(
    services: Given,
    asset: Annotated[str | None, QueryParameter(description="Payments in this asset alone")] = None,
    account: Annotated[str | None, QueryParameter(description="Payments from or to this account")] = None,
    escalated: Annotated[bool | None, QueryParameter(description="Passed on, or not")] = None,
    older_than_s: Annotated[
        int | None, QueryParameter(ge=0, le=2**32, description="Waiting for so many seconds or longer")
    ] = None,
    expiring_within_s: Annotated[
        int | None, QueryParameter(ge=0, le=2**32, description="Whose reserve returns within so many seconds")
    ] = None,
    cursor: Annotated[str | None, QueryParameter(description="Where the last page ended")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200, description="Rows of a page")] = 50,
) -> ReviewPage:
    """List payments that wait for a person: asset by asset, what is expected to lose most first."""
    node = services.node
    now_ns = node.desk.now_ns()
    expiring = None
    if expiring_within_s is not None:
        expiring = node.history.lapsing(now_ns + expiring_within_s * _NS_PER_S)
    wanted = Wanted(
        None if asset is None else node.accounts.asset(asset).number,
        None if account is None else parse_account_id(account, param="account"),
        escalated,
        None if older_than_s is None else now_ns - older_than_s * _NS_PER_S,
        expiring,
    )
    return await in_thread(_page, services, wanted, cursor, limit)


@get("/reviews/{payment_id:str}")
async def get_review(services: Given, payment_id: FromPath[str]) -> CaseView:
    """Return one case: why, how much, until when, what it is linked with, and who did what about it."""
    return await in_thread(_case, services, parse_payment_id(payment_id))


@post("/reviews/{payment_id:str}/escalate", opt={"body": EscalationRequest, "once": True}, status_code=201)
async def escalate_review(
    request: AnyRequest, services: Given, payment_id: FromPath[str]
) -> Response[EscalationView]:
    """Pass a case on to somebody, and say why."""
    payment, body = parse_payment_id(payment_id), await read_body(request, EscalationRequest)
    cases = services.node.cases

    async def act(identity: PaymentId) -> Answer:
        entry, replayed = await in_thread(cases.escalate, payment, body.to, remark_of(body), identity)
        view = EscalationView(
            render_payment_id(payment), entry.to, render_time(entry.at_ns), entry.by, entry.note
        )
        return Answer(201, _ENCODER.encode(view), replayed=replayed)

    return await services.once(request, act)


@post("/reviews/{payment_id:str}/approve", opt={"body": ReviewAnswer, "once": True}, status_code=200)
async def approve_review(
    request: AnyRequest, services: Given, payment_id: FromPath[str]
) -> Response[ClosedView]:
    """Let a payment through, and say what it was where that is known; 409 where somebody decided before."""
    payment, said, remark = parse_payment_id(payment_id), *await _answer(request)
    cases = services.node.cases
    return await close_once(
        request,
        services,
        lambda identity: cases.approve(payment, identity=identity, label=said, remark=remark),
    )


@post("/reviews/{payment_id:str}/reject", opt={"body": ReviewAnswer, "once": True}, status_code=200)
async def reject_review(
    request: AnyRequest, services: Given, payment_id: FromPath[str]
) -> Response[ClosedView]:
    """Return a payment's reserve to the debtor, and say what it was where that is known; 409 where somebody
    decided before."""
    payment, said, remark = parse_payment_id(payment_id), *await _answer(request)
    cases = services.node.cases
    return await close_once(
        request,
        services,
        lambda identity: cases.reject(payment, identity=identity, label=said, remark=remark),
    )


async def _answer(request: AnyRequest) -> tuple[Label | None, Remark]:
    body = await read_body(request, ReviewAnswer)
    return LABELS.get(body.label), remark_of(body)


def _page(services: Services, wanted: Wanted, cursor: str | None, limit: int) -> ReviewPage:
    found, next_cursor = services.node.history.reviews(wanted, cursor=cursor, limit=limit)
    return ReviewPage(tuple(_view(services, review) for review in found), next_cursor)


def _view(services: Services, review: Review) -> ReviewView:
    standing, render = review.standing, services.render
    return ReviewView(
        render.standing(standing, *services.node.history.texts(standing.payment)),
        review.score_ppm / _PPM,
        review.threshold_ppm / _PPM,
        review.reasons,
        render.money(standing.asset, review.expected_loss_minor),
        review.escalated,
        "" if standing.held is None else render_time(standing.held.expires_ns),
    )


def _case(services: Services, payment: PaymentId) -> CaseView:
    node = services.node
    stored = node.history.queries().payment(payment)
    escalated_to = node.cases.escalated_to(payment)
    review = msgspec.structs.replace(
        _view(services, node.history.review(stored)), escalated=bool(escalated_to)
    )
    try:
        why = node.payments.explain(payment, node.models.named).text
        rules = fired_rules(services, node.payments.evidence(payment))
    except (NotFound, VaultError, ModelError) as error:
        why, rules = f"It cannot be told any more: {error.message}", ()
    return CaseView(
        review,
        why,
        rules,
        _links(services, node.links.of(stored)),
        tuple(map(_event, node.cases.history(payment))),
        escalated_to,
    )


def _links(services: Services, links: Links) -> LinksView:
    def payments(found: Sequence[StoredPayment]) -> tuple[LinkedPaymentView, ...]:
        return tuple(
            LinkedPaymentView(
                render_payment_id(one.id),
                one.status.value,
                render_id(one.debtor),
                render_id(one.creditor),
                services.render.money(one.asset, one.amount),
                render_time(one.created_ns),
                one.id in links.frauds,
            )
            for one in found
        )

    accounts = tuple(
        LinkedAccountView(
            render_id(one.account), tuple(one.via), one.payments, render_time(one.last_ns), one.frauds
        )
        for one in links.accounts
    )
    open_reviews = payments([one.payment for one in links.reviews])
    return LinksView(payments(links.of_debtor), payments(links.of_creditor), open_reviews, accounts)


def _event(event: CaseEvent) -> CaseEventView:
    return CaseEventView(
        render_time(event.at_ns),
        event.did,
        event.height,
        event.by,
        event.to,
        event.note,
        "" if event.label is None else label_word(event.label),
    )


ROUTES = [list_reviews, get_review, escalate_review, approve_review, reject_review]
