"""``bezant bench adversary``: thieves who learn, against each layer of defence."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def adversary(
    consumers: Annotated[int, typer.Option(min=100, help="Consumers of the simulated world.")] = 300,
    days: Annotated[int, typer.Option(min=1, help="Honest days before the attacks.")] = 21,
    each: Annotated[int, typer.Option(min=1, max=8, help="Attackers of each of the four kinds.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the first world and its attackers.")] = 1,
    worlds: Annotated[int, typer.Option(min=1, help="Worlds, each with attackers of its own.")] = 1,
    data: Annotated[
        Path | None, typer.Option(help="Where to put the data folders; a temporary one if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Let simulated thieves who react to answers pay through a real node, once for each layer of defence.

    They probe for thresholds, split sums, warm accounts up and run mule chains. Each layer may stop 0.5 % of
    honest payments in the world that it learned from, unless its name says otherwise. Everything printed is
    of simulated data; a world takes some minutes.

    \b
    bezant bench adversary
    bezant bench adversary --worlds 5 --json > adversary.json
    """
    from bezant.interfaces.bench.adversary import run_adversary_bench
    from bezant.interfaces.cli.output import progress_bar

    with tempfile.TemporaryDirectory(prefix="bezant-bench-", dir=data) as folder, progress_bar() as bar:
        task = bar.add_task("train", total=1.0)
        report = run_adversary_bench(
            Path(folder),
            seeds=range(seed, seed + worlds),
            consumers=consumers,
            days=days,
            each=each,
            note=lambda doing, share: bar.update(task, description=doing, completed=share),
        )
    if as_json:
        print(json.dumps(report, indent=1))
        return
    table = Table(show_edge=False, title=report["data"])
    for heading in ("defence", "value stopped", "value missed", "honest payments stopped"):
        table.add_column(heading, justify="left" if heading == "defence" else "right")
    for name, layer in report["layers"].items():
        shares = (layer[share] for share in ("share_stopped", "share_missed", "insult_rate"))
        table.add_row(name, *(f"{one['mean']:.2%} ± {one['spread']:.2%}" for one in shares))
    Console().print(table)
    Console().print(f"assumed: {report['assumed']}")
