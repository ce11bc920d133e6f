"""Holds: capture what is reserved, at once or part by part, or release it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import Meta

from bezant.gateway.events import render_time
from bezant.gateway.holds import NO_PREIMAGE, RELEASE, Closing
from bezant.gateway.payments import Answered
from bezant.interfaces.rest.idempotency import Answer
from bezant.interfaces.rest.services import AnyRequest, Given, Services, in_thread, read_body
from bezant.interfaces.rest.shapes import ClosedView, Decimal, EmptyRequest, Hex32, In, Money, Out
from bezant.model.identifiers import PaymentId, parse_payment_id, render_payment_id
from bezant.model.records import Kind

_ENCODER = msgspec.json.Encoder()


class CaptureRequest(In, frozen=True):
    amount: Decimal | None = None
    """All that is held where it is left out."""
    keep_rest: bool = False
    """Whether what a smaller amount leaves stays held, for more captures; otherwise it returns at once."""
    preimage: Annotated[Hex32, Meta(description="The secret of 32 bytes whose SHA-256 is the hashlock")] = ""


class CaptureView(Out, frozen=True):
    """One capture; a refund names it where there are several."""

    id: str
    amount: Money
    block: int
    created_at: str
    refunded_amount: Money | None = None


class CaptureList(Out, frozen=True):
    captures: tuple[CaptureView, ...]


@post("/payments/{payment_id:str}/capture", opt={"body": CaptureRequest, "once": True}, status_code=200)
async def capture_payment(
    request: AnyRequest, services: Given, payment_id: FromPath[str]
) -> Response[ClosedView]:
    """Pay what was held, or a smaller `amount` of it, and keep the rest held or return it."""
    payment, body = parse_payment_id(payment_id), await read_body(request, CaptureRequest)
    amount = None
    if body.amount is not None:
        amount = await in_thread(services.node.payments.minor, payment, body.amount)
    preimage = bytes.fromhex(body.preimage) or NO_PREIMAGE
    closing = Closing(Kind.CAPTURE, amount, body.keep_rest, preimage)
    return await close_once(
        request, services, lambda identity: services.node.holds.close(payment, closing, identity=identity)
    )


@get("/payments/{payment_id:str}/captures")
async def list_captures(services: Given, payment_id: FromPath[str]) -> CaptureList:
    """List what was captured of a held payment, oldest first."""
    payment, render = parse_payment_id(payment_id), services.render
    found = await in_thread(services.node.holds.captures, payment)
    asset = int((await in_thread(services.node.payments.look_up, payment)).record["asset"])
    return CaptureList(
        tuple(
            CaptureView(
                id=render_payment_id(one.id),
                amount=render.money(asset, one.amount),
                block=one.height,
                created_at=render_time(one.created_ns),
                refunded_amount=render.money(asset, one.reversed_amount) if one.reversed_amount else None,
            )
            for one in found
        )
    )


@post("/payments/{payment_id:str}/release", opt={"body": EmptyRequest, "once": True}, status_code=200)
async def release_payment(
    request: AnyRequest, services: Given, payment_id: FromPath[str]
) -> Response[ClosedView]:
    """Return what is held to the debtor."""
    payment, _ = parse_payment_id(payment_id), await read_body(request, EmptyRequest)
    return await close_once(
        request, services, lambda identity: services.node.holds.close(payment, RELEASE, identity=identity)
    )


async def close_once(
    request: AnyRequest, services: Services, close: Callable[[PaymentId], tuple[Answered, bool]]
) -> Response[ClosedView]:
    """Close a hold once for each key; a key that closed it before gets the same answer."""

    async def act(identity: PaymentId) -> Answer:
        answered, replayed = await in_thread(close, identity)
        return Answer(200, _ENCODER.encode(services.render.closed(answered)), replayed=replayed)

    return await services.once(request, act)


ROUTES = [capture_payment, list_captures, release_payment]
