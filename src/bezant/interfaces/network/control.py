"""Acting on a network of this machine: start, look, kill, pause, start again, take down."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bezant.chain.cometbft.home import Trust, begin_at_snapshot, begins_at_snapshot, node_id, secret_of
from bezant.chain.cometbft.peers import Cut
from bezant.chain.cometbft.rpc import Rpc
from bezant.chain.cometbft.trail import Trail
from bezant.chain.cometbft.votes import block_of, vouched
from bezant.chain.finality import SignedHeader
from bezant.errors import BezantError
from bezant.folder import check_unused, lay_out, new_secrets, read_secrets
from bezant.interfaces.network.founding import (
    Secrets,
    give_engine,
    members_of,
    peer_of,
    with_settings,
)
from bezant.interfaces.network.plan import Member, Plan, read_plan, write_plan
from bezant.interfaces.network.supervisor import STOPPED, processes
from bezant.model.genesis import Genesis, decode_genesis
from bezant.model.keys import SigningKey

START_S = 600.0
DOWN_S = 60.0
POLL_S = 0.1
ASK_S = 2.0
VOTED = "priv_validator_state.json"
"""What a validator voted for last; without it, it could vote twice at one height, which is punished."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member is; `height` and `app_hash` of its last block, 0 and empty where it does not answer."""

    name: str
    state: str
    url: str
    height: int
    app_hash: str
    problem: str = ""


