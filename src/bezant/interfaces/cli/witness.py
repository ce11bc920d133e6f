"""``bezant witness`` and ``bezant checkpoint``: have others vouch that there is one history only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, show

if TYPE_CHECKING:
    from bezant.chain.checkpoints import Note

app = typer.Typer(help="Co-sign a node's checkpoints, one history and never two.", no_args_is_help=True)
_Folder = Annotated[Path, typer.Argument(help="The witness's folder.")]


@app.command()
def new(
    folder: _Folder,
    name: Annotated[str, typer.Option(help="What it is called, e.g. witness.example.")],
    genesis: Annotated[Path, typer.Option(help="The genesis.json of the network it watches.")],
    as_json: AsJson = False,
) -> None:
    """Make a witness with a key of its own, and print what nodes and verifiers know it by.

    \b
    bezant witness new /srv/witness --name witness.example --genesis data/genesis.json
    """
    from bezant.chain.witness import WitnessFolder
    from bezant.model.genesis import decode_genesis

    made = WitnessFolder.create(folder, name, decode_genesis(_read(genesis)))
    show({"name": name, "verifier_key": made.identity.render()}, as_json)


@app.command()
def sign(
    folder: _Folder,
    data: Annotated[Path | None, typer.Option("--data", help="Ask the node of this data folder.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Or a file that 'bezant checkpoint' wrote; - for standard input.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Drop the note into this folder, not over REST.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that the newest checkpoint goes on from the last one signed, and co-sign it.

    Exit code 1 where it does not: then the node has signed two histories, and both notes prove it.

    \b
    bezant witness sign /srv/witness --data data
    bezant checkpoint --since 1000 | bezant witness sign /srv/witness --bundle - --to inbox
    """
    import time
    from dataclasses import replace

    from bezant.chain.witness import WitnessFolder, parse_bundle
    from bezant.errors import InputError
    from bezant.interfaces.cli.client import connect

    witness = WitnessFolder(folder)
    last = witness.last
    since = last.checkpoint.height if last else 0
    if (data is None) == (bundle is None):
        raise InputError("name either --data or --bundle", code="nothing_to_sign")
    if data is not None:
        with connect(data) as client:
            content = client.raw("GET", "/v1/checkpoint", params={"since": since})
    else:
        content = _read(bundle or Path())
    note, since, path = parse_bundle(content)
    line = witness.sign(note, since, path, int(time.time()))
    signed = replace(note, signatures=(*note.signatures, line))
    if to is not None:
        _drop(signed, to, witness.name)
    elif data is not None:
        with connect(data) as client:
            client.post("/v1/checkpoint/cosignatures", {"note": signed.render().decode()})
    else:
        sys.stdout.write(signed.render().decode())
        return
    told = {
        "witness": witness.name,
        "blocks": note.checkpoint.height,
        "network": note.checkpoint.network.hex(),
    }
    show(told, as_json)


def checkpoint(
    since: Annotated[int, typer.Option(help="Prove that it goes on from so many blocks.", min=0)] = 0,
    data: Data = DEFAULT_DATA,
) -> None:
    """Write a signed checkpoint of the node's history to standard output, for a witness.

    \b
    bezant checkpoint --since 1000 > checkpoint.json
    """
    from bezant.interfaces.cli.client import connect

    with connect(data) as client:
        sys.stdout.buffer.write(client.raw("GET", "/v1/checkpoint", params={"since": since}) + b"\n")
    sys.stdout.buffer.flush()


def _drop(note: Note, folder: Path, name: str) -> None:
    """Leave a note in a folder, under its name only when it is whole."""
    from bezant.model.digest import sha256

    safe = sha256(name.encode()).hex()[:16]
    partial = folder / f"{note.checkpoint.height:016d}-{safe}.partial"
    partial.write_bytes(note.render())
    partial.replace(partial.with_suffix(".note"))


def _read(path: Path) -> bytes:
    from bezant.errors import InputError

    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", code="file_unreadable") from None
