"""``bezant reviews``: payments that wait for a person."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, Key, show

app = typer.Typer(
    help="See what waits for a person, most expected loss first; look into it, pass it on, approve it or "
    "reject it, and say what payments were.",
    no_args_is_help=True,
)


class Said(StrEnum):
    GENUINE = "genuine"
    FRAUD = "fraud"


_Genuine = Annotated[bool, typer.Option("--genuine", help="Label it genuine too.")]
_Fraud = Annotated[bool, typer.Option("--fraud", help="Label it fraud too.")]
_Payment = Annotated[str, typer.Argument(help="Payment id, as 'bezant reviews list' shows it.")]
_Note = Annotated[str, typer.Option(help="Why; sealed for the payer, and gone when the payer is erased.")]
_By = Annotated[str, typer.Option(help="Who does it, as they call themselves.", envvar="BEZANT_REVIEWER")]


@app.command("list")
def list_reviews(
    asset: Annotated[str | None, typer.Option(help="Payments in this asset alone.")] = None,
    account: Annotated[str | None, typer.Option(help="Payments from or to this account.")] = None,
    escalated: Annotated[
        bool | None, typer.Option("--escalated/--not-escalated", help="Passed on, or not.")
    ] = None,
    older: Annotated[float | None, typer.Option(min=0, help="Waiting for so many hours or longer.")] = None,
    expiring: Annotated[
        float | None, typer.Option(min=0, help="Whose reserve returns within so many hours.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Where the last page ended.")] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """List payments in review, asset by asset, what is expected to lose most first.

    The expected loss is the score's share of the amount. A payment that nobody answers lapses: its reserve
    returns to the payer.

    \b
    bezant reviews list --expiring 4
    bezant reviews list --escalated --json
    """
    from bezant.interfaces.cli.client import connect

    filters = {
        "asset": asset,
        "account": account,
        "escalated": None if escalated is None else str(escalated).lower(),
        "older_than_s": None if older is None else int(older * 3_600),
        "expiring_within_s": None if expiring is None else int(expiring * 3_600),
        "cursor": cursor,
    }
    with connect(data) as client:
        answer = client.get("/v1/reviews", limit=limit, **{k: v for k, v in filters.items() if v is not None})
    rows = [
        {
            "payment": one["payment"]["id"],
            "amount": one["payment"]["instructed_amount"],
            "expected loss": one["expected_loss"],
            "score": f"{one['score']:.3f}",
            "lapses": _minute(one.get("lapses_at", "")),
            "escalated": "yes" if one.get("escalated") else "",
            "why": one["reasons"],
        }
        for one in answer["reviews"]
    ]
    columns = ("payment", "amount", "expected loss", "score", "lapses", "escalated", "why")
    show(answer, as_json, *columns, rows=rows)
    if not as_json and answer.get("next_cursor"):
        typer.echo(f"There are more: --cursor {answer['next_cursor']}", err=True)


@app.command("show")
def show_review(payment: _Payment, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show one case: why, how much, until when, what it is linked with, and who did what about it.

    \b
    bezant reviews show 01a209f4-…-3ee0
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get(f"/v1/reviews/{payment}")
    if as_json:
        show(answer, True)
        return
    review, links = answer["review"], answer["links"]
    show(
        {
            "payment": review["payment"]["id"],
            "status": review["payment"]["status"],
            "debtor": review["payment"]["debtor"],
            "creditor": review["payment"]["creditor"],
            "amount": review["payment"]["instructed_amount"],
            "score": f"{review['score']:.3f}, reviewed from {review['threshold']:.3f} on",
            "expected loss": review["expected_loss"],
            "lapses": _minute(review.get("lapses_at", "")) or "it is decided",
            "escalated to": answer.get("escalated_to", ""),
            "reasons": review["reasons"],
            "rules": [f"{rule['name']}: {rule['reason']}" for rule in answer["rules"]],
            "why": answer["why"],
        },
        False,
    )
    history = [{**event, "at": _minute(event["at"]), "said": _said(event)} for event in answer["history"]]
    _part("History", history, "at", "event", "by", "said", "block")
    payments = ("id", "amount", "status", "debtor", "creditor", "fraud")
    for title, name in (
        ("Other payments of the payer", "debtor_payments"),
        ("Other payments of the payee", "creditor_payments"),
        ("Other open reviews of both", "open_reviews"),
    ):
        _part(title, links.get(name, ()), *payments)
    accounts = links.get("accounts", ())
    _part("Accounts around them", accounts, "account", "via", "payments", "known_frauds")


@app.command()
def escalate(
    payment: _Payment,
    to: Annotated[str, typer.Option(help="Who is to decide.")],
    note: _Note = "",
    by: _By = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Pass a case on to somebody, and say why.

    \b
    bezant reviews escalate 01a209f4-…-3ee0 --to compliance --note "third new payee today"
    """
    from bezant.interfaces.cli.client import connect

    body = {"to": to, "note": note, "by": by}
    with connect(data) as client:
        show(client.post(f"/v1/reviews/{payment}/escalate", body, key=key or None), as_json)


@app.command()
def approve(
    payment: _Payment,
    genuine: _Genuine = False,
    note: _Note = "",
    by: _By = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Let a payment go through.

    \b
    bezant reviews approve 01a209f4-…-3ee0 --genuine --note "the customer confirmed it"
    """
    _close(data, payment, "approve", {"label": "genuine" if genuine else "", "note": note, "by": by}, as_json)


@app.command()
def reject(
    payment: _Payment,
    fraud: _Fraud = False,
    note: _Note = "",
    by: _By = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Return a payment's reserve to the payer.

    \b
    bezant reviews reject 01a209f4-…-3ee0 --fraud --note "the customer never made it"
    """
    _close(data, payment, "reject", {"label": "fraud" if fraud else "", "note": note, "by": by}, as_json)


@app.command()
def label(
    payment: Annotated[str, typer.Argument(help="Payment id.")],
    said: Annotated[Said, typer.Argument(help="What it turned out to be.")],
    note: _Note = "",
    by: _By = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Say whether a payment was fraud or genuine, at any time; the last word counts, and models learn of it.

    \b
    bezant reviews label 01a209f4-…-3ee0 fraud
    """
    from bezant.interfaces.cli.client import connect

    body = {"label": said.value, "note": note, "by": by}
    with connect(data) as client:
        answer = client.post(f"/v1/payments/{payment}/labels", body, key=key or None)
    show(answer, as_json)


def _close(data: Data, payment: str, how: str, body: dict[str, str], as_json: bool) -> None:
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.post(f"/v1/reviews/{payment}/{how}", body), as_json)


def _part(title: str, rows: Any, *columns: str) -> None:
    if rows:
        typer.secho(f"\n{title}", bold=True)
        show(rows, False, *columns, rows=rows)


def _said(event: Mapping[str, Any]) -> str:
    """Return what an event says beside its name."""
    label, to, note = (event.get(name, "") for name in ("label", "to", "note"))
    return ", ".join(part for part in (label, f"to {to}" if to else "", note) if part)


def _minute(time: str) -> str:
    """Return a time to the minute, as people read it."""
    return f"{time[:10]} {time[11:16]}" if time else ""
