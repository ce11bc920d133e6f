"""One validator runs twice under one key: it is caught, pays for it, and votes no more. The last of these
tests, because a validator that is gone does not come back."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode
from collections.abc import Iterator

import pytest

from bezant.chain.cometbft.home import Peer, Ports, node_id, secret_of, write_home
from bezant.interfaces.network.control import VOTED
from bezant.interfaces.network.plan import Member
from bezant.interfaces.network.ports import free_ports
from bezant.model.digest import sha256
from bezant.model.genesis import decode_genesis

from .conftest import Four, until
from .test_faults import Load

CAUGHT_S = 120.0


def make_twin(four: Four, member: Member) -> Member:
    """Return a member with another one's voting key, ledger and blocks, and ports and a name of its own.

    The other one must not run.
    """
    network = four.network
    twin = Member("twin", *free_ports(3))
    own, other = network.data(member), network.data(twin)
    shutil.copytree(own, other, ignore=shutil.ignore_patterns("consensus", "*.sock", "*.lock"))
    settings = (own / "bezant.toml").read_text()
    for before, after in ((member.http_port, twin.http_port), (member.rpc_port, twin.rpc_port)):
        settings = settings.replace(str(before), str(after))
    (other / "bezant.toml").write_text(settings)
    peers = [
        Peer(
            node_id(secret_of(network.data(one) / "consensus/config/node_key.json")),
            "127.0.0.1",
            one.peer_port,
        )
        for one in network.members
    ]
    write_home(
        other / "consensus",
        decode_genesis((own / "genesis.json").read_bytes()),
        validator_seed=secret_of(own / "consensus/config/priv_validator_key.json"),
        node_seed=sha256(b"bezant test twin"),
        abci_address=f"unix://{other / 'abci.sock'}",
        ports=Ports(twin.peer_port, twin.rpc_port),
        peers=peers,
        moniker="twin",
    )
    blocks = other / "consensus/data"
    shutil.rmtree(blocks)
    # What the real one voted for last is copied too: from here on neither knows of the other's votes.
    shutil.copytree(own / "consensus/data", blocks)
    assert (blocks / VOTED).exists()
    return twin


@pytest.fixture
def pair(four_of_them: Four) -> Iterator[tuple[Four, Member]]:
    four_of_them.heal()
    yield four_of_them, Member("twin", 0, 0, 0)
    four_of_them.network.stop([Member("twin", 0, 0, 0)])


def test_a_validator_that_signs_twice_is_slashed_and_removed(pair: tuple[Four, Member]) -> None:
    four, _ = pair
    network, (*_, last) = four.network, four.network.members
    issuer, bank = four.gateways[0], four.gateways[3]
    account = bank.account()
    four.settle()
    assert issuer.pay(four.alice, account, "2000.00").status_code == 201
    four.settle()
    public = json.loads((network.data(last) / "consensus/config/priv_validator_key.json").read_text())
    key = b64decode(public["pub_key"]["value"]).hex()
    bond = bank.post(f"/v1/validators/{key}/bonds", {"account": account, "amount": "2000.00"})
    assert bond["status"] == "bonded"

    def seen() -> dict[str, object]:
        listed = issuer.get("/v1/validators")["validators"]
        return next(one for one in listed if one["key"] == key)

    until(lambda: seen()["votes"] == 12, "the issuer's member has the block with the bond, too")
    network.stop([last])
    twin = make_twin(four, last)
    network.start([last, twin])
    network.wait_ready([last, twin])
    load = Load(issuer, four.alice, four.bob)
    with load.running():
        until(lambda: seen()["status"] == "removed", "the evidence reaches the ledger", CAUGHT_S)
        load.wait_for(3)
    assert seen()["votes"] == 0
    # What it costs is the rule in force: others may have voted on it before.
    rules = {one["rule"]: one["value"] for one in issuer.get("/v1/governance")["rules"]}
    left = f"{2_000 - rules['slash_ppm'] * 2_000 // 1_000_000}.00"
    assert seen()["bonded"] == {"amount": left, "asset": "EUR"}
    network.stop([twin])
    four.settle()
    assert {gateway.balance(account) for gateway in four.gateways} == {left}
    four.check_one_history()
