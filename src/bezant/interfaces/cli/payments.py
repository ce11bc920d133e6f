"""``bezant payments``: what was paid, and where it stands."""

from __future__ import annotations

from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, show

app = typer.Typer(help="Look payments up; 'bezant pay' makes one.", no_args_is_help=True)


@app.command("show")
def show_payment(
    payment: Annotated[str, typer.Argument(help="Payment id.")],
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show a payment as it stands now: what was paid, charged, paid back, and what is still held.

    \b
    bezant payments show 01a209f4-f478-7d45-bd98-fdbbbc43cee0
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get(f"/v1/payments/{payment}")
    # What is empty says nothing to a person.
    show(
        answer if as_json else {name: value for name, value in answer.items() if value not in ("", None)},
        as_json,
    )


@app.command("list")
def list_payments(
    account: Annotated[str, typer.Option(help="Only those paid by or to this account.")] = "",
    status: Annotated[
        str,
        typer.Option(
            help="Only these: settled, held, in_review, captured, released, expired, refused or blocked."
        ),
    ] = "",
    reference: Annotated[str, typer.Option(help="Only those with this end-to-end id.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    cursor: Annotated[str, typer.Option(help="Where the last page ended.")] = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """List payments, newest first.

    \b
    bezant payments list --account 0000d4e3…bc4 --status settled
    """
    from bezant.interfaces.cli.client import connect

    asked = {"account": account, "status": status, "end_to_end_id": reference, "cursor": cursor}
    with connect(data) as client:
        answer = client.get(
            "/v1/payments", limit=limit, **{name: text for name, text in asked.items() if text}
        )
    rows = [
        {**one, "amount": one["instructed_amount"], "created_at": one["created_at"][:16].replace("T", " ")}
        for one in answer["payments"]
    ]
    columns = ("id", "status", "amount", "fee", "debtor", "creditor", "created_at")
    show(answer, as_json, *columns, rows=rows)
    if not as_json and answer.get("next_cursor"):
        print(f"\nMore: --cursor {answer['next_cursor']}")
