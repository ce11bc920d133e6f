"""Members that begin elsewhere than at the first block: at a snapshot, or with an existing ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from bezant.chain.cometbft.program import usable_program
from bezant.chain.cometbft.rpc import Rpc
from bezant.chain.receipts import verify_receipt
from bezant.errors import ConfigError
from bezant.interfaces.cli.app import app
from bezant.interfaces.network.control import Network
from bezant.interfaces.network.moving import found_from
from bezant.interfaces.network.plan import Member, Plan, write_plan
from bezant.interfaces.self_test import run_self_test
from bezant.model.genesis import decode_genesis, network_id
from bezant.model.identifiers import render_id, render_payment_id
from bezant.testing.gateways import Gateway, uuid7
from bezant.testing.nodes import SmallNode

from ..examples.test_verify_receipt import auditor_says
from .conftest import CHECKPOINT_BLOCKS, SETTINGS, SNAPSHOT_BLOCKS, WAIT_S, Four, until
from .test_faults import Load, balances, check_everywhere


@pytest.fixture
def load(four: Four) -> Load:
    return Load(four.gateways[0], four.alice, four.bob)


@pytest.fixture
def fifth(four: Four) -> Iterator[list[Member]]:
    """Whoever is added here is taken away again."""
    added: list[Member] = []
    yield added
    network = four.network
    for one in added:
        network.stop([one])
    network.plan = Plan(network.plan.genesis_hash, network.plan.members[:4])
    write_plan(network.folder, network.plan)


def flip(path: Path, at: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def refused(four: Four, member: Member, why: str) -> None:
    """Start a member, and return once it has said why it does not start."""
    four.network.start([member])
    place = four.network.members.index(member)
    until(lambda: four.network.status()[place].state == "stopped", f"{member.name} refuses to start")
    problem = four.network.status()[place].problem
    assert "refuses to start" in problem
    assert why in problem, problem


def votes_in(four: Four, key: str) -> tuple[int, bool]:
    """Return the votes of a validator behind a payment that is made now, and whether it voted for it."""
    paid = four.gateways[0].pay(four.alice, four.bob, "0.01")
    receipt = four.gateways[0].get(f"/v1/payments/{paid.json()['id']}/receipt")
    after = receipt["finality"]["after"]
    for one, vote in zip(after["validators"], after["votes"], strict=True):
        if one["key"] == key:
            return one["power"], vote is not None
    return 0, False


def bond_for(four: Four, member: Member) -> str:
    """Bond for a member that was added, and return the bond once it votes."""
    key, bank = four.network.voting_key(member), four.gateways[3]
    account = bank.account()
    issue = {"creditor": account, "amount": "3000.00"}
    assert four.gateways[0].post("/v1/assets/EUR/issues", issue)["status"] == "settled"
    bond = bank.post(f"/v1/validators/{key}/bonds", {"account": account, "amount": "2000.00"})
    until(lambda: votes_in(four, key) == (2, True), "the new node votes")
    return str(bond["id"])


def earliest_block(member: Member) -> int:
    """Return the first block that a member's CometBFT has."""
    rpc = Rpc(f"http://127.0.0.1:{member.rpc_port}")
    try:
        return int(rpc.ask("status")["sync_info"]["earliest_block_height"])
    finally:
        rpc.close()


def offered(network: Network, member: Member) -> int:
    """Return the block of the newest snapshot that a member offers."""
    return max(int(one.stem) for one in (network.data(member) / "chain/offers").glob("*.base"))


