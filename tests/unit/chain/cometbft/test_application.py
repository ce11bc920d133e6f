"""What a validator answers CometBFT: the same on each of them, and the same when it is asked again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bezant.chain.cometbft import answers, lanes
from bezant.chain.cometbft.application import Application, Decided
from bezant.chain.cometbft.messages import (
    CheckTx,
    Commit,
    FinalizeBlock,
    Info,
    InitChain,
    PrepareProposal,
    ProcessProposal,
    Query,
)
from bezant.chain.cometbft.messages import Validator as Voter
from bezant.chain.cometbft.orders import KnownOrders
from bezant.chain.cometbft.wire import fields, octets
from bezant.chain.finality import chain_id
from bezant.chain.signatures import gateway_keys
from bezant.chain.storage.chain import StoredChain
from bezant.errors import ConfigError, StorageError
from bezant.ledger.batch import NS_PER_S
from bezant.model.digest import sha256
from bezant.model.genesis import GenesisValidator
from bezant.model.keys import authority_id
from bezant.model.orders import Order, attest, encode_order
from bezant.model.outcomes import Outcome
from bezant.model.packing import pack_order
from bezant.testing.chains import LEDGER_SEED, ChainWorld
from bezant.testing.ledgers import ALICE, BOB, NODE, seeded_key, small_genesis

VOTER = seeded_key("voter").public
GENESIS = msgspec.structs.replace(
    small_genesis(checkpoint_interval=4), validators=(GenesisValidator(VOTER.hex(), 10, 1),)
)


class Replica:
    """One validator's application over a chain of its own, told of blocks by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()

    def open(self) -> None:
        self.kept: list[Decided] = []
        self.chain = StoredChain(self.folder, GENESIS, NODE, LEDGER_SEED)
        self.orders = KnownOrders(self.chain.network, gateway_keys(GENESIS.gateways))
        self.application = Application(self.chain, self.orders, self.kept.append)

    def restart(self) -> None:
        """Come back with what is on the disk alone."""
        self.chain._files.close()
        self.open()

    def finalize(self, block: FinalizeBlock) -> bytes:
        return self.application(block)

    def decide(self, block: FinalizeBlock) -> bytes:
        answer = self.application(block)
        self.application(Commit())
        return answer

    @property
    def info(self) -> bytes:
        return self.application(Info())


class Author(ChainWorld):
    """Writes Orders, and the blocks that a network would decide of them."""

    height = 0

    def block(self, *orders: Order | bytes) -> FinalizeBlock:
        self.height += 1
        self.skip(1)
        data = tuple(one if isinstance(one, bytes) else pack_order(self.network, one) for one in orders)
        return FinalizeBlock(data, bytes([self.height]) * 32, self.height, self.scribe.now_ns + NS_PER_S)

    def funding(self) -> list[FinalizeBlock]:
        """Return blocks that give ALICE and BOB their accounts; this world's own chain has them too."""
        blocks: list[FinalizeBlock] = []
        submit = self.engine.submit

        def noted(orders: list[Order], *rest: object) -> object:
            blocks.append(self.block(*orders))
            return submit(orders)

        self.engine.submit = noted  # type: ignore[method-assign, assignment]
        self.alice, self.bob = self.fund()
        del self.engine.submit  # type: ignore[method-assign]
        return blocks


@pytest.fixture
def author(tmp_path: Path) -> Iterator[Author]:
    made = Author(tmp_path / "author", genesis=GENESIS)
    yield made
    made.engine.close()


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[list[Replica]]:
    made = [Replica(tmp_path / f"replica{number}") for number in range(3)]
    yield made
    for one in made:
        one.chain.close()


def inside(answer: bytes, wanted: int) -> list[bytes]:
    """Return every field of bytes of a number inside a Response."""
    ((_, body),) = fields(memoryview(answer))
    return [bytes(octets(value)) for number, value in fields(octets(body)) if number == wanted]


