"""The ledger at its limits: the kernel alone, and the whole way of a payment at half of its load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bezant.economy.training import train_on_economy
from bezant.interfaces.bench.kernel import KernelBench
from bezant.interfaces.bench.machine import describe_machine, signature_limit, sync_latency
from bezant.interfaces.bench.payments import Bench, warm_up
from bezant.interfaces.bench.run import ACCOUNTS, make_folder
from bezant.node import Node

SECONDS_AT_HALF_LOAD = 5.0


def run_ledger_bench(
    folder: Path, *, payments: int, seed: int, most_accounts: int, note: Callable[[str], None]
) -> dict[str, object]:
    """Measure in a fresh data folder and return the report, ready for JSON.

    `payments` go through the run of batches and, as records, through each run of the kernel, which is
    measured with 10,000 accounts and with `most_accounts`, and with one account that everybody pays.
    """
    note("train a model")
    make_folder(folder, train_on_economy(seed))
    with Node(folder, with_store=False) as node:
        note("open accounts")
        bench = Bench(node, ACCOUNTS, seed)
        warm_up(bench, note)
        note("limits of the machine")
        limit, sync = signature_limit(), sync_latency(folder)
        note("one signature each")
        each = bench.individually(max(payments // 8, 2_048))
        note("at half of that load")
        half = bench.paced(each.per_second / 2, SECONDS_AT_HALF_LOAD)
        note("1,000 under one signature")
        many = bench.batches(payments)
        genesis, institution = node.engine.genesis, node.desk.institution_key
    kernel = []
    for accounts in dict.fromkeys((min(ACCOUNTS, most_accounts), most_accounts)):
        note(f"the kernel alone, {accounts:,} accounts")
        alone = KernelBench(genesis, institution, accounts, seed)
        alone.measure(payments // 10)
        kernel += [alone.measure(payments), alone.measure(payments, hot_share=1.0)]
    return {
        "machine": describe_machine(),
        "seed": seed,
        "limits": {"signatures_per_second": round(limit), "sync": sync},
        "runs": {
            "individually_signed": each.as_dict()
            | {"share_of_signature_limit": round(each.per_second / limit, 3)},
            "at_half_load": half.as_dict(),
            "batches_of_1000": many.as_dict(),
        },
        "kernel": kernel,
    }
