"""Models: what the institution registered, which one decides, and who decided since when."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter

from bezant.gateway.events import render_time
from bezant.gateway.models import ModelStanding
from bezant.intelligence.comparison import Interval, Judged
from bezant.interfaces.rest.idempotency import Answer
from bezant.interfaces.rest.services import AnyRequest, Given, Services, in_thread, read_body
from bezant.interfaces.rest.shapes import EmptyRequest, In, Out
from bezant.model.identifiers import PaymentId
from bezant.model.records import ModelRole

RoleWord = Literal["retired", "registered", "challenger", "champion"]
_PPM = 1_000_000
_ENCODER = msgspec.json.Encoder()
_WORDS: Final[dict[ModelRole, RoleWord]] = {
    ModelRole.RETIRED: "retired",
    ModelRole.REGISTERED: "registered",
    ModelRole.CHALLENGER: "challenger",
    ModelRole.CHAMPION: "champion",
}
_ROLES: Final = {word: role for role, word in _WORDS.items()}


class RoleRequest(In, frozen=True):
    role: RoleWord
    """`champion` decides, `challenger` scores beside it, `registered` is known, `retired` is none."""


class ModelView(Out, frozen=True):
    """A model of this institution. What it was trained on and how good it was is from its card."""

    digest: str
    role: RoleWord
    since: str
    in_use: bool
    """Whether this node has it loaded in that role."""
    problem: str = ""
    """Why its file cannot be used."""
    source: str = ""
    payments_trained: int = 0
    trained_to: str = ""
    area_under_roc: float | None = None
    average_precision: float | None = None


class ModelList(Out, frozen=True):
    models: tuple[ModelView, ...]


class RoleChangeView(Out, frozen=True):
    """One ordered change: from `block` on the model had the role."""

    digest: str
    role: RoleWord
    block: int
    at: str


class RoleChangeList(Out, frozen=True):
    changes: tuple[RoleChangeView, ...]


class IntervalView(Out, frozen=True):
    """A share, or a difference of two, with the bounds of its 95 % interval where there is enough to say."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


class JudgedView(Out, frozen=True):
    digest: str
    threshold: float
    """The lowest score that the budget lets it alert on."""
    recall: IntervalView
    """Share of the known frauds that its alerts catch."""
    precision: IntervalView
    """Share of its labelled alerts that are fraud."""


class ComparisonView(Out, frozen=True):
    """Champion and challenger on the same payments at equal alert budget.

    Differences are challenger less champion, so above zero the challenger is better. Intervals are of a
    paired bootstrap over the labelled payments, thresholds held. Where mostly what the champion had reviewed
    is labelled, that favours the champion: label payments that nobody suspected too.
    """

    payments: int
    labelled: int
    frauds: int
    budget: float
    champion: JudgedView
    challenger: JudgedView
    recall_difference: IntervalView
    precision_difference: IntervalView


@get("/models/comparison")
async def compare_models(
    services: Given,
    budget: Annotated[
        float, QueryParameter(gt=0, le=1, description="Share of payments that each may alert on")
    ] = 0.005,
) -> ComparisonView:
    """Compare the challenger with the champion on what both scored and what was labelled since."""
    compared = await in_thread(services.node.models.compare, budget)
    found = compared.result
    return ComparisonView(
        payments=found.payments,
        labelled=found.labelled,
        frauds=found.frauds,
        budget=found.budget,
        champion=_judged(compared.champion, found.champion),
        challenger=_judged(compared.challenger, found.challenger),
        recall_difference=_interval(found.recall_difference),
        precision_difference=_interval(found.precision_difference),
    )


@get("/models")
async def list_models(services: Given) -> ModelList:
    """List the models that have a role, the champion first."""
    return await in_thread(_list, services)


@get("/models/history")
async def list_changes(services: Given) -> RoleChangeList:
    """List every role that a model was given, oldest first: which one decided since when."""
    found = await in_thread(services.node.models.history)
    return RoleChangeList(
        tuple(
            RoleChangeView(one.digest.hex(), _WORDS[one.role], one.height, render_time(one.created_ns))
            for one in found
        )
    )


@post("/models/{digest:str}/role", opt={"body": RoleRequest}, status_code=200)
async def set_role(request: AnyRequest, services: Given, digest: FromPath[str]) -> ModelList:
    """Give a model a role, as an ordered command, and take it up while payments flow.

    Its file must be in the data folder as ``models/<digest>.model``. A model is registered before it is
    anything else; promoting one takes the role from who had it, and retiring the champion leaves rules to
    decide. The digest may be shortened to what no other begins with.
    """
    body, models = await read_body(request, RoleRequest), services.node.models
    named = await in_thread(models.find, digest)
    await in_thread(models.set_role, named, _ROLES[body.role])
    return await in_thread(_list, services)


@post("/models/rollback", opt={"body": EmptyRequest, "once": True}, status_code=200)
async def roll_back(request: AnyRequest, services: Given) -> Response[ModelList]:
    """Make the champion before this one champion again, once for each key."""
    await read_body(request, EmptyRequest)

    async def act(identity: PaymentId) -> Answer:
        _, replayed = await in_thread(services.node.models.roll_back, identity)
        return Answer(200, _ENCODER.encode(await in_thread(_list, services)), replayed=replayed)

    return await services.once(request, act)


def _list(services: Services) -> ModelList:
    return ModelList(tuple(_view(one) for one in services.node.models.known()))


def _view(standing: ModelStanding) -> ModelView:
    card = standing.card
    view = ModelView(
        standing.digest.hex(),
        _WORDS[standing.role],
        render_time(standing.since_ns),
        standing.in_use,
        standing.problem,
    )
    if card is None:
        return view
    return msgspec.structs.replace(
        view,
        source=card.source,
        payments_trained=card.payments_trained,
        trained_to=render_time(card.trained_to_ns),
        area_under_roc=card.metrics.area_under_roc,
        average_precision=card.metrics.average_precision,
    )


def _judged(digest: bytes, judged: Judged) -> JudgedView:
    return JudgedView(
        digest.hex(), judged.threshold_ppm / _PPM, _interval(judged.recall), _interval(judged.precision)
    )


def _interval(interval: Interval) -> IntervalView:
    return IntervalView(interval.value, interval.low, interval.high)


ROUTES = [list_models, list_changes, compare_models, set_role, roll_back]
