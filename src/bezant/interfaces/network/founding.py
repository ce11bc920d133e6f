"""How a network begins: one genesis, and for each member a data folder with keys of its own.

Two things are the same everywhere: the genesis, and the secret that balances in receipts are blinded
with. Every validator computes what the app hash covers, so every one has to know it; whoever is no member
cannot open a balance. All else, voting key included, is a member's own.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bezant.chain.cometbft.home import Peer, Ports, node_id, write_home
from bezant.errors import ConfigError, InputError
from bezant.folder import DEFAULT_ASSETS, check_unused, lay_out, new_secrets, public_keys
from bezant.interfaces.network.plan import LOOPBACK, PLAN, Member, Plan, write_plan
from bezant.interfaces.network.ports import free_ports
from bezant.model.genesis import (
    Genesis,
    GenesisAsset,
    GenesisInstitution,
    GenesisValidator,
    Rules,
    Stake,
    check_genesis,
    network_id,
)
from bezant.model.keys import SigningKey

MAX_MEMBERS = 16
POWER = 10
STAKE = Stake(asset=1, unit=100_000, away_blocks=10_000)
"""A vote for every 1,000.00 EUR; who misses so many blocks, an hour or so under load, has to rejoin."""
CHECKPOINT_BLOCKS = 100
"""Blocks between state roots: a network makes a few a second."""
SNAPSHOT_BLOCKS = 1_000
"""Blocks between snapshots that new members may begin at: a few minutes under load."""


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What only one member has: the keys of its data folder, the one that votes, the one that names it."""

    folder: dict[str, bytes]
    voting: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    naming: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    @property
    def validator(self) -> str:
        """The public key that votes, hexadecimal."""
        return SigningKey(self.voting).public.hex()


def found(
    folder: Path,
    validators: int,
    *,
    network: str = "bezant",
    rules: Rules | None = None,
    stake: Stake = STAKE,
    snapshot_interval: int = SNAPSHOT_BLOCKS,
    settings: str = "",
    members: Sequence[Member] = (),
    at: Path | None = None,
) -> Plan:
    """Make the folders of a network's members; nothing is started.

    Member 1 issues the assets. `settings` are lines for every member's ``bezant.toml``. `members` are on
    ports of this machine unless they are given; `at` is where each will find its folder on its own.
    Raises: ConfigError where there is something already; InputError for no number of validators.
    """
    names = check_room(folder, validators)
    blinding = secrets.token_bytes(32)
    made = [Secrets(new_secrets() | {"blinding": blinding}) for _ in names]
    public = [public_keys(one.folder) for one in made]
    genesis = Genesis(
        version=1,
        network=network,
        created_ms=time.time_ns() // 1_000_000,
        rules=rules or Rules(checkpoint_interval=CHECKPOINT_BLOCKS),
        assets=tuple(
            GenesisAsset(number, code, scale, 1) for number, (code, scale) in enumerate(DEFAULT_ASSETS, 1)
        ),
        institutions=tuple(
            GenesisInstitution(number, f"Institution {number}", keys["institution"])
            for number, keys in enumerate(public, 1)
        ),
        gateways=tuple(keys["gateway"] for keys in public),
        sealers=tuple(keys["node"] for keys in public),
        validators=tuple(
            GenesisValidator(one.validator, POWER, number) for number, one in enumerate(made, 1)
        ),
        stake=stake,
        snapshot_interval=snapshot_interval,
    )
    check_genesis(genesis)
    members = members or members_of(names)
    for member, own in zip(members, made, strict=True):
        data = folder / member.name
        data.mkdir(parents=True)
        (data / "bezant.toml").write_text(settings_of(member) + settings, "utf-8")
        lay_out(data, own.folder, genesis)
    return finish(folder, members, made, genesis, at)


def check_room(folder: Path, validators: int) -> list[str]:
    """Return the names of so many members where nothing is in the way. Raises: ConfigError, InputError."""
    if not 1 <= validators <= MAX_MEMBERS:
        raise InputError(f"a network here has 1 to {MAX_MEMBERS} validators", param="validators")
    if (folder / PLAN).exists():
        raise ConfigError(f"{folder} has a network already; nothing was changed", code="already_initialised")
    names = [f"node{number}" for number in range(1, validators + 1)]
    for name in names:
        check_unused(folder / name)
    return names


def members_of(names: Sequence[str]) -> tuple[Member, ...]:
    """Return members under these names, on ports that nobody listens on."""
    ports = iter(free_ports(3 * len(names)))
    return tuple(Member(name, next(ports), next(ports), next(ports)) for name in names)


def finish(
    folder: Path,
    members: Sequence[Member],
    made: Sequence[Secrets],
    genesis: Genesis,
    at: Path | None = None,
) -> Plan:
    """Give every member's data folder its CometBFT, with all others as its peers, and write the plan of those
    that stay here."""
    peers = [peer_of(member, one.naming) for one, member in zip(made, members, strict=True)]
    for place, (member, own) in enumerate(zip(members, made, strict=True)):
        others = [peer for other, peer in enumerate(peers) if other != place]
        give_engine(folder / member.name, member, own, genesis, others, at)
    plan = Plan(network_id(genesis).hex(), tuple(members))
    if at is None:
        write_plan(folder, plan)
    return plan


def peer_of(member: Member, naming: bytes) -> Peer:
    """Return a member as its peers call it."""
    return Peer(node_id(naming), member.host, member.peer_port)


def give_engine(
    data: Path,
    member: Member,
    own: Secrets,
    genesis: Genesis,
    peers: Sequence[Peer],
    at: Path | None = None,
) -> None:
    """Make CometBFT's home in a member's data folder, which will be `at` another place if that is given."""
    write_home(
        data / "consensus",
        genesis,
        validator_seed=own.voting,
        node_seed=own.naming,
        abci_address=f"unix://{((at or data) / 'abci.sock').absolute()}",
        ports=Ports(member.peer_port, member.rpc_port),
        peers=peers,
        moniker=member.name,
        listen=LOOPBACK if member.host == LOOPBACK else "0.0.0.0",
    )


def with_settings(known: Path, member: Member, settings: str = "") -> str:
    """Return another node's settings as a member's: a port of its own, and its own engine."""
    text = known.read_text("utf-8") if known.exists() else ""
    kept = re.sub(r"(?ms)^\[(http|chain)\]\s*$.*?(?=^\[|\Z)", "", text)
    # What stands outside of sections has to come first.
    loose, section, rest = ("", "", kept) if kept.startswith("[") else kept.partition("\n[")
    return f"{loose.rstrip()}\n{settings_of(member)}{settings}{section}{rest}"


def settings_of(member: Member) -> str:
    """Return what a member's ``bezant.toml`` begins with."""
    return f"""# A member of a network; made with it.
[http]
port = {member.http_port}

[chain]
engine = "cometbft"
rpc = "http://127.0.0.1:{member.rpc_port}"
"""
