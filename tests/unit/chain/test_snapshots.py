"""Snapshots: a restart from one is a restart from the journal, and a damaged one is as good as none."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from bezant.chain.embedded.engine import EmbeddedEngine
from bezant.chain.storage import snapshots
from bezant.chain.storage.disk import SystemDisk
from bezant.chain.storage.rows import RowFile
from bezant.chain.storage.snapshot_writer import Cadence
from bezant.chain.storage.snapshots import KEPT
from bezant.errors import JournalDamaged, StorageError
from bezant.ledger import state as layout
from bezant.model.records import Kind, id_of
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE, BOB, record, small_genesis
from bezant.testing.simulator.disk import SimulatedDisk
from bezant.testing.simulator.time import SimulatedTime

ALWAYS, ON_CLOSE, NEVER = Cadence(1, 1), Cadence(10**9, 1), Cadence(10**9, 10**9)


class Companion:
    """Something that goes with the ledger: how many receipts it has heard of."""

    def __init__(self) -> None:
        self.heard = np.zeros(1, np.int64)
        self.loaded = 0

    def options(self) -> dict[str, Any]:
        return {
            "on_applied": self.hear,
            "dump_companions": lambda: {"heard": self.heard.copy()},
            "load_companions": self.load,
        }

    def hear(self, block: Any) -> None:
        self.heard += len(block.receipts)

    def load(self, arrays: Any) -> None:
        self.heard = arrays["heard"].copy()
        self.loaded += 1


def world(folder: Path, cadence: Cadence, interval: int = 4, **options: Any) -> ChainWorld:
    genesis = small_genesis()
    rules = msgspec.structs.replace(genesis.rules, checkpoint_interval=interval)
    genesis = msgspec.structs.replace(genesis, rules=rules)
    given = {"segment_bytes": 16 * 1024, "cadence": cadence} | options
    return ChainWorld(folder, genesis=genesis, **given)


def live(chain: ChainWorld, blocks: int, parties: tuple[int, int] | None = None) -> tuple[int, int]:
    alice, bob = parties or chain.fund()
    for n in range(blocks):
        hold = record(
            Kind.HOLD, id=chain.scribe.new_id(), debtor=alice, creditor=bob, amount=5, hold_for_s=1 + n % 4
        )
        chain.submit(
            (ALICE, chain.transfer(alice, bob, 10 + n)), (ALICE, hold), (BOB, chain.transfer(bob, alice, 1))
        )
    return alice, bob


def told(engine: EmbeddedEngine) -> list[Any]:
    """Everything that anybody can see of a chain."""
    state = {name: rows.tobytes() for name, rows in layout.dump(engine.ledger.state).items()}
    blocks = [
        (b.height, b.time_ns, b.app_hash, b.state_root, b.receipts.tobytes()) for b in engine.blocks_from(1)
    ]
    notes = [engine.checkpoint(height) for height in range(1, engine.height + 1)]
    return [engine.height, engine.time_ns, engine.app_hash, state, blocks, notes]


def watch_replay(chain: ChainWorld) -> tuple[EmbeddedEngine, list[int]]:
    replayed: list[int] = []
    chain.engine.close()
    chain.options = chain.options | {"progress": replayed.append}
    return chain.open(), replayed


@pytest.mark.parametrize("blocks", [1, 2, 5, 6, 7, 8, 9, 30])
@pytest.mark.parametrize("cadence", [ALWAYS, ON_CLOSE], ids=["always", "on close"])
def test_a_restart_from_a_snapshot_is_a_restart_from_the_journal(
    tmp_path: Path, blocks: int, cadence: Cadence
) -> None:
    companion = Companion()
    chain = world(tmp_path / "data", cadence, **companion.options())
    parties = live(chain, blocks)
    before, heard = told(chain.engine), companion.heard.copy()
    engine, replayed = watch_replay(chain)
    assert told(engine) == before
    assert (companion.heard.tolist(), companion.loaded) == (heard.tolist(), 1)
    assert replayed == [], "a snapshot was written on closing"
    live(chain, 9, parties)
    after = told(chain.engine)
    chain.engine.close()
    chain.options = chain.options | {"cadence": NEVER}
    for path in (tmp_path / "data" / "snapshots").iterdir():
        path.unlink()
    replayed.clear()
    companion.heard = np.zeros(1, np.int64)
    assert told(chain.open()) == after
    assert replayed == list(range(1, chain.engine.height + 1))
    chain.engine.close()


def test_payments_from_before_a_snapshot_are_still_proved_and_remembered(tmp_path: Path) -> None:
    chain = world(tmp_path / "data", ON_CLOSE)
    alice, bob = chain.fund()
    row = chain.transfer(alice, bob, 7)
    payment = id_of(chain.submit((ALICE, row)).records[0], "id")
    before = chain.engine.prove(payment)
    chain.reopen()
    after = chain.engine.prove(payment)
    assert (after.app_hash, after.leaves.tobytes()) == (before.app_hash, before.leaves.tobytes())
    assert chain.submit((ALICE, row)).receipts["outcome"][0] != 0
    chain.engine.close()


def test_after_a_crash_only_what_follows_the_snapshot_is_replayed(tmp_path: Path) -> None:
    """Nothing is closed: the copy of the folder is what a killed process leaves behind."""
    chain = world(tmp_path / "data", Cadence(8, 10**9))
    live(chain, 20)
    before = told(chain.engine)
    chain.engine._snapshots._task.join()  # type: ignore[union-attr]
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    chain.engine.close()
    chain.folder = tmp_path / "copy"
    engine, replayed = watch_replay(chain)
    assert told(engine) == before
    assert 0 < len(replayed) < 12
    engine.close()


def snapshots_of(folder: Path) -> list[Path]:
    return sorted((folder / "snapshots").iterdir(), reverse=True)


def test_two_snapshots_are_kept(tmp_path: Path) -> None:
    chain = world(tmp_path / "data", ALWAYS)
    parties = live(chain, 3)
    for _ in range(4):
        chain.reopen()
        live(chain, 2, parties)
    chain.engine.close()
    assert [path.suffix for path in snapshots_of(tmp_path / "data")] == [".snapshot"] * KEPT


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("damaged", [1, 2], ids=["the newest", "both"])
@pytest.mark.parametrize("where", ["magic", "length", "header", "first array", "last array", "cut", "empty"])
def test_a_damaged_snapshot_is_passed_over(tmp_path: Path, damaged: int, where: str) -> None:
    chain = world(tmp_path / "data", ON_CLOSE)
    parties = live(chain, 3)
    chain.reopen()
    live(chain, 3, parties)
    chain.engine.close()
    for path in snapshots_of(tmp_path / "data")[:damaged]:
        data = path.read_bytes()
        length = int.from_bytes(data[8:16], "little")
        if where in ("cut", "empty"):
            path.write_bytes(data[: -1000 if where == "cut" else 0])
        else:
            last = data.rstrip(b"\0")
            places = {"magic": 3, "length": 9, "header": 60, "first array": 48 + length + 70}
            flip(path, places.get(where, len(last) - 1))
    chain.options = chain.options | {"cadence": NEVER}
    replayed: list[int] = []
    chain.options = chain.options | {"progress": replayed.append}
    engine = chain.open()
    assert len(replayed) == (3 if damaged == 1 else engine.height)
    assert engine.height == 9
    engine.close()


@pytest.mark.parametrize("name", ["receipts.log", "blocks.log", "places.log", "history.tree"])
def test_what_is_missing_beside_a_snapshot_is_made_again(tmp_path: Path, name: str) -> None:
    chain = world(tmp_path / "data", ON_CLOSE)
    live(chain, 5)
    before = told(chain.engine)
    chain.engine.close()
    (tmp_path / "data" / name).write_bytes((tmp_path / "data" / name).read_bytes()[:-8])
    engine, replayed = watch_replay(chain)
    # It would vouch for files that were made again and are not durable yet.
    assert snapshots_of(tmp_path / "data") == []
    assert told(engine) == before
    assert len(replayed) == engine.height
    engine.close()


class Lacking(SystemDisk):
    """A machine that has none of something while it opens files."""

    def __init__(self, reason: int) -> None:
        self.reason = reason

    def open(self, path: Path) -> int:
        if self.reason:
            raise OSError(self.reason, os.strerror(self.reason), str(path))
        return super().open(path)


@pytest.mark.parametrize("reason", [errno.EMFILE, errno.ENOMEM, errno.EACCES, errno.ENOSPC])
def test_what_the_machine_lacks_costs_no_snapshot(tmp_path: Path, reason: int) -> None:
    chain = world(tmp_path / "data", ON_CLOSE)
    live(chain, 5)
    chain.engine.close()
    kept = snapshots_of(tmp_path / "data")
    disk = Lacking(reason)
    chain.options = chain.options | {"disk": disk}
    with pytest.raises(StorageError) as refused:
        chain.open()
    assert refused.value.code == ("disk_full" if reason == errno.ENOSPC else "storage_unavailable")
    assert snapshots_of(tmp_path / "data") == kept != []
    disk.reason = 0
    engine, replayed = watch_replay(chain)
    assert replayed == []
    engine.close()


def test_too_little_memory_costs_no_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = world(tmp_path / "data", ON_CLOSE)
    live(chain, 5)
    chain.engine.close()
    kept = snapshots_of(tmp_path / "data")

    class WithoutMemory:
        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        def empty(self, *asked: Any) -> Any:
            raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(snapshots, "np", WithoutMemory())
        with pytest.raises(StorageError, match="What was acknowledged is safe") as refused:
            chain.open()
    assert refused.value.code == "storage_unavailable"
    assert snapshots_of(tmp_path / "data") == kept != []
    chain.open().close()


def test_a_file_that_a_snapshot_rests_on_has_its_name_after_a_power_cut() -> None:
    disk, path = SimulatedDisk(Random(1), SimulatedTime()), Path("/simulated/chain/receipts.log")
    for folder in (path.parent.parent, path.parent):
        disk.make_folder(folder)
        disk.sync_folder(folder.parent)
    numbers = np.arange(1_000, dtype=np.int64)
    rows = RowFile(path, numbers.dtype, disk)
    rows.append(numbers)
    rows.sync()
    for _ in range(20):
        disk.cut_power()
        assert RowFile(path, numbers.dtype, disk, keep=1_000).read(0, 1_000).tolist() == numbers.tolist()


def test_rows_whose_sync_failed_once_are_vouched_for_no_more() -> None:
    """The system takes for written what the failed sync dropped, and the next would succeed without it."""
    disk = SimulatedDisk(Random(1), SimulatedTime())
    path = Path("/chain/places.log")
    disk.make_folder(path.parent)
    disk.sync_folder(path.parent.parent)
    rows = RowFile(path, np.dtype(np.int64), disk)
    rows.append(np.arange(1_000))
    disk.failing_sync = True
    with pytest.raises(StorageError) as failed:
        rows.sync()
    assert failed.value.code != "rows_lost"
    with pytest.raises(StorageError, match="until the node starts again") as refused:
        rows.sync()
    assert refused.value.code == "rows_lost"


def test_a_journal_that_ends_before_a_snapshot_is_refused(tmp_path: Path) -> None:
    """The snapshot says that more was acknowledged than is there."""
    chain = world(tmp_path / "data", ON_CLOSE)
    live(chain, 40)
    chain.engine.close()
    used = [
        p
        for p in sorted((tmp_path / "data" / "journal").glob("*.segment"))
        if p.read_bytes()[:8].strip(b"\0")
    ]
    assert len(used) > 2
    used[-1].unlink()
    with pytest.raises(JournalDamaged):
        chain.open()


def test_a_segment_missing_before_the_snapshot_is_refused(tmp_path: Path) -> None:
    chain = world(tmp_path / "data", ON_CLOSE)
    live(chain, 40)
    chain.engine.close()
    (tmp_path / "data" / "journal" / "00000001.segment").unlink()
    with pytest.raises(JournalDamaged):
        chain.open()


def refuse(arrays: Any) -> None:
    raise StorageError("not mine")


def test_a_companion_that_refuses_costs_the_snapshot(tmp_path: Path) -> None:
    chain = world(tmp_path / "data", ON_CLOSE)
    live(chain, 2)
    before = told(chain.engine)
    chain.options = chain.options | {"load_companions": refuse}
    engine, replayed = watch_replay(chain)
    assert told(engine) == before
    assert len(replayed) == engine.height
    engine.close()
