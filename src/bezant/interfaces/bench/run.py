"""The whole benchmark in one run, so that figures and limits belong together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bezant.economy.training import train_on_economy
from bezant.folder import create_folder
from bezant.intelligence.model import Model
from bezant.interfaces.bench.machine import describe_machine, describe_model, signature_limit, sync_latency
from bezant.interfaces.bench.memory import bytes_per_account, bytes_per_id
from bezant.interfaces.bench.payments import Bench, warm_up
from bezant.interfaces.process import freeze_heap, prepare_process
from bezant.node import Node

ACCOUNTS = 10_000
POLICY = "[policy]\nreview_ppm = 1000000\nblock = false\n"
"""Payments here go between accounts drawn at random, which a model of habits takes for fraud. They
are scored and judged all the same, against thresholds that let them settle."""


def run_bench(
    folder: Path,
    *,
    payments: int,
    seed: int,
    with_http: bool,
    with_store: bool,
    note: Callable[[str], None],
) -> dict[str, object]:
    """Measure in a fresh data folder and return the report, ready for JSON."""
    prepare_process()
    note("train a model")
    model = train_on_economy(seed)
    make_folder(folder, model)
    with Node(folder, with_store=with_store) as node:
        note("open accounts")
        bench = Bench(node, ACCOUNTS, seed)
        warm_up(bench, note)
        freeze_heap()
        note("limits of the machine")
        limit = signature_limit()
        sync = sync_latency(folder)
        runs: dict[str, dict[str, object]] = {}
        note("one signature each")
        each = bench.individually(max(payments // 8, 2_048))
        runs["individually_signed"] = each.as_dict() | {
            "share_of_signature_limit": round(each.per_second / limit, 3)
        }
        note("1,000 under one signature")
        runs["batches_of_1000"] = bench.batches(payments).as_dict()
        note("one at a time")
        runs["one_at_a_time"] = bench.one_at_a_time(1_000).as_dict()
        memory = {"account": bytes_per_account(node), "remembered_id": bytes_per_id()}
    if with_http:
        from bezant.interfaces.bench.http import measure_http

        # A folder of its own: the store would still be catching up with the runs before.
        served = folder.with_name("served")
        make_folder(served, model)
        runs |= measure_http(served, payments, seed, note)
    return {
        "machine": describe_machine(),
        "seed": seed,
        "model": describe_model(model),
        "accounts": ACCOUNTS,
        "limits": {"signatures_per_second": round(limit), "sync": sync},
        "runs": runs,
        "memory": memory,
    }


def make_folder(folder: Path, model: Model) -> None:
    """Make a data folder with a model, whose policy lets payments between strangers settle."""
    create_folder(folder)
    (folder / "bezant.toml").write_text(POLICY, "ascii")
    model.save(folder / "models" / "current.model")
