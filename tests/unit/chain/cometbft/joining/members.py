"""Members of a network over chains of their own, one of which began behind a snapshot of another."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from tests.unit.chain.cometbft.test_application import Author, inside

from bezant.chain.cometbft.application import Application
from bezant.chain.cometbft.joining import Joining
from bezant.chain.cometbft.messages import (
    ApplyChunk,
    Commit,
    FinalizeBlock,
    Info,
    ListSnapshots,
    LoadChunk,
    OfferSnapshot,
    Snapshot,
    _read_offer,
)
from bezant.chain.cometbft.orders import KnownOrders
from bezant.chain.cometbft.wire import fields, octets, put_part
from bezant.chain.signatures import gateway_keys
from bezant.chain.storage.chain import StoredChain
from bezant.ledger import state as layout
from bezant.model.genesis import Genesis, GenesisValidator
from bezant.model.orders import Order
from bezant.model.records import Kind
from bezant.testing.chains import LEDGER_SEED
from bezant.testing.ledgers import ALICE, BANK, BOB, NODE, record, seeded_key, small_genesis

EVERY = 8
GENESIS = msgspec.structs.replace(
    small_genesis(checkpoint_interval=4),
    validators=(GenesisValidator(seeded_key("voter").public.hex(), 10, 1),),
    snapshot_interval=EVERY,
)
SMALL_CHUNK = 4096


class Writer(Author):
    """Keeps the blocks that were decided, for those who come later."""

    def __init__(self, folder: Path) -> None:
        self.decided: list[FinalizeBlock] = []
        super().__init__(folder, genesis=GENESIS)

    def block(self, *orders: Order | bytes) -> FinalizeBlock:
        made = super().block(*orders)
        self.decided.append(made)
        return made


class Member:
    """A validator's application over a chain of its own; restarts lose what was not committed."""

    def __init__(self, folder: Path, genesis: Genesis = GENESIS, **options: object) -> None:
        self.folder, self.genesis, self.options = folder, genesis, options
        self.open()

    def open(self) -> None:
        self.chain = StoredChain(self.folder, self.genesis, NODE, LEDGER_SEED, **self.options)  # type: ignore[arg-type]
        orders = KnownOrders(self.chain.network, gateway_keys(self.genesis.gateways))
        self.ask = Application(self.chain, orders, lambda kept: None)

    def restart(self) -> None:
        self.chain._files.close()
        self.open()

    def decide(self, block: FinalizeBlock) -> bytes:
        answer = self.ask(block)
        self.ask(Commit())
        return answer

    def offered(self) -> list[Snapshot]:
        self.chain.offers.close()
        return [
            _read_offer(memoryview(put_part(1, one))).snapshot for one in inside(self.ask(ListSnapshots()), 1)
        ]

    def chunks(self, offer: Snapshot) -> list[bytes]:
        self.chain.offers.close()  # a snapshot is cut beside the chain: what is asked for has to be there
        asked = (LoadChunk(offer.height, offer.format, number) for number in range(offer.chunks))
        return [inside(self.ask(one), 1)[0] for one in asked]

    def told(self) -> list[object]:
        """Everything that members have to agree on."""
        chain = self.chain
        state = {name: rows.tobytes() for name, rows in layout.dump(chain.ledger.state).items()}
        hashes = [
            (chain.app_hash_at(height), chain.state_root_in(height)) for height in range(1, chain.height + 1)
        ]
        return [chain.height, chain.time_ns, hashes, state, chain.checkpoint().checkpoint]


def busy(author: Writer, count: int) -> list[FinalizeBlock]:
    """Return blocks of payments, holds that expire at different times, new accounts, and some of nothing."""
    blocks = []
    for n in range(count):
        if n % 4 == 3:
            blocks.append(author.block())
            continue
        alice, bob = author.alice, author.bob
        paid = author.transfer(alice, bob, 10 + n)
        hold = record(
            Kind.HOLD, id=author.scribe.new_id(), debtor=alice, creditor=bob, amount=5, hold_for_s=2 + 3 * n
        )
        opened, _ = author.scribe.open(2, BOB, salt=author.height)
        blocks.append(author.block(author.order((ALICE, np.concatenate([paid, hold])), (BANK, opened))))
    return blocks


def joining(folder: Path, genesis: Genesis = GENESIS) -> Joining:
    folder.mkdir(exist_ok=True)
    return Joining(folder / "abci.sock", folder / "chain", genesis, LEDGER_SEED)


def result(answer: bytes) -> int:
    ((_, body),) = fields(memoryview(answer))
    return next(int(value) for number, value in fields(octets(body)) if number == 1)  # type: ignore[arg-type]


def join(member: Member, folder: Path) -> Member:
    """Return a new member that begins at the newest snapshot of another."""
    offer = member.offered()[0]
    asked = joining(folder)
    try:
        vouched = member.chain.app_hash_at(offer.height)
        assert result(asked(OfferSnapshot(offer, vouched))) == 1
        for index, chunk in enumerate(member.chunks(offer)):
            assert result(asked(ApplyChunk(index, chunk, "peer"))) == 1
        assert inside(asked(Info()), 5) == [vouched]
        asked.wait()
    finally:
        asked.server.close()
    return Member(folder / "chain")
