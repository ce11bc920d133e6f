"""Start a node, load it, kill it, start it again and compare; as often as asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx

from bezant.folder import create_folder
from bezant.interfaces.bench.load import open_accounts
from bezant.interfaces.cli.client import read_token, wait_for_node
from bezant.testing.blackbox.clients import Crowd, ask, connect, look
from bezant.testing.blackbox.history import Fate, History, Operation

ACCOUNTS = 6
OPENING_MINOR = 90_000
START_S = 120.0
LOAD_S = (0.2, 1.2)
"""How long the node is under load before it is killed, drawn from this span."""
LOOKED_AT = 40
"""How many of the payments that were answered long ago are read again after each start."""
SETTINGS = """
[pipeline]
score = "bezant.testing.scores:ScoreByAmount"

[policy]
control_share = 0.0
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run saw that found no contradiction."""

    kills: int
    paid: int
    refused: int
    unknown: int
    """Operations whose answer a kill took; every one was decided later."""


def kill_again_and_again(folder: Path, kills: int, seed: int) -> Verdict:
    """Kill a node `kills` times under load. Raises: Contradiction, or whatever a client cannot explain."""
    rng, unknown = Random(seed), 0
    create_folder(folder)
    (folder / "bezant.toml").write_text(SETTINGS, "utf-8")
    with _node(folder) as (url, _):
        token = read_token(folder)
        accounts = open_accounts(url, token, ACCOUNTS)
    history = History(dict.fromkeys(accounts, OPENING_MINOR))
    for _ in range(kills):
        with _node(folder) as (url, process):
            unknown += _settle(url, token, history, rng)
            crowd = Crowd(url, token, accounts, history, rng)
            time.sleep(rng.uniform(*LOAD_S))
            process.send_signal(signal.SIGKILL)
            process.wait()
            crowd.stop()
    with _node(folder) as (url, _):
        unknown += _settle(url, token, history, rng)
        with connect(url, token) as client:
            for operation in history.with_fate(Fate.PAID) + history.with_fate(Fate.REFUSED):
                look(client, history, operation, "read in the end")
            balances = {
                account: _minor(client.get(f"/v1/accounts/{account}").json()["balance"])
                for account in accounts
            }
    history.check_balances(balances)
    return Verdict(kills, len(history.with_fate(Fate.PAID)), len(history.with_fate(Fate.REFUSED)), unknown)


def _settle(url: str, token: str, history: History, rng: Random) -> int:
    """Read what is known again, ask again for what is not; return how much was not."""
    open_operations = history.with_fate(Fate.UNKNOWN)
    answered = history.with_fate(Fate.PAID) + history.with_fate(Fate.REFUSED)
    with connect(url, token) as client:
        for operation in rng.sample(answered, min(LOOKED_AT, len(answered))):
            look(client, history, operation, "read after a start")
        for operation in open_operations:
            _decide(client, history, operation, rng)
    return len(open_operations)


def _decide(client: httpx.Client, history: History, operation: Operation, rng: Random) -> None:
    """Find out what became of an operation without an answer: read it, ask again, ask once more."""
    if rng.random() < 0.5:
        look(client, history, operation, "read")
    for _ in range(2):
        ask(client, history, operation, "asked again")
    look(client, history, operation, "read afterwards")


@contextmanager
def _node(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run ``bezant run`` in a process of its own and yield where it listens; end it in the end."""
    source = str(Path(__file__).parents[3])
    environment = os.environ | {"PYTHONPATH": source}
    command = [sys.executable, "-m", "bezant", "run", "--data", str(folder), "--port", "0", "--no-model"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    ) as process:
        try:
            yield wait_for_node(folder, process, START_S), process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(30)


def _minor(amount: str) -> int:
    whole, _, cents = amount.partition(".")
    return int(whole) * 100 + int(cents)
