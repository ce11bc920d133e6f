"""A network that goes on from the ledger of a node by itself: its genesis names what that ledger was, and
every member gets a copy of it.

The node's folder stays as it is. Member 1 is the institution that ran it, with its keys, its vault, its store
and its blocks (``earlier/``); the others are new, and have the accounts and all answers, but nobody's name.
Each checks what it got against the genesis before it begins.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bezant.chain.history import Peaks
from bezant.chain.storage.archive import ReceiptArchive, archive_leaf
from bezant.chain.storage.base import FILE, PARTS
from bezant.chain.storage.disk import ReadOnlyDisk, SystemDisk
from bezant.chain.storage.earlier import FOLDER as EARLIER
from bezant.chain.storage.snapshots import Position, Snapshot, Snapshots
from bezant.chain.storage.state_roots import root_of
from bezant.errors import ConfigError, StorageError
from bezant.folder import (
    OPERATOR,
    is_data_folder,
    lay_out,
    new_secrets,
    public_keys,
    read_secrets,
    write_genesis,
)
from bezant.interfaces.network.founding import (
    CHECKPOINT_BLOCKS,
    POWER,
    SNAPSHOT_BLOCKS,
    STAKE,
    Secrets,
    check_room,
    finish,
    members_of,
    settings_of,
    with_settings,
)
from bezant.interfaces.network.plan import Member, Plan
from bezant.ledger import state as layout
from bezant.ledger.succession import succeed
from bezant.model.genesis import (
    Genesis,
    GenesisInstitution,
    GenesisValidator,
    Origin,
    check_genesis,
    decode_genesis,
    network_id,
)
from bezant.node import Node

ORIGIN = "origin"
LEFT_BEHIND = ("chain", "genesis.json", "bezant.toml", "lock", "node.json", "abci.sock")
"""What of the node's folder does not go to member 1 as it is."""
PATIENCE_S = 600.0
Progress = Callable[[str, int], None]


def found_from(
    data: Path,
    folder: Path,
    validators: int,
    *,
    checkpoint_interval: int = CHECKPOINT_BLOCKS,
    snapshot_interval: int = SNAPSHOT_BLOCKS,
    settings: str = "",
    progress: Progress = lambda doing, done: None,
) -> Plan:
    """Make the folders of a network that goes on from the ledger in `data`; nothing is started.

    `settings` are lines for every member's ``bezant.toml``. Raises: ConfigError, StorageError.
    """
    names = check_room(folder, validators)
    if is_data_folder(data) and decode_genesis((data / "genesis.json").read_bytes()).validators:
        raise ConfigError(
            f"{data} is a member of a network; one goes on from the ledger of a node by itself",
            code="not_embedded",
        )
    with Node(data, progress=progress) as node:
        if node.follower is not None and not node.follower.wait_for(node.engine.durable_height, PATIENCE_S):
            raise StorageError("the read model did not catch up", code="store_behind")
        engine, old = node.engine, node.folder.genesis
        at = Position(
            engine.durable_height,
            engine.time_ns,
            engine.app_hash,
            engine.checkpoint().checkpoint.root,
            engine.receipts_until(engine.durable_height),
            0,
            0,
            None,
        )
    # Nothing is ordered any more, and what was is on the disk.
    if engine.height != at.height:
        raise StorageError(f"{data} went on while it was read; stop whoever pays", code="not_at_rest")
    own, blinding = read_secrets(data), node.folder.keys.blinding
    made = [Secrets(own), *(Secrets(new_secrets() | {"blinding": blinding}) for _ in names[1:])]
    tables = layout.dump(engine.ledger.state)
    origin = Origin(
        genesis=network_id(old).hex(),
        height=at.height,
        time_ns=at.time_ns,
        app_hash=at.app_hash.hex(),
        state_root=root_of(tables, blinding).hex(),
        archive_root=_archive_root(data / "chain", old, at, progress).hex(),
    )
    genesis = _genesis(old, origin, made, checkpoint_interval, snapshot_interval)
    succeed(tables, genesis)
    members = members_of(names)
    for place, (member, one) in enumerate(zip(members, made, strict=True)):
        progress("lay out the members", place)
        target = folder / member.name
        if place == 0:
            _move(data, target, member, settings)
        else:
            target.mkdir(parents=True)
            (target / "bezant.toml").write_text(settings_of(member) + settings, "utf-8")
        _leave_origin(data / "chain", target / ORIGIN, genesis, Snapshot(at, tables))
        if place == 0:
            write_genesis(target, genesis)
        else:
            lay_out(target, one.folder, genesis)
    return finish(folder, members, made, genesis)


def _genesis(
    old: Genesis, origin: Origin, made: list[Secrets], checkpoint_interval: int, snapshot_interval: int
) -> Genesis:
    """Return the network's genesis: the ledger's assets, institutions and rules, and those who come to it."""
    public = [public_keys(one.folder) for one in made]
    first = len(old.institutions) + 1
    coming = tuple(
        GenesisInstitution(number, f"Institution {number}", keys["institution"])
        for number, keys in enumerate(public[1:], first)
    )
    # CometBFT's first block has its genesis's time, in whole seconds, and time must not go back.
    now_s = max(time.time_ns(), origin.time_ns) // 1_000_000_000 + 1
    operators = [OPERATOR, *(one.number for one in coming)]
    genesis = msgspec.structs.replace(
        old,
        created_ms=now_s * 1_000,
        rules=msgspec.structs.replace(old.rules, checkpoint_interval=checkpoint_interval),
        institutions=(*old.institutions, *coming),
        gateways=(*old.gateways, *(keys["gateway"] for keys in public[1:])),
        sealers=(*old.sealers, *(keys["node"] for keys in public[1:])),
        validators=tuple(
            GenesisValidator(one.validator, POWER, operator)
            for one, operator in zip(made, operators, strict=True)
        ),
        stake=old.stake or STAKE,
        snapshot_interval=snapshot_interval,
        origin=origin,
    )
    check_genesis(genesis)
    return genesis


def _archive_root(chain: Path, genesis: Genesis, at: Position, progress: Progress) -> bytes:
    """Return the root over every answer that a ledger gave."""
    archive = ReceiptArchive(chain, genesis.rules, ReadOnlyDisk(), blocks=at.height, rows=at.receipts)
    tree = Peaks()
    try:
        for height in range(1, at.height + 1):
            tree.append(archive_leaf(archive.entry(height), archive.receipts(height)))
            progress("hash the answers", height)
    finally:
        archive.close()
    return tree.root()


def _leave_origin(chain: Path, origin: Path, genesis: Genesis, snapshot: Snapshot) -> None:
    """Put what the network goes on from into a member's folder."""
    origin.mkdir(mode=0o700)
    Snapshots(origin, network_id(genesis), SystemDisk()).write_to(origin / FILE, snapshot)
    for name in PARTS[1:]:
        shutil.copyfile(chain / name, origin / name)


def _move(data: Path, target: Path, member: Member, settings: str) -> None:
    """Copy the node's folder for member 1: keys, vault, store, models; its blocks into ``earlier/``."""
    left = {str(data / name) for name in LEFT_BEHIND}
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(
        data, target, ignore=lambda folder, names: [name for name in names if f"{folder}/{name}" in left]
    )
    (target / EARLIER).mkdir(mode=0o700)
    shutil.copytree(data / "chain", target / EARLIER / "chain")
    shutil.copyfile(data / "genesis.json", target / EARLIER / "genesis.json")
    (target / "bezant.toml").write_text(with_settings(data / "bezant.toml", member, settings), "utf-8")
