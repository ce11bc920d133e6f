"""A chain that begins at a snapshot: the same from there on as one that has every block, and nothing gets in
that the network's app hash does not cover."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bezant.chain.auditing.audit import Audit
from bezant.chain.auditing.rerun import Rerun
from bezant.chain.cometbft import answers
from bezant.chain.cometbft.application import Application
from bezant.chain.cometbft.engine import CometEngine
from bezant.chain.cometbft.joining import Joining
from bezant.chain.cometbft.messages import (
    ApplyChunk,
    Commit,
    FinalizeBlock,
    Info,
    InitChain,
    ListSnapshots,
    LoadChunk,
    OfferSnapshot,
    Snapshot,
    _read_offer,
)
from bezant.chain.cometbft.orders import KnownOrders
from bezant.chain.cometbft.wire import fields, framed, octets, put_part
from bezant.chain.history import is_consistent
from bezant.chain.signatures import gateway_keys
from bezant.chain.storage import offers
from bezant.chain.storage.base import FILE, install
from bezant.chain.storage.chain import StoredChain
from bezant.chain.storage.disk import SystemDisk
from bezant.chain.storage.offers import decode_contents
from bezant.chain.storage.snapshot_writer import Cadence
from bezant.chain.storage.snapshots import Snapshots
from bezant.errors import DecodeError, NotFound, StorageError
from bezant.ledger import state as layout
from bezant.ledger.batch import NS_PER_S
from bezant.model.digest import sha256
from bezant.model.genesis import Genesis, GenesisValidator, network_id
from bezant.model.identifiers import PaymentId
from bezant.model.orders import Order
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, id_of
from bezant.testing.chains import LEDGER_SEED
from bezant.testing.ledgers import ALICE, BANK, BOB, NODE, record, seeded_key, small_genesis

from .test_application import Author, inside

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


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers.Offers.__init__, "__defaults__", (SMALL_CHUNK,))


@pytest.fixture
def author(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path / "author")
    yield made
    made.engine.close()


@pytest.fixture
def member(author: Writer, tmp_path: Path) -> Iterator[Member]:
    """A member that has been there from the first block on, behind a snapshot: payments, a hold, a refund."""
    made = Member(tmp_path / "member")
    for block in author.funding():
        made.decide(block)
    for block in busy(author, EVERY + 2):
        made.decide(block)
    yield made
    made.chain.close()


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


def test_a_member_that_begins_at_a_snapshot_is_the_same_from_there_on(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    behind = member.offered()[0]
    assert behind.chunks > 3, "the snapshot is not cut"
    for block in busy(author, 2):
        member.decide(block)
    new = join(member, tmp_path / "new")
    assert new.chain.begins_behind == behind.height
    assert new.chain.first_height == behind.height + 1
    # What was decided since comes from the other members' blocks.
    for height in range(behind.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    assert new.told() == member.told()
    for place, block in enumerate(busy(author, 2 * EVERY)):
        assert new.decide(block) == member.decide(block)
        if place % 5 == 0:
            new.restart()
    assert new.told() == member.told()
    assert [one.digest for one in new.offered()[:2]] == [one.digest for one in member.offered()[:2]]
    new.chain.close()


def test_the_same_bytes_are_offered_by_whoever_began_at_a_snapshot_and_others_begin_there(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    new = join(member, tmp_path / "new")
    for height in range(new.chain.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    for block in busy(author, EVERY):
        new.decide(block)
        member.decide(block)
    offer = new.offered()[0]
    assert new.chunks(offer) == member.chunks(offer)
    third = join(new, tmp_path / "third")
    for height in range(third.chain.height + 1, new.chain.height + 1):
        third.decide(author.decided[height - 1])
    assert third.told() == member.told()
    for one in (new, third):
        one.chain.close()


def test_a_snapshot_behind_a_block_of_nothing_is_as_good_as_any(author: Writer, tmp_path: Path) -> None:
    made = Member(tmp_path / "member")
    for block in [*author.funding(), *(author.block() for _ in range(EVERY - 3))]:
        made.decide(block)
    assert made.chain.height == EVERY
    new = join(made, tmp_path / "new")
    for block in busy(author, EVERY):
        assert new.decide(block) == made.decide(block)
    assert new.told() == made.told()
    for one in (new, made):
        one.chain.close()


def test_payments_from_before_the_beginning_are_paid_back_and_named_but_not_shown(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    new = join(member, tmp_path / "new")
    for height in range(new.chain.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    early = next(row for row in member.chain._reader.load(5).records if row["kind"] == Kind.TRANSFER)
    with pytest.raises(NotFound) as refused:
        new.chain.find(id_of(early, "id"))
    assert refused.value.code == "before_beginning"
    with pytest.raises(NotFound) as unknown:
        new.chain.find(PaymentId(int(author.scribe.new_id())))
    assert unknown.value.code == "payment_unknown"
    reversal = record(
        Kind.REVERSE, id=author.scribe.new_id(), debtor=author.bob, creditor=author.alice, amount=3,
        related=id_of(early, "id"),
    )  # fmt: skip
    block = author.block(author.order((BANK, reversal)))
    assert new.decide(block) == member.decide(block)
    last = next(iter(new.chain.blocks_from(new.chain.height)))
    assert last.receipts["outcome"].tolist() == [Outcome.APPLIED]
    assert next(one.height for one in new.chain.blocks_from(1)) == new.chain.first_height
    new.chain.close()


def test_history_is_proved_across_the_beginning(author: Writer, member: Member, tmp_path: Path) -> None:
    new = join(member, tmp_path / "new")
    for height in range(new.chain.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    top = new.chain.height
    for old in (1, 5, new.chain.begins_behind, new.chain.begins_behind + 1):
        earlier = member.chain.checkpoint(old).checkpoint.root
        path = new.chain.prove_consistency(old, top)
        assert is_consistent(old, top, earlier, new.chain.checkpoint().checkpoint.root, path)
    new.chain.close()


def test_a_based_chain_comes_back_from_snapshot_and_from_its_beginning(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    new = join(member, tmp_path / "new")
    new.options = {"cadence": Cadence(1, 1), "segment_bytes": 16 * 1024}
    new.restart()
    for height in range(new.chain.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    for block in busy(author, 7):
        new.decide(block)
        member.decide(block)
    replayed: list[int] = []
    new.options["progress"] = replayed.append
    new.chain.close()
    new.open()
    assert replayed == [], "it was closed with a snapshot"
    assert new.told() == member.told()
    new.chain.close()
    shutil.rmtree(new.folder / "snapshots")
    new.open()
    assert replayed == list(range(new.chain.begins_behind + 1, member.chain.height + 1))
    assert new.told() == member.told()
    new.chain.close()


def test_an_audit_and_a_rerun_begin_where_the_chain_does(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    new = join(member, tmp_path / "new")
    for height in range(new.chain.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    for block in busy(author, EVERY + 1):
        new.decide(block)
    behind, top = new.chain.begins_behind, new.chain.height
    known = [member.chain.checkpoint(height) for height in (3, behind, behind + 1)]
    new.chain.close()
    report = Audit(new.folder, GENESIS, LEDGER_SEED, known=known).run()
    assert report.differences == []
    assert (report.begins_behind, report.first, report.last) == (behind, behind + 1, top)
    assert (report.checkpoints, report.consistent_since) == (3, 3)
    forged = replace(known[0], checkpoint=replace(known[0].checkpoint, root=bytes(32)))
    (difference,) = Audit(new.folder, GENESIS, LEDGER_SEED, known=[forged]).run().differences
    assert (difference.block, difference.field) == (3, "root")
    assert [block.height for block in Rerun(new.folder, GENESIS)] == list(range(behind + 1, top + 1))
    # A receipt that was given before the beginning is not recomputed, but nobody can change it unseen either.
    with (new.folder / "receipts.log").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 8)
    (new.folder / "snapshots").rename(tmp_path / "away") if (new.folder / "snapshots").exists() else None
    assert Audit(new.folder, GENESIS, LEDGER_SEED).run().differences == []
    shutil.rmtree(new.folder.parent / "chain")


def _flip(chunks: list[bytes], at: int) -> None:
    chunks[at] = chunks[at][:-1] + bytes([chunks[at][-1] ^ 1])


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_chunk_that_is_not_the_one_named_is_asked_for_again_from_somebody_else(
    member: Member, tmp_path: Path, which: int
) -> None:
    offer = member.offered()[0]
    chunks = member.chunks(offer)
    spoiled = list(chunks)
    _flip(spoiled, which)
    asked = joining(tmp_path / "new")
    vouched = member.chain.app_hash_at(offer.height)
    assert result(asked(OfferSnapshot(offer, vouched))) == 1
    for index, chunk in enumerate(spoiled):
        answer = asked(ApplyChunk(index, chunk, "mallory"))
        if chunk != chunks[index]:
            assert (result(answer), inside(answer, 2), inside(answer, 3)) == (
                3,
                [bytes([index])],
                [b"mallory"],
            )
            answer = asked(ApplyChunk(index, chunks[index], "honest"))
        assert result(answer) == 1
    assert (tmp_path / "new" / "chain").is_dir()
    asked.server.close()


Sizes = tuple[int, int, int]
Spoil = Callable[[bytearray, Sizes, Path], None]


def forged(member: Member, offer: Snapshot, spoil: Spoil, folder: Path) -> tuple[Snapshot, list[bytes]]:
    """Return an offer that somebody made over, with hashes that fit what is in it."""
    contents = decode_contents(offer.metadata, offer.chunks)
    data = bytearray(b"".join(member.chunks(offer)))
    spoil(data, contents.sizes, folder)
    step = contents.chunk_bytes
    chunks = [bytes(data[at : at + step]) for at in range(0, len(data), step)]
    made = replace(contents, hashes=tuple(sha256(one) for one in chunks)).encode()
    return Snapshot(offer.height, 1, len(chunks), sha256(made), made), chunks


def spoil_state(data: bytearray, sizes: Sizes, folder: Path) -> None:
    """Give somebody a cent, and make the file's own checksums right."""
    path = folder / FILE
    path.write_bytes(bytes(data[: sizes[0]]))
    snapshots = Snapshots(folder, network_id(GENESIS), SystemDisk())
    found = snapshots.read(path)
    accounts = found.tables["accounts"].copy()
    accounts["credits_posted_lo"][1] += 1
    snapshots.write_to(path, replace(found, tables=dict(found.tables) | {"accounts": accounts}))
    data[: sizes[0]] = path.read_bytes()


