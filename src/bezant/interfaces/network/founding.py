"""How a network begins: one genesis, and for each member a data folder with keys of its own.

Two things are the same everywhere: the genesis, and the secret that balances in receipts are blinded
with. Every validator computes what the app hash covers, so every one has to know it; whoever is no member
cannot open a balance. All else, voting key included, is a member's own.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from bezant.chain.cometbft.home import Peer, Ports, node_id, write_home
from bezant.errors import ConfigError, InputError
from bezant.folder import DEFAULT_ASSETS, check_unused, lay_out, new_secrets, public_keys
from bezant.interfaces.network.plan import PLAN, Member, Plan, write_plan
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


def found(
    folder: Path,
    validators: int,
    *,
    network: str = "bezant",
    rules: Rules | None = None,
    stake: Stake = STAKE,
    settings: str = "",
) -> Plan:
    """Make the folders of a network's members; nothing is started.

    Member 1 issues the assets. `settings` are lines for every member's ``bezant.toml``.
    Raises: ConfigError where there is something already; InputError for no number of validators.
    """
    if not 1 <= validators <= MAX_MEMBERS:
        raise InputError(f"a network here has 1 to {MAX_MEMBERS} validators", param="validators")
    if (folder / PLAN).exists():
        raise ConfigError(f"{folder} has a network already; nothing was changed", code="already_initialised")
    names = [f"node{number}" for number in range(1, validators + 1)]
    for name in names:
        check_unused(folder / name)
    blinding = secrets.token_bytes(32)
    made = [new_secrets() | {"blinding": blinding} for _ in names]
    voting, naming = ([secrets.token_bytes(32) for _ in names] for _ in range(2))
    public = [public_keys(one) for one in made]
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
            GenesisValidator(SigningKey(seed).public.hex(), POWER, number)
            for number, seed in enumerate(voting, 1)
        ),
        stake=stake,
    )
    check_genesis(genesis)
    ports = free_ports(3 * validators)
    members = tuple(Member(name, *ports[3 * place : 3 * place + 3]) for place, name in enumerate(names))
    peers = [
        Peer(node_id(seed), "127.0.0.1", member.peer_port)
        for seed, member in zip(naming, members, strict=True)
    ]
    for place, (member, own) in enumerate(zip(members, made, strict=True)):
        data = folder / member.name
        data.mkdir(parents=True)
        (data / "bezant.toml").write_text(_settings(member) + settings, "utf-8")
        lay_out(data, own, genesis)
        write_home(
            data / "consensus",
            genesis,
            validator_seed=voting[place],
            node_seed=naming[place],
            abci_address=f"unix://{(data / 'abci.sock').absolute()}",
            ports=Ports(member.peer_port, member.rpc_port),
            peers=[peer for other, peer in enumerate(peers) if other != place],
            moniker=member.name,
        )
    plan = Plan(network_id(genesis).hex(), members)
    write_plan(folder, plan)
    return plan


def _settings(member: Member) -> str:
    return f"""# A member of a network; made with it.
[http]
port = {member.http_port}

[chain]
engine = "cometbft"
rpc = "http://127.0.0.1:{member.rpc_port}"
"""
