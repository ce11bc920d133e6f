"""The embedded engine: durable before anyone is told, the same after a restart, stopped when in doubt."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bezant.chain.blocks import CommittedBlock
from bezant.chain.clock import SystemClock
from bezant.chain.embedded.engine import EmbeddedEngine
from bezant.chain.storage import frames
from bezant.errors import DecodeError, JournalDamaged, NotFound, StorageError
from bezant.model.keys import authority_id
from bezant.model.orders import attest
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import NO_ROW, Flag, Kind, id_of
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE, BANK, BOB, GATEWAY, MALLORY, NODE, record, seeded_key, small_genesis


def busy(chain: ChainWorld, blocks: int = 12) -> None:
    """Some of everything: payments, refusals, holds that expire, reviews, blocks of several orders."""
    alice, bob = chain.fund()
    for n in range(blocks):
        parts = [(ALICE, chain.transfer(alice, bob, 10 + n)), (BOB, chain.transfer(bob, alice, 10**9))]
        hold = record(
            Kind.HOLD, id=chain.scribe.new_id(), debtor=alice, creditor=bob, amount=5, hold_for_s=1 + n % 4
        )
        review = chain.transfer(bob, alice, 3, flags=Flag.MAY_REVIEW)
        chain.engine.submit(
            [
                chain.order(*parts),
                chain.order((ALICE, hold), (BOB, review), verdicts={1: Verdict.REVIEW}),
                chain.order((MALLORY, chain.transfer(alice, bob, 1))),
            ]
        )
    chain.engine.submit([])
    chain.engine.wait_durable(chain.engine.height)


def test_a_restart_brings_everything_back(chain: ChainWorld) -> None:
    busy(chain)
    before = chain.engine.height, chain.engine.app_hash, chain.engine.time_ns, chain.balances()
    lived = [(b.height, b.app_hash, b.receipts.tobytes()) for b in chain.engine.blocks_from(1)]
    chain.reopen()
    assert (chain.engine.height, chain.engine.app_hash, chain.engine.time_ns, chain.balances()) == before
    assert [(b.height, b.app_hash, b.receipts.tobytes()) for b in chain.engine.blocks_from(1)] == lived
    block = chain.submit((ALICE, chain.transfer(1, 2, 1)))
    assert block.height == before[0] + 1


def test_a_restart_remembers_ids(chain: ChainWorld) -> None:
    alice, bob = chain.fund()
    row = chain.transfer(alice, bob, 1)
    assert chain.submit((ALICE, row)).receipts["outcome"].tolist() == [Outcome.APPLIED]
    chain.reopen()
    assert chain.submit((ALICE, row)).receipts["outcome"].tolist() == [Outcome.EXISTS]


def test_every_block_of_receipts_lines_up_with_its_records(chain: ChainWorld) -> None:
    busy(chain)
    expired = 0
    for block in chain.engine.blocks_from(1):
        own = block.receipts[block.system_count :]
        assert own["order_index"].tolist() == list(range(len(block.records)))
        assert own["id_lo"].tolist() == block.records["id_lo"].tolist()
        assert (block.receipts[: block.system_count]["order_index"] == NO_ROW).all()
        expired += block.system_count
    assert expired > 5


def test_an_empty_block_keeps_the_app_hash(chain: ChainWorld) -> None:
    chain.fund()
    before = chain.engine.app_hash
    assert chain.engine.submit([]).app_hash == before


def test_a_block_applied_only_in_part_stops_the_engine(tmp_path: Path) -> None:
    """Nothing may follow it: the journal would not replay."""

    def on_applied(block: CommittedBlock) -> None:
        if trouble:
            raise RuntimeError("learning failed")

    trouble: list[bool] = []
    chain = ChainWorld(tmp_path, on_applied=on_applied, segment_bytes=64 * 1024)
    alice, bob = chain.fund()
    before = chain.engine.height, chain.engine.app_hash
    trouble.append(True)
    with pytest.raises(RuntimeError, match="learning failed"):
        chain.engine.submit([chain.order((ALICE, chain.transfer(alice, bob, 1)))])
    trouble.clear()
    with pytest.raises(StorageError, match="applying block 4"):
        chain.engine.submit([chain.order((ALICE, chain.transfer(alice, bob, 1)))])
    chain.reopen()
    assert (chain.engine.height, chain.engine.app_hash) == before
    chain.submit((ALICE, chain.transfer(alice, bob, 1)))
    chain.engine.close()


def test_an_order_that_could_not_be_read_again_is_not_journaled(chain: ChainWorld) -> None:
    alice, bob = chain.fund()
    order = chain.order((ALICE, chain.transfer(alice, bob, 1)))
    uncovered = order.authorisations.copy()
    uncovered["count"] = 2
    for bad in (
        replace(order, authorisations=uncovered),
        replace(order, decisions=order.decisions[:0]),
        replace(order, signature=b""),
    ):
        with pytest.raises(DecodeError):
            chain.engine.submit([bad])
    height = chain.engine.submit([order]).height
    assert height == 4
    chain.reopen()
    assert chain.engine.height == height


@pytest.mark.parametrize("spoil", ["authorisation", "other key", "gateway signature", "unknown gateway"])
def test_signatures_are_checked_and_refused_per_record(chain: ChainWorld, spoil: str) -> None:
    alice, bob = chain.fund()
    good = chain.transfer(alice, bob, 1)
    order = chain.order((ALICE, chain.transfer(alice, bob, 2)), (BOB, good))
    if spoil == "authorisation":
        signatures = order.authorisations.copy()
        signatures["signature"][0][5] ^= 1
        order = attest(chain.network, replace(order, authorisations=signatures), GATEWAY)
        expected = [Outcome.BAD_SIGNATURE, Outcome.NOT_AUTHORISED]
    elif spoil == "other key":
        swapped = order.authorisations.copy()
        swapped["signature"] = swapped["signature"][::-1].copy()
        order = attest(chain.network, replace(order, authorisations=swapped), GATEWAY)
        expected = [Outcome.BAD_SIGNATURE] * 2
    elif spoil == "gateway signature":
        decisions = order.decisions.copy()
        decisions["score_ppm"][0] = 5
        order = replace(order, decisions=decisions)
        expected = [Outcome.GATEWAY_NOT_ACCEPTED] * 2
    else:
        stranger = seeded_key("another gateway")
        gateway = authority_id(stranger.public)
        order = attest(chain.network, replace(order, gateway=gateway), stranger)
        expected = [Outcome.GATEWAY_NOT_ACCEPTED] * 2
    assert chain.engine.submit([order]).receipts["outcome"].tolist() == expected


def test_replay_notices_a_changed_history(chain: ChainWorld) -> None:
    """A frame whose checksum was made to fit a block that says something else."""
    alice, bob = chain.fund()
    for n in range(3):
        chain.submit((ALICE, chain.transfer(alice, bob, 1 + n)))
    chain.engine.close()
    path = chain.folder / "journal" / "00000001.segment"
    data = bytearray(path.read_bytes())
    at, height = frames.SEGMENT_HEADER.itemsize, 0
    while height < 4:
        frame = frames.read_frame(memoryview(bytes(data)), at)
        assert frame is not None
        at, height = at + frame.size, frame.height
    block = frames.decode_block(bytes(frame.body), chain.network)
    order = block.orders[0]
    rows = order.records.copy()
    rows["amount"] = 400
    forged = replace(block, orders=(attest(chain.network, replace(order, records=rows), GATEWAY),))
    body = frames.encode_block(chain.network, forged)
    data[frame.offset : frame.offset + frame.size] = frames.encode_frame(4, frame.durable, body)
    path.write_bytes(data)
    with pytest.raises(JournalDamaged, match="block 5 does not follow") as caught:
        chain.open()
    assert caught.value.code == "history_differs"
    chain.engine.close()


def test_another_ledger_seed_is_noticed(chain: ChainWorld) -> None:
    """Blinds come from it, so with another one every leaf and app hash would differ."""
    chain.fund()
    chain.engine.close()
    with pytest.raises(JournalDamaged) as caught:
        EmbeddedEngine(chain.folder, chain.genesis, NODE, bytes(32), clock=chain.clock)
    assert caught.value.code == "history_differs"
    chain.open()


@pytest.mark.parametrize("begun", [True, False], ids=["with blocks", "without"])
def test_damage_to_the_height_in_a_segments_header_is_named_and_no_lost_snapshot(
    chain: ChainWorld, begun: bool
) -> None:
    """A chain may begin behind a snapshot, and then that height says so: a turned bit must not."""
    if begun:
        chain.fund()
    chain.engine.close()
    path = chain.folder / "journal" / "00000001.segment"
    whole = path.read_bytes()
    for offset in range(16, 24):
        damaged = bytearray(whole)
        damaged[offset] ^= 2
        path.write_bytes(damaged)
        with pytest.raises(JournalDamaged, match=r"00000001\.segment at byte 0: .*restore it from a backup"):
            chain.open()
    path.write_bytes(whole)
    chain.open()


def test_another_network_is_refused(chain: ChainWorld) -> None:
    chain.fund()
    chain.engine.close()
    with pytest.raises(JournalDamaged) as caught:
        ChainWorld(chain.folder, genesis=small_genesis(id_window_s=599))
    assert caught.value.code == "other_network"
    chain.open()


def test_block_time_never_stands_still_or_goes_back(chain: ChainWorld) -> None:
    first = chain.engine.submit([]).time_ns
    chain.clock.time_ns = 5
    assert chain.engine.submit([]).time_ns == first + 1
    assert chain.engine.submit([]).time_ns == first + 2


class TwoClocks:
    """A wall clock and a monotonic one that a test sets apart."""

    def __init__(self) -> None:
        self.wall_ns, self.monotonic_ns = 1_700_000_000 * 10**9, 50 * 10**9

    def pass_s(self, seconds: int, *, leap_s: int = 0) -> None:
        self.monotonic_ns += seconds * 10**9
        self.wall_ns += (seconds + leap_s) * 10**9

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall_ns, lambda: self.monotonic_ns)


def test_a_leap_of_the_clock_stops_block_production(tmp_path: Path) -> None:
    clocks = TwoClocks()
    chain = ChainWorld(tmp_path, clock=clocks.clock(), segment_bytes=64 * 1024)
    clocks.pass_s(3600)
    assert chain.engine.submit([]).height == 1
    clocks.pass_s(1, leap_s=60)
    assert chain.engine.submit([]).height == 2, "60 s are tolerated"
    clocks.pass_s(1, leap_s=61)
    for _ in range(2):
        with pytest.raises(StorageError) as caught:
            chain.engine.submit([])
        assert caught.value.code == "clock_jumped"
    assert chain.engine.height == 2
    chain.options["clock"] = clocks.clock()
    chain.reopen()
    assert chain.engine.submit([]).height == 3, "a restart accepts the new time"
    chain.engine.close()


def test_a_step_back_is_no_leap() -> None:
    clocks = TwoClocks()
    clock = clocks.clock()
    before = clock.now_ns()
    clocks.pass_s(1, leap_s=-500)
    assert clock.now_ns() < before


# Finding a payment again.


def answer_to(chain: ChainWorld, identity: int) -> np.void:
    """Return the receipt that a proof of the payment is about."""
    evidence = chain.engine.prove(identity)
    return evidence.receipts[evidence.position]


def test_a_forgery_does_not_hide_the_payment_it_copies(chain: ChainWorld) -> None:
    """Whoever sees an id in flight may order nonsense under it first; the owner's answer is found."""
    alice, bob = chain.fund()
    row = chain.transfer(alice, bob, 40)
    identity = id_of(row[0], "id")
    for signer, outcome in (
        (MALLORY, Outcome.UNKNOWN_AUTHORITY),
        (BOB, Outcome.NOT_AUTHORISED),
        (ALICE, Outcome.APPLIED),
    ):
        block = chain.submit((signer, row))
        assert block.receipts["outcome"].tolist() == [outcome]
        assert answer_to(chain, identity)["outcome"] == outcome
    again = chain.submit((ALICE, row), (MALLORY, row))
    assert again.receipts["outcome"].tolist() == [Outcome.EXISTS, Outcome.UNKNOWN_AUTHORITY]
    assert answer_to(chain, identity)["outcome"] == Outcome.APPLIED
    assert chain.engine.prove(identity).height == block.height


