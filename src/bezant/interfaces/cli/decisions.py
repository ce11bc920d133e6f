"""``bezant decisions``: why a payment was allowed, reviewed or blocked."""

from __future__ import annotations

from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, show

app = typer.Typer(help="See a decision's evidence, and compute it again.", no_args_is_help=True)
_Payment = Annotated[str, typer.Argument(help="Payment id.")]


@app.command("show")
def show_decision(payment: _Payment, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show the evidence of a decision: verdict, score, reasons, every feature."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get(f"/v1/decisions/{payment}")
    rules = {"rules": [f"{rule['name']}: {rule['reason']}" for rule in answer["rules"]]}
    features = rules | {"features": [f"{name} = {value:g}" for name, value in answer["features"].items()]}
    show(answer if as_json else answer | features, as_json)


@app.command()
def explain(payment: _Payment, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Say why a payment scored as it did, beside what is normal for the customer.

    Weights are what each thing added to the log odds of fraud (exact TreeSHAP); negative ones spoke
    against it.

    \b
    bezant decisions explain 01a209f4-f478-7d45-bd98-fdbbbc43cee0
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get(f"/v1/decisions/{payment}/explanation")
    rows = [{**idea, "weight": f"{idea['weight']:+.2f}"} for idea in answer["ideas"]]
    show(answer, as_json, "weight", "name", "text", rows=rows)


@app.command()
def replay(payment: _Payment, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Compute a decision again, score, verdict and reasons, from its evidence; exit code 1 if they differ."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get(f"/v1/decisions/{payment}/replay")
    show(answer, as_json)
    if not answer["equal"]:
        raise typer.Exit(1)