def proved_by(network: Network, member: Member, paid: httpx.Response) -> list[dict[str, Any]]:
    """Have a member prove a payment, verify that as whoever has the file and the genesis's hash does, and
    return the headers of changes that the proof leads through."""
    gateway, payment = Gateway(network, member), paid.json()["id"]
    until(lambda: gateway.send("GET", f"/v1/payments/{payment}").status_code == 200, "it has the payment")
    shown = gateway.send("GET", f"/v1/payments/{payment}/receipt")
    gateway.close()
    assert shown.status_code == 200, shown.text
    assert auditor_says(shown.content, network.plan.genesis_hash)
    trusting = ["verify", "-", "--trust", network.plan.genesis_hash, "--json"]
    verified = CliRunner().invoke(app, trusting, input=shown.content)
    assert verified.exit_code == 0, verified.stderr
    changes: list[dict[str, Any]] = shown.json()["finality"]["changes"]
    told = json.loads(verified.stdout)
    assert (told["payment"], told["outcome"]) == (payment, "applied")
    assert (
        f"followed through {'a change' if len(changes) == 1 else f'{len(changes)} changes'}"
        in told["rests_on"]
    )
    other = CliRunner().invoke(app, [*trusting[:3], "0" * 64], input=shown.content)
    assert other.exit_code == 1
    return changes


def test_a_fifth_begins_at_a_snapshot_while_payments_run_and_again_when_that_is_damaged(
    four: Four, load: Load, fifth: list[Member]
) -> None:
    network = four.network
    with load.running():
        until(lambda: four.height(network.members[0]) > SNAPSHOT_BLOCKS + 2, "a snapshot is offered")
        fifth.append(network.add(network.members[3]))
        load.wait_for(5)
    assert not load.unknown
    four.settle()
    data = network.data(fifth[0])
    assert (data / "chain" / "base.snapshot").exists()
    four.check_one_history()
    gateway = Gateway(network, fifth[0])
    for account in (four.alice, four.bob):
        assert gateway.balance(account) == four.gateways[0].balance(account)
    statement = gateway.get(f"/v1/accounts/{four.bob}/statement")
    assert statement["entries"][0]["brought_forward"] is True
    assert statement["closing_balance"] == four.gateways[0].balance(four.bob)
    gone = gateway.send("GET", f"/v1/payments/{load.acknowledged[0]}")
    assert (gone.status_code, gone.json()["code"]) == (404, "before_beginning")
    last = load.acknowledged[-1]
    assert gateway.get(f"/v1/payments/{last}")["status"] == "settled"
    shown = gateway.send("GET", f"/v1/payments/{last}/receipt")
    verify_receipt(shown.content, genesis_hash=network.plan.genesis_hash)
    gateway.close()
    bond = bond_for(four, fifth[0])
    with load.running():
        behind = four.height(network.members[0])
        until(lambda: all(offered(network, one) > behind for one in network.members[:4]), "a snapshot since")

    network.stop([fifth[0]])
    base = data / "chain" / "base.snapshot"
    flip(base, base.stat().st_size - 200)
    refused(four, fifth[0], "base.snapshot cannot be used")
    network.resync(fifth[0])
    four.settle()
    four.check_one_history()
    changed = proved_by(network, fifth[0], four.gateways[0].pay(four.alice, four.bob, "0.01"))
    # Votes changed in front of the snapshot that it began at, and what leads through that came along.
    assert changed
    assert changed[-1]["height"] < earliest_block(fifth[0])
    four.gateways[3].post(f"/v1/bonds/{bond}/end", {})
    key = network.voting_key(fifth[0])
    until(lambda: votes_in(four, key) == (0, False), "it votes no more")
    again = proved_by(network, fifth[0], four.gateways[0].pay(four.alice, four.bob, "0.01"))
    assert [one["height"] for one in again[:-1]] == [one["height"] for one in changed]


def test_one_with_a_changed_bit_in_its_journal_refuses_to_start_and_takes_its_blocks_again(
    four: Four, load: Load
) -> None:
    before, last = balances(four), four.network.members[3]
    with load.running():
        load.wait_for(3)
    four.settle()
    four.network.stop([last])
    flip(four.network.data(last) / "chain" / "journal" / "00000001.segment", 600)
    with load.running():
        refused(four, last, "is damaged, but what follows says that every block up to")
        four.network.resync(last)
        load.wait_for(2)
    assert not load.unknown
    check_everywhere(four, load, before)
    four.check_one_history()


ORIGIN, KEPT = 130, 10
"""Blocks of the ledger that a network goes on from, and how many CometBFT has to keep. It is told to forget
at block 200, which is not far from there, what lies in front of block 148; how votes changed until then is
kept apart."""


