"""Payments over HTTP, one a request, the client on the same machine as the node."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from bezant.errors import BezantError
from bezant.interfaces.bench.load import open_accounts, run_load
from bezant.interfaces.cli.client import read_token, running_at

CONNECTIONS = 64
ACCOUNTS = 32
START_S = 120.0


def measure_http(folder: Path, payments: int, connections: int = CONNECTIONS) -> dict[str, object]:
    """Start ``bezant run`` on a data folder that is closed, load it, stop it; return the figures.

    Raises: BezantError when the node does not start.
    """
    command = [sys.executable, "-m", "bezant", "run", "--data", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            url = _wait_for_node(folder, process)
            token = read_token(folder)
            accounts = open_accounts(url, token, ACCOUNTS)
            asyncio.run(run_load(url, token, accounts, payments // 10, connections))
            return asyncio.run(run_load(url, token, accounts, payments, connections))
        finally:
            process.terminate()
            process.wait(30)


def _wait_for_node(folder: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        url = running_at(folder)
        if url is not None:
            return url
        time.sleep(0.1)
    told = process.stderr.read().decode(errors="replace") if process.poll() and process.stderr else ""
    raise BezantError(f"the node to be measured did not start: {told[-500:]}", code="bench_failed")
