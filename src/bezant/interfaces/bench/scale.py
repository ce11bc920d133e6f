"""What a payment costs as the ledger grows: by how many accounts there are, and how many payments before it.

CPU time of all threads, so that others on the machine disturb little; the least of a few runs at each
point, because whatever disturbs adds. Signing is not in it. Flat means that the last point of a line costs
what its first does, within the spread that the runs of one point show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bezant.economy.training import train_on_economy
from bezant.errors import ConfigError
from bezant.intelligence.model import Model
from bezant.interfaces.bench.kernel import KernelBench
from bezant.interfaces.bench.machine import describe_machine
from bezant.interfaces.bench.memory import bytes_per_account, bytes_per_id
from bezant.interfaces.bench.payments import Bench, warm_up
from bezant.interfaces.bench.run import make_folder
from bezant.node import Node

RUNS = 5
"""Runs at each point."""
FEWEST_ACCOUNTS = 1_000
PAST_ACCOUNTS = 10_000
"""Accounts in the run over a growing past."""
POINTS = 10
"""Points of that run, evenly spread."""


@dataclass(frozen=True, slots=True)
class Point:
    """CPU time a payment, microseconds: the least of the runs, and the most."""

    at: int
    cpu_us: float
    most_us: float


def run_scale_bench(
    folder: Path,
    *,
    most_accounts: int,
    most_payments: int,
    per_point: int,
    seed: int,
    note: Callable[[str, float], None],
) -> dict[str, Any]:
    """Measure in fresh data folders and return the report, ready for JSON.

    `per_point` payments make a run. `note` hears what is done and how far that is, from 0 to 1.
    """
    machine = describe_machine()
    note("train a model", 0.0)
    model = train_on_economy(seed)
    sizes = _powers(FEWEST_ACCOUNTS, most_accounts)
    kernel: list[Point] = []
    whole: list[Point] = []
    memory: dict[str, object] = {}
    for done, accounts in enumerate(sizes):
        note(f"{accounts:,} accounts", done / len(sizes))
        own = folder / f"accounts-{accounts}"
        make_folder(own, model)
        with Node(own, with_store=False) as node:
            bench = Bench(node, accounts, seed)
            warm_up(bench, lambda doing: None)
            whole.append(_point(accounts, [bench.batches(per_point).cpu_us for _ in range(RUNS)]))
            memory = {"account": bytes_per_account(node), "remembered_id": bytes_per_id()}
            genesis, key = node.engine.genesis, node.desk.institution_key
        alone = KernelBench(genesis, key, accounts, seed)
        alone.measure(per_point)
        kernel.append(_point(accounts, [_kernel_us(alone, per_point) for _ in range(RUNS)]))
    past = _over_the_past(folder / "past", model, most_payments, per_point, seed, note)
    lines = {"kernel_by_accounts": kernel, "whole_by_accounts": whole, "whole_by_past_payments": past}
    return {
        "machine": machine,
        "seed": seed,
        "per_point": per_point,
        "lines": {name: [asdict(point) for point in line] for name, line in lines.items()},
        "last_to_first": {name: round(line[-1].cpu_us / line[0].cpu_us, 3) for name, line in lines.items()},
        "memory": memory,
    }


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw the lines of a report; the file's suffix says in which form.

    Raises: ConfigError ``no_plots`` where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            "drawing takes matplotlib, which is not installed; install the extra 'plots'", code="no_plots"
        ) from None

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    by_accounts, by_past = figure.subplots(1, 2, sharey=True)
    titles = {
        "whole_by_accounts": "everything: signed 1,000 at a time, scored, durable",
        "kernel_by_accounts": "the ledger's kernel alone",
        "whole_by_past_payments": "everything",
    }
    for name, line in report["lines"].items():
        axes = by_past if name == "whole_by_past_payments" else by_accounts
        at, least, most = ([point[column] for point in line] for column in ("at", "cpu_us", "most_us"))
        axes.plot(at, least, marker="o", markersize=3, label=titles[name])
        axes.fill_between(at, least, most, alpha=0.2)
    by_accounts.set(xscale="log", xlabel="accounts", ylabel="CPU µs a payment", ylim=(0, None))
    by_past.set(xlabel="payments before")
    for axes in (by_accounts, by_past):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _over_the_past(
    folder: Path,
    model: Model,
    most_payments: int,
    per_point: int,
    seed: int,
    note: Callable[[str, float], None],
) -> list[Point]:
    """Return what payments cost while their number grows to `most_payments`, all remembered by the ledger."""
    make_folder(folder, model)
    line: list[Point] = []
    with Node(folder, with_store=False) as node:
        bench = Bench(node, PAST_ACCOUNTS, seed)
        warm_up(bench, lambda doing: None)
        step = max(most_payments // POINTS // per_point, 1) * per_point
        for past in range(0, most_payments, step):
            note(f"{past:,} payments before", past / most_payments)
            runs = [bench.batches(per_point).cpu_us for _ in range(min(RUNS, step // per_point))]
            line.append(_point(past, runs))
            for _ in range(step // per_point - len(runs)):
                bench.batches(per_point)
    return line


def _kernel_us(alone: KernelBench, payments: int) -> float:
    found = alone.measure(payments)["cpu_us_per_record"]
    return float(str(found))


def _point(at: int, runs: list[float]) -> Point:
    return Point(at, round(min(runs), 3), round(max(runs), 3))


def _powers(first: int, last: int) -> list[int]:
    """Return first, ten times that, and so on, and last."""
    found = [first]
    while found[-1] * 10 < last:
        found.append(found[-1] * 10)
    return [*found, last] if last > first else [last]
