"""``bezant run``: the node and its HTTP interface, in one process."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bezant.interfaces.cli.output import DEFAULT_DATA, Data, progress_bar
from bezant.interfaces.compiling import ledger_compiled_beside
from bezant.interfaces.process import freeze_heap, prepare_process

if TYPE_CHECKING:
    from bezant.interfaces.rest.server import Server
    from bezant.interfaces.rest.services import Services
    from bezant.node import Node


def run(
    data: Data = DEFAULT_DATA,
    economy: Annotated[bool, typer.Option("--economy", help="Let a simulated economy pay.")] = False,
    rate: Annotated[float, typer.Option(min=0.1, help="Payments a second of the economy.")] = 50.0,
    seed: Annotated[int, typer.Option(help="Seed of the simulated economy.")] = 7,
    host: Annotated[str, typer.Option(help="Address to listen on.  \\[default: from bezant.toml]")] = "",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.  \\[default: from bezant.toml]"),
    ] = None,
    model: Annotated[bool, typer.Option(help="Train a first model where there is none.")] = True,
) -> None:
    """Run a node: payments, proofs and reviews over HTTP, until Ctrl-C or SIGTERM.

    Makes the data folder and trains a first model where they are missing.

    \b
    bezant run
    bezant run --economy --rate 200 --port 8791
    """
    from bezant.config import load_config
    from bezant.interfaces.rest.server import listen

    prepare_process()
    config = load_config(data)
    bound = listen(host or config.http.host, config.http.port if port is None else port)
    with bound:
        _prepare_folder(data)
        if model:
            _prepare_model(data, economy, rate)
        with _open_node(data) as node, _serving(node) as (services, server):
            url = _url_of(bound)
            with _address_file(node.folder.address_file, url):
                freeze_heap()
                _announce(node, url)
                with _economy(node, economy, rate, seed):
                    server.run(sockets=[bound])
            services.close()
    print("stopped; everything accepted is on disk")


def _prepare_folder(data: Path) -> None:
    from bezant.folder import create_folder, is_data_folder

    if not is_data_folder(data):
        create_folder(data)
        print(f"made the data folder {data}, with fresh keys")


def _prepare_model(data: Path, economy: bool, rate: float) -> None:
    """Train a first model where there is none, visibly."""
    from bezant.intelligence.shelf import Shelf

    shelf = Shelf(data / "models")
    if not shelf.is_empty:
        return
    path = shelf.waiting
    from rich.console import Console

    from bezant.economy.training import train_on_economy
    from bezant.interfaces.live_economy import TRAINING_SEED, train_first_model

    with ledger_compiled_beside(data / "genesis.json") as compiled:
        with progress_bar() as bar:
            tasks: dict[str, Any] = {}

            def note(step: str, share: float) -> None:
                if step not in tasks:
                    tasks[step] = bar.add_task(f"first model: {step}", total=1.0)
                bar.update(tasks[step], completed=share)

            if economy:
                train_first_model(path, rate, note)
            else:
                train_on_economy(TRAINING_SEED, path=path, progress=note)
        with Console(stderr=True).status("compiling the ledger, once"):
            _load_other_code(data)
            compiled()


def _load_other_code(data: Path) -> None:
    """Do meanwhile what the node would do when it opens: import, and compile what is not the ledger's."""
    from bezant.chain.kernels import load_checks
    from bezant.model.genesis import decode_genesis

    load_checks(decode_genesis((data / "genesis.json").read_bytes()))
    for name in ("bezant.node", "bezant.interfaces.rest.app"):
        import_module(name)


@contextmanager
def _open_node(data: Path) -> Iterator[Node]:
    """Open the node, saying what takes long: replaying the journal, compiling on the first start."""
    from rich.console import Console

    from bezant.node import Node

    with Console(stderr=True).status("opening the node (the first start compiles)") as status:
        node = Node(data, progress=lambda doing, height: status.update(f"{doing}: block {height:,}"))
    with node:
        yield node


@contextmanager
def _serving(node: Node) -> Iterator[tuple[Services, Server]]:
    from bezant.interfaces.rest.app import create_app, create_services
    from bezant.interfaces.rest.server import Server

    services = create_services(node)
    yield services, Server(create_app(services), services)


@contextmanager
def _address_file(path: Path, url: str) -> Iterator[None]:
    """Say where the node listens for as long as it does."""
    path.write_text(json.dumps({"url": url, "pid": os.getpid(), "started_at": int(time.time())}) + "\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _economy(node: Node, wanted: bool, rate: float, seed: int) -> Iterator[None]:
    """Let the simulated economy pay while the server runs."""
    if not wanted:
        yield
        return
    from bezant.interfaces.live_economy import LiveEconomy

    live = LiveEconomy(node, rate, seed=seed)
    with progress_bar() as bar:
        task = bar.add_task("opening accounts", total=1.0)
        live.prepare(lambda done, of: bar.update(task, completed=done, total=of))
    live.start()
    try:
        yield
    finally:
        live.stop()


def _announce(node: Node, url: str) -> None:
    scorer = f"model {node.model.name.hex()[:12]}" if node.model else "rules (no model)"
    print(f"Bezant is at {url}")
    print(f"  API           {url}/schema")
    print(f"  health        {url}/health    metrics {url}/metrics")
    print(f"  token         {node.folder.path / 'keys' / 'operator.token'}")
    print(f"  genesis hash  {node.engine.network.hex()}")
    print(f"  scored by     {scorer}")
    print("Ctrl-C stops it.", flush=True)


def _url_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