class Moved:
    """A ledger with payments, a hold and ids that still count, and the network that goes on from it.

    Members but for the first forget old blocks, and evidence is too old at once.
    """

    def __init__(self, folder: Path) -> None:
        small = SmallNode(folder / "data", settings=SETTINGS, with_store=True)
        small.clock.time_ns = time.time_ns()
        node, payments = small.node, small.node.payments
        self.alice, self.bob = (render_id(one) for one in (small.alice, small.bob))
        paid, _ = small.pay("12.50")
        held, _ = small.pay("40.00", hold_for_s=3_600)
        self.paid, self.held = map(render_payment_id, (paid, held))
        while node.engine.durable_height < ORIGIN:
            small.pay("0.01")
        self.balances = [small.balance(one) for one in (small.alice, small.bob)]
        self.receipt = payments.receipt(paid)
        self.old_network = network_id(node.folder.genesis).hex()
        node.close()
        self.before = {path: path.read_bytes() for path in (folder / "data" / "keys").iterdir()}
        self.plan = found_from(
            folder / "data",
            folder / "net",
            4,
            checkpoint_interval=CHECKPOINT_BLOCKS,
            snapshot_interval=SNAPSHOT_BLOCKS,
            settings=SETTINGS.partition("[policy]")[0].partition("[pipeline]")[0],
        )
        self.data = folder / "data"
        self.network = Network(folder / "net")
        for member in self.network.members:
            self._forget(self.network.data(member), member.name != "node1")
        self.network.start(self.network.members)

        self.rich = self.other = ""
        self.early: dict[str, Any] = {}
        """The network's first payment."""

    def _forget(self, data: Path, old_blocks: bool) -> None:
        engines = data / "consensus" / "config" / "genesis.json"
        told = json.loads(engines.read_text())
        told["consensus_params"]["evidence"] |= {"max_age_num_blocks": "1", "max_age_duration": "1"}
        engines.write_text(json.dumps(told))
        if old_blocks:
            settings = data / "bezant.toml"
            kept = f"[chain]\nkeep_blocks = {KEPT}\n"
            settings.write_text(settings.read_text().replace("[chain]\n", kept))
            assert kept in settings.read_text()

    def begin(self) -> None:
        """Make the network's first payment, and change who votes with how much."""
        voter = self.network.members[0]
        first = Gateway(self.network, voter)
        self.rich, self.other = first.account("3000.00"), first.account()
        self.early = self.pay(first).json()
        bond = {"account": self.rich, "amount": "2000.00"}
        first.post(f"/v1/validators/{self.network.voting_key(voter)}/bonds", bond)
        first.close()

    def pay(self, gateway: Gateway) -> httpx.Response:
        """Pay a cent, which the ledger of before knows nothing of."""
        paid = gateway.pay(self.rich, self.other, "0.01")
        assert paid.status_code == 201, paid.text
        return paid


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    try:
        usable_program()
    except ConfigError as error:
        pytest.skip(error.message)
    run_self_test()
    made = Moved(tmp_path_factory.mktemp("moved"))
    try:
        made.network.wait_ready(made.network.members)
        made.begin()
        yield made
    finally:
        made.network.stop(made.network.members)


