"""Refunds: pay back all or part of a payment."""

from __future__ import annotations

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from bezant.interfaces.rest.idempotency import Answer
from bezant.interfaces.rest.payments import views_of
from bezant.interfaces.rest.services import AnyRequest, Given, in_thread, read_body
from bezant.interfaces.rest.shapes import Decimal, In, Out, PaymentView, Text35, Text140, Uuid
from bezant.model.identifiers import PaymentId, parse_payment_id, render_payment_id
from bezant.model.payment import Payload

_ENCODER = msgspec.json.Encoder()


class RefundRequest(In, frozen=True):
    amount: Decimal | None = None
    """All that was not paid back before where it is left out."""
    capture: Uuid = ""
    """Which capture to pay back, where the payment was captured in several parts."""
    end_to_end_id: Text35 = ""
    remittance_information: Text140 = ""


class RefundList(Out, frozen=True):
    refunds: tuple[PaymentView, ...]


@post("/payments/{payment_id:str}/refunds", opt={"body": RefundRequest, "once": True}, status_code=201)
async def create_refund(
    request: AnyRequest, services: Given, payment_id: FromPath[str]
) -> Response[PaymentView]:
    """Pay back all or part of a payment, from the account it had reached; never above what it was.

    A refund is a payment of its own, with an id, texts and a receipt. A UUIDv7 as Idempotency-Key is
    that id.
    """
    payment, body = parse_payment_id(payment_id), await read_body(request, RefundRequest)
    node, amount = services.node, None
    if body.amount is not None:
        amount = await in_thread(node.payments.minor, payment, body.amount)
    capture = parse_payment_id(body.capture, param="capture") if body.capture else None
    payload = Payload(end_to_end_id=body.end_to_end_id, remittance_information=body.remittance_information)

    async def act(identity: PaymentId) -> Answer:
        answered, replayed = await in_thread(
            node.refunds.make, payment, identity, amount, capture=capture, payload=payload
        )
        texts, erased = await in_thread(node.history.texts, identity)
        view = services.render.answered(answered, texts, erased)
        location = f"/v1/payments/{render_payment_id(identity)}"
        return Answer(201, _ENCODER.encode(view), replayed=replayed, location=location)

    return await services.once(request, act)


@get("/payments/{payment_id:str}/refunds")
async def list_refunds(services: Given, payment_id: FromPath[str]) -> RefundList:
    """List what was paid back of a payment, oldest first."""
    found = await in_thread(services.node.refunds.of, parse_payment_id(payment_id))
    return RefundList(await in_thread(views_of, services, found))


ROUTES = [create_refund, list_refunds]
