"""Faults that CometBFT reports reach the ledger, and votes that the ledger gives reach CometBFT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bezant.chain.cometbft import voters
from bezant.chain.cometbft.application import Application, Decided
from bezant.chain.cometbft.messages import Commit, FinalizeBlock, Validator, decode_request
from bezant.chain.cometbft.orders import KnownOrders
from bezant.chain.cometbft.wire import fields, integer, octets, put_bytes, put_integer, put_part
from bezant.chain.finality import address
from bezant.chain.signatures import gateway_keys
from bezant.chain.storage.chain import StoredChain
from bezant.errors import InvariantViolation
from bezant.ledger import open_items
from bezant.ledger.batch import NS_PER_S
from bezant.model.genesis import GenesisValidator, Stake
from bezant.model.keys import authority_id
from bezant.model.orders import Order
from bezant.model.outcomes import Outcome
from bezant.model.packing import pack_order
from bezant.model.records import Kind, RecordArray, id_of
from bezant.testing.chains import LEDGER_SEED, ChainWorld
from bezant.testing.ledgers import BANK, ISSUER, NODE, record, seeded_key, small_genesis, treasury

FIRST, SECOND = (seeded_key(name).public for name in ("first voter", "second voter"))
STRANGER = seeded_key("a stranger").public
STAKE = Stake(asset=1, unit=10, unbonding_s=60, slash_ppm=500_000, jail_s=5, away_blocks=2)
GENESIS = msgspec.structs.replace(
    small_genesis(),
    validators=tuple(GenesisValidator(key.hex(), 10, 2) for key in (FIRST, SECOND)),
    stake=STAKE,
)


class Voting:
    """One validator's application, told of blocks by hand; the bank has 1,000 minor units."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.author = folder, ChainWorld(folder / "author", genesis=GENESIS)
        self.open()
        scribe = self.author.scribe
        opened, self.treasury = treasury(scribe)
        account, self.bank = scribe.open(2, BANK)
        self.decide((ISSUER, opened), (BANK, account))
        self.decide((ISSUER, self.author.transfer(self.treasury, self.bank, 1_000)))

    def open(self) -> None:
        self.kept: list[Decided] = []
        self.chain = StoredChain(self.folder / "chain", GENESIS, NODE, LEDGER_SEED)
        orders = KnownOrders(self.chain.network, gateway_keys(GENESIS.gateways))
        self.application = Application(self.chain, orders, self.kept.append)

    def block(self, *parts: tuple[object, RecordArray], **reported: tuple[bytes, ...]) -> FinalizeBlock:
        orders: list[Order] = [self.author.order(part) for part in parts]  # type: ignore[arg-type]
        self.author.skip(1)
        height = self.chain.height + 1
        data = tuple(pack_order(self.author.network, one) for one in orders)
        return FinalizeBlock(
            data, bytes([height]) * 32, height, self.author.scribe.now_ns + NS_PER_S, **reported
        )

    def decide(self, *parts: tuple[object, RecordArray], **reported: tuple[bytes, ...]) -> dict[bytes, int]:
        """Have a block decided; return the votes that CometBFT is told of, by key."""
        answer = self.application(self.block(*parts, **reported))
        self.application(Commit())
        return told(answer)

    def bond(self, amount: int, key: bytes = FIRST) -> RecordArray:
        ids = {"id": self.author.scribe.new_id(), "debtor": self.bank, "creditor": self.treasury}
        return record(Kind.BOND, amount=amount, commitment=key, **ids)

    def powers(self) -> dict[bytes, int]:
        return {voter.key: voter.power for voter in open_items.validators(self.chain.ledger)}


def told(answer: bytes) -> dict[bytes, int]:
    """Return the validator updates inside an answer to FinalizeBlock."""
    ((_, body),) = fields(memoryview(answer))
    found: dict[bytes, int] = {}
    for number, value in fields(octets(body)):
        if number == 3:
            update = dict(fields(octets(value)))
            key = bytes(octets(dict(fields(octets(update[1])))[1]))
            found[key] = integer(update.get(2, 0))
    return found


@pytest.fixture
def voting(tmp_path: Path) -> Iterator[Voting]:
    made = Voting(tmp_path)
    yield made
    made.chain.close()
    made.author.engine.close()