class Network:
    """A network's folder. Its members are processes of their own, which outlive this one."""

    def __init__(self, folder: Path) -> None:
        """Raises: ConfigError where no network was founded."""
        self.folder = folder.absolute()
        self.plan: Plan = read_plan(folder)
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        """Supervisors that were started from here, so that they are waited for when they end."""

    @property
    def members(self) -> tuple[Member, ...]:
        return self.plan.members

    def data(self, member: Member) -> Path:
        return self.folder / member.name

    def url(self, member: Member) -> str:
        return f"http://127.0.0.1:{member.http_port}"

    def start(self, members: Sequence[Member]) -> None:
        """Start the supervisors of members that have none; each ends what one before it left running."""
        for member in members:
            if self.pids(member).get("pid"):
                continue
            data = self.data(member)
            self._reap(member)
            (data / STOPPED).unlink(missing_ok=True)
            command = [sys.executable, "-m", "bezant", "network", "node", "--data", str(data)]
            with (data / "supervisor.log").open("ab") as log:
                started = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            self._started[member.name] = started

    def wait_ready(
        self,
        members: Sequence[Member],
        timeout_s: float = START_S,
        progress: Callable[[int], None] = lambda ready: None,
    ) -> None:
        """Return once the gateways of members answer. Raises: BezantError ``not_started``."""
        until = time.monotonic() + timeout_s
        waiting = list(members)
        while waiting:
            waiting = [one for one in waiting if not self._answers(one)]
            progress(len(members) - len(waiting))
            for one in waiting:
                told = self._stopped(one)
                if told or time.monotonic() > until:
                    why = told or "it does not answer"
                    raise BezantError(
                        f"{one.name} did not start: {why}; see {self.data(one)}/node.log", code="not_started"
                    )
            if waiting:
                time.sleep(POLL_S)

    def status(self) -> list[Standing]:
        """Return how every member is."""
        return [self._standing(one) for one in self.members]

    def signal(self, member: Member, number: signal.Signals) -> None:
        """Send a signal to both processes of a member, and for a kill to what would start them again."""
        pids = self.pids(member)
        names: tuple[str, ...] = (
            ("pid", "node_pid", "cometbft_pid") if number is signal.SIGKILL else ("node_pid", "cometbft_pid")
        )
        if not any(pids.get(name) for name in names):
            raise BezantError(f"{member.name} does not run", code="not_running")
        for name in names:
            if pids.get(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pids[name], number)

    def partition(self, members: Sequence[Member]) -> None:
        """Cut members off from all the others, not from each other, until `heal`: their connections end, and
        no new ones are taken. What they had under way starts again."""
        apart = [self._node_id(one) for one in self.members if one not in members]
        for member in members:
            Cut(self.data(member)).make(apart)
        for member in members:
            if self.pids(member).get("cometbft_pid"):
                self.end(member, "cometbft_pid")

    def heal(self) -> None:
        """Let every member talk to every other again. Those that were cut off begin anew: CometBFT does not
        call a peer again that it had to refuse."""
        for member in self.members:
            if Cut(self.data(member)).heal() and self.pids(member).get("cometbft_pid"):
                self.end(member, "cometbft_pid")

    def _node_id(self, member: Member) -> str:
        return node_id(secret_of(self._node_key(member)))

    def _node_key(self, member: Member) -> Path:
        return self.data(member) / "consensus" / "config" / "node_key.json"

    def end(self, member: Member, process: str) -> None:
        """Kill one process of a member, by its name in `pids`; its supervisor starts both again."""
        os.kill(self.pids(member)[process], signal.SIGKILL)

    def stop(self, members: Sequence[Member], timeout_s: float = DOWN_S) -> None:
        """Stop members in order: each finishes what it accepted. What does not end in time is killed."""
        for member in members:
            pid = self.pids(member).get("pid")
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + timeout_s
        while any(self.pids(member) for member in members):
            if time.monotonic() > until:
                for member in members:
                    with contextlib.suppress(BezantError):
                        self.signal(member, signal.SIGKILL)
                break
            time.sleep(POLL_S)
        for member in members:
            self._reap(member)

    def _reap(self, member: Member) -> None:
        """Wait for a supervisor from here that has ended or is about to."""
        before = self._started.pop(member.name, None)
        if before is not None:
            before.wait()

    def add(self, like: Member, timeout_s: float = START_S) -> Member:
        """Make another node of a member's institution, which begins at a snapshot, and start it; return it.

        It shares the keys of the institution and of its gateway, and votes once its own key has a bond.
        Raises: BezantError.
        """
        member = members_of([f"node{len(self.members) + 1}"])[0]
        data, known = self.data(member), self.data(like)
        check_unused(data)
        genesis = decode_genesis((known / "genesis.json").read_bytes())
        if not genesis.snapshot_interval:
            raise BezantError("this network's genesis has no snapshots to begin at", code="no_snapshots")
        trust, changes = self._trust(genesis, self.members)
        shared = {name: secret for name, secret in read_secrets(known).items() if name != "node"}
        own = Secrets(new_secrets() | shared)
        data.mkdir(parents=True)
        (data / "bezant.toml").write_text(with_settings(known / "bezant.toml", member), "utf-8")
        lay_out(data, own.folder, genesis)
        peers = [peer_of(one, secret_of(self._node_key(one))) for one in self.members]
        give_engine(data, member, own, genesis, peers)
        begin_at_snapshot(data / "consensus", trust)
        Trail(data).keep(trust.height, changes)
        self.plan = Plan(self.plan.genesis_hash, (*self.members, member))
        write_plan(self.folder, self.plan)
        self.start([member])
        self.wait_ready([member], timeout_s)
        return member

    def voting_key(self, member: Member) -> str:
        """Return the public key that a member votes with, hexadecimal."""
        key = self.data(member) / "consensus" / "config" / "priv_validator_key.json"
        return SigningKey(secret_of(key)).public.hex()

    def _trust(self, genesis: Genesis, members: Sequence[Member]) -> tuple[Trust, Sequence[SignedHeader]]:
        """Return from where a new node follows the votes: a block that those of the genesis lead to, and the
        headers that lead there."""
        running = [one for one in members if self.pids(one)]
        for member in running:
            rpc = Rpc(f"http://127.0.0.1:{member.rpc_port}", ASK_S)
            try:
                servers = tuple(f"http://127.0.0.1:{one.rpc_port}" for one in running)
                known = Trail(self.data(member)).changes
                height, name, changes = vouched(rpc, genesis, known)
                return Trust(servers, height, name), changes
            except BezantError:
                continue
            finally:
                rpc.close()
        raise BezantError("no member that runs can show its votes; start the network", code="not_running")

    def resync(self, member: Member, timeout_s: float = START_S, *, from_snapshot: bool = False) -> None:
        """Have a member forget its blocks, and take them from the others again: all of them, or those behind
        a snapshot, as one does that began at a snapshot.

        Its keys, its vault and what it has voted for stay. It is started twice: which accounts are whose is
        read from the vault once the accounts are there. Raises: BezantError.
        """
        data = self.data(member)
        if from_snapshot or begins_at_snapshot(data / "consensus"):
            genesis = decode_genesis((data / "genesis.json").read_bytes())
            others = [one for one in self.members if one != member]
            trust, changes = self._trust(genesis, others)
            begin_at_snapshot(data / "consensus", trust)
            Trail(data).keep(trust.height, changes)
        self.stop([member])
        goal = max(one.height for one in self.status())
        for path in (data / "chain", *data.glob("store.sqlite*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in (data / "consensus" / "data").iterdir():
            if path.name != VOTED:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.start([member])
        until = time.monotonic() + timeout_s
        while self._standing(member).height < goal:
            stopped = self._stopped(member)
            if stopped or time.monotonic() > until:
                raise BezantError(
                    f"{member.name} did not catch up: {stopped or 'too slow'}", code="not_synced"
                )
            time.sleep(POLL_S)
        self.stop([member])
        self.start([member])
        self.wait_ready([member], timeout_s)

    def pids(self, member: Member) -> dict[str, int]:
        """Return the processes of a member that run, by name: supervisor (pid), node, CometBFT."""
        return processes(self.data(member))

    def block(self, member: Member, height: int = 0) -> dict[str, Any]:
        """Return what a member has of a block, 0 for its last. Raises: BezantError."""
        return next(self.blocks(member, [height]))

    def blocks(self, member: Member, heights: Iterable[int]) -> Iterator[dict[str, Any]]:
        """Yield what a member has of each block. Raises: BezantError."""
        rpc = Rpc(f"http://127.0.0.1:{member.rpc_port}", ASK_S)
        try:
            for height in heights:
                yield block_of(rpc, height)
        finally:
            rpc.close()

    def _standing(self, member: Member) -> Standing:
        url, pids, stopped = self.url(member), self.pids(member), self._stopped(member)
        if not pids:
            return Standing(member.name, "stopped" if stopped else "down", url, 0, "", stopped)
        try:
            told = self.block(member)
            return Standing(member.name, "running", url, told["height"], told["app_hash"])
        except BezantError as error:
            return Standing(member.name, "not answering", url, 0, "", error.message)

    def _answers(self, member: Member) -> bool:
        try:
            return httpx.get(f"{self.url(member)}/health", timeout=ASK_S).is_success
        except httpx.TransportError:
            return False

    def _stopped(self, member: Member) -> str:
        """Return why a member's supervisor gave up, nothing where it has not."""
        try:
            return str(json.loads((self.data(member) / STOPPED).read_text())["message"])
        except (OSError, ValueError, KeyError):
            return ""
