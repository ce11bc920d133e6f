"""A network of validators on one machine: how soon payments are final, how many a second, and what bounds it.

One member's node is in this process, so that payments are handed in as in the other benchmarks; the others
are processes of their own, as is every CometBFT. All of them verify every signature and apply every
payment, on the same cores: what several machines would do side by side is done here one after another.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bezant.chain.cometbft.program import usable_program
from bezant.economy.training import train_on_economy
from bezant.intelligence.model import Model
from bezant.interfaces.bench.machine import describe_machine, describe_model, signature_limit, sync_latency
from bezant.interfaces.bench.payments import Bench, Measured
from bezant.interfaces.bench.run import POLICY, make_folder
from bezant.interfaces.network.control import Network
from bezant.interfaces.network.founding import found
from bezant.interfaces.process import freeze_heap, prepare_process
from bezant.node import Node

ACCOUNTS = 2_000
CALLERS = 96
"""Submissions under way at once: enough that blocks are full while the network agrees on the last ones."""
HALF_LOAD_S = 10.0
SOCKET_WAIT_S = 120.0
STOP_WAIT_S = 10.0
POLL_S = 0.005
NO_READ_MODEL = "[store]\nfollow = false\n"
"""As in the other benchmarks of the ledger; its own figures are those of ``bezant bench store``."""


def run_network_bench(
    folder: Path, *, validators: int, payments: int, seed: int, note: Callable[[str], None]
) -> dict[str, object]:
    """Measure a network and, in the same run, one node by itself; return the report, ready for JSON.

    `payments` go through the runs of batches, an eighth of them with a signature each.
    Raises: ConfigError where CometBFT is missing.
    """
    usable_program()
    prepare_process()
    note("train a model")
    model = train_on_economy(seed)
    note("limits of the machine")
    limit, sync = signature_limit(), sync_latency(folder)
    alone = folder / "alone"
    make_folder(alone, model)
    with Node(alone, with_store=False) as node:
        itself = Cpu(lambda: {"gateway": [os.getpid()]})
        embedded = _measure(node, itself, payments, seed, lambda step: note(f"one node: {step}"))
    with _members(folder / "network", validators, model, note) as gateway:
        node = gateway.node
        first, started = node.engine.durable_height, time.perf_counter()
        network = _measure(
            node, gateway.cpu, payments, seed, lambda step: note(f"{validators} validators: {step}")
        )
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
            name: round(run.measured.per_second / embedded[name].measured.per_second, 3)
            for name, run in network.items()
        },
        "signature_checks_per_second_by_all_validators": round(
            network["individually_signed"].measured.per_second * validators
        ),
    }


class Cpu:
    """CPU time of the processes of a network, by what they are."""

    def __init__(
        self, pids: Callable[[], dict[str, list[int]]], rest: Callable[[], None] = lambda: None
    ) -> None:
        """`pids` are the processes of each part; `rest` returns once all have done all they have to."""
        self._pids, self._rest = pids, rest

    def seconds(self) -> dict[str, float]:
        return {part: sum(map(_cpu_seconds, pids)) for part, pids in self._pids().items()}

    def of(self, bench: Bench, run: Callable[[], Measured]) -> Run:
        """Return what a run measured, and the CPU seconds it took of each part.

        It ends when the last part has done its share: others apply a block after the gateway has answered.
        """
        before: dict[str, float] = {}
        bench.on_begin = lambda: before.update(self.seconds())
        measured, answered = run(), time.perf_counter()
        self._rest()
        measured = replace(measured, seconds=measured.seconds + time.perf_counter() - answered)
        after = self.seconds()
        return Run(measured, {part: after[part] - before.get(part, 0.0) for part in after})


@dataclass(frozen=True, slots=True)
class Run:
    """`cpu_s`: CPU seconds, by part of the network."""

    measured: Measured
    cpu_s: dict[str, float]

    def as_dict(self) -> dict[str, object]:
        """Return the figures; CPU in microseconds a payment, and the share of all cores that was busy."""
        made = self.measured
        each = {part: round(seconds / made.payments * 1e6, 1) for part, seconds in self.cpu_s.items()}
        busy = sum(self.cpu_s.values()) / (made.seconds * (os.cpu_count() or 1))
        return made.as_dict() | {"cpu_us_per_payment": each, "busy_share_of_cores": round(busy, 2)}


def _cpu_seconds(pid: int) -> float:
    """Return what a process has used, children that ended not counted."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measure(node: Node, cpu: Cpu, payments: int, seed: int, note: Callable[[str], None]) -> dict[str, Run]:
    note("open accounts")
    bench = Bench(node, ACCOUNTS, seed)
    note("warm up")
    bench.batches(20_000, callers=CALLERS)
    bench.individually(5_120, callers=CALLERS)
    freeze_heap()
    signed = max(payments // 8, 2_560)
    note("one signature each")
    each = cpu.of(bench, lambda: bench.individually(signed, callers=CALLERS))
    note("at half of that load")
    half = cpu.of(bench, lambda: bench.paced(each.measured.per_second / 2, HALF_LOAD_S))
    note("1,000 under one signature")
    many = cpu.of(bench, lambda: bench.batches(payments, callers=CALLERS))
    return {"individually_signed": each, "at_half_load": half, "batches_of_1000": many}


@dataclass(frozen=True, slots=True)
class Gateway:
    """The first member's node, in this process, and the CPU time of the whole network."""

    node: Node
    cpu: Cpu


@contextmanager
def _members(folder: Path, validators: int, model: Model, note: Callable[[str], None]) -> Iterator[Gateway]:
    """Yield a network that runs."""
    found(folder, validators, settings=POLICY + NO_READ_MODEL)
    network = Network(folder)
    first, *others = network.members
    data = network.data(first)
    model.save(data / "models" / "current.model")
    note("start the validators")
    network.start(others)
    ended = threading.Event()
    processes: list[subprocess.Popen[bytes]] = []

    def run_consensus() -> None:
        """Start the first member's CometBFT as soon as its node listens."""
        until = time.monotonic() + SOCKET_WAIT_S
        while not (data / "abci.sock").exists() and time.monotonic() < until:
            if ended.wait(0.02):
                return
        with (data / "consensus.log").open("ab") as log:
            command = [str(usable_program()), "start", "--home", str(data / "consensus")]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def pids() -> dict[str, list[int]]:
        running = [network.pids(one) for one in others]
        return {
            "gateway": [os.getpid()],
            "other_nodes": [one["node_pid"] for one in running],
            "cometbft": [one.pid for one in processes] + [one["cometbft_pid"] for one in running],
        }

    starter = threading.Thread(target=run_consensus)
    starter.start()
    try:
        with Node(data, with_store=False) as node:
            network.wait_ready(others)

            def rest() -> None:
                for one in others:
                    while network.block(one)["height"] < node.engine.durable_height:
                        time.sleep(POLL_S)

            yield Gateway(node, Cpu(pids, rest))
    finally:
        ended.set()
        starter.join()
        for process in processes:
            process.terminate()
            try:
                process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                # It waits for its node, which is gone.
                process.kill()
                process.wait()
        network.stop(others)
