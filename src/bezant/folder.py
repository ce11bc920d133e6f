"""The data folder: where everything lies, who may open it, and the keys made when it begins.

::

    genesis.json     the network this node belongs to          models/     model files
    keys/            secrets, readable by the owner alone      store.sqlite the read model
    chain/           the journal, and what follows from it     vault/      sealed personal data
    consensus/       what CometBFT keeps, on a validator       abci.sock   where it asks this node
    origin/          what a network went on from               earlier/    its blocks, where they were made
    lock             held by the one process that is open      node.json   where that process listens
    bezant.toml      settings, where they differ               idempotency.sqlite  keys of requests
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bezant.errors import ConfigError, StorageError
from bezant.model.genesis import (
    Fee,
    Genesis,
    GenesisAsset,
    GenesisInstitution,
    Rules,
    Stake,
    check_genesis,
    decode_genesis,
    encode_genesis,
)
from bezant.model.keys import SigningKey

DEFAULT_ASSETS = (("EUR", 2), ("USD", 2), ("GBP", 2), ("CHF", 2), ("JPY", 0))
SECRETS = ("node", "gateway", "institution", "blinding")
"""What is made for a data folder, and lies in its ``keys/`` under these names."""
OPERATOR = 1
"""The institution that a data folder is made for; it issues the assets."""


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The secrets of one node."""

    node: SigningKey
    """Seals blocks."""
    gateway: SigningKey
    """Attests Orders, and pays for holders who gave it a mandate."""
    institution: SigningKey
    """Opens accounts and signs for them."""
    blinding: bytes
    """Blinds balances in receipts, 32 bytes."""
    operator_token: str
    """What a caller over HTTP must show."""


class DataFolder:
    """An opened data folder, locked against every other process until closed."""

    def __init__(self, path: Path) -> None:
        """Raises: ConfigError when it was never made, StorageError when another process has it open."""
        self.path = path
        if not (path / "genesis.json").exists():
            raise ConfigError(
                f"{path} is not a Bezant data folder; make one with: bezant init --data {path}",
                code="not_initialised",
            )
        self._lock = _lock(path)
        try:
            self.genesis = decode_genesis((path / "genesis.json").read_bytes())
            self.keys = _read_keys(path / "keys")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def abci_socket(self) -> Path:
        """Where CometBFT asks, on a validator."""
        return self.path / "abci.sock"

    @property
    def consensus(self) -> Path:
        """CometBFT's home, on a validator."""
        return self.path / "consensus"

    @property
    def origin(self) -> Path:
        """What the network went on from, on its first members; see `storage.base`."""
        return self.path / "origin"

    @property
    def earlier(self) -> Path:
        """The ledger that the network went on from, on the member that ran it."""
        return self.path / "earlier"

    @property
    def institution(self) -> int:
        """The number of the institution that this folder has the key of. Raises: ConfigError."""
        own = self.keys.institution.public.hex()
        for institution in self.genesis.institutions:
            if institution.key == own:
                return institution.number
        raise ConfigError(
            f"keys/institution.key of {self.path} is of no institution of its genesis.json; restore both "
            "from one backup",
            code="institution_unknown",
        )

    @property
    def chain(self) -> Path:
        return self.path / "chain"

    @property
    def lost_its_vault(self) -> bool:
        """Whether there is a chain and no vault, which is always made before."""
        return self.chain.exists() and not any((self.path / "vault").glob("*"))

    @property
    def models(self) -> Path:
        """Where model files lie; see `Shelf`."""
        return self.path / "models"

    @property
    def alert_counts(self) -> Path:
        """How many reviews there were in the last hours; see `intelligence.alerts`."""
        return self.path / "models" / "alerts.counts"

    @property
    def drift_memory(self) -> Path:
        """What was told to have drifted; see `intelligence.drift`."""
        return self.path / "models" / "drift.json"

    @property
    def score_log(self) -> Path:
        """What champion and challenger said of the same payments."""
        return self.path / "models" / "shadow.scores"

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.path / 'store.sqlite'}"

    @property
    def idempotency_url(self) -> str:
        """A file of its own: it is synced at once, the read model is not."""
        return f"sqlite:///{self.path / 'idempotency.sqlite'}"

    @property
    def address_file(self) -> Path:
        return self.path / "node.json"


@contextmanager
def open_for_audit(path: Path) -> Iterator[tuple[Genesis, bytes]]:
    """Yield (genesis, blinding secret) of a folder that no node has open and in which nothing is changed.

    A copy of ``genesis.json``, ``chain/`` and ``keys/blinding.key`` is enough; it may be read-only.
    Raises: ConfigError, StorageError ``data_folder_in_use``.
    """
    if not is_data_folder(path):
        raise ConfigError(f"{path} is not a Bezant data folder", code="not_initialised")
    genesis = decode_genesis((path / "genesis.json").read_bytes())
    blinding = _read_secret(path / "keys" / "blinding.key")
    lock = _lock(path, os.O_RDONLY, fcntl.LOCK_SH) if (path / "lock").exists() else -1
    try:
        yield genesis, blinding
    finally:
        if lock >= 0:
            os.close(lock)


