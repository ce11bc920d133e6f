"""A network of validators on one machine: how soon payments are final, how many a second, and what bounds it.

One member's node is in this process, so that payments are handed in as in the other benchmarks; the others
are processes of their own, as is every CometBFT. All of them verify every signature and apply every
payment, on the same cores: what several machines would do side by side is done here one after another.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bezant.chain.cometbft.program import usable_program
from bezant.economy.training import train_on_economy
from bezant.intelligence.model import Model
from bezant.interfaces.bench.machine import describe_machine, describe_model, signature_limit, sync_latency
from bezant.interfaces.bench.payments import Bench, Measured
from bezant.interfaces.bench.run import POLICY, make_folder
from bezant.interfaces.network.control import Network
from bezant.interfaces.network.founding import found
from bezant.node import Node

ACCOUNTS = 2_000
CALLERS = 96
"""Submissions under way at once: enough that blocks are full while the network agrees on the last ones."""
HALF_LOAD_S = 10.0
SOCKET_WAIT_S = 120.0


def run_network_bench(
    folder: Path, *, validators: int, payments: int, seed: int, note: Callable[[str], None]
) -> dict[str, object]:
    """Measure a network and, in the same run, one node by itself; return the report, ready for JSON.

    `payments` go through the runs of batches, a sixteenth of them with a signature each.
    Raises: ConfigError where CometBFT is missing.
    """
    usable_program()
    note("train a model")
    model = train_on_economy(seed)
    note("limits of the machine")
    limit, sync = signature_limit(), sync_latency(folder)
    alone = folder / "alone"
    make_folder(alone, model)
    with Node(alone, with_store=False) as node:
        embedded = _measure(node, payments, seed, lambda step: note(f"one node: {step}"))
    with _members(folder / "network", validators, model, note) as node:
        first, started = node.engine.durable_height, time.perf_counter()
        network = _measure(node, payments, seed, lambda step: note(f"{validators} validators: {step}"))
        blocks = (node.engine.durable_height - first) / (time.perf_counter() - started)
    return {
        "machine": describe_machine(),
        "seed": seed,
        "model": describe_model(model),
        "accounts": ACCOUNTS,
        "validators": validators,
        "limits": {"signatures_per_second": round(limit), "sync": sync},
        "network": {name: run.as_dict() for name, run in network.items()},
        "blocks_per_second": round(blocks, 2),
        "embedded": {name: run.as_dict() for name, run in embedded.items()},
        "share_of_embedded": {
            name: round(run.per_second / embedded[name].per_second, 3) for name, run in network.items()
        },
        "signature_checks_per_second_by_all_validators": round(
            network["individually_signed"].per_second * validators
        ),
    }


def _measure(node: Node, payments: int, seed: int, note: Callable[[str], None]) -> dict[str, Measured]:
    note("open accounts")
    bench = Bench(node, ACCOUNTS, seed)
    note("warm up")
    bench.batches(20_000, callers=CALLERS)
    bench.individually(5_120, callers=CALLERS)
    signed = max(payments // 16, 2_560)
    note("one signature each")
    each = bench.individually(signed, callers=CALLERS)
    note("at half of that load")
    half = bench.paced(each.per_second / 2, HALF_LOAD_S)
    note("1,000 under one signature")
    many = bench.batches(payments, callers=CALLERS)
    return {"individually_signed": each, "at_half_load": half, "batches_of_1000": many}


@contextmanager
def _members(folder: Path, validators: int, model: Model, note: Callable[[str], None]) -> Iterator[Node]:
    """Yield the first member's node, in this process, of a network that runs."""
    found(folder, validators, settings=POLICY)
    network = Network(folder)
    first, *others = network.members
    data = network.data(first)
    model.save(data / "models" / "current.model")
    note("start the validators")
    network.start(others)
    ended, processes = threading.Event(), []

    def run_consensus() -> None:
        """Start the first member's CometBFT as soon as its node listens."""
        until = time.monotonic() + SOCKET_WAIT_S
        while not (data / "abci.sock").exists() and time.monotonic() < until:
            if ended.wait(0.02):
                return
        with (data / "consensus.log").open("ab") as log:
            command = [str(usable_program()), "start", "--home", str(data / "consensus")]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    starter = threading.Thread(target=run_consensus)
    starter.start()
    try:
        with Node(data, with_store=False) as node:
            network.wait_ready(others)
            yield node
    finally:
        ended.set()
        starter.join()
        for process in processes:
            process.terminate()
            process.wait()
        network.stop(others)
