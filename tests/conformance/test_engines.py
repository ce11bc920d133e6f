"""What an engine promises, on every engine: the embedded one, and CometBFT with one validator."""

from __future__ import annotations

import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bezant.chain.balances import build_balance, render_balance, verify_balance
from bezant.chain.blocks import CommittedBlock
from bezant.chain.cometbft.engine import CometEngine
from bezant.chain.cometbft.program import usable_program
from bezant.chain.embedded.engine import EmbeddedEngine
from bezant.chain.engine import Answered
from bezant.chain.receipts import build_receipt, render_receipt, verify_receipt
from bezant.errors import BezantError, ConfigError, DecodeError, NotFound, UnknownOutcome
from bezant.ledger.batch import NS_PER_S
from bezant.model.genesis import Genesis
from bezant.model.identifiers import AccountId
from bezant.model.keys import SigningKey, authority_id
from bezant.model.orders import Order, attest
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, RecordArray, id_of
from bezant.testing.chains import LEDGER_SEED
from bezant.testing.cometbft import SoleValidator, with_sole_validator
from bezant.testing.ledgers import (
    ALICE,
    BANK,
    BOB,
    GATEWAY,
    ISSUER,
    NODE,
    Scribe,
    record,
    small_genesis,
    treasury,
)

Part = tuple[SigningKey, RecordArray]
CHECKPOINT_INTERVAL = 4


class World(ABC):
    """An engine that can be closed and opened again, whose Orders are of this moment."""

    engine: EmbeddedEngine | CometEngine

    def __init__(self, folder: Path, genesis: Genesis) -> None:
        self.folder, self.genesis = folder, genesis
        self.heard: list[CommittedBlock] = []
        self.prepared: list[str] = []
        self.open()
        self.scribe = Scribe(self.engine.network)

    @abstractmethod
    def open(self) -> None: ...

    def close(self) -> None:
        self.engine.close()

    def order(self, *parts: Part) -> Order:
        self.scribe.now_ns = time.time_ns() - NS_PER_S
        batch = self.scribe.batch(*parts)
        made = Order(authority_id(GATEWAY.public), batch.authorisations, batch.records, batch.decisions)
        return attest(self.engine.network, made, GATEWAY)

    def submit(self, *orders: Order) -> Answered:
        """Submit and return the answers once they are durable."""
        submitted = self.engine.submit(orders, prepare=lambda: self.prepared.append("sealed"))
        if isinstance(submitted, CommittedBlock):
            self.engine.wait_durable(submitted.height, 30)
            own = submitted.receipts[submitted.system_count :]
            times = np.full(len(own), submitted.time_ns)
            return Answered(own, np.full(len(own), submitted.height), times)
        told: queue.Queue[Answered | BezantError] = queue.Queue()
        submitted.tell(told.put)
        answer = told.get(timeout=30)
        if isinstance(answer, BezantError):
            raise answer
        return answer

    def transfer(self, debtor: int, creditor: int, amount: int, **given: Any) -> RecordArray:
        self.scribe.now_ns = time.time_ns()
        fields = {"id": self.scribe.new_id()} | given
        return record(Kind.TRANSFER, debtor=debtor, creditor=creditor, amount=amount, **fields)

    def fund(self, amount: int = 1_000) -> tuple[AccountId, AccountId]:
        self.scribe.now_ns = time.time_ns()
        opened, issuing = treasury(self.scribe)
        keys = [self.scribe.register(key) for key in (ALICE, BOB)]
        self.submit(self.order((ISSUER, np.concatenate([opened, *keys]))))
        (row_a, alice), (row_b, bob) = self.scribe.open(2, ALICE), self.scribe.open(2, BOB)
        self.submit(self.order((BANK, np.concatenate([row_a, row_b]))))
        rows = [self.transfer(issuing, to, amount) for to in (alice, bob)]
        told = self.submit(self.order((ISSUER, np.concatenate(rows))))
        assert told.receipts["outcome"].tolist() == [Outcome.APPLIED] * 2
        return alice, bob

    def balance(self, account: AccountId) -> int:
        row = self.engine.ledger.account(account)
        assert row is not None
        return int(row["credits_posted_lo"]) - int(row["debits_posted_lo"])


class EmbeddedWorld(World):
    def open(self) -> None:
        self.engine = EmbeddedEngine(self.folder, self.genesis, NODE, LEDGER_SEED)
        self.engine.subscribe(self.heard.append)
        self.engine.start()


class CometWorld(World):
    def __init__(self, folder: Path, genesis: Genesis) -> None:
        self.genesis = with_sole_validator(genesis)
        self.validator = SoleValidator(folder, self.genesis)
        super().__init__(folder / "chain", self.genesis)

    def open(self) -> None:
        self.engine = CometEngine(
            self.folder,
            self.genesis,
            NODE,
            LEDGER_SEED,
            socket=self.validator.socket,
            rpc_url=self.validator.rpc_url,
            before_sync=lambda: self.prepared.append("synced"),
        )
        self.engine.subscribe(self.heard.append)
        self.validator.run(self.engine)

    def close(self) -> None:
        self.validator.stop()
        super().close()


WORLDS: dict[str, Callable[[Path, Genesis], World]] = {"embedded": EmbeddedWorld, "cometbft": CometWorld}


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "cometbft":
        try:
            usable_program()
        except ConfigError as error:
            pytest.skip(error.message)
    made = WORLDS[request.param](tmp_path, small_genesis(checkpoint_interval=CHECKPOINT_INTERVAL))
    yield made
    made.close()


