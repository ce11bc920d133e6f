"""``bezant network``: several validators on this machine, and what may happen to them."""

from __future__ import annotations

import signal
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from bezant.interfaces.cli.output import AsJson, Commands, Data, progress_bar, show

if TYPE_CHECKING:
    from rich.progress import TaskID

    from bezant.interfaces.network.control import Network

Folder = Annotated[Path, typer.Option("--dir", envvar="BEZANT_NETWORK_FOLDER", help="The network's folder.")]
Name = Annotated[str, typer.Argument(help="The member's name or number, e.g. node2 or 2.")]
DEFAULT_FOLDER = Path("network")

app = typer.Typer(
    cls=Commands,
    help="Several validators on this machine: each a data folder with a node, its gateway and its CometBFT.",
    no_args_is_help=True,
)


@app.command()
def up(
    validators: Annotated[int, typer.Option(min=1, max=16, help="How many, where there is none yet.")] = 4,
    folder: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Found a network, or start the one that is there: keys, genesis, nodes, gateways.

    Four validators go on while one is away, and stop without forking while two are. CometBFT has to be
    installed: make cometbft.

    \b
    bezant network up --validators 4
    bezant network up --dir /srv/network --validators 7
    """
    from bezant.chain.cometbft.program import usable_program
    from bezant.interfaces.network.control import Network
    from bezant.interfaces.network.founding import found
    from bezant.interfaces.network.plan import PLAN

    usable_program()
    if not (folder / PLAN).exists():
        _compile()
        found(folder, validators)
    network = Network(folder)
    network.start(network.members)
    with progress_bar() as bar:
        task = bar.add_task("starting the members", total=len(network.members))
        network.wait_ready(network.members, progress=lambda ready: bar.update(task, completed=ready))
    _show(network, as_json)
    if not as_json:
        print(f"\ntokens are in {folder}/node*/keys/operator.token; take it down with: bezant network down")


@app.command()
def genesis(
    data: Annotated[
        Path, typer.Option("--from", help="The data folder of a node by itself, which is stopped.")
    ],
    validators: Annotated[int, typer.Option(min=1, max=16, help="How many members.")] = 4,
    folder: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Found a network that goes on from the ledger of a node by itself: balances, ids, holds and keys intact.

    The node's folder is not changed. Member 1 is who ran it: it gets the keys, the vault, the store and the
    blocks. The others are new institutions; they get every account and every answer, and no names. The
    genesis names the ledger it goes on from, and a member whose copy is another one refuses to start.

    \b
    bezant network genesis --from data --validators 4
    bezant network up
    """
    from bezant.interfaces.network.moving import found_from
    from bezant.interfaces.network.plan import read_plan
    from bezant.model.genesis import decode_genesis

    with progress_bar() as bar:
        tasks: dict[str, TaskID] = {}

        def show_progress(doing: str, done: int) -> None:
            if doing not in tasks:
                tasks[doing] = bar.add_task(doing, total=None)
            bar.update(tasks[doing], completed=done)

        plan = found_from(data, folder, validators, progress=show_progress)
    origin = decode_genesis((folder / plan.members[0].name / "genesis.json").read_bytes()).origin
    told = {
        "genesis_hash": read_plan(folder).genesis_hash,
        "origin": msgspec.to_builtins(origin),
        "members": [str(folder / one.name) for one in plan.members],
    }
    show(told, as_json, "genesis_hash", "members")
    if not as_json and origin is not None:
        print(
            f"\nIt goes on behind block {origin.height} of ledger {origin.genesis}, whose receipts verify "
            f"as they did.\nStart it with: bezant network up --dir {folder}\nDo not start {data} again: "
            "payments there would be no part of the network."
        )


@app.command()
def deploy(
    host: Annotated[list[str], typer.Option(help="A member's host name or address; once for each.")],
    folder: Folder = Path("deploy"),
    at: Annotated[Path, typer.Option(help="The data folder on every host.")] = Path("/var/lib/bezant"),
    program: Annotated[Path, typer.Option(help="Where bezant is on every host.")] = Path(
        "/opt/bezant/.venv/bin/bezant"
    ),
    as_json: AsJson = False,
) -> None:
    """Found a network whose members run on machines of their own: a folder and a systemd unit for each.

    Peers call each other on port 26656; all else listens on loopback. Each folder has secret keys: send it
    to its own host, and delete it here.

    \b
    bezant network deploy --host 10.0.0.1 --host 10.0.0.2 --host 10.0.0.3 --host 10.0.0.4
    bezant network deploy --host bank-a.example --host bank-b.example --dir founding --at /srv/bezant
    """
    from bezant.interfaces.network.deploying import UNIT
    from bezant.interfaces.network.deploying import deploy as lay_out

    plan = lay_out(folder, host, at=at, program=program)
    told = {
        "genesis_hash": plan.genesis_hash,
        "members": [{"host": one.host, "folder": str(folder / one.name)} for one in plan.members],
    }
    show(told, as_json, "genesis_hash", "members")
    if not as_json:
        print(
            f"\nSend each folder to its host as {at}, owned by the user bezant; put its {UNIT} into\n"
            "/etc/systemd/system; then, on each: systemctl enable --now bezant-member"
        )


@app.command()
def status(folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Say of every member whether it runs, how far it is, and why it stopped if it did.

    \b
    bezant network status --json
    """
    from bezant.interfaces.network.control import Network

    _show(Network(folder), as_json)


@app.command()
def kill(member: Name, folder: Folder = DEFAULT_FOLDER) -> None:
    """End a member at once (SIGKILL), as a power cut would; nothing starts it again but `restart`.

    \b
    bezant network kill node2
    """
    _signal(folder, member, signal.SIGKILL)


@app.command()
def pause(member: Name, folder: Folder = DEFAULT_FOLDER) -> None:
    """Stop a member's clockwork (SIGSTOP) until `resume`: it is there, and answers nothing.

    \b
    bezant network pause node2
    """
    _signal(folder, member, signal.SIGSTOP)


@app.command()
def resume(member: Name, folder: Folder = DEFAULT_FOLDER) -> None:
    """Let a paused member go on.

    \b
    bezant network resume node2
    """
    _signal(folder, member, signal.SIGCONT)


@app.command()
def partition(
    members: Annotated[list[str], typer.Argument(help="Names or numbers of those on one side.")],
    folder: Folder = DEFAULT_FOLDER,
) -> None:
    """Cut members off from the others until `heal`; with each other they can talk.

    \b
    bezant network partition node4
    bezant network partition node3 node4
    """
    from bezant.interfaces.network.control import Network

    network = Network(folder)
    network.partition([network.plan.member(one) for one in members])
    print("Cut off. To end it: bezant network heal")


@app.command()
def heal(folder: Folder = DEFAULT_FOLDER) -> None:
    """End every partition: those that were cut off start again, and catch up.

    \b
    bezant network heal
    """
    from bezant.interfaces.network.control import Network

    Network(folder).heal()


@app.command()
def restart(member: Name, folder: Folder = DEFAULT_FOLDER) -> None:
    """Stop a member in order if it runs, and start it; it catches up by itself.

    \b
    bezant network restart node2
    """
    from bezant.interfaces.network.control import Network

    network = Network(folder)
    one = network.plan.member(member)
    network.stop([one])
    network.start([one])
    network.wait_ready([one])
    print(f"{one.name} answers at {network.url(one)}")


@app.command()
def add(
    like: Annotated[str, typer.Option("--like", help="A member of the institution that runs the new node.")],
    folder: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Add a node to an institution: it begins at a snapshot, follows from there, and can become a validator.

    It shares the keys of its institution and gateway, and has a vault of its own, which is empty. Blocks from
    before the snapshot are not there; their answers are. It has votes once its own key, which is printed, is
    bonded.

    \b
    bezant network add --like node4
    bezant validators bond KEY ACCOUNT 2000 --data network/node4
    """
    from bezant.interfaces.network.control import Network

    network = Network(folder)
    with progress_bar() as bar:
        bar.add_task("begin at a snapshot", total=None)
        one = network.add(network.plan.member(like))
    told = {"name": one.name, "url": network.url(one), "voting_key": network.voting_key(one)}
    show(told, as_json)


@app.command()
def resync(
    member: Name,
    folder: Folder = DEFAULT_FOLDER,
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="Begin at a snapshot, not at the first block.")
    ] = False,
) -> None:
    """Have a member whose blocks cannot be trusted forget them, and take them from the others again.

    Keys, vault and what it has voted for stay; webhooks that wait to be delivered are lost. From a snapshot
    it is quicker, and the blocks before are not there any more.

    \b
    bezant network resync node4
    bezant network resync node4 --snapshot
    """
    from bezant.interfaces.network.control import Network

    network = Network(folder)
    one = network.plan.member(member)
    network.resync(one, from_snapshot=snapshot)
    print(f"{one.name} answers at {network.url(one)}")


