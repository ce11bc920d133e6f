"""``bezant replay``: real files through the whole node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bezant.interfaces.cli.columns import Column, Scale, mapping_of


def replay(
    files: Annotated[list[Path], typer.Argument(help="Parquet or CSV card payments, or pain.001 XML.")],
    data: Annotated[
        Path | None,
        typer.Option(help="New data folder for the replayed network.  \\[default: replay-<file>]"),
    ] = None,
    mapping: Annotated[
        str,
        typer.Option(help="A ready column mapping: handbook, handbook-original, sparkov, paysim, bezant."),
    ] = "",
    time: Column = "",
    debtor: Column = "",
    creditor: Column = "",
    amount: Column = "",
    id: Column = "",
    label: Column = "",
    amount_unit: Column = "",
    scale: Scale = None,
    time_unit: Column = "",
    epoch: Column = "",
    asset: Annotated[str, typer.Option(help="What a card file's amounts are in.")] = "EUR",
    sign: Annotated[
        str, typer.Option(help="'batch': one signature over up to 1,000; 'each': one a payment.")
    ] = "batch",
    sort: Annotated[bool, typer.Option(help="Sort a card file by time first, in memory.")] = False,
    train_days: Annotated[
        int,
        typer.Option(help="Learn from the first days of a labelled file; judged 7 days after. 0: do not."),
    ] = 28,
    store: Annotated[bool, typer.Option(help="Project into the SQL store too.")] = True,
    verify: Annotated[bool, typer.Option(help="Replay the journal afterwards and verify receipts.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Pay every payment of a real file: signed, screened, scored, settled, durable, verified.

    Accounts are opened as they appear, in a data folder of its own, and the file's time is block time.

    \b
    bezant replay handbook_transactions.parquet
    bezant replay payments.csv --time booked_at --debtor card --creditor shop --amount eur
    bezant replay salaries.xml --json
    """
    from bezant.interfaces.replay.run import Options
    from bezant.interfaces.replay.run import replay as run

    how = mapping_of(
        mapping,
        scale,
        time=time,
        debtor=debtor,
        creditor=creditor,
        amount=amount,
        id=id,
        label=label,
        amount_unit=amount_unit,
        time_unit=time_unit,
        epoch=epoch,
    )
    console = Console(stderr=True)
    found = []
    for file in files:
        folder = data if data is not None and len(files) == 1 else (data or Path()) / f"replay-{file.stem}"
        options = Options(folder, how, asset, sign == "each", sort, train_days, store, verify)
        with _progress(console) as bar:
            tasks: dict[str, Any] = {}

            def note(doing: str, share: float, bar: Progress = bar, tasks: dict[str, Any] = tasks) -> None:
                if doing not in tasks:
                    tasks[doing] = bar.add_task(doing, total=1.0)
                bar.update(tasks[doing], completed=share)

            outcome = run(file, options, note)
        found.append((file, folder, outcome))
    if as_json:
        print(json.dumps([_as_dict(*one) for one in found], indent=1))
        return
    for file, folder, outcome in found:
        _show(Console(markup=False, emoji=False), file, folder, outcome)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:24}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _as_dict(file: Path, folder: Path, outcome: Any) -> dict[str, object]:
    verified = outcome.verification
    return {
        "file": file.name,
        "data": str(folder),
        "network": outcome.network,
        "model": outcome.model,
        **outcome.summary.as_dict(),
        "verified": None
        if verified is None
        else {
            "blocks": verified.blocks,
            "app_hash": verified.app_hash,
            "receipts": verified.receipts_verified,
        },
    }


def _show(console: Console, file: Path, folder: Path, outcome: Any) -> None:
    summary = outcome.summary
    told = summary.as_dict()
    table = Table(title=f"{file.name} replayed", show_header=False, title_justify="left")
    table.add_row("payments", f"{summary.payments:,}")
    for asset, value in summary.value.items():
        table.add_row("value settled", f"{value} {asset}")
    for name, count in told["outcomes"].items():
        table.add_row(f"  {name}", f"{count:,}")
    if summary.approved:
        table.add_row("  approved after review", f"{summary.approved:,}")
    verdicts = (summary.allowed, summary.reviewed, summary.blocked)
    table.add_row("allow / review / block", " / ".join(f"{count:,}" for count in verdicts))
    table.add_row("payments a second", f"{summary.per_second:,.0f}")
    table.add_row("p50 / p99 of a batch", f"{told['p50_ms']} / {told['p99_ms']} ms")
    table.add_row("model", outcome.model)
    if summary.labelled:
        precision, recall = summary.precision or 0.0, summary.recall or 0.0
        table.add_row(
            "precision / recall", f"{precision:.3f} / {recall:.3f} on {summary.labelled:,} unseen payments"
        )
        table.add_row("labelled a week later", f"{summary.complaints:,}")
    if outcome.verification is not None:
        done = outcome.verification
        table.add_row("journal replayed", f"{done.blocks:,} blocks, the same app hash {done.app_hash[:16]}")
        table.add_row("receipts verified", f"{done.receipts_verified:,} sampled, pinned to the genesis")
    for remark in summary.remarks:
        table.add_row("remark", remark)
    table.add_row("data folder", str(folder))
    console.print(table)
