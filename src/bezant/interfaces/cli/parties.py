"""``bezant parties``: register and erase."""

from __future__ import annotations

from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, show

app = typer.Typer(help="Register parties, look at them, erase them.", no_args_is_help=True)


@app.command()
def register(
    name: Annotated[str, typer.Argument(help="As it is written on an invoice.")],
    country: Annotated[str, typer.Option(help="ISO 3166 code, e.g. DE.")] = "",
    kind: Annotated[str, typer.Option(help="person or organisation.")] = "person",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Register a party; its name is matched with the watchlist and sealed in the vault.

    \b
    bezant parties register "Ada Lovelace" --country GB
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.post("/v1/parties", {"name": name, "country": country, "kind": kind})
    show(answer, as_json)
    if not as_json:
        print(f"\nNext: bezant accounts open --party {answer['party']} --asset EUR")


@app.command("show")
def show_party(party: int, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show a party and its accounts."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.get(f"/v1/parties/{party}"), as_json)


@app.command()
def erase(
    party: int,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Destroy a party's key: nothing of it can be read again, every proof still verifies.

    Its accounts are frozen. This cannot be undone.
    """
    from bezant.interfaces.cli.client import connect

    if not yes:
        typer.confirm(f"Erase party {party} for ever?", abort=True)
    with connect(data) as client:
        show(client.delete(f"/v1/parties/{party}"), as_json)


@app.command()
def rescreen(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Read the watchlist again and match every party with what changed in it.

    The list is the one that bezant.toml names under screening; payments see the result at once.
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.post("/v1/screening/reload"), as_json)
