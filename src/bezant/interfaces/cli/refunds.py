"""``bezant refunds``: pay back all or part of a payment."""

from __future__ import annotations

from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, Key, show

app = typer.Typer(help="Pay back all or part of a payment, never more than it was.", no_args_is_help=True)
_Payment = Annotated[str, typer.Argument(help="Id of the payment that is paid back.")]


@app.command()
def make(
    payment: _Payment,
    amount: Annotated[
        str | None, typer.Argument(help="Decimal amount.  \\[default: all that was not paid back yet]")
    ] = None,
    capture: Annotated[str, typer.Option(help="Which capture, where it was captured in several parts.")] = "",
    reference: Annotated[str, typer.Option(help="End-to-end id, your reference of the refund.")] = "",
    text: Annotated[str, typer.Option(help="Remittance information for who is paid back.")] = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Pay back a payment from the account that it had reached.

    \b
    bezant refunds make 01a209f4-…-3ee0
    bezant refunds make 01a209f4-…-3ee0 12.50 --text "one item returned"
    """
    from bezant.interfaces.cli.client import connect

    body = {
        "amount": amount,
        "capture": capture,
        "end_to_end_id": reference,
        "remittance_information": text,
    }
    with connect(data) as client:
        answer = client.post(f"/v1/payments/{payment}/refunds", body, key=key or None)
    show(answer, as_json, "id", "status", "refund_of", "instructed_amount", "debtor", "creditor", "block")


@app.command("list")
def list_refunds(payment: _Payment, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List what was paid back of a payment, oldest first."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get(f"/v1/payments/{payment}/refunds")
    columns = ("id", "instructed_amount", "refund_of", "created_at", "block")
    show(answer, as_json, *columns, rows=answer["refunds"])
