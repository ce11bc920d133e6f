"""A follower that is killed wherever it may be: the store goes on exactly once, row for row."""

from __future__ import annotations

import multiprocessing
import signal
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from bezant.chain.blocks import CommittedBlock
from bezant.store import Store, schema
from bezant.testing.blocks import mixed_blocks
from bezant.testing.interrupted import Death, Point, follow_to, open_store, save_blocks

Rows = dict[str, list[tuple[object, ...]]]
BLOCKS, SEED = 240, 7
INJECTED = [
    *(Death(Point.STATEMENT, number) for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14, 20, 30, 50)),
    *(Death(Point.COMMIT, number) for number in (1, 2, 3)),
    *(Death(Point.COMMITTED, number) for number in (1, 2, 3)),
]
SPAN_US = 40_000
"""A random kill comes within this time; catching up and following ten blocks takes about as long."""
RANDOM = [Death(Point.MOMENT, moment) for moment in Random(SEED).sample(range(SPAN_US), 40)]
LEFT_BEHIND = 5
"""How many deaths at least must find the follower with work undone, or the test shows nothing."""
# A server with the store's modules loaded, from which a child begins in milliseconds.
SPAWN = multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module", autouse=True)
def _preloaded() -> None:
    SPAWN.set_forkserver_preload(["bezant.testing.interrupted"])


@pytest.fixture(scope="module")
def blocks() -> list[CommittedBlock]:
    return mixed_blocks(BLOCKS, SEED)


@pytest.fixture(scope="module")
def uninterrupted(blocks: list[CommittedBlock], tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Every row of a store in SQLite that took all the blocks in one go."""
    with closing(open_store(f"sqlite:///{tmp_path_factory.mktemp('whole') / 'store.db'}")) as store:
        store.project(blocks)
        return rows_of(store)


@pytest.fixture
def blocks_file(blocks: list[CommittedBlock], tmp_path: Path) -> Path:
    path = tmp_path / "blocks.pickle"
    save_blocks(path, blocks)
    return path


def rows_of(store: Store) -> Rows:
    tables = (*schema.PROJECTED, schema.checkpoint, schema.outbox)
    with store._database.read() as connection:
        return {
            table.name: [
                tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))
            ]
            for table in tables
        }


def run(url: str, blocks_file: Path, height: int, death: Death | None) -> int | None:
    """Follow to a height in a process of its own; return how it ended."""
    child = SPAWN.Process(target=follow_to, args=(url, blocks_file, height, death))
    child.start()
    child.join(120)
    return child.exitcode


@pytest.mark.parametrize("deaths", [INJECTED, RANDOM], ids=["injected", "random"])
def test_killed_anywhere_it_goes_on_exactly_once(
    url: str, blocks_file: Path, uninterrupted: Rows, deaths: list[Death]
) -> None:
    """Each death meets a few more blocks, behind all that the ones before left undone."""
    killed, left_behind = 0, 0
    told: list[str] = []
    for turn, death in enumerate(deaths, 1):
        height = BLOCKS * turn // (len(deaths) + 1)
        ended = run(url, blocks_file, height, death)
        assert ended in (0, -signal.SIGKILL), (death, ended)
        if death.point is not Point.MOMENT:
            assert ended == -signal.SIGKILL, f"it never came to {death}"
        with closing(open_store(url)) as store:
            killed += ended != 0
            left_behind += store.height < height
            told += deliver(store)
    assert run(url, blocks_file, BLOCKS, None) == 0
    with closing(open_store(url)) as store:
        told += deliver(store)
        found = rows_of(store)
    assert killed >= LEFT_BEHIND
    assert left_behind >= LEFT_BEHIND, "hardly a kill met anything unfinished"
    for table in (*schema.PROJECTED, schema.checkpoint):
        assert found[table.name] == uninterrupted[table.name], table.name
    assert sorted(told) == sorted(row[0] for row in uninterrupted["outbox"]), "each event, and once"
    assert [row[:6] for row in found["outbox"]] == [row[:6] for row in uninterrupted["outbox"]]


def deliver(store: Store) -> list[str]:
    """Mark every event that is due as delivered; return their ids."""
    ids = [due.event.id for due in store.outbox.due(2**62, limit=10_000)]
    for id_ in ids:
        store.outbox.mark_delivered(id_, 1)
    return ids
