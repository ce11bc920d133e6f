"""``bezant reviews``: payments that wait for a person."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, Key, show

app = typer.Typer(
    help="See what waits for a person, approve it or reject it, and say what payments were.",
    no_args_is_help=True,
)


class Said(StrEnum):
    GENUINE = "genuine"
    FRAUD = "fraud"


_Genuine = Annotated[bool, typer.Option("--genuine", help="Label it genuine too.")]
_Fraud = Annotated[bool, typer.Option("--fraud", help="Label it fraud too.")]
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
def approve(
    payment: _Payment, genuine: _Genuine = False, data: Data = DEFAULT_DATA, as_json: AsJson = False
) -> None:
    """Let a payment go through.

    \b
    bezant reviews approve 01a209f4-…-3ee0 --genuine
    """
    _close(data, payment, "approve", "genuine" if genuine else "", as_json)


@app.command()
def reject(
    payment: _Payment, fraud: _Fraud = False, data: Data = DEFAULT_DATA, as_json: AsJson = False
) -> None:
    """Return a payment's reserve to the payer.

    \b
    bezant reviews reject 01a209f4-…-3ee0 --fraud
    """
    _close(data, payment, "reject", "fraud" if fraud else "", as_json)


@app.command()
def label(
    payment: Annotated[str, typer.Argument(help="Id of a payment that was paid or held.")],
    said: Annotated[Said, typer.Argument(help="What it turned out to be.")],
    key: Key = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Say whether a payment was fraud or genuine, at any time; the last word counts, and models learn of it.

    \b
    bezant reviews label 01a209f4-…-3ee0 fraud
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.post(f"/v1/payments/{payment}/labels", {"label": said.value}, key=key or None)
    show(answer, as_json)


def _close(data: Data, payment: str, how: str, said: str, as_json: bool) -> None:
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.post(f"/v1/reviews/{payment}/{how}", {"label": said}), as_json)
