"""What an institution may do to its accounts, and an issuer to its asset."""

from __future__ import annotations

import msgspec
from litestar import Response, post
from litestar.params import FromPath

from bezant.interfaces.rest.accounts import account_view
from bezant.interfaces.rest.assets import asset_view
from bezant.interfaces.rest.idempotency import Answer
from bezant.interfaces.rest.services import AnyRequest, Given, Services, in_thread, read_body
from bezant.interfaces.rest.shapes import (
    AccountRef,
    AccountView,
    AssetView,
    Decimal,
    EmptyRequest,
    In,
    PaymentView,
)
from bezant.model.identifiers import (
    AccountId,
    PaymentId,
    parse_account_id,
    render_payment_id,
)
from bezant.model.money import parse_minor
from bezant.model.payment import Payload

_ENCODER = msgspec.json.Encoder()


class LimitsRequest(In, frozen=True):
    """What is left out stays as it is."""

    credit_limit: Decimal | None = None
    """How far the account may go negative; 0 for not at all."""
    balance_limit: Decimal | None = None
    """How much it may hold; 0 for no limit."""


class ClawbackRequest(In, frozen=True):
    debtor: AccountRef
    amount: Decimal


@post("/accounts/{account:str}/limits", opt={"body": LimitsRequest}, status_code=200)
async def set_limits(request: AnyRequest, services: Given, account: FromPath[str]) -> AccountView:
    """Say how far an account may go negative and how much it may hold, never below what it uses."""
    known, body = parse_account_id(account), await read_body(request, LimitsRequest)
    node = services.node
    scale = node.engine.genesis.assets[int(node.accounts.row(known)["asset"]) - 1].scale
    limits = {
        name: parse_minor(text, scale, param=name)
        for name, text in (("credit_limit", body.credit_limit), ("balance_limit", body.balance_limit))
        if text is not None
    }
    await in_thread(node.controls.set_limits, known, **limits)
    return account_view(services, known)


@post("/accounts/{account:str}/close", opt={"body": EmptyRequest}, status_code=200)
async def close_account(request: AnyRequest, services: Given, account: FromPath[str]) -> AccountView:
    """Close an account for good. It has to be empty, with nothing pending."""
    known, _ = parse_account_id(account), await read_body(request, EmptyRequest)
    await in_thread(services.node.controls.close, known)
    return account_view(services, known)


@post("/accounts/{account:str}/approve", opt={"body": EmptyRequest}, status_code=200)
async def approve_account(request: AnyRequest, services: Given, account: FromPath[str]) -> AccountView:
    """Let an account hold an asset whose issuer decides who may."""
    return await _set_approved(request, services, account, True)


@post("/accounts/{account:str}/disapprove", opt={"body": EmptyRequest}, status_code=200)
async def disapprove_account(request: AnyRequest, services: Given, account: FromPath[str]) -> AccountView:
    """Take the approval back: the account neither pays nor is paid."""
    return await _set_approved(request, services, account, False)


@post("/assets/{asset:str}/pause", opt={"body": EmptyRequest}, status_code=200)
async def pause_asset(request: AnyRequest, services: Given, asset: FromPath[str]) -> AssetView:
    """Stop every payment in an asset; what is held still returns in time."""
    return await _set_paused(request, services, asset, True)


@post("/assets/{asset:str}/resume", opt={"body": EmptyRequest}, status_code=200)
async def resume_asset(request: AnyRequest, services: Given, asset: FromPath[str]) -> AssetView:
    """Let payments in an asset go on."""
    return await _set_paused(request, services, asset, False)


@post("/assets/{asset:str}/clawbacks", opt={"body": ClawbackRequest, "once": True}, status_code=201)
async def claw_back(request: AnyRequest, services: Given, asset: FromPath[str]) -> Response[PaymentView]:
    """Take an amount back from an account to the treasury, from a frozen one too."""
    body, node = await read_body(request, ClawbackRequest), services.node
    known = node.accounts.asset(asset)
    amount = parse_minor(body.amount, known.scale)

    async def act(identity: PaymentId) -> Answer:
        answered, replayed = await in_thread(
            node.controls.claw_back, known, AccountId(int(body.debtor, 16)), amount, identity
        )
        view = services.render.answered(answered, Payload())
        location = f"/v1/payments/{render_payment_id(identity)}"
        return Answer(201, _ENCODER.encode(view), replayed=replayed, location=location)

    return await services.once(request, act)


async def _set_approved(request: AnyRequest, services: Services, account: str, approved: bool) -> AccountView:
    known, _ = parse_account_id(account), await read_body(request, EmptyRequest)
    await in_thread(services.node.controls.approve, known, approved)
    return account_view(services, known)


async def _set_paused(request: AnyRequest, services: Services, asset: str, paused: bool) -> AssetView:
    await read_body(request, EmptyRequest)
    known = services.node.accounts.asset(asset)
    await in_thread(services.node.controls.pause, known, paused)
    return await in_thread(asset_view, services, services.node.engine.genesis.assets[known.number - 1])


ROUTES = [
    set_limits,
    close_account,
    approve_account,
    disapprove_account,
    pause_asset,
    resume_asset,
    claw_back,
]