def test_every_record_is_answered_in_its_place_and_order(world: World) -> None:
    alice, bob = world.fund()
    first = world.order(
        (ALICE, np.concatenate([world.transfer(alice, bob, 10), world.transfer(alice, bob, 5_000)]))
    )
    second = world.order((BOB, world.transfer(bob, alice, 3)))
    told = world.submit(first, second)
    assert told.receipts["outcome"].tolist() == [
        Outcome.APPLIED, Outcome.INSUFFICIENT_FUNDS, Outcome.APPLIED
    ]  # fmt: skip
    ids = [id_of(row, "id") for order in (first, second) for row in order.records]
    assert [id_of(row, "id") for row in told.receipts] == ids
    assert (told.height <= world.engine.durable_height).all()
    assert (told.time_ns > 0).all()
    assert (world.balance(alice), world.balance(bob)) == (993, 1_007)


def test_evidence_is_sealed_before_the_block(world: World) -> None:
    world.fund()
    assert world.prepared.count("sealed") == 3
    assert world.prepared[0] == "sealed"


def test_subscribers_hear_of_every_block_once_and_it_can_be_read_back(world: World) -> None:
    world.fund()
    heights = [block.height for block in world.heard]
    assert heights == list(range(1, len(heights) + 1))
    for heard, read in zip(list(world.heard), world.engine.blocks_from(1), strict=False):
        assert heard.app_hash == read.app_hash == world.engine.app_hash_at(heard.height)
        assert heard.receipts.tobytes() == read.receipts.tobytes()
        assert (heard.time_ns, heard.state_root) == (read.time_ns, read.state_root)


def test_a_repeated_record_is_known(world: World) -> None:
    alice, bob = world.fund()
    row = world.transfer(alice, bob, 10)
    world.submit(world.order((ALICE, row)))
    told = world.submit(world.order((ALICE, row), (BOB, world.transfer(bob, alice, 1))))
    assert told.receipts["outcome"].tolist() == [Outcome.EXISTS, Outcome.APPLIED]
    assert (world.balance(alice), world.balance(bob)) == (991, 1_009)


def test_a_forged_signature_is_an_outcome_of_its_record_alone(world: World) -> None:
    alice, bob = world.fund()
    told = world.submit(
        world.order((BOB, world.transfer(alice, bob, 10)), (ALICE, world.transfer(alice, bob, 1)))
    )
    assert told.receipts["outcome"][0] != Outcome.APPLIED
    assert told.receipts["outcome"][1] == Outcome.APPLIED
    assert world.balance(alice) == 999


def test_a_payment_and_a_balance_are_proved_offline(world: World) -> None:
    alice, bob = world.fund()
    told = world.submit(world.order((ALICE, world.transfer(alice, bob, 10))))
    identity = id_of(told.receipts[0], "id")
    data = render_receipt(build_receipt(world.engine.prove(identity), open_debtor=True))
    receipt = verify_receipt(data, genesis_hash=world.engine.network.hex())
    assert receipt.summary.block == told.height[0]
    balance = _proved_balance(world, bob)
    found = verify_balance(render_balance(balance), genesis_hash=world.engine.network.hex())
    assert found is not None
    with pytest.raises(NotFound):
        world.engine.prove(1)


def _proved_balance(world: World, account: AccountId) -> Any:
    """Prove a balance; a network covers states at its own heights, so give it blocks until it has."""
    for amount in range(1, 3 * CHECKPOINT_INTERVAL):
        try:
            return build_balance(world.engine.prove_account(account), None)
        except NotFound:
            world.submit(world.order((BOB, world.transfer(account, account, amount))))
    raise AssertionError("no state root was covered")


def test_histories_are_proved_to_go_on(world: World) -> None:
    world.fund()
    durable = world.engine.durable_height
    assert world.engine.checkpoint().checkpoint.height >= durable
    assert world.engine.prove_consistency(1, durable)
    world.engine.prove_block(1, durable)
    with pytest.raises(NotFound):
        world.engine.checkpoint(durable + 100)


def test_a_restart_brings_everything_back_and_goes_on(world: World) -> None:
    alice, bob = world.fund()
    before, hashes = world.engine.height, [block.app_hash for block in world.heard]
    world.close()
    world.heard.clear()
    world.open()
    assert world.engine.height >= before
    assert [world.engine.app_hash_at(height) for height in range(1, before + 1)] == hashes[:before]
    assert (world.balance(alice), world.balance(bob)) == (1_000, 1_000)
    told = world.submit(world.order((ALICE, world.transfer(alice, bob, 10))))
    assert told.receipts["outcome"].tolist() == [Outcome.APPLIED]
    assert told.height[0] > before


def test_an_order_of_no_shape_is_refused_and_nothing_happens(world: World) -> None:
    alice, bob = world.fund()
    order = world.order((ALICE, world.transfer(alice, bob, 10)))
    cut = Order(order.gateway, order.authorisations, order.records[:0], order.decisions)
    with pytest.raises(DecodeError):
        world.engine.submit([cut])
    assert world.balance(alice) == 1_000


def test_a_network_whose_engine_has_gone_says_that_nothing_was_accepted(tmp_path: Path) -> None:
    try:
        usable_program()
    except ConfigError as error:
        pytest.skip(error.message)
    world = CometWorld(tmp_path, small_genesis())
    alice, bob = world.fund()
    world.validator.kill()
    with pytest.raises(BezantError) as refused:
        world.submit(world.order((ALICE, world.transfer(alice, bob, 10))))
    assert refused.value.code in ("consensus_unreachable", "outcome_unknown")
    assert refused.value.retryable or isinstance(refused.value, UnknownOutcome)
    world.close()
