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
        typer.Option(help="Code and decimals of an asset, e.g. EUR/2; repeat for more.  \\[default: five]"),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="What the issuer of an asset may do, for ever: approve_holders, freezable, pausable, "
            "clawback, member_credit; e.g. EUR:pausable,clawback."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a data folder: fresh keys, a genesis, and the operator's token.

    \b
    bezant init
    bezant init --data /srv/bezant --network harbour --asset EUR/2 --asset JPY/0
    bezant init --policy EUR:pausable,clawback
    """
    from bezant.errors import InputError
    from bezant.folder import DEFAULT_ASSETS, create_folder
    from bezant.model.genesis import network_id

    assets = tuple(_asset(text) for text in asset) if asset else DEFAULT_ASSETS
    policies = dict(_policy(text) for text in policy or ())
    unknown = policies.keys() - {code for code, _ in assets}
    if unknown:
        raise InputError(f"a policy is for {min(unknown)}, which is no asset here", param="policy")
    genesis = create_folder(data, network=network, assets=assets, policies=policies)
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


def _policy(text: str) -> tuple[str, dict[str, bool]]:
    from bezant.errors import InputError
    from bezant.ledger.standing import Policy

    known = [str(bit.name).lower() for bit in Policy]
    code, _, names = text.partition(":")
    declared = names.split(",")
    if not set(declared) <= set(known):
        raise InputError(
            f"{text!r} is not a policy; write an asset and what its issuer may do, like "
            f"EUR:pausable,clawback. There are {', '.join(known)}",
            param="policy",
        )
    return code, dict.fromkeys(declared, True)