def test_a_ledger_goes_on_as_a_network_with_balances_ids_and_holds(moved: Moved) -> None:
    network = moved.network
    genesis = decode_genesis((network.data(network.members[0]) / "genesis.json").read_bytes())
    assert genesis.origin is not None
    assert genesis.origin.genesis == moved.old_network
    gateways = [Gateway(network, one) for one in network.members]
    first, *others = gateways
    for gateway in gateways:
        for account, minor in zip((moved.alice, moved.bob), moved.balances, strict=True):
            assert gateway.balance(account).replace(".", "") == str(minor)
    # An id from before counts: the same payment is answered, not made again.
    again = first.pay(moved.alice, moved.bob, "12.50", moved.paid)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert first.pay(moved.alice, moved.bob, "12.51", moved.paid).status_code == 422
    captured = first.send("POST", f"/v1/payments/{moved.held}/capture", json={})
    assert captured.status_code == 200, captured.text
    refunded = first.send("POST", f"/v1/payments/{moved.paid}/refunds", json={})
    assert refunded.status_code == 201, refunded.text
    fresh = first.pay(moved.alice, moved.bob, "1.00", uuid7())
    assert fresh.status_code == 201, fresh.text
    expected = [moved.balances[0] - 4_000 + 1_250 - 100, moved.balances[1] + 4_000 - 1_250 + 100]
    for gateway in gateways:
        until(
            lambda gateway=gateway: (
                [int(gateway.balance(one).replace(".", "")) for one in (moved.alice, moved.bob)] == expected
            ),
            "every member has the same balances",
        )
    # What was proved is proved as it was, and what comes now by the network's votes.
    shown = first.send("GET", f"/v1/payments/{moved.paid}/receipt")
    verify_receipt(shown.content, genesis_hash=moved.old_network)
    shown = first.send("GET", f"/v1/payments/{fresh.json()['id']}/receipt")
    verify_receipt(shown.content, genesis_hash=network.plan.genesis_hash)
    told = others[0].send("GET", f"/v1/payments/{moved.paid}")
    assert (told.status_code, told.json()["code"]) == (404, "before_beginning")
    entries = first.get(f"/v1/accounts/{moved.bob}/statement")["entries"]
    assert [one.get("brought_forward") for one in entries] == [None] * len(entries)
    brought = others[0].get(f"/v1/accounts/{moved.bob}/statement")["entries"]
    assert [one.get("brought_forward") for one in brought] == [True] + [None] * (len(brought) - 1)
    for gateway in gateways:
        gateway.close()


def test_members_of_a_moved_ledger_come_back_and_have_one_history(moved: Moved) -> None:
    network = moved.network
    network.stop(network.members[:1])
    network.start(network.members[:1])
    network.wait_ready(network.members)
    top = min(int(network.block(one)["height"]) for one in network.members)
    heights = range(1, top + 1)
    for told in zip(*(network.blocks(one, heights) for one in network.members), strict=True):
        assert all(one == told[0] for one in told), f"block {told[0]['height']} differs"
    first = Gateway(network, network.members[0])
    assert first.get(f"/v1/payments/{moved.paid}")["status"] == "settled"
    first.close()
    assert {path: path.read_bytes() for path in (moved.data / "keys").iterdir()} == moved.before


def test_blocks_that_nobody_needs_are_forgotten_and_whoever_comes_later_begins_behind_them(
    moved: Moved,
) -> None:
    network = moved.network
    keeps, *forget = network.members
    gateways = [Gateway(network, one) for one in network.members]
    early, payment = moved.early, moved.early["id"]
    until_s = time.monotonic() + WAIT_S
    while any(earliest_block(one) <= early["block"] for one in forget):
        assert time.monotonic() < until_s, "nothing was forgotten"
        moved.pay(gateways[0])
    # The ledger has the payment as before; its votes are with whoever keeps them.
    for gateway in gateways[1:]:
        assert gateway.get(f"/v1/payments/{payment}")["block"] == early["block"]
        gone = gateway.send("GET", f"/v1/payments/{payment}/receipt")
        assert (gone.status_code, gone.json()["code"]) == (410, "pruned"), gone.text
        assert "keep_blocks" in gone.json()["detail"]
    assert earliest_block(keeps) == ORIGIN + 1
    shown = gateways[0].send("GET", f"/v1/payments/{payment}/receipt")
    verify_receipt(shown.content, genesis_hash=network.plan.genesis_hash)
    network.stop(forget[:1])
    network.start(forget[:1])
    network.wait_ready(forget[:1], WAIT_S)
    fifth = network.add(forget[2], WAIT_S)
    until(lambda: earliest_block(fifth) > early["block"], "the new member takes blocks")
    paid = moved.pay(gateways[0])
    for member in (forget[0], fifth):
        changes = proved_by(network, member, paid)
        # The headers that the proof leads through are forgotten too, but for their copies.
        assert changes
        assert changes[-1]["height"] < earliest_block(member)
    for gateway in gateways:
        gateway.close()
