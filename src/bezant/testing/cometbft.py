"""A real CometBFT process beside an engine under test: a network of one validator."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

import msgspec

from bezant.chain.cometbft.engine import CometEngine
from bezant.chain.cometbft.home import Ports, write_home
from bezant.chain.cometbft.program import usable_program
from bezant.model.digest import sha256
from bezant.model.genesis import Genesis, GenesisValidator
from bezant.model.keys import SigningKey

VOTER_SEED, NAME_SEED = sha256(b"bezant test validator"), sha256(b"bezant test node")
START_S = 120.0
"""The first block may wait for kernels to be compiled."""


def with_sole_validator(genesis: Genesis) -> Genesis:
    """Return a genesis in which one validator votes, whose secret every test knows."""
    voter = GenesisValidator(SigningKey(VOTER_SEED).public.hex(), 10, 1)
    return msgspec.structs.replace(genesis, validators=(voter,))


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens on now."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


class SoleValidator:
    """CometBFT for one engine. `run` once the engine listens, `stop` before it closes."""

    def __init__(self, folder: Path, genesis: Genesis) -> None:
        self.home, self.socket = folder / "consensus", folder / "abci.sock"
        ports = Ports(*free_ports(2))
        self.rpc_url = f"http://127.0.0.1:{ports.rpc}"
        folder.mkdir(parents=True, exist_ok=True)
        write_home(
            self.home,
            genesis,
            validator_seed=VOTER_SEED,
            node_seed=NAME_SEED,
            abci_address=f"unix://{self.socket}",
            ports=ports,
            peers=[],
            moniker="sole",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, engine: CometEngine) -> None:
        """Start, and return once it takes Orders and has decided the first block."""
        engine.start()
        with (self.home / "log").open("ab") as log:
            command = [str(usable_program()), "start", "--home", str(self.home)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until_s = time.monotonic() + START_S
        while not engine.is_reachable or not engine.durable_height:
            if self._process.poll() is not None or time.monotonic() > until_s:
                raise RuntimeError(f"CometBFT did not start: {(self.home / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_S)
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_S)
            self._process = None
