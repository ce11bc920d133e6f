"""Governance: the rules of the network, and how its validators change them by vote."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter
from msgspec import Meta

from bezant.gateway.events import render_time
from bezant.gateway.governance import FeeNow, ProposalNow, RuleNow
from bezant.gateway.payments import Answered
from bezant.interfaces.rest.accounts import Cursor, Limit
from bezant.interfaces.rest.idempotency import Answer
from bezant.interfaces.rest.services import AnyRequest, Given, Services, in_thread, read_body
from bezant.interfaces.rest.shapes import AssetCode, Decimal, In, Money, Out
from bezant.model.governance import Ballot, Change, Rule
from bezant.model.identifiers import PaymentId, parse_payment_id, render_id, render_payment_id
from bezant.store.schema import ProposalStatus

_ENCODER = msgspec.json.Encoder()
_Number = Annotated[int, Meta(ge=0, le=2**53)]
RuleName = Literal[
    "review_for_s",
    "recovery_delay_s",
    "schemes",
    "unbonding_s",
    "slash_ppm",
    "jail_s",
    "away_blocks",
    "least_bond",
]


ProposalState = Literal["voting", "accepted", "in_force", "declined", "lapsed"]
State = Annotated[ProposalState | None, QueryParameter(description="Only what stands so")]


class ProposalRequest(In, frozen=True):
    rule: RuleName
    value: _Number
    """What it is to become; of `schemes` the sum of 1 for Ed25519 and 2 for secp256k1."""
    height: _Number = 0
    """The first block of the change; 0: `after_blocks` from now."""
    after_blocks: _Number = 1_000
    voting_s: Annotated[int, Meta(ge=1, le=2**32 - 1)] = 7 * 86_400
    """How long votes are taken; they end earlier where too little notice would be left."""


class FeeRequest(In, frozen=True):
    """What payments in an asset are to be charged: a flat part and parts per million, not less than the
    minimum and not more than the maximum; nothing where all is left out."""

    asset: AssetCode
    flat: Decimal = "0"
    ppm: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    minimum: Decimal = "0"
    maximum: Decimal = "0"
    height: _Number = 0
    after_blocks: _Number = 1_000
    voting_s: Annotated[int, Meta(ge=1, le=2**32 - 1)] = 7 * 86_400


class CollectorRequest(In, frozen=True):
    asset: AssetCode


class CollectorView(Out, frozen=True):
    asset: str
    account: str


class VoteRequest(In, frozen=True):
    ballot: Literal["yes", "no"]


class RuleView(Out, frozen=True):
    """A rule that may be changed by vote, from `low` to `high`."""

    rule: str
    value: int
    founded_value: int
    low: int
    high: int
    since_height: int | None = None
    """Left out where it is as the network was founded."""


class FeeView(Out, frozen=True):
    """What payments in an asset are charged; nothing before the issuer has opened the account."""

    asset: str
    flat: Money
    ppm: int
    minimum: Money
    maximum: Money
    account: str
    is_open: bool
    collected: Money
    """And not divided among bonds yet."""


class FeeTerms(Out, frozen=True):
    """What payments in an asset are charged; all 0: nothing."""

    flat: Money
    ppm: int
    minimum: Money
    maximum: Money


class BallotView(Out, frozen=True):
    """What an institution said last, for every validator of it."""

    institution: str
    authority: str
    ballot: Literal["yes", "no"]


class ProposalView(Out, frozen=True):
    """A change that was put to the vote: more than two thirds of all votes accept it, and it is in force
    from `height` on. `declined`: a third was against; `lapsed`: its time ended, or twenty blocks of
    notice were not left.

    Votes are as they would be counted now, while they would. What did not happen, or happened before this
    node's chain begins, is left out.
    """

    id: str
    status: ProposalState
    rule: str
    value: int
    """The first of its numbers; a fee has them all in `fee`."""
    previous_value: int
    """What it was before it was in force, when it was declined, or what it is now."""
    height: int
    voting_until: str
    proposer: str
    institution: str
    votes_yes: int | None = None
    votes_no: int | None = None
    votes_in_all: int | None = None
    fee: FeeTerms | None = None
    previous_fee: FeeTerms | None = None
    ballots: tuple[BallotView, ...] | None = None
    proposed_height: int | None = None
    proposed_at: str | None = None
    decided_height: int | None = None
    """The block in whose beginning it was accepted, declined, or lapsed."""
    decided_at: str | None = None
    in_force_height: int | None = None
    """The first block that was judged by it."""
    in_force_at: str | None = None


class ProposalPage(Out, frozen=True):
    proposals: tuple[ProposalView, ...]
    next_cursor: str | None = None


class GovernanceView(Out, frozen=True):
    height: int
    rules: tuple[RuleView, ...]
    fees: tuple[FeeView, ...]
    proposals: tuple[ProposalView, ...]


class Ordered(Out, frozen=True):
    """A proposal or a vote, and the block that it is in."""

    id: str
    proposal: str
    block: int
    at: str


@get("/governance")
async def get_governance(services: Given) -> GovernanceView:
    """Return the rules that may change by vote, and what is voted on."""
    governance = services.node.governance
    rules = tuple(_rule(one) for one in await in_thread(governance.rules))
    proposals = tuple(_proposal(services, one) for one in await in_thread(governance.proposals))
    fees = tuple(_fee(services, one) for one in await in_thread(governance.fees))
    return GovernanceView(services.node.engine.height, rules, fees, proposals)


@get("/governance/proposals")
async def list_proposals(
    services: Given, status: State = None, cursor: Cursor = None, limit: Limit = 50
) -> ProposalPage:
    """List everything that was ever put to the vote, newest first, and what became of it."""
    page = await in_thread(
        services.node.governance.past,
        status=ProposalStatus(status) if status else None,
        cursor=cursor,
        limit=limit,
    )
    return ProposalPage(tuple(_proposal(services, one) for one in page.items), page.next_cursor)


@get("/governance/proposals/{proposal:str}")
async def get_proposal(services: Given, proposal: FromPath[str]) -> ProposalView:
    """Return a proposal, whatever became of it."""
    asked = parse_payment_id(proposal)
    return _proposal(services, await in_thread(services.node.governance.proposal, asked))


@post("/governance/proposals", opt={"body": ProposalRequest, "once": True}, status_code=201)
async def propose(request: AnyRequest, services: Given) -> Response[Ordered]:
    """Put a change of a rule to the vote, as an institution that stands behind validators."""
    body = await read_body(request, ProposalRequest)

    async def act(identity: PaymentId) -> Answer:
        answered, replayed = await in_thread(
            services.node.governance.propose,
            Change(Rule[body.rule.upper()], (body.value,)),
            identity,
            height=body.height,
            after_blocks=body.after_blocks,
            voting_s=body.voting_s,
        )
        return _proposed(identity, answered, replayed)

    return await services.once(request, act)


@post("/governance/fees", opt={"body": FeeRequest, "once": True}, status_code=201)
async def propose_fee(request: AnyRequest, services: Given) -> Response[Ordered]:
    """Put a fee on payments in an asset to the vote, or its end."""
    body = await read_body(request, FeeRequest)
    change = services.node.governance.fee(body.asset, body.flat, body.ppm, body.minimum, body.maximum)

    async def act(identity: PaymentId) -> Answer:
        answered, replayed = await in_thread(
            services.node.governance.propose,
            change,
            identity,
            height=body.height,
            after_blocks=body.after_blocks,
            voting_s=body.voting_s,
        )
        return _proposed(identity, answered, replayed)

    return await services.once(request, act)


@post("/governance/collectors", opt={"body": CollectorRequest}, status_code=200)
async def open_collector(request: AnyRequest, services: Given) -> CollectorView:
    """Open the account that collects the fees of an asset, as its issuer. Asked again it is the same one."""
    body = await read_body(request, CollectorRequest)
    account = await in_thread(services.node.governance.open_collector, body.asset)
    return CollectorView(body.asset, render_id(account))


@post("/governance/proposals/{proposal:str}/votes", opt={"body": VoteRequest, "once": True}, status_code=201)
async def vote(request: AnyRequest, services: Given, proposal: FromPath[str]) -> Response[Ordered]:
    """Say yes or no for every validator of this institution. It may be said otherwise until it is decided."""
    body, asked = await read_body(request, VoteRequest), parse_payment_id(proposal)
    said = Ballot.YES if body.ballot == "yes" else Ballot.NO

    async def act(identity: PaymentId) -> Answer:
        answered, replayed = await in_thread(services.node.governance.vote, asked, said, identity)
        view = Ordered(
            render_payment_id(identity),
            render_payment_id(asked),
            answered.height,
            render_time(answered.time_ns),
        )
        return Answer(201, _ENCODER.encode(view), replayed=replayed)

    return await services.once(request, act)


def _proposed(identity: PaymentId, answered: Answered, replayed: bool) -> Answer:
    told = render_payment_id(identity)
    view = Ordered(told, told, answered.height, render_time(answered.time_ns))
    return Answer(201, _ENCODER.encode(view), replayed=replayed)


def _fee(services: Services, now: FeeNow) -> FeeView:
    def money(minor: int) -> Money:
        return services.render.money(now.fee.asset, minor)

    flat = money(now.fee.flat)
    return FeeView(
        asset=flat.asset,
        flat=flat,
        ppm=now.fee.ppm,
        minimum=money(now.fee.minimum),
        maximum=money(now.fee.maximum),
        account=render_id(now.account),
        is_open=now.is_open,
        collected=money(now.balance),
    )


def _rule(now: RuleNow) -> RuleView:
    return RuleView(
        now.rule.name.lower(), now.value, now.founded, now.low, now.high, since_height=now.since or None
    )


def _terms(services: Services, change: Change) -> FeeTerms | None:
    if change.rule is not Rule.FEE:
        return None
    flat, ppm, minimum, maximum = change.values
    money = services.render.money
    asset = change.asset
    return FeeTerms(money(asset, flat), ppm, money(asset, minimum), money(asset, maximum))


def _proposal(services: Services, one: ProposalNow) -> ProposalView:
    institution_of, now, past = services.node.governance.institution_of, one.open, one.stored
    view = ProposalView(
        id=render_payment_id(one.id),
        status=one.status.value,
        rule=one.change.rule.name.lower(),
        value=one.change.values[0],
        previous_value=one.was.values[0],
        height=one.height,
        voting_until=render_time(one.until_ns),
        proposer=render_id(one.proposer),
        institution=institution_of(one.proposer),
        votes_yes=None if now is None else now.yes,
        votes_no=None if now is None else now.no,
        votes_in_all=None if now is None else now.total,
        fee=_terms(services, one.change),
        previous_fee=_terms(services, one.was),
    )
    if past is None:
        return view
    said = (
        BallotView(institution_of(who), render_id(who), "yes" if ballot is Ballot.YES else "no")
        for who, ballot in past.ballots
    )
    return msgspec.structs.replace(
        view,
        ballots=tuple(said),
        proposed_height=past.created_height,
        proposed_at=_told(past.created_ns),
        decided_height=past.decided_height,
        decided_at=_told(past.decided_ns),
        in_force_height=past.enacted_height,
        in_force_at=_told(past.enacted_ns),
    )


def _told(time_ns: int | None) -> str | None:
    return None if time_ns is None else render_time(time_ns)


ROUTES = [
    get_governance,
    list_proposals,
    get_proposal,
    propose,
    propose_fee,
    open_collector,
    vote,
]