def spoil_time(data: bytearray, sizes: Sizes, folder: Path) -> None:
    """Say that the last block was a second later: holds would expire at other times."""
    path = folder / FILE
    path.write_bytes(bytes(data[: sizes[0]]))
    snapshots = Snapshots(folder, network_id(GENESIS), SystemDisk())
    found = snapshots.read(path)
    at = replace(found.position, time_ns=found.position.time_ns + NS_PER_S)
    snapshots.write_to(path, replace(found, position=at))
    data[: sizes[0]] = path.read_bytes()


def spoil_receipts(data: bytearray, sizes: Sizes, folder: Path) -> None:
    data[sizes[0] + 17] ^= 1


def spoil_blocks(data: bytearray, sizes: Sizes, folder: Path) -> None:
    data[sizes[0] + sizes[1] + 1] ^= 1


def describe_otherwise(data: bytearray, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the header of the state within the room it has, and make its hash right."""
    length = int.from_bytes(data[8:16], "little")
    room = length + -(48 + length) % 64
    header = msgspec.json.decode(bytes(data[48 : 48 + length]))
    change(header)
    encoded = msgspec.json.encode(header)
    assert len(encoded) <= room, "the arrays would have to move"
    encoded = encoded.ljust(room)
    data[8:48] = len(encoded).to_bytes(8, "little") + sha256(encoded)
    data[48 : 48 + room] = encoded


def spoil_dimensions(data: bytearray, sizes: Sizes, folder: Path) -> None:
    def change(header: dict[str, Any]) -> None:
        header["arrays"] = header["arrays"][:1]
        header["arrays"][0] |= {"dtype": "<i8", "shape": [0, 10**30], "length": 0}

    describe_otherwise(data, change)


def spoil_header(data: bytearray, sizes: Sizes, folder: Path) -> None:
    data[60] ^= 1


@pytest.mark.parametrize(
    "spoil", [spoil_state, spoil_time, spoil_receipts, spoil_blocks, spoil_header, spoil_dimensions]
)
def test_what_the_app_hash_does_not_cover_never_becomes_a_chain(
    member: Member, tmp_path: Path, spoil: Spoil
) -> None:
    (tmp_path / "forging").mkdir()
    offer, chunks = forged(member, member.offered()[0], spoil, tmp_path / "forging")
    asked = joining(tmp_path / "new")
    assert result(asked(OfferSnapshot(offer, member.chain.app_hash_at(offer.height)))) == 1
    told = [result(asked(ApplyChunk(index, chunk, "mallory"))) for index, chunk in enumerate(chunks)]
    assert told == [1] * (len(chunks) - 1) + [5]
    assert not (tmp_path / "new" / "chain").exists()
    # The honest one is taken afterwards.
    asked.server.close()
    join(member, tmp_path / "new").chain.close()


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"dtype": "<i8", "shape": [0, 2**62], "length": 0}, "has no shape"),
        ({"dtype": "<i8", "shape": [0, 10**30], "length": 0}, "has no shape"),
        ({"dtype": "<i8", "shape": [0] * 71, "length": 0}, "has no shape"),
        ({"dtype": "|V0", "shape": [2**62], "length": 0}, "has another size"),
        ({"offset": -64}, "lies within another"),
    ],
)
def test_no_room_is_taken_for_what_a_state_claims_and_does_not_hold(
    member: Member, tmp_path: Path, claim: dict[str, Any], said: str
) -> None:
    data = bytearray(b"".join(member.chunks(member.offered()[0])))

    def change(header: dict[str, Any]) -> None:
        header["arrays"] = header["arrays"][:1]
        header["arrays"][0] |= claim

    describe_otherwise(data, change)
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(StorageError, match=said) as refused:
        Snapshots(tmp_path, network_id(GENESIS), SystemDisk()).read(tmp_path / FILE)
    assert refused.value.code == "snapshot_unusable"


def test_a_byte_of_a_state_is_in_one_array_alone(member: Member, tmp_path: Path) -> None:
    data = bytearray(b"".join(member.chunks(member.offered()[0])))

    def change(header: dict[str, Any]) -> None:
        largest = max(header["arrays"], key=lambda one: one["length"])
        header["arrays"] = [largest, largest | {"name": "ledger.again"}]

    describe_otherwise(data, change)
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(StorageError, match=r"ledger\.again lies within another"):
        Snapshots(tmp_path, network_id(GENESIS), SystemDisk()).read(tmp_path / FILE)


def test_chunks_have_the_length_that_was_named_whatever_their_hash(member: Member, tmp_path: Path) -> None:
    offer = member.offered()[0]
    chunks = member.chunks(offer)
    contents = decode_contents(offer.metadata, offer.chunks)
    longer = [one + b"x" for one in chunks]
    made = replace(contents, hashes=tuple(sha256(one) for one in longer)).encode()
    asked = joining(tmp_path / "new")
    claimed = Snapshot(offer.height, 1, offer.chunks, sha256(made), made)
    assert result(asked(OfferSnapshot(claimed, member.chain.app_hash_at(offer.height)))) == 1
    assert {result(asked(ApplyChunk(index, one, "mallory"))) for index, one in enumerate(longer)} == {3}
    asked.server.close()


def test_whatever_a_snapshot_breaks_the_next_one_is_taken(
    member: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it broke after there was a folder: a disk that fails, or what nobody thought of."""
    offer = member.offered()[0]
    asked, vouched = joining(tmp_path / "new"), member.chain.app_hash_at(offer.height)

    def installed_and_broken(*given: Any) -> None:
        install(*given)
        raise RecursionError("deep")

    for attempt, expected in ((installed_and_broken, 5), (install, 1)):
        monkeypatch.setattr("bezant.chain.cometbft.joining.install", attempt)
        assert result(asked(OfferSnapshot(offer, vouched))) == 1
        told = [
            result(asked(ApplyChunk(index, chunk, "m"))) for index, chunk in enumerate(member.chunks(offer))
        ]
        assert told[-1] == expected
        assert (tmp_path / "new" / "chain").exists() == (expected == 1)
        assert not (tmp_path / "new" / "chain.coming").exists()
    asked.server.close()


def test_the_right_snapshot_of_another_block_is_refused(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    for block in busy(author, EVERY):
        member.decide(block)
    newest, older = member.offered()[:2]
    asked = joining(tmp_path / "new")
    claimed = Snapshot(newest.height, older.format, older.chunks, older.digest, older.metadata)
    assert result(asked(OfferSnapshot(claimed, member.chain.app_hash_at(newest.height)))) == 1
    told = [result(asked(ApplyChunk(index, chunk, "m"))) for index, chunk in enumerate(member.chunks(older))]
    assert told[-1] == 5
    assert result(asked(ApplyChunk(0, b"", "m"))) == 5, "nothing is under way any more"
    asked.server.close()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"format": 2}, 4),
        ({"chunks": 0}, 3),
        ({"chunks": 2**31}, 3),
        ({"metadata": b""}, 3),
        ({"digest": bytes(32)}, 3),
    ],
)
def test_offers_are_judged_before_anything_is_taken(
    member: Member, tmp_path: Path, change: dict[str, object], expected: int
) -> None:
    offer = member.offered()[0]
    given = {name: getattr(offer, name) for name in ("height", "format", "chunks", "digest", "metadata")}
    asked = joining(tmp_path / "new")
    assert result(asked(OfferSnapshot(Snapshot(**(given | change)), bytes(32)))) == expected  # type: ignore[arg-type]
    assert not list((tmp_path / "new").glob("chain*"))
    asked.server.close()


