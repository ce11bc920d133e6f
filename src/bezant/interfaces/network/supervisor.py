"""One member's two processes, the node and its CometBFT: they live together, and are started again together.

Neither can go on without the other: CometBFT stops when its application goes, and what the node had under way
is known again only from CometBFT's store. So when one ends, both are ended and begun anew. Some things are
not mended by starting again, and stop the member with a word why: a state that differs from what the others
agreed on, files that the node refuses, no snapshot to begin at, and processes that end again and again, as on
a full disk. Where a supervisor was killed its processes live on; the next one ends them first, for two of a
kind cannot share a folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO

from bezant.chain.cometbft.program import usable_program
from bezant.config import load_config
from bezant.errors import BezantError, StorageError

NODE_LOG, CONSENSUS_LOG = "node.log", "consensus.log"
STATE, STOPPED = "supervisor.json", "stopped.json"
MAX_LOG_BYTES = 16 << 20
"""A log longer than this is put aside when a process starts, in the place of the one before."""
SOCKET_WAIT_S = 600.0
"""The first start compiles, and a long journal is replayed, before the node answers CometBFT."""
GRACE_S = 20.0
POLL_S = 0.1
MAX_SAID_BYTES = 1 << 20
RESTARTS, RESTARTS_WITHIN_S = 5, 120.0
FAILURE_MARK = b"CONSENSUS FAILURE"
APP_HASH_MARK = b"wrong Block.Header.AppHash"
SNAPSHOT_MARK = b"State sync failed"
REFUSALS = (
    "journal_damaged",
    "history_differs",
    "base_unusable",
    "origin_differs",
    "origin_missing",
    "engine_differs",
    "vault_missing",
    "key_missing",
    "genesis_differs",
    "store_of_another_chain",
    "trail_damaged",
)
"""Codes with which a node does not start however often it is asked."""
_ERROR = re.compile(rb"^error \[(\w+)\](?: \([^)]*\))?: (.*)$", re.MULTILINE)
_NO_SNAPSHOT = (
    f"STOPPED: no snapshot of the network could be begun at; see {CONSENSUS_LOG} and {NODE_LOG}, and try "
    "again with: bezant network resync"
)
_DIVERGED = (
    "STOPPED: its ledger came to another state than the other validators agreed on. Nothing it signed counts "
    f"against the others, and they go on. Look at {CONSENSUS_LOG} for the height and find the cause; then "
    "take the blocks from the others again with: bezant network resync"
)


def processes(data: Path) -> dict[str, int]:
    """Return the processes of a member's folder that run, by name: supervisor (pid), node, CometBFT."""
    try:
        told = json.loads((data / STATE).read_text())
    except (OSError, ValueError):
        return {}
    return {name: pid for name, pid in told.items() if _is_of(pid, data)}


