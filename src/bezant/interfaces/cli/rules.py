"""``bezant rules``: rules beside the model, from bezant.toml."""

from __future__ import annotations

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, show

app = typer.Typer(
    help="""See the rules beside the model, and read them again.

    They are in bezant.toml; all of 'when' has to hold, and lists are files beside it, one entry a line:

    \b
    \\[\\[rules]]
    name = "large-to-a-new-payee"
    verdict = "review"
    reason = "More than 5,000 to somebody the customer has never paid."
    when = ["amount >= 5000.00 EUR", "pair_new = 1"]

    \b
    \\[\\[rules]]
    name = "closed-by-court"
    verdict = "block"
    reason = "This account must not be paid."
    when = ["creditor in lists/closed.txt"]
    """,
    no_args_is_help=True,
)


@app.command("list")
def list_rules(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List the rules that are asked now."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/rules")
    show(answer, as_json, "name", "verdict", "when", "reason", rows=answer["rules"])


@app.command()
def reload(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Read bezant.toml and its lists again; where a rule cannot be read the old ones stay."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.post("/v1/rules/reload")
    show(answer, as_json, "name", "verdict", "when", "reason", rows=answer["rules"])
