"""``bezant mandates``: leave to pay from an account, within bounds."""

from __future__ import annotations

from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, Key, show

app = typer.Typer(
    help="Give leave to pay from an account: capped per payment and per period, for one payee or any, "
    "until it ends or is revoked.\n\n'bezant pay … --mandate ID' pays under one.",
    no_args_is_help=True,
)
_Mandate = Annotated[str, typer.Argument(help="Mandate id, as 'bezant mandates list' shows it.")]


@app.command("set")
def set_mandate(
    account: Annotated[str, typer.Argument(help="Whose money it is, 32 hexadecimal digits.")],
    cap: Annotated[str, typer.Argument(help="Most that one payment may be, e.g. 50.")],
    payee: Annotated[str, typer.Option(help="The only account that may be paid.  \\[default: any]")] = "",
    period_cap: Annotated[str | None, typer.Option(help="Most that a period may see.")] = None,
    period: Annotated[int, typer.Option(help="Length of a period in seconds, e.g. 2592000.")] = 0,
    until: Annotated[str | None, typer.Option(help="When it ends, RFC 3339.  \\[default: never]")] = None,
    delegate: Annotated[
        str, typer.Option(help="Authority whose signature pays under it.  \\[default: this node's gateway]")
    ] = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Give leave to pay from an account; what is held counts too, even if it returns later.

    \b
    bezant mandates set 0000d4e3…bc4 50 --payee 000094df…7b8
    bezant mandates set 0000d4e3…bc4 50 --period-cap 100 --period 2592000 --until 2027-01-01T00:00:00Z
    """
    from bezant.interfaces.cli.client import connect

    body = {
        "account": account,
        "cap_per_payment": cap,
        "payee": payee,
        "delegate": delegate,
        "cap_per_period": period_cap,
        "period_s": period,
        "expires_at": until,
    }
    with connect(data) as client:
        answer = client.post("/v1/mandates", body, key=key or None)
    show(answer, as_json)
    if not as_json:
        print(f"\nNext: bezant pay {account} {payee or 'PAYEE'} {cap} --mandate {answer['id']}")


@app.command("list")
def list_mandates(
    account: Annotated[str, typer.Argument(help="Whose money it is.")],
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """List the mandates of an account that were not revoked."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/mandates", account=account)
    columns = ("id", "status", "payee", "cap_per_payment", "spent_in_period", "cap_per_period", "expires_at")
    show(answer, as_json, *columns, rows=answer["mandates"])


@app.command("show")
def show_mandate(mandate: _Mandate, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show a mandate, and what was paid under it in this period."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.get(f"/v1/mandates/{mandate}"), as_json)


@app.command()
def revoke(mandate: _Mandate, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Take a mandate back: nothing more is paid under it."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.post(f"/v1/mandates/{mandate}/revoke"), as_json)
