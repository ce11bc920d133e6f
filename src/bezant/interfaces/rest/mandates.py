"""Mandates: give leave to pay from an account, look at it, take it back."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter
from msgspec import Meta

from bezant.gateway.events import render_time
from bezant.gateway.mandates import MandateStanding, Terms
from bezant.interfaces.rest.idempotency import Answer
from bezant.interfaces.rest.render import Renderer, parse_time
from bezant.interfaces.rest.services import AnyRequest, Given, in_thread, read_body
from bezant.interfaces.rest.shapes import AccountRef, Decimal, EmptyRequest, In, Money, Out
from bezant.ledger.batch import NS_PER_S
from bezant.model.identifiers import (
    AccountId,
    AuthorityId,
    PaymentId,
    parse_account_id,
    parse_payment_id,
    render_id,
    render_payment_id,
)
from bezant.model.money import parse_minor

_LAST_S = 253_402_300_799
"""The end of the year 9999."""
_ENCODER = msgspec.json.Encoder()
_Authority = Annotated[str, Meta(pattern="^([0-9a-f]{32})?$", description="Authority id, or empty")]


class MandateRequest(In, frozen=True):
    account: AccountRef
    """Whose money it is."""
    cap_per_payment: Decimal
    payee: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$", description="Account id, or empty")] = ""
    """The only account that may be paid; anybody where it is left out."""
    delegate: _Authority = ""
    """Whose signature pays under it; this gateway's where it is left out."""
    cap_per_period: Decimal | None = None
    period_s: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    """Length of a period in seconds, counted from when the mandate is set; goes with `cap_per_period`."""
    expires_at: str | None = None
    """RFC 3339; without it the mandate lasts until it is revoked."""


class MandateView(Out, frozen=True):
    """What is paid or reserved counts when it is authorised; a hold that returns gives no room back."""

    id: str
    status: Literal["active", "expired", "revoked"]
    account: str
    delegate: str
    cap_per_payment: Money
    payee: str | None = None
    cap_per_period: Money | None = None
    period_s: int | None = None
    spent_in_period: Money | None = None
    period_ends_at: str | None = None
    expires_at: str | None = None


class MandateList(Out, frozen=True):
    mandates: tuple[MandateView, ...]


@post("/mandates", opt={"body": MandateRequest, "once": True}, status_code=201)
async def set_mandate(request: AnyRequest, services: Given) -> Response[MandateView]:
    """Give leave to pay from an account, signed by its institution.

    The mandate's id is the Idempotency-Key where that is a UUIDv7. Payments name it in `mandate`.
    """
    body = await read_body(request, MandateRequest)
    node = services.node
    account = AccountId(int(body.account, 16))
    scale = node.engine.genesis.assets[int(node.accounts.row(account)["asset"]) - 1].scale
    ends_ns = parse_time(body.expires_at, "expires_at")
    period_cap = body.cap_per_period
    terms = Terms(
        parse_minor(body.cap_per_payment, scale, param="cap_per_payment"),
        AccountId(int(body.payee, 16)) if body.payee else None,
        AuthorityId(int(body.delegate, 16)) if body.delegate else None,
        0 if period_cap is None else parse_minor(period_cap, scale, param="cap_per_period"),
        body.period_s,
        # Rounded up: a mandate never ends before it was said to.
        0 if ends_ns is None else max(-(-ends_ns // NS_PER_S), 1),
    )

    async def act(identity: PaymentId) -> Answer:
        standing, replayed = await in_thread(node.mandates.set, account, terms, identity)
        view = view_of(services.render, standing)
        return Answer(201, _ENCODER.encode(view), replayed=replayed, location=f"/v1/mandates/{view.id}")

    return await services.once(request, act)


@get("/mandates")
async def list_mandates(
    services: Given,
    account: Annotated[str, QueryParameter(description="Whose money it is")],
) -> MandateList:
    """List the mandates of an account that were not revoked."""
    found = await in_thread(services.node.mandates.of, parse_account_id(account))
    return MandateList(tuple(view_of(services.render, one) for one in found))


@get("/mandates/{mandate_id:str}")
async def get_mandate(services: Given, mandate_id: FromPath[str]) -> MandateView:
    """Return a mandate as it stands, and what was paid under it in this period."""
    found = await in_thread(services.node.mandates.standing, parse_payment_id(mandate_id))
    return view_of(services.render, found)


@post("/mandates/{mandate_id:str}/revoke", opt={"body": EmptyRequest}, status_code=200)
async def revoke_mandate(request: AnyRequest, services: Given, mandate_id: FromPath[str]) -> MandateView:
    """Take a mandate back: nothing more is paid under it. Asking again changes nothing."""
    mandate, _ = parse_payment_id(mandate_id), await read_body(request, EmptyRequest)
    return view_of(services.render, await in_thread(services.node.mandates.revoke, mandate))


def view_of(render: Renderer, standing: MandateStanding) -> MandateView:
    """Return a mandate as it goes out."""
    terms, asset = standing.terms, standing.asset
    periodic = bool(terms.period_s)
    return MandateView(
        id=render_payment_id(standing.id),
        status=standing.status.value,
        account=render_id(standing.account),
        delegate=render_id(terms.delegate or 0),
        cap_per_payment=render.money(asset, terms.cap),
        payee=None if terms.payee is None else render_id(terms.payee),
        cap_per_period=render.money(asset, terms.period_cap) if periodic else None,
        period_s=terms.period_s or None,
        spent_in_period=render.money(asset, standing.spent_minor) if standing.period_ends_s else None,
        period_ends_at=_time(standing.period_ends_s),
        expires_at=_time(terms.expires_s),
    )


def _time(seconds: int) -> str | None:
    """Return a time, None for none and for one that no calendar reaches."""
    return render_time(seconds * NS_PER_S) if 0 < seconds <= _LAST_S else None


ROUTES = [set_mandate, list_mandates, get_mandate, revoke_mandate]