def test_contents_that_contradict_themselves_are_no_contents(member: Member) -> None:
    offer = member.offered()[0]
    contents = decode_contents(offer.metadata, offer.chunks)
    assert contents.encode() == offer.metadata
    state, receipts, blocks = contents.sizes
    for sizes in (
        (0, receipts, blocks),
        (state, receipts + 1, blocks),
        (state, receipts, 2**60),
        (state, 0, 0),
    ):
        other = offers.Contents(contents.layout, contents.chunk_bytes, sizes, contents.hashes)
        with pytest.raises(DecodeError):
            decode_contents(other.encode(), offer.chunks)
    for step in (0, offers.CHUNK_BYTES + 1):
        other = offers.Contents(contents.layout, step, contents.sizes, contents.hashes)
        with pytest.raises(DecodeError):
            decode_contents(other.encode(), offer.chunks)


def test_one_that_lost_or_changed_where_it_began_refuses_to_start(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    new = join(member, tmp_path / "new")
    new.decide(author.decided[new.chain.height])
    new.chain.close()
    base = new.folder / FILE
    whole = base.read_bytes()
    base.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StorageError) as refused:
        new.open()
    assert refused.value.code == "base_unusable"
    assert "bezant network resync" in refused.value.message
    base.unlink()
    with pytest.raises(StorageError) as lost:
        new.open()
    assert lost.value.code == "base_unusable"
    base.write_bytes(whole)
    new.open()
    new.chain.close()


