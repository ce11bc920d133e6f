"""``bezant validators``: who votes on blocks, and what is bonded for it."""

from __future__ import annotations

from typing import Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, Key, show

app = typer.Typer(
    help="See who votes on the blocks of a network, and bond for votes.\n\n"
    "Votes are those that the genesis granted, and one for every unit that is bonded. Signing two blocks of "
    "one height costs part of the bonds and all votes; being away for long costs the votes until 'rejoin'.",
    no_args_is_help=True,
)
_Validator = Annotated[str, typer.Argument(help="The validator's key, as 'bezant validators list' shows it.")]


@app.command("list")
def list_validators(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List who votes, or did; nobody where one node orders alone."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/validators")
    columns = ("key", "status", "votes", "bonded", "missed_blocks", "jailed_until")
    show(answer, as_json, *columns, rows=answer["validators"])


@app.command()
def bond(
    validator: _Validator,
    account: Annotated[str, typer.Argument(help="Whose money it is, an account of this institution.")],
    amount: Annotated[str, typer.Argument(help="Decimal amount in the asset that is bonded, e.g. 1000.")],
    key: Key = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Reserve money for a validator's votes: it stays the account's, and cannot be spent until unbonded.

    \b
    bezant validators bond 76a1…09ff 0000d4e3…bc4 1000
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.post(
            f"/v1/validators/{validator}/bonds", {"account": account, "amount": amount}, key=key or None
        )
    show(answer, as_json)
    if not as_json:
        print(f"\nTo end it: bezant validators unbond {answer['id']}")


@app.command()
def unbond(
    bond_id: Annotated[str, typer.Argument(metavar="BOND", help="Id of the bond.")],
    key: Key = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """End a bond: no votes for it from now on, and its money back after the network's unbonding time."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.post(f"/v1/bonds/{bond_id}/end", {}, key=key or None), as_json)


@app.command()
def rejoin(validator: _Validator, key: Key = "", data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Let a validator that was away vote again, once its time is over."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.post(f"/v1/validators/{validator}/rejoin", {}, key=key or None)
    show(answer, as_json, "key", "status", "votes", rows=answer["validators"])