def is_data_folder(path: Path) -> bool:
    return (path / "genesis.json").exists()


def create_folder(
    path: Path,
    *,
    network: str = "bezant",
    assets: tuple[tuple[str, int], ...] = DEFAULT_ASSETS,
    rules: Rules | None = None,
    created_ms: int | None = None,
    policies: Mapping[str, Mapping[str, bool]] | None = None,
    stake: Stake | None = None,
    fees: tuple[Fee, ...] = (),
) -> Genesis:
    """Make a data folder with fresh keys and a genesis of one institution.

    `policies` says by asset code what the issuer may do, e.g. ``{"EUR": {"pausable": True}}``; see
    `GenesisAsset`. Raises: ConfigError.
    """
    check_unused(path)
    made = new_secrets()
    public = public_keys(made)
    genesis = Genesis(
        version=1,
        network=network,
        created_ms=time.time_ns() // 1_000_000 if created_ms is None else created_ms,
        rules=rules or Rules(),
        assets=tuple(
            GenesisAsset(number, code, scale, OPERATOR, **(policies or {}).get(code, {}))
            for number, (code, scale) in enumerate(assets, 1)
        ),
        institutions=(GenesisInstitution(OPERATOR, "Operator", public["institution"]),),
        gateways=(public["gateway"],),
        sealers=(public["node"],),
        stake=stake,
        fees=fees,
    )
    check_genesis(genesis)
    lay_out(path, made, genesis)
    return genesis


def new_secrets() -> dict[str, bytes]:
    """Return fresh secrets of a data folder, 32 bytes each, by the names of their files."""
    return {name: secrets.token_bytes(32) for name in SECRETS}


def public_keys(made: Mapping[str, bytes]) -> dict[str, str]:
    """Return the public keys of a data folder's secrets, hexadecimal."""
    return {name: SigningKey(secret).public.hex() for name, secret in made.items() if name != "blinding"}


def check_unused(path: Path) -> None:
    """Raise ConfigError unless a data folder can be made here."""
    if is_data_folder(path):
        raise ConfigError(f"{path} is a data folder already; nothing was changed", code="already_initialised")
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file; name a folder", code="not_a_folder")
    if path.exists() and any(entry.name != "bezant.toml" for entry in path.iterdir()):
        raise ConfigError(f"{path} is not empty; name another folder", code="folder_not_empty")


def lay_out(path: Path, made: Mapping[str, bytes], genesis: Genesis) -> None:
    """Make a data folder of these secrets (see `new_secrets`) and this genesis, durably."""
    keys = path / "keys"
    keys.mkdir(parents=True, mode=0o700)
    for name, secret in made.items():
        _write_secret(keys / f"{name}.key", secret.hex())
    _write_secret(keys / "operator.token", "bzt_" + secrets.token_urlsafe(32))
    (path / "models").mkdir()
    for folder in (keys, path, path.absolute().parent):
        _sync_folder(folder)
    write_genesis(path, genesis)


def read_secrets(path: Path) -> dict[str, bytes]:
    """Return the secrets of a data folder, as `new_secrets` names them. Raises: ConfigError."""
    return {name: _read_secret(path / "keys" / f"{name}.key") for name in SECRETS}


def write_genesis(path: Path, genesis: Genesis) -> None:
    """Write a folder's genesis durably: last, because its presence is what makes it a data folder."""
    _write_synced(path / "genesis.partial", encode_genesis(genesis), 0o644)
    (path / "genesis.partial").rename(path / "genesis.json")
    _sync_folder(path)


def _lock(path: Path, flags: int = os.O_RDWR | os.O_CREAT, kind: int = fcntl.LOCK_EX) -> int:
    descriptor = os.open(path / "lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StorageError(
            f"another process has {path} open; stop it, or give this one its own folder with --data",
            code="data_folder_in_use",
        ) from None
    return descriptor


def _write_secret(path: Path, text: str) -> None:
    _write_synced(path, text.encode() + b"\n", 0o600)


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    """Write a new file to the disk. The journal is synced from its first block on; without the keys that a
    power cut took, nobody could replay it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_keys(folder: Path) -> Keys:
    secret = {name: _read_secret(folder / f"{name}.key") for name in ("node", "gateway", "institution")}
    return Keys(
        node=SigningKey(secret["node"]),
        gateway=SigningKey(secret["gateway"]),
        institution=SigningKey(secret["institution"]),
        blinding=_read_secret(folder / "blinding.key"),
        operator_token=_read_text(folder / "operator.token"),
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{path} cannot be read; restore it from a backup", code="key_missing") from None


def _read_secret(path: Path) -> bytes:
    try:
        secret = bytes.fromhex(_read_text(path))
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise ConfigError(f"{path} does not hold a key; restore it from a backup", code="key_missing")
    return secret