@app.command()
def down(folder: Folder = DEFAULT_FOLDER) -> None:
    """Stop every member: each finishes what it accepted. The folders stay.

    \b
    bezant network down
    """
    from bezant.interfaces.network.control import Network

    network = Network(folder)
    network.stop(network.members)
    print("stopped; everything accepted is on the disks")


@app.command()
def node(data: Data) -> None:
    """Run one member until Ctrl-C or SIGTERM: its node and its CometBFT, both started again if one ends.

    What `up` starts for each member, and what a service manager runs on a machine of its own.

    \b
    bezant network node --data network/node1
    """
    from bezant.interfaces.network.supervisor import Supervisor

    supervisor = Supervisor(data, lambda said: print(said, flush=True))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: supervisor.stop())
    supervisor.run()


def _signal(folder: Path, member: str, number: signal.Signals) -> None:
    from bezant.interfaces.network.control import Network

    network = Network(folder)
    one = network.plan.member(member)
    network.signal(one, number)
    print(f"{one.name}: {number.name}")


def _show(network: Network, as_json: bool) -> None:
    rows = [asdict(one) for one in network.status()]
    told = {"genesis_hash": network.plan.genesis_hash, "members": rows}
    # Of one that does not answer no height is known.
    lines = [row | {"height": row["height"] or None} for row in rows]
    show(told, as_json, "name", "state", "url", "height", "app_hash", "problem", rows=lines)


def _compile() -> None:
    """Have the kernels compiled once, rather than by every member at the same time."""
    from bezant.interfaces.self_test import run_self_test

    with progress_bar() as bar:
        task = bar.add_task("compiling, the first time", total=1.0)
        run_self_test(lambda step, at, of: bar.update(task, completed=at, total=of))
