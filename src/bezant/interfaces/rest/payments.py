"""Payments: make one, look at it, prove it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, cast

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter

from bezant.chain.receipts import Receipt, render_receipt
from bezant.errors import ConflictError, UnknownOutcome
from bezant.gateway.instructions import Instruction
from bezant.gateway.payments import Answered
from bezant.interfaces.rest.idempotency import Answer, Ending
from bezant.interfaces.rest.problems import problem_of, refusal
from bezant.interfaces.rest.render import parse_time, verdict_word
from bezant.interfaces.rest.services import AnyRequest, Given, Services, in_thread, read_body, request_id
from bezant.interfaces.rest.shapes import (
    DryRunView,
    PaymentPage,
    PaymentRequest,
    PaymentView,
)
from bezant.model.identifiers import (
    AccountId,
    PaymentId,
    parse_account_id,
    parse_payment_id,
    render_payment_id,
)
from bezant.model.outcomes import Outcome
from bezant.model.payment import Payload
from bezant.store import PaymentStatus
from bezant.store.views import StoredPayment

Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows of a page")]
Cursor = Annotated[str | None, QueryParameter(description="Where the last page ended")]
_ANSWERED_BEFORE = (Outcome.EXISTS, Outcome.EXISTS_WITH_OTHER_CONTENT, Outcome.EXPIRED)
_PERHAPS_ELSEWHERE = (Outcome.NOT_AUTHORISED,)
"""What a gateway is answered that may not pay from an account; another one, that may, perhaps did."""
_ENCODER = msgspec.json.Encoder()


@post(
    "/payments",
    opt={"body": PaymentRequest, "once": True, "own": {202: "It waits for a person"}},
    status_code=201,
)
async def create_payment(request: AnyRequest, services: Given) -> Response[PaymentView]:
    """Pay, or reserve with `hold_for_s`.

    201 once it is settled or held, durably; 202 when it waits for a person to review it; 422 with the
    reason when it is refused. A UUIDv7 as Idempotency-Key is the payment's id.
    """
    body = await read_body(request, PaymentRequest)

    async def act(identity: PaymentId) -> Answer:
        return await pay(request_id(request), services, instruct(services, body, identity))

    return await services.once(request, act)


@post("/payments/dry-run", opt={"body": PaymentRequest}, status_code=200)
async def rehearse_payment(request: AnyRequest, services: Given) -> DryRunView:
    """Say what would become of a payment, without making it."""
    body = await read_body(request, PaymentRequest)
    found = await in_thread(services.node.payments.rehearse, instruct(services, body, None))
    return DryRunView(found.outcome.label, verdict_word(found.verdict), found.score, found.reasons)


async def pay(
    request_id: str, services: Services, instruction: Instruction, *, by_institution: bool = False
) -> Answer:
    """Submit one payment and answer for it; one that was answered before is answered the same."""
    try:
        answered = await services.replies.pay(instruction, by_institution=by_institution)
    except UnknownOutcome as error:
        return unknown(error, request_id, instruction.identity)
    found = conclude(request_id, services, instruction, answered)
    return found or await look_back(request_id, services, instruction, answered)


def unknown(error: BaseException, request_id: str, identity: PaymentId) -> Answer:
    """Return the answer that nobody knows the outcome; raises any other error than that."""
    if not isinstance(error, UnknownOutcome):
        raise error
    problem = problem_of(error, request_id, render_payment_id(identity))
    return Answer(problem.status, _ENCODER.encode(problem), Ending.UNKNOWN)


def conclude(
    request_id: str, services: Services, instruction: Instruction, answered: Answered
) -> Answer | None:
    """Return the answer to a payment, None where it may have been given before: then `look_back`."""
    return (
        None
        if answered.outcome in _ANSWERED_BEFORE + _PERHAPS_ELSEWHERE
        else _tell(request_id, services, instruction, answered)
    )


async def look_back(
    request_id: str, services: Services, instruction: Instruction, answered: Answered
) -> Answer:
    """Return the answer that a payment was given before, or this one if there is none."""
    elsewhere = answered.outcome in _PERHAPS_ELSEWHERE
    try:
        before = await in_thread(services.node.payments.recall, instruction)
    except ConflictError:
        if not elsewhere:
            raise
        before = None
    if before is None or (elsewhere and before.outcome.refused):
        return _tell(request_id, services, instruction, answered)
    texts, erased = await in_thread(services.node.history.texts, instruction.identity)
    view = services.render.answered(before, texts, erased, instruction.hashlock)
    return _answer(request_id, before.outcome, view, replayed=True)


def _tell(request_id: str, services: Services, instruction: Instruction, answered: Answered) -> Answer:
    if answered.height == 0:
        problem = refusal(answered.outcome, request_id, render_payment_id(instruction.identity))
        return Answer(problem.status, _ENCODER.encode(problem), Ending.NOTHING)
    view = services.render.answered(answered, instruction.payload or Payload(), hashlock=instruction.hashlock)
    return _answer(request_id, answered.outcome, view)


def _answer(request_id: str, outcome: Outcome, view: PaymentView, *, replayed: bool = False) -> Answer:
    location = f"/v1/payments/{view.id}"
    if outcome.refused:
        problem = refusal(outcome, request_id, view.id)
        return Answer(problem.status, _ENCODER.encode(problem), Ending.ORDERED, replayed, location)
    status = 202 if outcome is Outcome.HELD_FOR_REVIEW else 201
    return Answer(status, _ENCODER.encode(view), Ending.ORDERED, replayed, location)


@get("/payments")
async def list_payments(
    services: Given,
    account: Annotated[str | None, QueryParameter(description="Paid by or to this account")] = None,
    status: Annotated[PaymentStatus | None, QueryParameter(description="Only these")] = None,
    end_to_end_id: Annotated[str | None, QueryParameter(description="The payer's reference")] = None,
    from_time: Annotated[str | None, QueryParameter(name="from", description="RFC 3339, included")] = None,
    to_time: Annotated[str | None, QueryParameter(name="to", description="RFC 3339, excluded")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PaymentPage:
    """List payments, newest first."""
    page = await in_thread(
        services.node.history.payments,
        account=None if account is None else parse_account_id(account),
        status=status,
        end_to_end_id=end_to_end_id,
        from_ns=parse_time(from_time, "from"),
        to_ns=parse_time(to_time, "to"),
        cursor=cursor,
        limit=limit,
    )
    return PaymentPage(await in_thread(views_of, services, page.items), page.next_cursor)


@get("/payments/{payment_id:str}")
async def get_payment(services: Given, payment_id: FromPath[str]) -> PaymentView:
    """Return a payment as it stands now, from ledger and journal."""
    return await in_thread(_view, services, parse_payment_id(payment_id))


@get("/payments/{payment_id:str}/receipt", media_type="application/json")
async def get_receipt(
    services: Given,
    payment_id: FromPath[str],
    opened: Annotated[
        Literal["debtor", "creditor", "decision"] | None,
        QueryParameter(
            name="open",
            description="Whose balances to open, only to their holder; or the decision, to an auditor",
        ),
    ] = None,
) -> Response[Receipt]:
    """Return the receipt file: canonical bytes that prove the payment offline, to be kept as they are."""
    receipt = await in_thread(
        services.node.payments.receipt,
        parse_payment_id(payment_id),
        open_debtor=opened == "debtor",
        open_creditor=opened == "creditor",
        open_decision=opened == "decision",
    )
    return Response(content=cast("Receipt", render_receipt(receipt)), media_type="application/json")


def views_of(services: Services, found: Iterable[StoredPayment]) -> tuple[PaymentView, ...]:
    """Return rows of the store with their texts."""
    history, render = services.node.history, services.render
    return tuple(render.standing(history.listed(one), *history.texts(one.id)) for one in found)


def _view(services: Services, payment: PaymentId) -> PaymentView:
    history = services.node.history
    return services.render.standing(history.standing(payment), *history.texts(payment))


def instruct(services: Services, body: PaymentRequest, identity: PaymentId | None) -> Instruction:
    """Return what a body asks for, checked as far as one can without the ledger; see `Payments.instruct`."""
    return services.node.payments.instruct(
        AccountId(int(body.debtor, 16)),
        AccountId(int(body.creditor, 16)),
        body.instructed_amount.amount,
        body.instructed_amount.asset,
        payload=_payload(body),
        identity=identity,
        hold_for_s=body.hold_for_s,
        may_review=body.may_review,
        mandate=parse_payment_id(body.mandate, param="mandate") if body.mandate else 0,
        hashlock=bytes.fromhex(body.hashlock),
    )


def _payload(body: PaymentRequest) -> Payload:
    return Payload(
        end_to_end_id=body.end_to_end_id,
        uetr=body.uetr,
        purpose=body.purpose,
        charge_bearer=body.charge_bearer,
        remittance_information=body.remittance_information,
        debtor_name=body.debtor_name,
        creditor_name=body.creditor_name,
        device=body.device,
        terminal=body.terminal,
    )


ROUTES = [
    create_payment,
    rehearse_payment,
    list_payments,
    get_payment,
    get_receipt,
]
