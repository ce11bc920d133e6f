"""``bezant governance``: the rules of a network, and how its validators change them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, Key, show

_Height = Annotated[
    int, typer.Option(help="The first block of the change.  \\[default: --after blocks from now]")
]
_After = Annotated[int, typer.Option(help="Blocks from now to the change.")]
_VotingHours = Annotated[float, typer.Option(min=0.001, help="How long votes are taken.")]

app = typer.Typer(
    help="See the rules of a network, propose changes, and vote on them.\n\n"
    "Institutions that stand behind validators propose and vote. More than two thirds of all votes accept a "
    "change, as they are when they are counted; it is in force from its height on, in every node at the same "
    "block. Fraud rules are another thing: 'bezant rules'.",
    no_args_is_help=True,
)


@app.command()
def rules(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List the rules that may be changed by vote: what is in force, since when, and within which bounds."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/governance")
    columns = ("rule", "value", "founded_value", "since_height", "low", "high")
    show(answer, as_json, *columns, rows=answer["rules"])


@app.command("list")
def list_proposals(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List what is voted on, and what is accepted and not in force yet."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/governance")
    columns = ("id", "status", "rule", "value", "height", "voting_until", "institution")
    votes = ("votes_yes", "votes_no", "votes_in_all")
    show(answer, as_json, *columns, *votes, rows=answer["proposals"])


@app.command("history")
def list_past(
    status: Annotated[
        str, typer.Option(help="Only these: voting, accepted, in_force, declined or lapsed.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    cursor: Annotated[str, typer.Option(help="Where the last page ended.")] = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """List everything that was ever put to the vote, newest first, and what became of it.

    \b
    bezant governance history --status in_force
    """
    from bezant.interfaces.cli.client import connect

    asked = {"status": status, "cursor": cursor}
    with connect(data) as client:
        answer = client.get(
            "/v1/governance/proposals", limit=limit, **{name: text for name, text in asked.items() if text}
        )
    heights = (("decided", "decided_height"), ("in force", "in_force_height"))
    rows = [_from_to(one) | {title: one.get(name) for title, name in heights} for one in answer["proposals"]]
    columns = ("id", "status", "rule", "from", "to", "decided", "in force", "institution")
    show(answer, as_json, *columns, rows=rows)
    if not as_json and answer.get("next_cursor"):
        print(f"\nMore: --cursor {answer['next_cursor']}")


@app.command("show")
def show_proposal(
    proposal: Annotated[str, typer.Argument(help="Id of the proposal.")],
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show a proposal: from what to what, who proposed it and when, who said what, and what became of it.

    \b
    bezant governance show 0190a6f0-…-9a1c
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get(f"/v1/governance/proposals/{proposal}")
    if as_json:
        show(answer, as_json)
        return
    said = [f"{one['ballot']}: {one['institution'] or one['authority']}" for one in answer["ballots"]]
    told = _from_to(answer) | {"ballots": said}
    hidden = ("value", "previous_value", "fee", "previous_fee")
    show({name: value for name, value in told.items() if name not in hidden and value != []}, as_json)


def _from_to(proposal: dict[str, Any]) -> dict[str, Any]:
    """Return a proposal with what its rule is to become, and what it was, as a person reads it."""
    if "fee" not in proposal:
        return proposal | {"from": proposal["previous_value"], "to": proposal["value"]}
    return proposal | {"from": _terms(proposal["previous_fee"]), "to": _terms(proposal["fee"])}


def _terms(fee: dict[str, Any]) -> str:
    """Return what a fee is: nothing where its maximum is nothing."""
    flat, low, high = (fee[name]["amount"] for name in ("flat", "minimum", "maximum"))
    if not high.strip("0."):
        return f"nothing in {fee['flat']['asset']}"
    return f"{flat} + {fee['ppm']} ppm, {low} to {high} {fee['flat']['asset']}"


@app.command()
def propose(
    rule: Annotated[str, typer.Argument(help="The rule, as 'bezant governance rules' names it.")],
    value: Annotated[int, typer.Argument(help="What it is to become.")],
    height: _Height = 0,
    after: _After = 1_000,
    voting_hours: _VotingHours = 168.0,
    key: Key = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Put a change of a rule to the vote.

    A change that is not accepted twenty blocks before its height lapses, so that nobody is surprised by one.

    \b
    bezant governance propose slash_ppm 100000 --after 5000 --voting-hours 48
    """
    from bezant.interfaces.cli.client import connect

    body = {
        "rule": rule,
        "value": value,
        "height": height,
        "after_blocks": after,
        "voting_s": max(1, round(voting_hours * 3600)),
    }
    with connect(data) as client:
        answer = client.post("/v1/governance/proposals", body, key=key or None)
    show(answer, as_json)
    if not as_json:
        print(f"\nTo vote for it: bezant governance vote {answer['id']} yes")


@app.command()
def fees(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List what payments are charged, by asset, and what was collected and not divided among bonds yet."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        answer = client.get("/v1/governance")
    columns = ("asset", "flat", "ppm", "minimum", "maximum", "account", "is_open", "collected")
    show(answer, as_json, *columns, rows=answer["fees"])


@app.command("open-fees")
def open_fees(
    asset: Annotated[str, typer.Argument(help="The asset, which this institution issues.")],
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Open the account that collects the fees of an asset; without it nothing is charged."""
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        show(client.post("/v1/governance/collectors", {"asset": asset}), as_json)


@app.command("propose-fee")
def propose_fee(
    asset: Annotated[str, typer.Argument(help="The asset whose payments are to be charged.")],
    flat: Annotated[str, typer.Option(help="A part that every payment pays.")] = "0",
    ppm: Annotated[int, typer.Option(help="Parts per million of the amount.")] = 0,
    minimum: Annotated[str, typer.Option(help="Not less than this.")] = "0",
    maximum: Annotated[str, typer.Option(help="Not more than this; 0, with all else 0, ends the fee.")] = "0",
    height: _Height = 0,
    after: _After = 1_000,
    voting_hours: _VotingHours = 168.0,
    key: Key = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Put a fee on payments in an asset to the vote, or its end.

    \b
    bezant governance propose-fee EUR --ppm 500 --minimum 0.01 --maximum 2.50
    """
    from bezant.interfaces.cli.client import connect

    body = {"asset": asset, "flat": flat, "ppm": ppm, "minimum": minimum, "maximum": maximum}
    when = {"height": height, "after_blocks": after, "voting_s": max(1, round(voting_hours * 3600))}
    with connect(data) as client:
        answer = client.post("/v1/governance/fees", body | when, key=key or None)
    show(answer, as_json)
    if not as_json:
        print(f"\nTo vote for it: bezant governance vote {answer['id']} yes")


@app.command()
def vote(
    proposal: Annotated[str, typer.Argument(help="Id of the proposal.")],
    ballot: Annotated[str, typer.Argument(help="'yes' or 'no'.")],
    key: Key = "",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Say yes or no for every validator of this institution; the last word before it is decided counts.

    \b
    bezant governance vote 0190a6f0-…-9a1c yes
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        path = f"/v1/governance/proposals/{proposal}/votes"
        show(client.post(path, {"ballot": ballot}, key=key or None), as_json)