def test_a_network_that_begins_with_block_one_waits_for_no_snapshot(author: Writer, tmp_path: Path) -> None:
    asked = joining(tmp_path / "new")
    told: list[bytes] = []
    begin = InitChain(0, "bezant-x", (), b"", 1)
    caller = threading.Thread(target=lambda: told.append(asked(begin)))
    caller.start()
    asked.wait()
    asked.hand_over(lambda request: b"answered", lambda error: None)
    caller.join()
    assert told == [b"answered"]
    asked.server.close()


def test_one_that_closes_before_its_chain_is_open_keeps_nobody_waiting(tmp_path: Path) -> None:
    """CometBFT waits within the turn that closing takes."""
    asked = joining(tmp_path / "new")
    engine = CometEngine(
        tmp_path / "new" / "chain", GENESIS, NODE, LEDGER_SEED,
        socket=tmp_path / "new" / "abci.sock", rpc_url="http://127.0.0.1:9", joining=asked,
    )  # fmt: skip
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(asked.server.address.removeprefix("unix://"))
        connection.sendall(framed(put_part(11, b"")))
        asked.wait()
        closing = threading.Thread(target=engine.close, daemon=True)
        closing.start()
        closing.join(10)
        assert not closing.is_alive()
    with pytest.raises(StorageError) as refused:
        asked(Commit())
    assert refused.value.code == "joining_abandoned"


