"""Committing: durable before anyone is told, whoever writes; nothing is told of what could not be kept."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pytest

from bezant.chain.blocks import CommittedBlock
from bezant.chain.embedded import group_commit
from bezant.chain.storage.background import Runner, run_in_thread
from bezant.errors import NotFound, StorageError
from bezant.model.records import id_of
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE

SYNCED = pytest.mark.parametrize("beside_from", [group_commit.BESIDE_FROM, 1], ids=["in turn", "beside"])
"""What has to be durable first is synced by the journal's own thread, or beside it."""


@SYNCED
def test_subscribers_hear_only_of_what_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside_from: int
) -> None:
    monkeypatch.setattr(group_commit, "BESIDE_FROM", beside_from)
    gate, entered = threading.Event(), threading.Event()
    gate.set()

    def before_sync() -> None:
        entered.set()
        assert gate.wait(10)

    chain = ChainWorld(tmp_path, before_sync=before_sync, segment_bytes=64 * 1024)
    told: list[tuple[int, int]] = []
    alice, bob = chain.fund()
    chain.engine.subscribe(lambda block: told.append((block.height, chain.engine.durable_height)))
    gate.clear()
    entered.clear()
    block = chain.engine.submit([chain.order((ALICE, chain.transfer(alice, bob, 1)))])
    assert entered.wait(10)
    later = chain.engine.submit([chain.order((ALICE, chain.transfer(alice, bob, 2)))])
    assert told == []
    assert chain.engine.durable_height == block.height - 1
    assert [b.height for b in chain.engine.blocks_from(block.height)] == []
    with pytest.raises(NotFound):
        chain.engine.prove(id_of(block.records[0], "id"))
    gate.set()
    chain.engine.wait_durable(later.height)
    chain.engine.close()
    assert [height for height, _ in told] == [block.height, later.height]
    assert all(durable >= height for height, durable in told)


class Hasty:
    """A chain whose caller commits its blocks itself, and who was told of which block when, and where."""

    def __init__(self, folder: Path, idle_s: float = 3600, runner: Runner = run_in_thread) -> None:
        self.chain = ChainWorld(folder, idle_s=idle_s, before_sync=self._prepare, runner=runner)
        self.engine = self.chain.engine
        self.told: list[tuple[int, int, threading.Thread]] = []
        self.trouble: BaseException | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.alice, self.bob = self.chain.fund()
        self.engine.subscribe(
            lambda block: self.told.append(
                (block.height, self.engine.durable_height, threading.current_thread())
            )
        )

    def _prepare(self) -> None:
        assert self.gate.wait(30)
        if self.trouble is not None:
            raise self.trouble

    def pay(self, *, held: bool = True, commit: bool = True) -> CommittedBlock:
        order = self.chain.order((ALICE, self.chain.transfer(self.alice, self.bob, 1)))
        block = self.engine.submit([order], held=held)
        if held and commit:
            self.engine.commit()
        return block


def test_whoever_would_only_wait_commits_without_the_thread(tmp_path: Path) -> None:
    world = Hasty(tmp_path)
    for _ in range(5):
        block = world.pay()
        assert world.told[-1] == (block.height, block.height, threading.current_thread())
    world.chain.reopen()
    assert world.chain.engine.height == block.height
    world.chain.engine.close()


def test_what_is_held_waits_for_whoever_holds_it_and_goes_with_the_next(tmp_path: Path) -> None:
    world = Hasty(tmp_path)
    held = [world.pay(commit=False) for _ in range(3)]
    time.sleep(0.05)
    assert world.told == []
    last = world.pay(held=False)
    world.engine.wait_durable(last.height, 10)
    assert [height for height, _, _ in world.told] == [block.height for block in (*held, last)]
    world.engine.close()


def test_what_is_behind_others_is_committed_behind_them(tmp_path: Path) -> None:
    world = Hasty(tmp_path)
    world.gate.clear()
    first = world.pay(held=False)
    opened = threading.Timer(0.1, world.gate.set)
    opened.start()
    second = world.pay()
    assert [height for height, _, _ in world.told] == [first.height, second.height]
    opened.join()
    world.engine.close()


def test_many_callers_commit_each_block_once_and_in_order(tmp_path: Path) -> None:
    world = Hasty(tmp_path, idle_s=0.001)
    turn = threading.Lock()

    def pay(number: int) -> None:
        for block in range(60):
            # Orders have to be made one at a time; commits meet as they like.
            with turn:
                world.pay(held=(number + block) % 3 > 0, commit=False)
            world.engine.commit()

    callers = [threading.Thread(target=pay, args=(number,)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    height = world.engine.height
    world.engine.wait_durable(height, 10)
    world.engine.close()
    assert [told for told, _, _ in world.told] == list(range(height - 239, height + 1))
    assert all(durable >= told for told, durable, _ in world.told)
    assert len({thread for _, _, thread in world.told}) > 1
    world.chain.open()
    assert world.chain.engine.height == height
    world.chain.engine.close()


def test_after_a_rest_the_thread_commits_and_watches_for_the_next(tmp_path: Path) -> None:
    world = Hasty(tmp_path, idle_s=0.02)
    for _ in range(3):
        block = world.pay()
        world.engine.wait_durable(block.height)
        for _ in range(500):
            if world.engine._writer.confirmed:
                break
            time.sleep(0.01)
        assert world.engine._writer.confirmed, "nothing on the disk says that the last block was durable"
    world.engine.close()


def test_a_rest_is_counted_from_the_last_block_whoever_wrote_it(tmp_path: Path) -> None:
    world = Hasty(tmp_path, idle_s=0.5)
    for _ in range(80):
        world.pay()
        time.sleep(0.025)
    here = [thread is threading.current_thread() for _, _, thread in world.told]
    assert here.count(False) <= 1, "the journal took two seconds of payments for a rest"
    world.engine.close()


@SYNCED
@pytest.mark.parametrize("trouble", [StorageError("the vault's disk refused"), SystemExit("stop")])
@pytest.mark.parametrize("held", [True, False])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_block_whose_evidence_cannot_be_kept_is_never_told_of_and_stops_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside_from: int, trouble: BaseException, held: bool
) -> None:
    """Whoever commits, and even where what is synced first ends its thread: nothing may be written behind."""
    monkeypatch.setattr(group_commit, "BESIDE_FROM", beside_from)
    world = Hasty(tmp_path)
    last, heard = world.pay(), []
    kept = last.height, last.app_hash
    world.engine.watch_failure(heard.append)
    world.trouble = trouble
    with contextlib.suppress(SystemExit):
        world.pay(held=held)
    with pytest.raises(StorageError, match=r"vault's disk|broken off"):
        world.engine.wait_durable(last.height + 1, 10)
    world.trouble = None
    with pytest.raises(StorageError):
        world.pay(held=not held)
    assert [height for height, _, _ in world.told] == [last.height]
    assert heard == [world.engine.failure]
    world.chain.reopen()
    assert (world.chain.engine.height, world.chain.engine.app_hash) == kept
    world.chain.engine.close()


def test_nothing_is_written_behind_a_gap(tmp_path: Path) -> None:
    world = Hasty(tmp_path)
    world.pay(commit=False)
    world.engine._commit._queue.clear()
    world.pay()
    assert world.told == []
    assert world.engine.failure is not None
    world.engine.close()
