"""``bezant bench``: what this machine does, beside what it can do."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(invoke_without_command=True)


@app.callback()
def bench(
    context: typer.Context,
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
    if context.invoked_subcommand is not None:
        return
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


@app.command()
def ledger(
    payments: Annotated[
        int, typer.Option(help="Payments in batches, and records through the kernel.")
    ] = 1_000_000,
    accounts: Annotated[
        int, typer.Option(help="Most accounts that the kernel is measured with.")
    ] = 1_000_000,
    http: Annotated[bool, typer.Option(help="Measure over HTTP too.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of accounts, amounts and model.")] = 1,
    data: Annotated[
        Path | None, typer.Option(help="Where to put the data folder; a temporary one if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the ledger at its limits: by signature scheme, in batches, over HTTP, and the kernel alone.

    Load over HTTP comes from wrk where that is installed (Debian: apt install wrk); its share of the CPU
    is in the report.

    \b
    bezant bench ledger
    bezant bench ledger --payments 10000000 --json > ledger.json
    """
    from bezant.interfaces.bench.ledger import run_ledger_bench

    with (
        tempfile.TemporaryDirectory(prefix="bezant-bench-", dir=data) as folder,
        Console(stderr=True).status("starting") as status,
    ):
        report = run_ledger_bench(
            Path(folder) / "node",
            payments=payments,
            seed=seed,
            most_accounts=accounts,
            with_http=http,
            note=status.update,
        )
    if as_json:
        print(json.dumps(report, indent=1))
        return
    console = Console()
    _show(console, report)
    table = Table(show_edge=False, title="the kernel alone")
    for heading in ("accounts", "all to one account", "records a second", "CPU µs a record"):
        table.add_column(heading, justify="right")
    for run in report["kernel"]:  # type: ignore[attr-defined]
        table.add_row(
            f"{run['accounts']:,}",
            "yes" if run["hot_share"] else "",
            f"{run['records_per_second']:,}",
            str(run["cpu_us_per_record"]),
        )
    console.print(table)


