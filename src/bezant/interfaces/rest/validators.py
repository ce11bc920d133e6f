"""Validators: who votes on blocks, what is bonded for it, and who may not vote now."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from bezant.errors import InputError
from bezant.gateway.events import render_time
from bezant.gateway.payments import Answered
from bezant.interfaces.rest.idempotency import Answer
from bezant.interfaces.rest.services import AnyRequest, Given, Services, in_thread, read_body
from bezant.interfaces.rest.shapes import AccountRef, EmptyRequest, In, Money, Out
from bezant.ledger.batch import NEVER
from bezant.ledger.open_items import Voter
from bezant.model.identifiers import AccountId, PaymentId, parse_payment_id, render_id, render_payment_id
from bezant.model.records import id_of

_ENCODER = msgspec.json.Encoder()
KEY_DIGITS = 64


class BondRequest(In, frozen=True):
    account: AccountRef
    """An account of this institution, in the asset that is bonded here."""
    amount: str
    """Decimal amount; every unit of the genesis's stake gives a vote."""


class ValidatorView(Out, frozen=True):
    """One validator. Votes are those that the genesis granted, and one for every unit that is bonded."""

    key: str
    status: Literal["voting", "jailed", "removed"]
    """`jailed` may rejoin, from `jailed_until` on; `removed` signed twice and never votes again."""
    votes: int
    granted_votes: int
    bonded: Money | None
    operator: str
    missed_blocks: int
    """In a row, up to the last block."""
    jailed_until: str | None = None


class ValidatorList(Out, frozen=True):
    validators: tuple[ValidatorView, ...]


class BondView(Out, frozen=True):
    id: str
    status: Literal["bonded", "unbonding"]
    validator: str
    account: str
    amount: Money
    block: int
    at: str


@get("/validators")
async def list_validators(services: Given) -> ValidatorList:
    """List who votes on blocks, or did, in the order of their keys; none where one node orders alone."""
    return ValidatorList(tuple(_view(services, one) for one in await in_thread(services.node.votes.known)))


@post("/validators/{key:str}/bonds", opt={"body": BondRequest, "once": True}, status_code=201)
async def bond(request: AnyRequest, services: Given, key: FromPath[str]) -> Response[BondView]:
    """Reserve money of an account for a validator's votes, under the institution's signature.

    It stays the account's, and cannot be spent. Signing two blocks of one height costs a part of it, which is
    paid to the asset's issuer.
    """
    body, validator = await read_body(request, BondRequest), _key(key)

    async def act(identity: PaymentId) -> Answer:
        account = AccountId(int(body.account, 16))
        answered, replayed = await in_thread(
            services.node.votes.bond, account, validator, body.amount, identity
        )
        view = _bond(services, answered, "bonded", identity, validator)
        return Answer(201, _ENCODER.encode(view), replayed=replayed)

    return await services.once(request, act)


@post("/bonds/{bond_id:str}/end", opt={"body": EmptyRequest, "once": True}, status_code=200)
async def unbond(request: AnyRequest, services: Given, bond_id: FromPath[str]) -> Response[BondView]:
    """End a bond: no votes for it from now on, and its money back after the unbonding time."""
    await read_body(request, EmptyRequest)
    ending = parse_payment_id(bond_id)

    async def act(identity: PaymentId) -> Answer:
        answered, replayed = await in_thread(services.node.votes.unbond, ending, identity)
        made = await in_thread(services.node.payments.look_up, ending)
        validator = made.record["payload_commitment"].tobytes()
        view = _bond(services, answered, "unbonding", ending, validator)
        return Answer(200, _ENCODER.encode(view), replayed=replayed)

    return await services.once(request, act)


@post("/validators/{key:str}/rejoin", opt={"body": EmptyRequest, "once": True}, status_code=200)
async def rejoin(request: AnyRequest, services: Given, key: FromPath[str]) -> Response[ValidatorList]:
    """Let a validator that was away vote again, once its time is over."""
    await read_body(request, EmptyRequest)
    validator = _key(key)

    async def act(identity: PaymentId) -> Answer:
        _, replayed = await in_thread(services.node.votes.rejoin, validator, identity)
        found = [one for one in await in_thread(services.node.votes.known) if one.key == validator]
        views = ValidatorList(tuple(_view(services, one) for one in found))
        return Answer(200, _ENCODER.encode(views), replayed=replayed)

    return await services.once(request, act)


def _key(text: str) -> bytes:
    if len(text) != KEY_DIGITS or set(text) - set("0123456789abcdef"):
        raise InputError("a validator's key is 64 lower-case hexadecimal digits", param="key")
    return bytes.fromhex(text)


def _view(services: Services, voter: Voter) -> ValidatorView:
    stake, until_ns = services.node.engine.genesis.stake, voter.jailed_until_ns
    status: Literal["voting", "jailed", "removed"] = "voting"
    if until_ns:
        status = "removed" if until_ns == NEVER else "jailed"
    return ValidatorView(
        key=voter.key.hex(),
        status=status,
        votes=voter.power,
        granted_votes=voter.granted,
        bonded=services.render.money(stake.asset, voter.bonded) if stake else None,
        operator=render_id(voter.operator),
        missed_blocks=voter.missed,
        jailed_until=render_time(until_ns) if status == "jailed" else None,
    )


def _bond(
    services: Services,
    answered: Answered,
    status: Literal["bonded", "unbonding"],
    identity: PaymentId,
    validator: bytes,
) -> BondView:
    record, receipt = answered.record, answered.receipt
    return BondView(
        id=render_payment_id(identity),
        status=status,
        validator=validator.hex(),
        account=render_id(id_of(record, "debtor")),
        amount=services.render.money(int(record["asset"]), int(receipt["amount"])),
        block=answered.height,
        at=render_time(answered.time_ns),
    )


ROUTES = [list_validators, bond, unbond, rejoin]
