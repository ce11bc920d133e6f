"""Accounts: open, list, look at, freeze, and what happened on them."""

from __future__ import annotations

from typing import Annotated, cast

import numpy as np
from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter

from bezant.chain.balances import BalanceFile, render_balance
from bezant.gateway.accounts import Opening
from bezant.gateway.events import render_time
from bezant.interfaces.rest.render import parse_time
from bezant.interfaces.rest.services import AnyRequest, Given, Services, in_thread, read_body
from bezant.interfaces.rest.shapes import (
    AccountPage,
    AccountRequest,
    AccountView,
    EmptyRequest,
    StatementLine,
    StatementView,
)
from bezant.ledger.standing import Standing
from bezant.model.identifiers import AccountId, parse_account_id, render_id, render_payment_id
from bezant.model.keys import SCHEME_NUMBERS
from bezant.model.money import U64_MAX, parse_minor
from bezant.model.records import id_of
from bezant.store.views import Statement

Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows of a page")]
Cursor = Annotated[str | None, QueryParameter(description="Where the last page ended")]


@post("/accounts", opt={"body": AccountRequest}, status_code=201)
async def open_account(request: AnyRequest, services: Given) -> AccountView:
    """Open an account of one asset for a registered party."""
    body = await read_body(request, AccountRequest)
    accounts = services.node.accounts
    asset = accounts.asset(body.asset)
    limit = (
        0
        if body.balance_limit is None
        else parse_minor(body.balance_limit, asset.scale, param="balance_limit")
    )
    opening = Opening(
        body.party,
        asset,
        bytes.fromhex(body.public_key) or None,
        SCHEME_NUMBERS[body.scheme],
        balance_limit=limit,
    )
    await in_thread(accounts.check_party, body.party)
    (account,) = await in_thread(accounts.open, [opening])
    return view_of(services, account, body.party)


@get("/accounts")
async def list_accounts(services: Given, cursor: Cursor = None, limit: Limit = 50) -> AccountPage:
    """List accounts in the order of their ids, with balances as the ledger has them now."""
    page = await in_thread(services.node.history.accounts, cursor=cursor, limit=limit)
    return AccountPage(tuple(view_of(services, one.id, one.party) for one in page.items), page.next_cursor)


@get("/accounts/{account:str}")
async def get_account(services: Given, account: FromPath[str]) -> AccountView:
    """Return an account with its balances as the ledger has them now."""
    return account_view(services, parse_account_id(account))


@get("/accounts/{account:str}/proof", media_type="application/json")
async def get_balance_proof(services: Given, account: FromPath[str]) -> Response[BalanceFile]:
    """Return the balance file: canonical bytes that prove offline what an account held, to be kept as
    they are. It is of the last state that the chain covers, or of now where there is none yet."""
    found = await in_thread(services.node.accounts.proof, parse_account_id(account))
    return Response(content=cast("BalanceFile", render_balance(found)), media_type="application/json")


@post("/accounts/{account:str}/freeze", opt={"body": EmptyRequest}, status_code=200)
async def freeze_account(request: AnyRequest, services: Given, account: FromPath[str]) -> AccountView:
    """Let nothing move on an account until it is thawed."""
    return await _set_frozen(request, services, parse_account_id(account), True)


@post("/accounts/{account:str}/thaw", opt={"body": EmptyRequest}, status_code=200)
async def thaw_account(request: AnyRequest, services: Given, account: FromPath[str]) -> AccountView:
    """Let an account pay and be paid again."""
    return await _set_frozen(request, services, parse_account_id(account), False)


@get("/accounts/{account:str}/statement")
async def get_statement(
    services: Given,
    account: FromPath[str],
    from_time: Annotated[str | None, QueryParameter(name="from", description="RFC 3339, included")] = None,
    to_time: Annotated[str | None, QueryParameter(name="to", description="RFC 3339, excluded")] = None,
    cursor: Cursor = None,
    limit: Limit = 200,
) -> StatementView:
    """Return what was posted, oldest first, between opening and closing balances."""
    statement = await in_thread(
        services.node.history.statement,
        parse_account_id(account),
        from_ns=parse_time(from_time, "from"),
        to_ns=parse_time(to_time, "to"),
        cursor=cursor,
        limit=limit,
    )
    return _statement_view(services, statement)


def account_view(services: Services, account: AccountId) -> AccountView:
    """Return an account with the party it is bound to. Raises: NotFound."""
    return view_of(services, account, services.node.accounts.party_of(account))


def view_of(services: Services, account: AccountId, party: int | None) -> AccountView:
    """Return an account from the ledger. Raises: NotFound."""
    row, render = services.node.accounts.row(account), services.render
    asset = int(row["asset"])
    counters = {
        name: _wide(row, name)
        for name in ("debits_posted", "debits_pending", "credits_posted", "credits_pending")
    }
    balance = counters["credits_posted"] - counters["debits_posted"]
    available = max(0, balance - counters["debits_pending"] + int(row["credit_limit"]))
    limit, credit = int(row["balance_limit"]), int(row["credit_limit"])
    standing = Standing(int(row["standing"]))
    holder = services.node.engine.ledger.state.authorities[row["authority"]]
    return AccountView(
        account=render_id(account),
        asset=render.asset(asset),
        balance=render.amount(asset, balance),
        available=render.amount(asset, min(available, U64_MAX)),
        pending_debits=render.amount(asset, counters["debits_pending"]),
        pending_credits=render.amount(asset, counters["credits_pending"]),
        frozen=bool(standing & (Standing.FROZEN | Standing.FROZEN_BY_ISSUER)),
        party=party or None,
        balance_limit=render.amount(asset, limit) if limit else None,
        credit_limit=render.amount(asset, credit) if 0 < credit < U64_MAX else None,
        closed=Standing.CLOSED in standing,
        approved=Standing.NOT_APPROVED not in standing,
        authority=render_id(id_of(holder, "id")),
    )


async def _set_frozen(
    request: AnyRequest, services: Services, account: AccountId, frozen: bool
) -> AccountView:
    await read_body(request, EmptyRequest)
    await in_thread(services.node.accounts.freeze, account, frozen)
    return account_view(services, account)


def _statement_view(services: Services, statement: Statement) -> StatementView:
    render, asset = services.render, statement.asset
    lines = tuple(
        StatementLine(
            booked_at=render_time(entry.time_ns),
            credit_debit="CRDT" if entry.side == "credit" else "DBIT",
            amount=render.amount(asset, entry.amount),
            balance=render.amount(asset, entry.balance),
            block=entry.height,
            payment_id=None if entry.is_brought_forward else render_payment_id(entry.payment),
            counterparty=None if entry.is_brought_forward else render_id(entry.counterparty),
            brought_forward=entry.is_brought_forward or None,
        )
        for entry in statement.entries
    )
    return StatementView(
        account=render_id(statement.account),
        asset=render.asset(asset),
        opening_balance=render.amount(asset, statement.opening),
        closing_balance=render.amount(asset, statement.closing),
        period_opening_balance=render.amount(asset, statement.period_opening),
        period_closing_balance=render.amount(asset, statement.period_closing),
        entries=lines,
        next_cursor=statement.next_cursor,
    )


def _wide(row: np.void, name: str) -> int:
    return int(row[f"{name}_hi"]) << 64 | int(row[f"{name}_lo"])


ROUTES = [
    open_account,
    list_accounts,
    get_account,
    get_balance_proof,
    freeze_account,
    thaw_account,
    get_statement,
]
