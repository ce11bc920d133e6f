"""``bezant init``: make a data folder."""

from __future__ import annotations

from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, show


def init(
    data: Data = DEFAULT_DATA,
    network: Annotated[str, typer.Option(help="The network's name, part of its genesis.")] = "bezant",
    asset: Annotated[
        list[str] | None,
        typer.Option(help="Code and decimals of an asset, e.g. EUR/2; repeat for more.  [default: five]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a data folder: fresh keys, a genesis, and the operator's token.

    \b
    bezant init
    bezant init --data /srv/bezant --network harbour --asset EUR/2 --asset JPY/0
    """
    from bezant.folder import DEFAULT_ASSETS, create_folder
    from bezant.model.genesis import network_id

    assets = tuple(_asset(text) for text in asset) if asset else DEFAULT_ASSETS
    genesis = create_folder(data, network=network, assets=assets)
    made = {
        "data_folder": str(data),
        "network": genesis.network,
        "genesis_hash": network_id(genesis).hex(),
        "assets": " ".join(one.code for one in genesis.assets),
        "token_file": str(data / "keys" / "operator.token"),
    }
    show(made, as_json)
    if not as_json:
        print(f"\nNext: bezant run --data {data}")


def _asset(text: str) -> tuple[str, int]:
    from bezant.errors import InputError

    code, _, scale = text.partition("/")
    if not scale.isdecimal():
        raise InputError(f"{text!r} is not an asset; write code and decimals like EUR/2", param="asset")
    return code, int(scale)
