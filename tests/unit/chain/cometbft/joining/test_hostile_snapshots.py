"""Nothing gets into a chain that the network's app hash does not cover, whatever is offered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.chain.cometbft.joining.members import (
    EVERY,
    GENESIS,
    Member,
    Writer,
    busy,
    join,
    joining,
    result,
)
from tests.unit.chain.cometbft.test_application import inside

from bezant.chain.cometbft.messages import ApplyChunk, OfferSnapshot, Snapshot
from bezant.chain.storage import offers
from bezant.chain.storage.base import FILE, install
from bezant.chain.storage.disk import SystemDisk
from bezant.chain.storage.offers import decode_contents
from bezant.chain.storage.snapshots import Snapshots
from bezant.errors import DecodeError, StorageError
from bezant.ledger.batch import NS_PER_S
from bezant.model.digest import sha256
from bezant.model.genesis import network_id

Sizes = tuple[int, int, int]
Spoil = Callable[[bytearray, Sizes, Path], None]


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