@app.command()
def scale(
    accounts: Annotated[int, typer.Option(help="Most accounts; measured at every power of ten.")] = 1_000_000,
    payments: Annotated[int, typer.Option(help="Payments that come before the last one.")] = 10_000_000,
    per_point: Annotated[int, typer.Option(help="Payments in each of the five runs at a point.")] = 200_000,
    seed: Annotated[int, typer.Option(help="Seed of accounts, amounts and model.")] = 1,
    data: Annotated[
        Path | None, typer.Option(help="Where to put the data folders; a temporary one if not given.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the lines into this file, .svg or .png; takes the extra 'plots'."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what a payment costs as accounts and past payments grow: CPU time, signing left out.

    \b
    bezant bench scale
    bezant bench scale --accounts 100000 --payments 1000000 --plot scale.svg --json > scale.json
    """
    from bezant.interfaces.bench.scale import draw, run_scale_bench
    from bezant.interfaces.cli.output import progress_bar

    with tempfile.TemporaryDirectory(prefix="bezant-bench-", dir=data) as folder, progress_bar() as bar:
        task = bar.add_task("starting", total=1.0)
        report = run_scale_bench(
            Path(folder),
            most_accounts=accounts,
            most_payments=payments,
            per_point=per_point,
            seed=seed,
            note=lambda doing, share: bar.update(task, description=doing, completed=share),
        )
    if plot is not None:
        draw(report, plot)
    if as_json:
        print(json.dumps(report, indent=1))
        return
    table = Table(show_edge=False)
    for heading in ("line", "at", "CPU µs a payment", "most of the runs"):
        table.add_column(heading, justify="left" if heading == "line" else "right")
    for name, line in report["lines"].items():
        for point in line:
            cells = f"{point['at']:,}", str(point["cpu_us"]), str(point["most_us"])
            table.add_row(name.replace("_", " "), *cells)
    console = Console()
    console.print(table)
    for name, ratio in report["last_to_first"].items():
        console.print(f"{name.replace('_', ' ')}: the last point costs {ratio} of the first")
    console.print(f"{report['memory']['remembered_id']['total']} B a remembered id")


@app.command()
def store(
    payments: Annotated[int, typer.Option(help="Payments in each run that is as fast as can be.")] = 200_000,
    accounts: Annotated[int, typer.Option(help="Accounts that pay each other.")] = 100_000,
    rate: Annotated[int, typer.Option(help="Payments a second of the run at a fixed rate.")] = 20_000,
    seconds: Annotated[float, typer.Option(help="How long that run lasts.")] = 10.0,
    url: Annotated[
        str,
        typer.Option(help="A PostgreSQL, postgresql://...; a schema is made in it and dropped. Or SQLite."),
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of accounts and amounts.")] = 1,
    data: Annotated[
        Path | None, typer.Option(help="Where to put the data folder; a temporary one if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the SQL store: how fast it takes payments in, and what becomes of a lag.

    \b
    bezant bench store
    bezant bench store --url postgresql://user@host/database --json > store.json
    """
    from bezant.interfaces.bench.store import run_store_bench

    with (
        tempfile.TemporaryDirectory(prefix="bezant-bench-", dir=data) as folder,
        Console(stderr=True).status("starting") as status,
    ):
        report = run_store_bench(
            Path(folder) / "node",
            url=url,
            payments=payments,
            accounts=accounts,
            rate=rate,
            seconds=seconds,
            seed=seed,
            note=status.update,
        )
    if as_json:
        print(json.dumps(report, indent=1))
        return
    console = Console()
    paced = {"sustained": report["sustained"], "overload": report["overload"]}
    for title, runs in (("as fast as can be", report["drain"]), ("at a rate", paced)):
        table = Table(show_edge=False, title=title)
        for heading in ("", *runs):
            table.add_column(heading.replace("_", " "), justify="right" if heading else "left")
        for figure in next(iter(runs.values())):
            table.add_row(figure.replace("_", " "), *(f"{run[figure]:,}" for run in runs.values()))
        console.print(table)


@app.command()
def fraud(
    data: Annotated[Path, typer.Option(help="Labelled card payments: Parquet or CSV.")],
    train_from: Annotated[
        list[str] | None,
        typer.Option(
            help="First day of training of a fold, YYYY-MM-DD; repeat it. The published four if none."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the trees.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the fraud model on the fraud-detection handbook's protocol, beside its published figures.

    Features are replayed as served, a label counts from a week after its payment on. The data are simulated.

    \b
    bezant bench fraud --data handbook_transactions.parquet
    bezant bench fraud --data handbook_transactions.parquet --train-from 2018-07-11 --json
    """
    from datetime import date

    from bezant.errors import InputError
    from bezant.interfaces.bench.fraud import run_fraud_bench
    from bezant.interfaces.cli.output import progress_bar

    try:
        starts = [date.fromisoformat(day) for day in train_from or ()]
    except ValueError as error:
        raise InputError(f"--train-from: {error}; write days as 2018-07-25", param="train_from") from error
    with progress_bar() as bar:
        task = bar.add_task("read", total=1.0)
        report = run_fraud_bench(
            data,
            seed=seed,
            starts=starts,
            note=lambda doing, share: bar.update(task, description=doing, completed=share),
        )
    if as_json:
        print(json.dumps(report, indent=1))
        return
    table = Table(show_edge=False, title="mean of the folds, simulated data")
    for heading in ("", "AUC ROC", "average precision", "card precision at 100"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, figures in report["published"].items():  # type: ignore[attr-defined]
        table.add_row(f"{name}, published", *(f"{value:.3f}" for value in figures.values()))
    for name, result in report["results"].items():  # type: ignore[attr-defined]
        table.add_row(f"Bezant, {name}", *(f"{value:.3f}" for value in result["mean"].values()))
    console = Console()
    console.print(table)
    model = report["model"]
    console.print(
        f"{model['trees']} trees of {model['leaves']} leaves on {model['features']} features; "  # type: ignore[index]
        f"a perfect model reaches a card precision of {report['perfect_card_precision']}"
    )


@app.command()
def scoring(
    singles: Annotated[int, typer.Option(help="Payments scored one at a time.")] = 20_000,
    batches: Annotated[int, typer.Option(help="Batches of 1,024.")] = 200,
    accounts: Annotated[int, typer.Option(help="Consumers of the simulated world.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the world and of the model.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what features and model cost together, for one payment and in batches, on one core.

    \b
    bezant bench scoring
    bezant bench scoring --singles 100000 --json > scoring.json
    """
    from bezant.interfaces.bench.scoring import run_scoring_bench

    with Console(stderr=True).status("starting") as status:
        report = run_scoring_bench(
            singles=singles, batches=batches, accounts=accounts, seed=seed, note=status.update
        )
    if as_json:
        print(json.dumps(report, indent=1))
        return
    table = Table(show_edge=False, title="µs a payment")
    for heading in ("", "p50", "p99", "features", "trees"):
        table.add_column(heading, justify="right" if heading else "left")
    for name in ("one_payment", "batches_of_1024"):
        run: Any = report[name]
        figures = ("p50_us", "p99_us", "features_p50_us", "trees_p50_us")
        table.add_row(name.replace("_", " "), *(str(run[figure]) for figure in figures))
    console, model = Console(), report["model"]
    console.print(table)
    console.print(
        f"{model['trees']} trees of {model['leaves']} leaves on {model['features']} features; "  # type: ignore[index]
        f"{report['bytes_per_account']} B of features an account"
    )


@app.command()
def mules(
    data: Annotated[
        Path,
        typer.Option(help="Folder with *_transactions.parquet and *_accounts_labelled.parquet, as AMLSim's."),
    ],
    splits: Annotated[int, typer.Option(min=1, help="Splits of the labelled accounts to measure on.")] = 5,
    scores: Annotated[
        Path | None, typer.Option(help="Write every account's score, labelled or not, into this CSV.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the models.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how well mules are found among accounts: 70 % of the labelled to learn from, 30 % to test.

    Labelled accounts in the CSV are scored by models that were not trained on them; all others by a
    model of every label.

    \b
    bezant bench mules --data aml
    bezant bench mules --data aml --scores scores.csv --json > mules.json
    """
    from bezant.interfaces.bench.mules import run_mules_bench
    from bezant.interfaces.cli.output import progress_bar

    with progress_bar() as bar:
        task = bar.add_task("read", total=1.0)
        report = run_mules_bench(
            data,
            seed=seed,
            splits=splits,
            scores=scores,
            note=lambda doing, share: bar.update(task, description=doing, completed=share),
        )
    if as_json:
        print(json.dumps(report, indent=1))
        return
    console = Console()
    console.print(f"{report['data']}; {report['labelled_mules']:,} mules of {report['labelled']:,} labelled")
    parts = report["first_split"]
    table = Table(show_edge=False)
    for heading in ("first split", *parts):
        table.add_column(heading.replace("_", " "), justify="left" if heading == "first split" else "right")
    for figure in parts["test"]:
        table.add_row(figure.replace("_", " "), *(f"{part[figure]:,}" for part in parts.values()))
    console.print(table)
    for figure, spread in report["splits"].items():
        console.print(
            f"{figure.replace('_', ' ')} over {splits} splits: {spread['mean']} "
            f"± {spread['standard_deviation']}, {spread['least']} to {spread['most']}"
        )


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
    if "memory" in report:
        memory = report["memory"]
        console.print(
            f"{memory['account']['total']} B an account, {memory['remembered_id']['total']} B a remembered id"
        )
