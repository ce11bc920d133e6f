"""``bezant bench restart``: how long a node with a long past is away."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bezant.interfaces.cli.output import AsJson, progress_bar


def restart(
    payments: Annotated[int, typer.Option(min=1_000, help="Payments made before.")] = 10_000_000,
    accounts: Annotated[int, typer.Option(min=2, help="Accounts that pay each other.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Seed of accounts, amounts and model.")] = 1,
    data: Annotated[
        Path | None, typer.Option(help="Where to put the data folder; a temporary one if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how long a node takes from the command until it takes payments, with a long past behind it.

    First after a kill in the middle of payments, then after a stop in order.

    \b
    bezant bench restart
    bezant bench restart --payments 1000000 --accounts 100000 --json > restart.json
    """
    from bezant.interfaces.bench.restart import run_restart_bench

    with tempfile.TemporaryDirectory(prefix="bezant-bench-", dir=data) as folder, progress_bar() as bar:
        task = bar.add_task("starting", total=1.0)
        report = run_restart_bench(
            Path(folder) / "node",
            payments=payments,
            accounts=accounts,
            seed=seed,
            note=lambda doing, share: bar.update(task, description=doing, completed=share),
        )
    if as_json:
        print(json.dumps(report, indent=1))
        return
    table = Table(show_edge=False, title=f"{payments:,} payments, {accounts:,} accounts")
    for heading in ("start", "ready after s", "resident MiB"):
        table.add_column(heading, justify="left" if heading == "start" else "right")
    for name, start in report["starts"].items():
        resident = start["resident_mib"]
        shown = "-" if resident is None else f"{resident:,}"
        table.add_row(name.replace("_", " "), str(start["ready_after_s"]), shown)
    Console().print(table)
