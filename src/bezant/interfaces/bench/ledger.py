"""The ledger at its limits: every way of handing payments in, what bounds each, and the kernel alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bezant.economy.training import train_on_economy
from bezant.interfaces.bench.http import measure_http
from bezant.interfaces.bench.kernel import KernelBench
from bezant.interfaces.bench.machine import describe_machine, describe_model, signature_limit, sync_latency
from bezant.interfaces.bench.payments import Bench, Measured, warm_up
from bezant.interfaces.bench.run import ACCOUNTS, make_folder
from bezant.interfaces.process import freeze_heap, prepare_process
from bezant.model.keys import SCHEME_ED25519, SCHEME_SECP256K1, SigningKey
from bezant.node import Node

SECONDS_AT_HALF_LOAD = 20.0
"""So long that a single stall of the disk, which comes every ten seconds or so, does not decide the p99."""
PACED_SHARE = 50_000
"""For each second at half load so many of the payments asked for: a short run is short throughout."""
MOST_SIGNED, MOST_RECORDS, MOST_HTTP = 200_000, 1_000_000, 1_000_000
"""Beyond these a longer run says nothing new, and takes its memory for what it hands in."""


def run_ledger_bench(
    folder: Path,
    *,
    payments: int,
    seed: int,
    most_accounts: int,
    with_http: bool,
    note: Callable[[str], None],
) -> dict[str, object]:
    """Measure in a fresh data folder and return the report, ready for JSON.

    `payments` go through the run of batches; up to a million records through each run of the kernel, which
    is measured with 10,000 accounts and with `most_accounts`, and with one account that everybody pays.
    """
    prepare_process()
    note("train a model")
    model = train_on_economy(seed)
    make_folder(folder, model)
    with Node(folder, with_store=False) as node:
        note("open accounts")
        bench = Bench(node, ACCOUNTS, seed)
        warm_up(bench, note)
        freeze_heap()
        note("limits of the machine")
        sync = sync_latency(folder)
        signed = min(max(payments // 8, 2_048), MOST_SIGNED)
        note("one signature each")
        each, limit = _beside_limit(SCHEME_ED25519, lambda: bench.individually(signed))
        note("one secp256k1 signature each")
        curve = SigningKey(bytes(range(1, 33)), SCHEME_SECP256K1)
        bench.individually_by(curve, 2_048)
        other, other_limit = _beside_limit(SCHEME_SECP256K1, lambda: bench.individually_by(curve, signed))
        note("at half of that load")
        half = bench.paced(each.per_second / 2, min(SECONDS_AT_HALF_LOAD, payments / PACED_SHARE))
        note("1,000 under one signature")
        many = bench.batches(payments)
        genesis, institution = node.engine.genesis, node.desk.institution_key
    runs = {
        "individually_signed": each.as_dict() | _share(each, limit),
        "individually_signed_secp256k1": other.as_dict() | _share(other, other_limit),
        "at_half_load": half.as_dict(),
        "batches_of_1000": many.as_dict(),
    }
    if with_http:
        served = folder.with_name("served")
        make_folder(served, model)
        runs |= measure_http(served, min(payments, MOST_HTTP), seed, note)
    kernel, records = [], min(payments, MOST_RECORDS)
    for accounts in dict.fromkeys((min(ACCOUNTS, most_accounts), most_accounts)):
        note(f"the kernel alone, {accounts:,} accounts")
        alone = KernelBench(genesis, institution, accounts, seed)
        alone.measure(records // 10)
        kernel += [alone.measure(records), alone.measure(records, hot_share=1.0)]
    return {
        "machine": describe_machine(),
        "seed": seed,
        "model": describe_model(model),
        "accounts": ACCOUNTS,
        "limits": {
            "signatures_per_second": round(limit),
            "secp256k1_signatures_per_second": round(other_limit),
            "sync": sync,
        },
        "runs": runs,
        "kernel": kernel,
    }


def _beside_limit(scheme: int, run: Callable[[], Measured]) -> tuple[Measured, float]:
    """Return a run and the signature limit of its time: the better of one just before and one just after,
    for whatever else is done on the machine only ever lowers it."""
    before = signature_limit(scheme)
    measured = run()
    return measured, max(before, signature_limit(scheme))


def _share(run: Measured, limit: float) -> dict[str, float]:
    return {"share_of_signature_limit": round(run.per_second / limit, 3)}
