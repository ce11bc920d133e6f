"""``bezant assets``: what can be held here, and what its issuer may do."""

from __future__ import annotations

from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, Key, show

app = typer.Typer(
    help="See assets; pause one or take money back, where the genesis declares it "
    "('bezant init --policy EUR:pausable,clawback').",
    no_args_is_help=True,
)
_Asset = Annotated[str, typer.Argument(help="Code of the asset, e.g. EUR.")]


@app.command("list")
def list_assets(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List assets, how much of each is issued, and what its issuer may do."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/assets")
    rows = [one | {"policy": " ".join(one.get("policy", ()))} for one in answer["assets"]]
    show(answer, as_json, "asset", "issuer", "issued", "paused", "policy", "treasury", rows=rows)


@app.command()
def pause(asset: _Asset, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Stop every payment in an asset; what is held still returns in time."""
    _post(data, f"/v1/assets/{asset}/pause", as_json)


@app.command()
def resume(asset: _Asset, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Let payments in an asset go on."""
    _post(data, f"/v1/assets/{asset}/resume", as_json)


@app.command("claw-back")
def claw_back(
    account: Annotated[str, typer.Argument(help="Account that loses it, a frozen one too.")],
    amount: Annotated[str, typer.Argument(help="Decimal amount; at most what is available.")],
    asset: Annotated[str, typer.Argument(help="What the amount is in.")] = "EUR",
    key: Key = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Take an amount back from an account to the issuer's treasury."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        body = {"debtor": account, "amount": amount}
        show(client.post(f"/v1/assets/{asset}/clawbacks", body, key=key or None), as_json)


def _post(data: Data, path: str, as_json: bool) -> None:
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.post(path), as_json)