def _is_of(pid: int, data: Path) -> bool:
    """Return whether a process is still the one that was noted, and not another under its number."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return status != "Z" and str(data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


class Supervisor:
    """Runs until it is told to stop, or until starting again would not help."""

    def __init__(self, data: Path, say: Callable[[str], None] = print) -> None:
        """Raises: ConfigError where CometBFT is missing."""
        self._data, self._say = data.absolute(), say
        self._program = usable_program(load_config(data).chain.cometbft)
        self._stopping = threading.Event()
        self._node: subprocess.Popen[bytes] | None = None
        self._consensus: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._fatal = self._last_end = ""
        self._code = "state_diverged"
        self._said_from = 0
        self._gave_up = ""
        """What CometBFT said when it stopped working, after which it stays there and does nothing."""

    def stop(self) -> None:
        """End both processes and return from `run`; from any thread, or a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Keep both running. Raises: StorageError ``state_diverged``, ``no_snapshot``,
        ``restarts_exhausted``, or with the code with which the node refuses to start."""
        started: deque[float] = deque(maxlen=RESTARTS)
        (self._data / STOPPED).unlink(missing_ok=True)
        self._end_orphans()
        try:
            while not self._stopping.is_set():
                if len(started) == RESTARTS and time.monotonic() - started[0] < RESTARTS_WITHIN_S:
                    raise StorageError(
                        f"{self._data.name} ended {RESTARTS} times within {RESTARTS_WITHIN_S:.0f} s and is "
                        f"not started again; the last time, {self._last_end}. See {NODE_LOG} and "
                        f"{CONSENSUS_LOG} in {self._data}; once the cause is gone: bezant network restart",
                        code="restarts_exhausted",
                    )
                started.append(time.monotonic())
                self._run_once()
                if self._fatal:
                    raise StorageError(self._fatal, code=self._code)
        except BezantError as error:
            told = {"code": error.code, "message": error.message, "at": int(time.time())}
            (self._data / STOPPED).write_text(json.dumps(told) + "\n")
            raise
        finally:
            (self._data / STATE).unlink(missing_ok=True)

    def _run_once(self) -> None:
        """Start both, and end both once one has ended or diverged."""
        (self._data / "abci.sock").unlink(missing_ok=True)
        self._gave_up = ""
        command = [sys.executable, "-m", "bezant", "run", "--data", str(self._data), "--no-model"]
        with _log(self._data / NODE_LOG) as log:
            self._said_from = log.tell()
            # In a group of its own: a key pressed at a terminal is the supervisor's to hear.
            self._node = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            self._note()
            if self._wait_for_socket():
                self._start_consensus()
                self._note()
                while not (self._stopping.wait(POLL_S) or self._fatal or self._gave_up or self._ended):
                    pass
            self._last_end = self._what_ended()
            if not self._stopping.is_set():
                self._note_refusal()
                self._say(f"{self._data.name}: {self._fatal or self._last_end + '; both are started again'}")
        finally:
            self._end()

    def _wait_for_socket(self) -> bool:
        """Return whether the node is ready to be asked by CometBFT, which would look again only after 3 s."""
        until = time.monotonic() + SOCKET_WAIT_S
        while not (self._data / "abci.sock").exists():
            if self._stopping.wait(0.02) or self._ended or time.monotonic() > until:
                return False
        return True

    def _start_consensus(self) -> None:
        command = [str(self._program), "start", "--home", str(self._data / "consensus")]
        self._consensus = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        if self._consensus.stdout is None:
            raise StorageError("CometBFT was started without a pipe to hear it through", code="no_pipe")
        self._reader = threading.Thread(target=self._read, args=(self._consensus.stdout,), daemon=True)
        self._reader.start()

    def _read(self, said: IO[bytes]) -> None:
        """Keep what CometBFT says, and notice when it gave up: it stays there then, and does nothing."""
        with said, _log(self._data / CONSENSUS_LOG) as log:
            for line in said:
                log.write(line)
                log.flush()
                if FAILURE_MARK in line and APP_HASH_MARK in line:
                    self._fatal = _DIVERGED
                elif FAILURE_MARK in line:
                    self._gave_up = line.decode(errors="replace").strip()[:300]
                elif SNAPSHOT_MARK in line:
                    self._fatal, self._code = _NO_SNAPSHOT, "no_snapshot"

    def _note_refusal(self) -> None:
        """Take the node's own word for it where it ended with what starting again does not mend."""
        if self._node is None or not self._node.poll():
            return
        with (self._data / NODE_LOG).open("rb") as log:
            log.seek(self._said_from)
            found = _ERROR.findall(log.read(MAX_SAID_BYTES))
        code, message = (part.decode(errors="replace") for part in found[-1]) if found else ("", "")
        if code in REFUSALS:
            self._fatal, self._code = f"STOPPED: its node refuses to start: {message}", code

    @property
    def _ended(self) -> bool:
        return any(one is not None and one.poll() is not None for one in (self._node, self._consensus))

    def _what_ended(self) -> str:
        for name, one in (("the node", self._node), ("CometBFT", self._consensus)):
            if one is not None and one.poll() is not None:
                return f"{name} ended with {one.returncode}"
        return f"CometBFT gave up ({self._gave_up})" if self._gave_up else "the node did not come up"

    def _end_orphans(self) -> None:
        """End what a supervisor that was killed left running here. Raises: StorageError ``supervised``."""
        left = processes(self._data)
        if "pid" in left:
            raise StorageError(
                f"process {left['pid']} already supervises {self._data}; stop that one first",
                code="supervised",
            )
        until = time.monotonic() + GRACE_S
        sent: tuple[signal.Signals, ...] = (signal.SIGCONT, signal.SIGTERM)
        while left:
            for name, pid in left.items():
                for number in sent:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                if sent:
                    self._say(f"{self._data.name}: {name.removesuffix('_pid')} was left running and is ended")
            sent = ()
            if time.monotonic() > until:
                until, sent = time.monotonic() + GRACE_S, (signal.SIGKILL,)
            time.sleep(POLL_S)
            left = processes(self._data)

    def _end(self) -> None:
        """End the node first, so that it finishes what it has, then CometBFT."""
        for one in (self._node, self._consensus):
            if one is None:
                continue
            if one.poll() is None:
                one.send_signal(signal.SIGCONT)
                one.terminate()
            try:
                one.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()
        if self._reader is not None:
            self._reader.join()
        self._node = self._consensus = self._reader = None

    def _note(self) -> None:
        """Say which processes there are, for whoever acts on them from outside."""
        told = {
            "pid": os.getpid(),
            "node_pid": self._node.pid if self._node else 0,
            "cometbft_pid": self._consensus.pid if self._consensus else 0,
        }
        partial = self._data / (STATE + ".partial")
        partial.write_text(json.dumps(told) + "\n")
        partial.rename(self._data / STATE)


def _log(path: Path) -> BinaryIO:
    """Open a log to append to, after putting a long one aside."""
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.rename(path.with_suffix(".log.1"))
    return path.open("ab")
