"""A node that is killed, or whose disk fills up, at any moment: what it acknowledged is still there."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bezant.chain.storage.journal import Journal
from bezant.errors import StorageError
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE

SEEDS = [1, 2, 3]
SOURCE = Path(__file__).parents[2] / "src"

PAYER = """
import sys
from pathlib import Path
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE

chain = ChainWorld(Path(sys.argv[1]), segment_bytes=16 * 1024)
alice, bob = chain.fund()
chain.engine.subscribe(lambda block: print(block.height, block.app_hash.hex(), flush=True))
while True:
    chain.engine.submit([chain.order((ALICE, chain.transfer(alice, bob, 1)))])
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_kill_loses_nothing_acknowledged(tmp_path: Path, seed: int) -> None:
    """Kill -9 after a number of acknowledged blocks that the seed chooses."""
    wanted = int(np.random.default_rng(seed).integers(5, 300))
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    command = [sys.executable, "-c", PAYER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as payer:
        assert payer.stdout is not None
        told = [payer.stdout.readline().split() for _ in range(wanted)]
        payer.send_signal(signal.SIGKILL)
        told += [line.split() for line in payer.stdout.read().splitlines(keepends=True) if line[-1] == "\n"]
    assert payer.returncode == -signal.SIGKILL
    chain = ChainWorld(tmp_path, segment_bytes=16 * 1024)
    hashes = {block.height: block.app_hash.hex() for block in chain.engine.blocks_from(1)}
    assert len(told) >= wanted
    for height, app_hash in told:
        assert hashes.get(int(height)) == app_hash, f"seed {seed}: acknowledged block {height} is gone"
    chain.engine.ledger.check_invariants()
    chain.engine.close()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: the kernel's own way to refuse a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def pay_until_refused(chain: ChainWorld, alice: int, bob: int) -> tuple[int, str]:
    """Return how many payments were acknowledged before one was refused, and the refusal's code."""
    for acknowledged in range(2000):
        try:
            chain.submit((ALICE, chain.transfer(alice, bob, 1)))
        except StorageError as error:
            return acknowledged, error.code
    raise AssertionError("the disk was never full")


def test_a_disk_without_room_for_the_next_segment_refuses_before_a_payment_needs_it(tmp_path: Path) -> None:
    chain = ChainWorld(tmp_path, segment_bytes=64 * 1024)
    alice, bob = chain.fund()
    with largest_file(48 * 1024):
        acknowledged, code = pay_until_refused(chain, alice, bob)
    assert code == "disk_full"
    assert acknowledged > 10
    assert not list((tmp_path / "journal").glob("*.partial")), "what was prepared in part is not left behind"
    assert_acknowledged(chain, acknowledged)


def test_a_disk_full_while_receipts_are_kept(tmp_path: Path) -> None:
    """The journal has room and the receipts have not: the block is in neither, and the engine stops."""
    chain = ChainWorld(tmp_path, segment_bytes=1024 * 1024)
    alice, bob = chain.fund()
    with largest_file(16 * 1024):
        acknowledged, code = pay_until_refused(chain, alice, bob)
        with pytest.raises(StorageError) as stopped:
            chain.engine.submit([])
    assert code == stopped.value.code == "disk_full"
    assert acknowledged > 10
    assert_acknowledged(chain, acknowledged)


def test_a_block_too_large_for_the_disk(tmp_path: Path) -> None:
    """A block larger than a segment needs a segment of its own, and there is no room for it."""
    network, room = bytes(32), 64 * 1024
    journal = Journal(tmp_path, network, segment_bytes=room)
    list(journal.recover())
    journal.append(b"acknowledged")
    journal.sync()
    with largest_file(2 * room), pytest.raises(StorageError) as caught:
        journal.append(bytes(3 * room))
    assert caught.value.code == "disk_full"
    journal.close()
    journal = Journal(tmp_path, network, segment_bytes=room)
    assert [bytes(frame.body) for frame in journal.recover()] == [b"acknowledged"]
    journal.append(bytes(3 * room))
    journal.sync()
    journal.close()


def assert_acknowledged(chain: ChainWorld, payments: int) -> None:
    """Restart with room again: at least what was acknowledged is there, and payments go on."""
    chain.reopen()
    rows = [block.receipts for block in chain.engine.blocks_from(4)]
    assert sum(len(row) for row in rows) >= payments
    assert not any(row["outcome"].any() for row in rows)
    alice, bob = (int(row["id_hi"]) << 64 | int(row["id_lo"]) for row in chain.engine.ledger.accounts[1:3])
    block = chain.submit((ALICE, chain.transfer(alice, bob, 1)))
    assert not block.receipts["outcome"].any()
    chain.engine.ledger.check_invariants()
    chain.engine.close()