def test_what_was_never_ordered_is_not_found(chain: ChainWorld) -> None:
    chain.fund()
    for identity in (0, 7 << 76, chain.scribe.new_id(), 2**128 - 1):
        with pytest.raises(NotFound):
            chain.engine.prove(identity)
    assert list(chain.engine.blocks_from(chain.engine.height + 1)) == []


def test_every_record_is_found_where_it_was_answered(chain: ChainWorld) -> None:
    busy(chain)
    for block in chain.engine.blocks_from(1):
        for receipt in block.receipts[block.system_count :]:
            assert answer_to(chain, id_of(receipt, "id")).tobytes() == receipt.tobytes()


def test_proofs_are_read_while_blocks_are_applied(chain: ChainWorld) -> None:
    """Readers never disturb what the applying thread derives: replay gives the same hashes."""
    alice, bob = chain.fund()
    row = chain.transfer(alice, bob, 1)
    chain.submit((ALICE, row))
    stop = threading.Event()
    seen: list[bytes] = []

    def prove() -> None:
        while not stop.is_set():
            seen.append(chain.engine.prove(id_of(row[0], "id")).app_hash)

    reader = threading.Thread(target=prove)
    reader.start()
    for n in range(40):
        opened = [chain.scribe.open(2, ALICE, salt=100 * n + i)[0] for i in range(1, 9)]
        chain.engine.submit([chain.order((BANK, np.concatenate(opened)))])
    stop.set()
    reader.join()
    chain.engine.wait_durable(chain.engine.height)
    assert len(set(seen)) == 1
    before = chain.engine.app_hash
    chain.reopen()
    assert chain.engine.app_hash == before
