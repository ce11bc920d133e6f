"""``bezant holds``: payments that are reserved and not yet paid."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, Key, show

app = typer.Typer(
    help="Reserve first and pay later: capture all of a hold, or part after part, or release it.\n\n"
    "'bezant pay … --hold 3600' places one for an hour.",
    no_args_is_help=True,
)
_Payment = Annotated[str, typer.Argument(help="Payment id, as 'bezant pay --hold' or 'holds list' shows it.")]


@app.command("list")
def list_holds(
    account: Annotated[str | None, typer.Option(help="Only those by or to this account.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.")] = 50,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """List what is held now, newest first."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/payments", status="held", account=account, limit=limit)
    rows = [
        {
            "payment": one["id"],
            "held": one["held"]["amount"],
            "captured": one.get("settled_amount"),
            "expires_at": one["held"]["expires_at"],
            "locked": bool(one["held"].get("hashlock")),
        }
        for one in answer["payments"]
        if "held" in one
    ]
    show(answer, as_json, "payment", "held", "captured", "expires_at", "locked", rows=rows)


@app.command()
def capture(
    payment: _Payment,
    amount: Annotated[
        str | None, typer.Argument(help="Decimal amount.  \\[default: all that is held]")
    ] = None,
    keep_rest: Annotated[
        bool,
        typer.Option("--keep-rest", help="Keep the rest held for more captures, instead of returning it."),
    ] = False,
    preimage: Annotated[str, typer.Option(help="The secret that opens a locked hold, hexadecimal.")] = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Pay what is held, or a part of it.

    \b
    bezant holds capture 01a209f4-…-3ee0
    bezant holds capture 01a209f4-…-3ee0 25 --keep-rest
    """
    from bezant.interfaces.cli.client import connect

    body = {"amount": amount, "keep_rest": keep_rest, "preimage": preimage}
    with connect(data) as client:
        show(client.post(f"/v1/payments/{payment}/capture", body, key=key or None), as_json)


@app.command()
def captures(payment: _Payment, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List what was captured of a hold, oldest first, and what of it was paid back."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get(f"/v1/payments/{payment}/captures")
    show(answer, as_json, "id", "amount", "refunded_amount", "created_at", "block", rows=answer["captures"])


@app.command()
def release(payment: _Payment, key: Key = "", data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Return what is held to the payer."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.post(f"/v1/payments/{payment}/release", key=key or None), as_json)


@app.command()
def secret(as_json: AsJson = False) -> None:
    """Make a secret, and the hashlock that only it opens; asks no node.

    Give the hashlock to the payer and keep the preimage. Two ledgers that hold against the same hashlock
    swap: capturing on one shows the secret that captures on the other.

    \b
    bezant holds secret
    bezant pay 0000d4e3…bc4 000094df…7b8 80 --hold 3600 --lock HASHLOCK
    bezant holds capture PAYMENT --preimage PREIMAGE
    """
    preimage = secrets.token_bytes(32)
    show({"preimage": preimage.hex(), "hashlock": hashlib.sha256(preimage).hexdigest()}, as_json)
