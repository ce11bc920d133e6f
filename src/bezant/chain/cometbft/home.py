"""CometBFT's home folder: its keys, its genesis, and settings for blocks within a fraction of a second.

The validators of our genesis are those of CometBFT's, under a name that follows from our network's id, so
that neither can be taken for another network's.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bezant.chain.finality import address, chain_id
from bezant.model.genesis import Genesis, network_id
from bezant.model.keys import SigningKey

TIMEOUT_COMMIT = "200ms"
"""How long a validator waits for the votes of the slowest; skipped once all have voted."""
EMPTY_BLOCKS_EVERY = "20s"
MEMPOOL_ORDERS, MEMPOOL_CACHE = 50_000, 100_000
MEMPOOL_BYTES = 64 * 1024 * 1024
EVIDENCE_BLOCKS, EVIDENCE_HOURS = 100_000, 48
_KEY_TYPE, _PUBLIC_TYPE = "tendermint/PrivKeyEd25519", "tendermint/PubKeyEd25519"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one CometBFT listens, on this host."""

    peers: int
    rpc: int


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: its id, and where it listens."""

    node_id: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.node_id}@{self.host}:{self.port}"


def first_height(genesis: Genesis) -> int:
    """Return the number of a network's first block."""
    return 1 if genesis.origin is None else genesis.origin.height + 1


@dataclass(frozen=True, slots=True)
class Trust:
    """From where a new node follows the votes to a snapshot: addresses of two RPC servers, and a block's hash
    (hexadecimal) that somebody vouches for."""

    servers: tuple[str, ...]
    height: int
    hash: str


def begin_at_snapshot(home: Path, trust: Trust) -> None:
    """Have CometBFT begin at a snapshot of the network where it has no blocks yet."""
    path = home / "config" / "config.toml"
    kept = re.sub(r"\n\[statesync\]\n[^\[]*", "\n", path.read_text("utf-8")).rstrip("\n")
    servers = trust.servers if len(trust.servers) > 1 else trust.servers * 2
    path.write_text(
        f"""{kept}

[statesync]
enable = true
rpc_servers = "{",".join(servers)}"
trust_height = {trust.height}
trust_hash = "{trust.hash}"
trust_period = "{EVIDENCE_HOURS}h0m0s"
discovery_time = "5s"
chunk_request_timeout = "10s"
""",
        "utf-8",
    )


def begins_at_snapshot(home: Path) -> bool:
    """Return whether CometBFT is to begin at a snapshot where it has no blocks yet."""
    try:
        settings = tomllib.loads((home / "config" / "config.toml").read_text("utf-8"))
    except FileNotFoundError:
        return False
    return bool(settings.get("statesync", {}).get("enable", False))


def node_id(seed: bytes) -> str:
    """Return the name under which peers know a node with this secret."""
    return address(SigningKey(seed).public).hex()


def secret_of(key: Path) -> bytes:
    """Return the secret of 32 bytes that one of the key files in a home holds."""
    return b64decode(json.loads(key.read_text("utf-8"))["priv_key"]["value"])[:32]


def write_home(
    home: Path,
    genesis: Genesis,
    *,
    validator_seed: bytes,
    node_seed: bytes,
    abci_address: str,
    ports: Ports,
    peers: Sequence[Peer],
    moniker: str,
    listen: str = "127.0.0.1",
) -> None:
    """Make a home folder. `validator_seed` votes, `node_seed` names the node among its peers; both are 32
    bytes and secret. `abci_address` is where Bezant listens, `listen` where peers may call; the RPC that the
    node asks stays on loopback."""
    (home / "config").mkdir(parents=True, mode=0o700)
    (home / "data").mkdir(mode=0o700)
    _write(home / "config" / "node_key.json", {"priv_key": _secret(node_seed)}, 0o600)
    public = SigningKey(validator_seed).public
    voting = {
        "address": address(public).hex().upper(),
        "pub_key": _public(public),
        "priv_key": _secret(validator_seed),
    }
    _write(home / "config" / "priv_validator_key.json", voting, 0o600)
    state = {"height": "0", "round": 0, "step": 0}
    _write(home / "data" / "priv_validator_state.json", state, 0o600)
    _write(home / "config" / "genesis.json", engine_genesis(genesis), 0o644)
    settings = _settings(abci_address, ports, peers, moniker, listen)
    (home / "config" / "config.toml").write_text(settings, "utf-8")


def engine_genesis(genesis: Genesis) -> dict[str, object]:
    """Return CometBFT's genesis for ours."""
    network = network_id(genesis)
    made = datetime.fromtimestamp(genesis.created_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    hours_ns = EVIDENCE_HOURS * 3_600_000_000_000
    return {
        "genesis_time": made,
        "chain_id": chain_id(network),
        "initial_height": str(first_height(genesis)),
        "consensus_params": {
            # Without a bound of its own CometBFT hands over its whole mempool, which lanes are chosen from.
            "block": {"max_bytes": "-1", "max_gas": "-1"},
            "evidence": {
                "max_age_num_blocks": str(EVIDENCE_BLOCKS),
                "max_age_duration": str(hours_ns),
                "max_bytes": "1048576",
            },
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": "0"},
            "abci": {"vote_extensions_enable_height": "0"},
        },
        "validators": [
            {
                "address": address(bytes.fromhex(one.key)).hex().upper(),
                "pub_key": _public(bytes.fromhex(one.key)),
                "power": str(one.power),
                "name": "",
            }
            for one in genesis.validators
        ],
        "app_hash": "",
    }


def _settings(abci_address: str, ports: Ports, peers: Sequence[Peer], moniker: str, listen: str) -> str:
    return f"""# Written by Bezant for CometBFT v0.38; what is not named here has CometBFT's own default.
proxy_app = "{abci_address}"
abci = "socket"
moniker = "{moniker}"
log_level = "error"
filter_peers = true

[rpc]
laddr = "tcp://127.0.0.1:{ports.rpc}"

[p2p]
laddr = "tcp://{listen}:{ports.peers}"
persistent_peers = "{",".join(map(str, peers))}"
allow_duplicate_ip = true
addr_book_strict = false
pex = false
flush_throttle_timeout = "10ms"
send_rate = 52428800
recv_rate = 52428800

[mempool]
recheck = false
size = {MEMPOOL_ORDERS}
cache_size = {MEMPOOL_CACHE}
max_txs_bytes = {MEMPOOL_BYTES}

[consensus]
timeout_propose = "1s"
timeout_commit = "{TIMEOUT_COMMIT}"
skip_timeout_commit = true
create_empty_blocks = false
create_empty_blocks_interval = "{EMPTY_BLOCKS_EVERY}"
peer_gossip_sleep_duration = "10ms"

[tx_index]
indexer = "null"
"""


def _secret(seed: bytes) -> dict[str, str]:
    return {"type": _KEY_TYPE, "value": b64encode(seed + SigningKey(seed).public).decode()}


def _public(key: bytes) -> dict[str, str]:
    return {"type": _PUBLIC_TYPE, "value": b64encode(key).decode()}


def _write(path: Path, content: object, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