def app_hash_of(answer: bytes) -> bytes:
    return inside(answer, 5)[0]


def test_every_validator_answers_the_same_bytes_whenever_it_was_restarted(
    author: Author, replicas: list[Replica]
) -> None:
    blocks = author.funding()
    for amount in range(1, 12):
        row = author.transfer(author.alice, author.bob, amount)
        blocks.append(author.block(author.order((ALICE, row))))
        blocks.append(author.block())
    first, second, third = replicas
    for place, block in enumerate(blocks):
        told = first.decide(block)
        assert second.decide(block) == told
        # One that loses what it applied and did not commit applies it again.
        if place % 3 == 0:
            third.finalize(block)
            third.restart()
        assert third.decide(block) == told
        assert first.info == second.info == third.info
    roots = [one.chain.state_root_in(height) for one in replicas for height in range(1, len(blocks) + 1)]
    covered = roots[: len(blocks)]
    assert roots == covered * 3
    assert sum(root is not None for root in covered) >= 4


def test_a_block_that_is_asked_for_again_has_the_same_answer_and_another_one_has_none(
    author: Author, replicas: list[Replica]
) -> None:
    one, block = replicas[0], author.funding()[0]
    told = one.finalize(block)
    assert one.finalize(block) == told
    other = FinalizeBlock((), b"other" * 6 + b"xx", block.height, block.time_ns)
    with pytest.raises(StorageError, match="another one is asked for"):
        one.finalize(other)
    one.application(Commit())
    assert [decided.applied.block.height for decided in one.kept] == [1]
    with pytest.raises(StorageError, match="no decided block"):
        one.application(Commit())
    with pytest.raises(StorageError, match="do not belong together"):
        one.finalize(FinalizeBlock((), b"x" * 32, 7, block.time_ns))


def test_info_tells_of_the_last_commit_and_nothing_later(author: Author, replicas: list[Replica]) -> None:
    one, blocks = replicas[0], author.funding()
    assert one.info == answers.info("bezant", "1", 0, bytes(32))
    one.decide(blocks[0])
    before = one.info
    one.finalize(blocks[1])
    assert one.info == before
    one.application(Commit())
    assert one.info != before


def test_an_empty_block_changes_no_app_hash_though_a_checkpoint_falls_on_it(
    author: Author, replicas: list[Replica]
) -> None:
    one = replicas[0]
    for block in author.funding():
        last = app_hash_of(one.decide(block))
    for _ in range(4):
        told = [app_hash_of(one.decide(author.block())) for _ in range(4)]
    assert told == [told[0]] * 4, "only the root of what had changed entered, once"
    assert told[0] != last


def test_what_nobody_can_read_is_passed_over_with_a_code(author: Author, replicas: list[Replica]) -> None:
    one = replicas[0]
    for block in author.funding():
        one.decide(block)
    paid = author.order((ALICE, author.transfer(author.alice, author.bob, 5)))
    told = one.decide(author.block(b"junk", paid))
    assert inside(told, 2) == [b"\x08\x01", b""]
    assert one.kept[-1].applied.block.receipts["outcome"].tolist() == [Outcome.APPLIED]


def test_the_mempool_takes_what_a_gateway_signed_and_nothing_else(
    author: Author, replicas: list[Replica]
) -> None:
    one = replicas[0]
    order = author.order((ALICE, author.transfer(1, 2, 5)))
    data = encode_order(author.network, order)
    assert one.application(CheckTx(data, recheck=False)) == answers.check_tx(answers.OK)
    stranger = attest(
        author.network, Order(order.gateway, order.authorisations, order.records, order.decisions), BOB
    )
    for bad in (b"", data[:-1], encode_order(author.network, stranger)):
        answer = one.application(CheckTx(bad, recheck=False))
        assert answer != answers.check_tx(answers.OK)
        assert one.application(ProcessProposal((data, bad), b"", 1, 1)) == answers.process_proposal(False)
    assert one.application(ProcessProposal((data, data), b"", 1, 1)) == answers.process_proposal(True)