def test_a_cometbft_that_ended_before_it_noted_where_it_begins_is_given_the_snapshot_again(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    for block in busy(author, EVERY):
        member.decide(block)
    newest, older = member.offered()[:2]
    new = join(member, tmp_path / "new")
    vouched = member.chain.app_hash_at(newest.height)
    assert result(new.ask(OfferSnapshot(older, member.chain.app_hash_at(older.height)))) == 3
    assert result(new.ask(OfferSnapshot(newest, bytes(32)))) == 3
    assert result(new.ask(OfferSnapshot(newest, vouched))) == 1
    for index in range(newest.chunks):
        assert result(new.ask(ApplyChunk(index, b"anything", "mallory"))) == 1
    assert inside(new.ask(Info()), 5) == [vouched]
    for height in range(newest.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    assert new.told() == member.told()
    assert result(new.ask(OfferSnapshot(newest, vouched))) == 3, "blocks followed"
    new.chain.close()


def test_a_snapshot_that_is_asked_for_again_at_once_waits_for_its_chain(
    member: Member, tmp_path: Path
) -> None:
    offer = member.offered()[0]
    asked, vouched = joining(tmp_path / "new"), member.chain.app_hash_at(offer.height)
    asked(OfferSnapshot(offer, vouched))
    for index, chunk in enumerate(member.chunks(offer)):
        asked(ApplyChunk(index, chunk, "peer"))
    new = Member(tmp_path / "new" / "chain")
    asked.hand_over(new.ask, lambda error: None)
    assert result(asked(OfferSnapshot(offer, vouched))) == 1
    asked.server.close()
    new.chain.close()


def test_a_chunk_of_what_is_gone_meanwhile_is_nothing(member: Member) -> None:
    offer = member.offered()[0]
    for path in (member.folder / "offers").iterdir():
        path.unlink()
    assert member.ask(LoadChunk(offer.height, offer.format, 0)) == answers.load_chunk(b"")
    assert member.chain.failure is None


def test_what_is_offered_is_told_while_some_of_it_goes(member: Member) -> None:
    class Going(dict[int, offers.Offer]):
        """Has nothing left once somebody has seen what there is."""

        def __iter__(self) -> Iterator[int]:
            heights = list(super().__iter__())
            self.clear()
            return iter(heights)

    heights = [one.height for one in member.offered()]
    member.chain.offers._offers = Going(member.chain.offers._offers.items())
    assert heights
    assert [one.height for one in member.chain.offers.all()] == heights
