"""From nothing to a chain and back: who waits for whom, what ends half way, what was lost meanwhile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

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

from bezant.chain.cometbft import answers
from bezant.chain.cometbft.engine import CometEngine
from bezant.chain.cometbft.messages import ApplyChunk, Commit, Info, InitChain, LoadChunk, OfferSnapshot
from bezant.chain.cometbft.wire import framed, put_part
from bezant.chain.storage import offers
from bezant.chain.storage.base import FILE
from bezant.errors import StorageError
from bezant.testing.chains import LEDGER_SEED
from bezant.testing.ledgers import NODE


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