def test_an_order_travels_in_one_form_and_is_read_in_both(author: Author, replicas: list[Replica]) -> None:
    """Packed where that is shorter: else one Order would have two names, and count twice in a block."""
    one, other = replicas[:2]
    for block in author.funding():
        one.decide(block)
        other.decide(block)
    rows = np.concatenate([author.transfer(author.alice, author.bob, 5) for _ in range(3)])
    order = author.order((ALICE, rows))
    plain, packed = encode_order(author.network, order), pack_order(author.network, order)
    assert one.application(CheckTx(packed, recheck=False)) == answers.check_tx(answers.OK)
    assert b"not packed" in one.application(CheckTx(plain, recheck=False))
    assert one.application(ProcessProposal((packed,), b"", 1, 1)) == answers.process_proposal(True)
    assert one.application(ProcessProposal((plain,), b"", 1, 1)) == answers.process_proposal(False)
    assert lanes.choose(one.orders, [plain, packed], -1) == [packed]
    # A network that decided on it before Orders were packed is joined by reading its blocks.
    decided = author.block(plain)
    same = replace(decided, orders=(packed,))
    assert app_hash_of(one.decide(decided)) == app_hash_of(other.decide(same))


def _order_of(author: Author, size: int, *, commands: bool) -> bytes:
    """Return an Order of about so many bytes."""
    count = size // 192
    if commands:
        rows = np.concatenate([author.scribe.register(ALICE)] * count)
    else:
        rows = np.concatenate([author.transfer(1, 2, 5)] * count)
    rows["id_lo"] += np.arange(count).astype(np.uint64)
    batch = author.scribe.batch(*[(ALICE, rows[at : at + 1024]) for at in range(0, count, 1024)])
    gateway = authority_id(GATEWAY_KEY.public)
    made = Order(gateway, batch.authorisations, batch.records, batch.decisions)
    return pack_order(author.network, attest(author.network, made, GATEWAY_KEY))


GATEWAY_KEY = seeded_key("gateway")


def test_commands_leave_room_for_payments_however_many_there_are(
    author: Author, replicas: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "MAX_BLOCK_BYTES", 400_000)
    monkeypatch.setattr(lanes, "MAX_COMMAND_BYTES", 100_000)
    one = replicas[0]
    commands = [_order_of(author, 40_000, commands=True) for _ in range(20)]
    payments = [_order_of(author, 40_000, commands=False) for _ in range(5)]
    chosen = one.application(PrepareProposal(-1, (*commands, *payments), 1, 1))
    expected = [*commands[:2], *payments]
    assert chosen == answers.prepare_proposal(expected)
    assert not lanes.problem(one.orders, expected)
    assert "commands take more" in lanes.problem(one.orders, [*commands[:3], *payments])
    assert "Orders take more" in lanes.problem(one.orders, payments * 2)
    assert lanes.choose(one.orders, payments, 2 * len(payments[0]) + 100) == payments[:2]
    assert lanes.choose(one.orders, [b"junk", payments[0]], -1) == payments[:1]
    assert lanes.choose(one.orders, [*payments[:2], payments[0]], -1) == payments[:2]


class Gateway:
    """Orders that wait for their node's turn, and those that it saw proposed."""

    def __init__(self, *waiting: bytes) -> None:
        self.waiting, self.asked, self.seen = waiting, list[int](), list[bytes]()

    def offer(self, height: int) -> Sequence[bytes]:
        self.asked.append(height)
        return self.waiting

    def proposed(self, names: Iterable[bytes]) -> None:
        self.seen += names