def test_votes_follow_from_bonds(voting: Voting) -> None:
    first = voting.bond(50)
    assert voting.decide((BANK, first)) == {FIRST: 15}
    assert voting.decide((BANK, voting.bond(20, STRANGER)), (BANK, voting.bond(9, SECOND))) == {STRANGER: 2}
    end = {"id": voting.author.scribe.new_id(), "related": id_of(first[0], "id")}
    row = record(Kind.UNBOND, debtor=voting.bank, creditor=voting.treasury, **end)
    assert voting.decide((BANK, row)) == {FIRST: 10}
    assert voting.decide() == {}


def test_who_signed_twice_loses_its_votes_and_part_of_its_bonds(voting: Voting) -> None:
    voting.decide((BANK, voting.bond(50)))
    assert voting.decide(misbehaving=(address(FIRST),)) == {FIRST: 0}
    outcomes = voting.kept[-1].applied.block.receipts["outcome"].tolist()
    assert outcomes == [Outcome.JAILED, Outcome.SLASHED]
    assert voting.decide(misbehaving=(address(FIRST),)) == {}
    assert voting.decide(misbehaving=(address(STRANGER),)) == {}


def test_who_is_away_for_long_loses_its_votes_until_it_rejoins(voting: Voting) -> None:
    away = (address(SECOND),)
    assert voting.decide(absent=away) == {}
    assert voting.decide() == {}, "it was there again"
    assert voting.decide(absent=away) == {}
    assert voting.decide(absent=away) == {SECOND: 0}
    voting.author.skip(10)
    bank = {"id": voting.author.scribe.new_id(), "debtor": authority_id(BANK.public), "asset": 0}
    assert voting.decide((BANK, record(Kind.REJOIN, commitment=SECOND, **bank))) == {SECOND: 10}


def test_the_last_votes_stay(voting: Voting) -> None:
    assert voting.decide(misbehaving=(address(FIRST),)) == {FIRST: 0}
    assert voting.decide(misbehaving=(address(SECOND),)) == {}
    assert voters.powers(voting.chain.ledger) == {FIRST: 0, SECOND: 10}
    assert voting.decide((BANK, voting.bond(50, SECOND))) == {SECOND: 15}
    with pytest.raises(InvariantViolation, match="no validator has votes"):
        voters.updates({FIRST: 1}, {FIRST: 0})


def test_faults_are_in_the_journal_and_a_restart_comes_to_the_same(voting: Voting) -> None:
    voting.decide((BANK, voting.bond(50)))
    voting.decide(absent=(address(SECOND),))
    voting.decide(absent=(address(SECOND),), misbehaving=(address(FIRST),))
    before = open_items.validators(voting.chain.ledger), voting.chain.app_hash
    block = voting.block(absent=(address(SECOND),))
    answer = voting.application(block)
    voting.chain._files.close()
    voting.open()
    assert (open_items.validators(voting.chain.ledger), voting.chain.app_hash) == before
    assert voting.application(block) == answer, "what was not committed is applied again"


def test_votes_and_evidence_are_read_as_protobuf_writes_them() -> None:
    def vote(key: bytes, flag: int) -> bytes:
        validator = put_bytes(1, address(key)) + put_integer(3, 10)
        return put_part(2, put_part(1, validator) + put_integer(3, flag))

    commit = put_integer(1, 1) + vote(FIRST, 2) + vote(SECOND, 1) + vote(STRANGER, 3)
    evidence = put_integer(1, 1) + put_part(2, put_bytes(1, address(FIRST))) + put_integer(3, 7)
    body = put_bytes(1, b"order") + put_part(2, commit) + put_part(3, evidence) + put_integer(5, 8)
    request = decode_request(memoryview(put_part(20, body)))
    assert request == FinalizeBlock((b"order",), b"", 8, 0, (address(SECOND),), (address(FIRST),))
    assert replace(request, absent=()).misbehaving == (address(FIRST),)


def test_changes_are_told_in_the_order_of_the_keys() -> None:
    keys = sorted((FIRST, SECOND, STRANGER))
    after = dict.fromkeys(reversed(keys), 3)
    assert voters.updates({keys[0]: 3}, after) == [Validator(keys[1], 3), Validator(keys[2], 3)]
