"""Labels: what payments turned out to be."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import Meta

from bezant.gateway.cases import Remark
from bezant.gateway.events import render_time
from bezant.interfaces.rest.idempotency import Answer
from bezant.interfaces.rest.services import AnyRequest, Given, in_thread, read_body
from bezant.interfaces.rest.shapes import In, Out
from bezant.model.identifiers import PaymentId, parse_payment_id, render_id, render_payment_id
from bezant.model.records import Label, id_of

LabelWord = Literal["genuine", "fraud"]
_ENCODER = msgspec.json.Encoder()
_WORDS: Final[dict[Label, LabelWord]] = {Label.GENUINE: "genuine", Label.FRAUD: "fraud"}
LABELS: Final[dict[str, Label]] = {word: label for label, word in _WORDS.items()}


class RemarkRequest(In, frozen=True):
    """What somebody says beside what they do; sealed for the payer, and gone when the payer is erased."""

    by: Annotated[str, Meta(max_length=64, description="Who does it, as they call themselves")] = ""
    note: Annotated[str, Meta(max_length=1000, description="Why")] = ""


class LabelRequest(RemarkRequest, frozen=True, kw_only=True):
    label: LabelWord


def remark_of(body: RemarkRequest) -> Remark:
    return Remark(body.by.strip(), body.note.strip())


def label_word(label: Label) -> LabelWord:
    return _WORDS[label]


class LabelView(Out, frozen=True):
    """What a payment was said to be; the label that was given last counts."""

    payment_id: str
    label: LabelWord
    labelled_by: str
    block: int
    created_at: str


class LabelList(Out, frozen=True):
    labels: tuple[LabelView, ...]


@post("/payments/{payment_id:str}/labels", opt={"body": LabelRequest, "once": True}, status_code=201)
async def label_payment(
    request: AnyRequest, services: Given, payment_id: FromPath[str]
) -> Response[LabelView]:
    """Say whether a payment was fraud or genuine, whatever became of it; models learn from that.

    It is ordered under the institution's signature. It may be said again: the last word counts. A payment
    that was blocked or refused at once is labelled under its debtor alone, and only the gateway that decided
    it learns to whom it was to go.
    """
    payment, body = parse_payment_id(payment_id), await read_body(request, LabelRequest)
    said, remark, node = LABELS[body.label], remark_of(body), services.node

    async def act(identity: PaymentId) -> Answer:
        answered, replayed = await in_thread(node.cases.label, payment, said, identity, remark)
        view = LabelView(
            render_payment_id(id_of(answered.record, "related")),
            body.label,
            render_id(node.labels.authority),
            answered.height,
            render_time(answered.time_ns),
        )
        return Answer(201, _ENCODER.encode(view), replayed=replayed)

    return await services.once(request, act)


@get("/payments/{payment_id:str}/labels")
async def list_labels(services: Given, payment_id: FromPath[str]) -> LabelList:
    """List what a payment was said to be, oldest first; the last counts."""
    found = await in_thread(services.node.labels.of, parse_payment_id(payment_id))
    return LabelList(
        tuple(
            LabelView(
                render_payment_id(one.payment),
                _WORDS[one.label],
                render_id(one.authority),
                one.height,
                render_time(one.created_ns),
            )
            for one in found
        )
    )


ROUTES = [label_payment, list_labels]