def test_what_waits_for_this_node_s_turn_is_proposed_behind_the_mempool_s(
    author: Author, replicas: list[Replica]
) -> None:
    one = replicas[0]
    first, second, third = (_order_of(author, 4_000, commands=False) for _ in range(3))
    gateway = Gateway(first, second, b"junk")
    asks = Application(one.chain, one.orders, one.kept.append, own=gateway)
    assert asks(PrepareProposal(-1, (third, second), 7, 1)) == answers.prepare_proposal(
        [third, second, first]
    )
    assert gateway.asked == [7]
    assert asks(ProcessProposal((third, b"junk"), b"", 7, 1)) == answers.process_proposal(False)
    assert gateway.seen == []
    assert asks(ProcessProposal((third, first), b"", 7, 1)) == answers.process_proposal(True)
    assert gateway.seen == [sha256(third), sha256(first)]


def test_a_genesis_of_another_network_is_refused(replicas: list[Replica]) -> None:
    one = replicas[0]
    name = chain_id(one.chain.network)
    right = InitChain(1, name, (Voter(VOTER, 10),), b"", 1)
    assert one.application(right) == answers.init_chain(bytes(32))
    for wrong in (
        InitChain(1, "bezant-other", right.validators, b"", 1),
        InitChain(1, name, (Voter(VOTER, 11),), b"", 1),
        InitChain(1, name, (), b"", 1),
        InitChain(1, name, right.validators, b"", 2),
    ):
        with pytest.raises(ConfigError, match="same genesis"):
            one.application(wrong)


@pytest.mark.parametrize("breaking", ["apply", "keep"])
def test_nothing_is_decided_on_half_a_block(
    author: Author, replicas: list[Replica], monkeypatch: pytest.MonkeyPatch, breaking: str
) -> None:
    one, blocks = replicas[0], author.funding()

    def break_off(block: object) -> None:
        raise MemoryError("no room")

    with monkeypatch.context() as broken:
        if breaking == "apply":
            broken.setattr(one.chain, "_on_applied", break_off)
        else:
            one.chain.subscribe(break_off)
        with pytest.raises(MemoryError):
            one.decide(blocks[0])
    assert one.chain.height == 1
    for again in (blocks[0], blocks[1], Commit(), Info(), ProcessProposal((), b"", 1, 1)):
        with pytest.raises(StorageError, match="broke off within block 1"):
            one.application(again)
    one.restart()
    assert one.chain.height == (breaking == "keep")
    for block in blocks[one.chain.height :]:
        one.decide(block)


def test_a_vault_that_failed_keeps_no_validator_from_voting(author: Author, replicas: list[Replica]) -> None:
    one = replicas[0]
    one.chain._writer.fail("sealing evidence", StorageError("the disk of the vault is full"))
    for block in author.funding():
        one.decide(block)
    assert one.chain.durable_height == 3


def test_a_query_says_what_a_block_hashed_to(author: Author, replicas: list[Replica]) -> None:
    one = replicas[0]
    told = [app_hash_of(one.decide(block)) for block in author.funding()]
    for height, app_hash in enumerate(told, 1):
        (value,) = inside(one.application(Query(b"", "/block", height)), 7)
        assert json.loads(value)["app_hash"] == app_hash.hex()
    refused = one.application(Query(b"", "/block", 99))
    assert refused == answers.query(answers.REFUSED, b"", 0, "there is no block 99; the last one is 3")
    assert one.application(Query(b"", "/other", 1)) != refused


def test_the_memory_of_orders_is_bounded(author: Author) -> None:
    first, second = (_order_of(author, 20_000, commands=False) for _ in range(2))
    orders = KnownOrders(author.network, gateway_keys(GENESIS.gateways), limit=30_000)
    kept = orders.read(first)
    assert orders.read(first) is kept
    orders.read(second)
    assert orders.read(first) is not kept
    orders.forget(kept.name)
    assert orders.read(first) is not kept


def test_an_order_that_fits_into_no_block_stays_out_of_the_mempool(replicas: list[Replica]) -> None:
    too_long = bytes(lanes.MAX_ORDER_BYTES + 1)
    for data, said in ((too_long, b"fits into no block"), (too_long[:-1], b"not an Order")):
        assert said in replicas[0].application(CheckTx(data, recheck=False))
