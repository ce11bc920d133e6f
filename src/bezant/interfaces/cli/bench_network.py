"""``bezant bench network``: what several validators do on this machine, beside one node by itself."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bezant.interfaces.cli.output import AsJson


def network(
    validators: Annotated[int, typer.Option(min=1, max=16, help="How many validators.")] = 4,
    payments: Annotated[
        int, typer.Option(help="Payments in the run of batches; the others scale with it.")
    ] = 200_000,
    seed: Annotated[int, typer.Option(help="Seed of accounts, amounts and model.")] = 1,
    data: Annotated[
        Path | None, typer.Option(help="Where to put the data folders; a temporary one if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a network of validators on this machine: how soon payments are final, and how many a second.

    Every validator verifies and applies everything, on the same cores. The figures of one node by itself
    are of the same run. Needs CometBFT: make cometbft.

    \b
    bezant bench network
    bezant bench network --validators 7 --json > network.json
    """
    from bezant.interfaces.bench.network import run_network_bench

    console = Console(stderr=True)
    with (
        tempfile.TemporaryDirectory(prefix="bezant-bench-", dir=data) as folder,
        console.status("starting") as status,
    ):
        report = run_network_bench(
            Path(folder), validators=validators, payments=payments, seed=seed, note=status.update
        )
    if as_json:
        print(json.dumps(report, indent=1))
    else:
        _show(Console(), report)


def _show(console: Console, report: dict[str, Any]) -> None:
    machine, limits = report["machine"], report["limits"]
    console.print(
        f"{report['validators']} validators on {machine['cpu']}, {machine['cores']} cores; "
        f"{limits['signatures_per_second']:,} signatures/s, {report['blocks_per_second']} blocks/s"
    )
    table = Table(show_edge=False)
    for heading in ("payments", "a second", "p50 ms", "p99 ms", "one node, a second"):
        table.add_column(heading, justify="left" if heading == "payments" else "right")
    for name, run in report["network"].items():
        table.add_row(
            name.replace("_", " "),
            f"{run['payments_per_second']:,}",
            str(run["p50_ms"]),
            str(run["p99_ms"]),
            f"{report['embedded'][name]['payments_per_second']:,}",
        )
    console.print(table)
