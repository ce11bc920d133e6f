"""``bezant bench``: what this machine does, beside what it can do."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table


def bench(
    payments: Annotated[
        int, typer.Option(help="Payments in the run of batches; the others scale with it.")
    ] = 300_000,
    http: Annotated[bool, typer.Option(help="Measure over HTTP too.")] = True,
    store: Annotated[bool, typer.Option(help="Keep the SQL store in step meanwhile.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of accounts, amounts and model.")] = 1,
    data: Annotated[
        Path | None, typer.Option(help="Where to put the data folder; a temporary one if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure payments end to end: verified, scored, settled, receipted and on disk.

    Each figure stands beside the limit found in the same run: how many signatures the machine can
    check a second, and how long its disk takes to sync.

    \b
    bezant bench
    bezant bench --json > bench.json
    """
    from bezant.interfaces.bench.run import run_bench

    with (
        tempfile.TemporaryDirectory(prefix="bezant-bench-", dir=data) as folder,
        Console(stderr=True).status("starting") as status,
    ):
        report = run_bench(
            Path(folder) / "node",
            payments=payments,
            seed=seed,
            with_http=http,
            with_store=store,
            note=status.update,
        )
    if as_json:
        print(json.dumps(report, indent=1))
    else:
        _show(Console(), report)


def _show(console: Console, report: dict[str, Any]) -> None:
    machine, limits = report["machine"], report["limits"]
    console.print(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, commit {machine['commit']}"
    )
    console.print(
        f"limits: {limits['signatures_per_second']:,} signatures/s, "
        f"fdatasync of 128 KB p50 {limits['sync']['p50_ms']} ms"
    )
    table = Table(show_edge=False)
    for heading in ("payments", "a second", "of the signature limit", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="left" if heading == "payments" else "right")
    for name, run in report["runs"].items():
        share = run.get("share_of_signature_limit")
        table.add_row(
            name.replace("_", " "),
            f"{run['payments_per_second']:,}",
            f"{share:.0%}" if share is not None else "",
            str(run["p50_ms"]),
            str(run["p99_ms"]),
        )
    console.print(table)
    memory = report["memory"]
    console.print(
        f"{memory['account']['total']} B an account, {memory['remembered_id']['total']} B a remembered id"
    )
