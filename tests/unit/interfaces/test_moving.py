"""A ledger is laid out as a network: what each member gets, and that none begins with anything else."""

from __future__ import annotations

import shutil
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bezant.chain.receipts import build_receipt, render_receipt, verify_receipt
from bezant.chain.storage.base import FILE, PARTS, begin_at_origin
from bezant.chain.storage.chain import StoredChain
from bezant.chain.storage.disk import SystemDisk
from bezant.chain.storage.snapshots import Snapshots
from bezant.errors import ConfigError, NotFound, StorageError
from bezant.folder import DataFolder
from bezant.interfaces.network.moving import found_from
from bezant.interfaces.network.plan import read_plan
from bezant.ledger import open_items
from bezant.model.genesis import decode_genesis, network_id
from bezant.model.identifiers import PaymentId
from bezant.testing.nodes import SmallNode

SETTINGS = """delegate_cap_minor = 5000000
[http]
port = 8999
[policy]
control_share = 0.0
"""


class Moved:
    """Alice paid Bob and holds something for him; the network that goes on from there is not started."""

    def __init__(self, folder: Path) -> None:
        self.data, self.network = folder / "data", folder / "net"
        small = SmallNode(self.data, settings=SETTINGS, with_store=True)
        # The node that reads the ledger has this machine's clock, and holds must not have expired by then.
        small.clock.time_ns = time.time_ns()
        self.alice, self.bob = small.alice, small.bob
        self.paid, _ = small.pay("12.50")
        self.held, _ = small.pay("40.00", hold_for_s=3_600)
        self.balance = small.balance(self.bob)
        self.old_network = network_id(small.node.folder.genesis)
        small.node.close()
        found_from(self.data, self.network, 3, snapshot_interval=200)
        self.genesis = decode_genesis((self.network / "node1" / "genesis.json").read_bytes())

    def begin(self, name: str, folder: Path) -> None:
        """Make a chain of what a member got."""
        with_keys = DataFolder(self.network / name)
        try:
            begin_at_origin(self.network / name / "origin", folder, self.genesis, with_keys.keys.blinding)
        finally:
            with_keys.close()

    def open(self, name: str, folder: Path, earlier: Path | None = None) -> StoredChain:
        member = DataFolder(self.network / name)
        try:
            return StoredChain(folder, self.genesis, member.keys.node, member.keys.blinding, earlier=earlier)
        finally:
            member.close()


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    folder = tmp_path_factory.mktemp("moving")
    yield Moved(folder)
    shutil.rmtree(folder)


def test_the_genesis_names_the_ledger_and_all_members_have_it(moved: Moved) -> None:
    origin = moved.genesis.origin
    assert origin is not None
    assert origin.genesis == moved.old_network.hex()
    assert len(moved.genesis.institutions) == len(moved.genesis.validators) == 3
    assert [one.institution for one in moved.genesis.validators] == [1, 2, 3]
    assert moved.genesis.created_ms % 1_000 == 0
    for member in read_plan(moved.network).members:
        folder = moved.network / member.name
        assert decode_genesis((folder / "genesis.json").read_bytes()) == moved.genesis
        assert all((folder / "origin" / name).is_file() for name in PARTS)
        told = tomllib.loads((folder / "bezant.toml").read_text())
        assert (told["http"]["port"], told["chain"]["engine"]) == (member.http_port, "cometbft")


def test_member_one_has_what_the_node_had_and_the_others_have_not(moved: Moved) -> None:
    first, second = moved.network / "node1", moved.network / "node2"
    for name in ("institution.key", "gateway.key", "vault.key", "operator.token"):
        assert (first / "keys" / name).read_bytes() == (moved.data / "keys" / name).read_bytes()
    blinding = (moved.data / "keys" / "blinding.key").read_bytes()
    assert (second / "keys" / "blinding.key").read_bytes() == blinding
    assert (second / "keys" / "gateway.key").read_bytes() != (first / "keys" / "gateway.key").read_bytes()
    told = tomllib.loads((first / "bezant.toml").read_text())
    assert (told["delegate_cap_minor"], told["policy"]) == (5_000_000, {"control_share": 0.0})
    assert any((first / "vault").iterdir())
    assert not (second / "vault").exists()
    assert not (second / "earlier").exists()


