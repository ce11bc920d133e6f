"""``bezant reviews``: payments that wait for a person."""

from __future__ import annotations

from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, show

app = typer.Typer(help="See what waits for a person, approve it or reject it.", no_args_is_help=True)
_Payment = Annotated[str, typer.Argument(help="Payment id, as 'bezant reviews list' shows it.")]


@app.command("list")
def list_reviews(
    limit: Annotated[int, typer.Option(help="How many at most.")] = 50,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """List payments in review, newest first, each with its score and why."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/reviews", limit=limit)
    rows = [
        {
            "payment": one["payment"]["id"],
            "amount": one["payment"]["instructed_amount"],
            "score": f"{one['score']:.3f}",
            "why": one["reasons"],
        }
        for one in answer["reviews"]
    ]
    show(answer, as_json, "payment", "amount", "score", "why", rows=rows)


@app.command()
def approve(payment: _Payment, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Let a payment go through."""
    _close(data, payment, "approve", as_json)


@app.command()
def reject(payment: _Payment, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Return a payment's reserve to the payer."""
    _close(data, payment, "reject", as_json)


def _close(data: Data, payment: str, how: str, as_json: bool) -> None:
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.post(f"/v1/reviews/{payment}/{how}"), as_json)
