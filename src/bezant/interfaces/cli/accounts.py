"""``bezant accounts``: open, list, look at, fund, freeze, bound, close."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, show

app = typer.Typer(
    help="Open accounts, see balances and statements, issue money, set limits, freeze, close.",
    no_args_is_help=True,
)
_Account = Annotated[str, typer.Argument(help="Account id, 32 hexadecimal digits.")]


@app.command("list")
def list_accounts(
    limit: Annotated[int, typer.Option(help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where the last list ended.")] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """List accounts with their balances."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/accounts", limit=limit, cursor=cursor)
    columns = ("account", "party", "asset", "balance", "available", "frozen")
    show(answer, as_json, *columns, rows=answer["accounts"])
    if not as_json and answer.get("next_cursor"):
        print(f"\nMore: bezant accounts list --cursor {answer['next_cursor']}")


@app.command("open")
def open_account(
    party: Annotated[int, typer.Option(help="Number of a registered party.")],
    asset: Annotated[str, typer.Option(help="What it holds.")] = "EUR",
    public_key: Annotated[str, typer.Option(help="The holder's own key, 64 hexadecimal digits.")] = "",
    scheme: Annotated[
        str, typer.Option(help="What that key signs with: ed25519 or secp256k1 (x-only, BIP-340).")
    ] = "ed25519",
    fund: Annotated[str, typer.Option(help="Issue so much to it at once, e.g. 500.")] = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Open an account for a party.

    \b
    bezant accounts open --party 1 --asset EUR --fund 500
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        body = {"party": party, "asset": asset, "public_key": public_key, "scheme": scheme}
        answer = client.post("/v1/accounts", body)
        if fund:
            client.post(f"/v1/assets/{asset}/issues", {"creditor": answer["account"], "amount": fund})
            answer = client.get(f"/v1/accounts/{answer['account']}")
    show(answer, as_json)


@app.command("show")
def show_account(account: _Account, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show an account's balances as the ledger has them now."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.get(f"/v1/accounts/{account}"), as_json)


@app.command()
def proof(account: _Account, data: Data = DEFAULT_DATA) -> None:
    """Write an account's balance file to standard output; 'bezant verify' checks it offline.

    \b
    bezant accounts proof 0000d4e3…bc4 > balance.json
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        content = client.raw("GET", f"/v1/accounts/{account}/proof")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


@app.command()
def issue(
    account: _Account,
    amount: Annotated[str, typer.Argument(help="Decimal amount, e.g. 500.")],
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Issue new money to an account, from the issuer's treasury."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        asset = client.get(f"/v1/accounts/{account}")["asset"]
        show(client.post(f"/v1/assets/{asset}/issues", {"creditor": account, "amount": amount}), as_json)


@app.command()
def freeze(account: _Account, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Let nothing move on an account."""
    _post(data, f"/v1/accounts/{account}/freeze", as_json)


@app.command()
def thaw(account: _Account, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Let an account pay and be paid again."""
    _post(data, f"/v1/accounts/{account}/thaw", as_json)


@app.command()
def limits(
    account: _Account,
    credit: Annotated[
        str | None, typer.Option(help="How far it may go negative; 0 for not at all.  \\[default: as it is]")
    ] = None,
    balance: Annotated[
        str | None, typer.Option(help="How much it may hold; 0 for no limit.  \\[default: as it is]")
    ] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Set how far an account may go negative and how much it may hold; never below what it uses.

    \b
    bezant accounts limits 0000d4e3…bc4 --credit 500
    bezant accounts limits 0000d4e3…bc4 --balance 10000
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        body = {"credit_limit": credit, "balance_limit": balance}
        show(client.post(f"/v1/accounts/{account}/limits", body), as_json)


@app.command()
def approve(account: _Account, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Let an account hold an asset whose issuer decides who may."""
    _post(data, f"/v1/accounts/{account}/approve", as_json)


@app.command()
def disapprove(account: _Account, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Take that back: the account neither pays nor is paid."""
    _post(data, f"/v1/accounts/{account}/disapprove", as_json)


@app.command()
def close(
    account: _Account,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Close an account for good. It has to be empty, with nothing pending."""
    if not yes:
        typer.confirm(f"Close account {account} for ever?", abort=True)
    _post(data, f"/v1/accounts/{account}/close", as_json)


@app.command()
def keys(account: _Account, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show whose keys sign for an account, what each may sign for, and how many it takes."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        authority = client.get(f"/v1/accounts/{account}")["authority"]
        answer = client.get(f"/v1/authorities/{authority}")
    if as_json:
        show(answer, True)
        return
    rows = [one | {"roles": " ".join(one["roles"])} for one in answer["keys"]]
    show(answer, False, "slot", "scheme", "public_key", "roles", rows=rows)
    print("\nTo sign it takes: " + ", ".join(f"{n} to {role}" for role, n in answer["thresholds"].items()))


@app.command()
def statement(
    account: _Account,
    from_time: Annotated[str | None, typer.Option("--from", help="RFC 3339 time, included.")] = None,
    to_time: Annotated[str | None, typer.Option("--to", help="RFC 3339 time, excluded.")] = None,
    limit: Annotated[int, typer.Option(help="How many entries at most.")] = 200,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show what was posted to an account, between opening and closing balance.

    \b
    bezant accounts statement 0000d4e3…bc4 --from 2026-01-01T00:00:00Z
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        query = {"from": from_time, "to": to_time, "limit": limit}
        answer = client.get(f"/v1/accounts/{account}/statement", **query)
    columns = ("booked_at", "credit_debit", "amount", "balance", "counterparty", "payment_id")
    if as_json:
        show(answer, True)
        return
    print(f"opening balance {answer['opening_balance']} {answer['asset']}")
    show(answer, False, *columns, rows=answer["entries"])
    print(f"closing balance {answer['closing_balance']} {answer['asset']}")


def _post(data: Data, path: str, as_json: bool) -> None:
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.post(path), as_json)
