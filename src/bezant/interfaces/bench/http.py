"""Payments over HTTP, the client on the same machine as the node."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from bezant.folder import DataFolder
from bezant.gateway.bulk import new_ids, transfers
from bezant.interfaces.bench.load import octet_requests, open_accounts, payment_requests, run_load
from bezant.interfaces.bench.wrk import has_wrk, run_wrk
from bezant.interfaces.cli.client import read_token, wait_for_node
from bezant.model.genesis import network_id
from bezant.model.identifiers import parse_account_id, words
from bezant.model.keys import SigningKey
from bezant.model.orders import authorise

CONNECTIONS = 64
ACCOUNTS = 32
BATCH, BATCH_CONNECTIONS = 1_000, 8
START_S = 120.0
WRK_SECONDS = 8
HALF_LOAD_SECONDS = 5
WRK_HALF_LOAD_SECONDS = 20
"""As in process, no single stall of the disk is to decide the p99."""


def measure_http(
    folder: Path, payments: int, seed: int, note: Callable[[str], None], connections: int = CONNECTIONS
) -> dict[str, dict[str, object]]:
    """Start ``bezant run`` on a data folder that is closed, load it, stop it; return the figures by run.

    One payment a request as fast as they are answered, by wrk where it is installed, and at half of that
    rate by the same; then `payments` in signed batches as octets. Raises: BezantError when the node does not
    start.
    """
    with closing(DataFolder(folder)) as opened:
        network, institution = network_id(opened.genesis), opened.keys.institution
    command = [sys.executable, "-m", "bezant", "run", "--data", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            url = wait_for_node(folder, process, START_S)
            token = read_token(folder)
            accounts = open_accounts(url, token, ACCOUNTS)

            def one_each(count: int, per_second: float | None = None) -> dict[str, object]:
                requests = payment_requests(url, token, accounts, count)
                return asyncio.run(run_load(url, requests, connections, per_second=per_second))

            one_each(max(payments // 100, 500))
            note("over HTTP, one payment a request")
            if has_wrk():
                fast = run_wrk(folder, url, token, accounts, WRK_SECONDS, connections)
            else:
                fast = one_each(max(payments // 20, 2_000))
            note("over HTTP, at half of that load")
            half = float(str(fast["payments_per_second"])) / 2
            if has_wrk():
                slow = run_wrk(folder, url, token, accounts, WRK_HALF_LOAD_SECONDS, connections, half)
            else:
                slow = one_each(int(half * HALF_LOAD_SECONDS), half)
            note("over HTTP, 1,000 under one signature")
            bodies = _signed_batches(network, institution, accounts, max(payments // BATCH, 20), seed)
            many = asyncio.run(
                run_load(url, octet_requests(url, token, bodies), BATCH_CONNECTIONS, payments_each=BATCH)
            )
            return {
                "http_one_a_request": fast,
                "http_at_half_load": slow,
                "http_batches_of_1000": many,
            }
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)


def _signed_batches(
    network: bytes, key: SigningKey, accounts: list[str], count: int, seed: int
) -> list[bytes]:
    """Return batches of cents between accounts, each as an AUTHORISATION and its RECORDs."""
    random, total = np.random.default_rng(seed), len(accounts)
    low, high = np.array([words(parse_account_id(one)) for one in accounts], np.uint64).T
    now_ms, batches = time.time_ns() // 1_000_000, []
    for _ in range(count):
        debtor = random.integers(0, total, BATCH)
        creditor = (debtor + random.integers(1, total, BATCH)) % total
        records = transfers(
            new_ids(np.full(BATCH, now_ms), random),
            (low[debtor], high[debtor]),
            (low[creditor], high[creditor]),
            1,
            np.ones(BATCH, np.uint64),
        )
        batches.append(authorise(network, key, records).tobytes() + records.tobytes())
    return batches