def test_a_member_begins_with_balances_holds_and_answers(moved: Moved, tmp_path: Path) -> None:
    moved.begin("node2", tmp_path / "chain")
    chain = moved.open("node2", tmp_path / "chain")
    origin = moved.genesis.origin
    assert origin is not None
    assert (chain.height, chain.app_hash.hex(), chain.time_ns) == (
        origin.height, origin.app_hash, origin.time_ns
    )  # fmt: skip
    row = chain.ledger.account(moved.bob)
    assert row is not None
    assert int(row["credits_posted_lo"]) - int(row["debits_posted_lo"]) == moved.balance
    debtor = chain.ledger.account_row(moved.alice)
    assert open_items.open_hold(chain.ledger, debtor, moved.held) is not None
    assert [one.power for one in open_items.validators(chain.ledger)] == [10, 10, 10]
    with pytest.raises(NotFound) as refused:
        chain.find(moved.paid)
    assert refused.value.code == "before_beginning"
    with pytest.raises(NotFound) as unknown:
        chain.find(PaymentId(int(moved.paid) + 1))
    assert unknown.value.code == "payment_unknown"
    chain.close()


def test_the_one_who_ran_it_has_its_blocks_and_receipts(moved: Moved, tmp_path: Path) -> None:
    moved.begin("node1", tmp_path / "chain")
    chain = moved.open("node1", tmp_path / "chain", moved.network / "node1" / "earlier")
    assert chain.first_height == 1
    assert [block.height for block in chain.blocks_from(1)] == list(range(1, chain.height + 1))
    shown = render_receipt(build_receipt(chain.prove(moved.paid)))
    assert verify_receipt(shown, genesis_hash=moved.old_network.hex()).summary.outcome == "applied"
    chain.close()


@pytest.mark.parametrize("part", PARTS)
def test_a_bit_of_what_a_member_got_is_enough_to_refuse(moved: Moved, tmp_path: Path, part: str) -> None:
    path = moved.network / "node3" / "origin" / part
    whole = path.read_bytes()
    place = len(whole) // 2
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    try:
        with pytest.raises(StorageError) as refused:
            moved.begin("node3", tmp_path / "chain")
        assert refused.value.code == "origin_differs"
        assert "take it from another member" in refused.value.message
        assert not (tmp_path / "chain").exists()
        path.unlink()
        with pytest.raises(StorageError) as missing:
            moved.begin("node3", tmp_path / "chain")
        assert missing.value.code == "origin_missing"
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("field", ["app_hash", "state_root", "archive_root", "height", "time_ns"])
def test_another_genesis_refuses_it(moved: Moved, tmp_path: Path, field: str) -> None:
    """The files say that they are of its network, and still are not the ledger that it names."""
    origin = moved.genesis.origin
    assert origin is not None
    value = getattr(origin, field)
    other = value - 1 if isinstance(value, int) else "00" * 32
    changed = msgspec.structs.replace(origin, **{field: other})
    named = msgspec.structs.replace(moved.genesis, origin=changed)
    parts, disk = tmp_path / "origin", SystemDisk()
    shutil.copytree(moved.network / "node2" / "origin", parts)
    snapshot = Snapshots(parts, network_id(moved.genesis), disk).read(parts / FILE)
    Snapshots(parts, network_id(named), disk).write_to(parts / FILE, snapshot)
    blinding = bytes.fromhex((moved.data / "keys" / "blinding.key").read_text().strip())
    with pytest.raises(StorageError) as refused:
        begin_at_origin(parts, tmp_path / "chain", named, blinding)
    assert refused.value.code == "origin_differs"
    begin_at_origin(moved.network / "node2" / "origin", tmp_path / "chain", moved.genesis, blinding)


def test_what_is_no_ledger_of_a_node_by_itself_is_refused(moved: Moved, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as member:
        found_from(moved.network / "node1", tmp_path / "net", 4)
    assert member.value.code == "not_embedded"
    with pytest.raises(ConfigError) as nothing:
        found_from(tmp_path / "none", tmp_path / "net", 4)
    assert nothing.value.code == "not_initialised"
    with pytest.raises(ConfigError) as twice:
        found_from(moved.data, moved.network, 4)
    assert twice.value.code == "already_initialised"
    assert not (tmp_path / "net").exists()
