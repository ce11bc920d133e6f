"""How long a node is away: from the command until it takes payments again, after a kill and after a stop.

The ledger is filled by a process of its own, which is killed behind the last payment, so the first start
replays what came since the last snapshot. It is then stopped in order, which leaves a snapshot.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bezant.economy.training import train_on_economy
from bezant.errors import BezantError
from bezant.interfaces.bench.machine import describe_machine
from bezant.interfaces.bench.payments import Bench, warm_up
from bezant.interfaces.bench.run import make_folder
from bezant.interfaces.cli.client import health_at, wait_for_node
from bezant.interfaces.process import freeze_heap, prepare_process
from bezant.node import Node

STEP = 250_000
"""Payments signed, and then made, at once: signing ten million beforehand would take gigabytes."""
START_S, STOP_S = 600.0, 300.0

Note = Callable[[str, float], None]


def run_restart_bench(folder: Path, *, payments: int, accounts: int, seed: int, note: Note) -> dict[str, Any]:
    """Measure in a fresh data folder and return the report, ready for JSON.

    `note` hears what is done and how far that is, from 0 to 1. Raises: BezantError where the node does not
    start or stop.
    """
    machine = describe_machine()
    note("train a model", 0.0)
    make_folder(folder, train_on_economy(seed))
    _fill_and_kill(folder, payments, accounts, seed, note)
    starts = {}
    for name in ("after_a_kill", "after_a_stop"):
        note(f"start {name.replace('_', ' ')}", 1.0)
        starts[name] = _start_and_stop(folder)
    return {"machine": machine, "seed": seed, "accounts": accounts, "payments": payments, "starts": starts}


def _fill_and_kill(folder: Path, payments: int, accounts: int, seed: int, note: Note) -> None:
    ours, theirs = get_context("spawn").Pipe(duplex=False)
    process = get_context("spawn").Process(target=_fill, args=(folder, payments, accounts, seed, theirs))
    process.start()
    theirs.close()
    try:
        while True:
            note(*ours.recv())
    except EOFError:
        process.join()
    if process.exitcode != -signal.SIGKILL:
        raise BezantError(f"the ledger could not be filled: the process ended with {process.exitcode}")


def _fill(folder: Path, payments: int, accounts: int, seed: int, told: Connection) -> None:
    """Make accounts and payments, then kill this process."""
    prepare_process()
    told.send((f"{accounts:,} accounts", 0.0))
    with Node(folder) as node:
        bench = Bench(node, accounts, seed)
        _let_the_store_follow(node)
        warm_up(bench, lambda doing: None)
        freeze_heap()
        for done in range(0, payments, STEP):
            told.send((f"{payments:,} payments", done / payments))
            bench.batches(min(STEP, payments - done))
            _let_the_store_follow(node)
        os.kill(os.getpid(), signal.SIGKILL)


def _let_the_store_follow(node: Node) -> None:
    """Wait until the store is less than a step behind; further on, a node takes no payments."""
    while node.read_model is not None and node.read_model.lag.payments > STEP:
        time.sleep(0.1)


def _start_and_stop(folder: Path) -> dict[str, object]:
    """Start a node, wait until it takes payments, stop it; return the seconds, its block and that of the
    snapshot it went on from, and what it had in memory."""
    command = [sys.executable, "-m", "bezant", "run", "--data", str(folder), "--port", "0"]
    snapshot_at = max(
        (int(path.stem) for path in (folder / "chain" / "snapshots").glob("*.snapshot")), default=0
    )
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            wait_for_node(folder, process, START_S)
            while (health := health_at(folder)) is None or not health["ready"]:
                if process.poll() is not None or time.perf_counter() - started > START_S:
                    raise BezantError(f"the node does not come to take payments: {health}")
                time.sleep(0.05)
            seconds, resident = time.perf_counter() - started, _resident_mib(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
    if process.returncode:
        raise BezantError(f"the node did not stop in order: it ended with {process.returncode}")
    return {
        "ready_after_s": round(seconds, 2),
        "height": health["height"],
        "snapshot_at": snapshot_at,
        "resident_mib": resident,
    }


def _resident_mib(pid: int) -> int | None:
    """Return what a process has in memory, None where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20
