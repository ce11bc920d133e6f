"""A store's follower in a process of its own that dies, by SIGKILL, where a test says.

`follow_to` is what runs in that process; the caller starts it with `multiprocessing`. It reads the
blocks from a file, takes the first half of what is new from there, as after a restart, and is told
of the rest block by block.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from bezant.chain.blocks import AppHash, CommittedBlock
from bezant.store import Event, Follower, Store

KEY: Final = bytes(range(32))
PATIENCE_S: Final = 60.0


class Point(StrEnum):
    """Where a follower dies."""

    STATEMENT = "in the middle of a transaction, before one of its statements"
    COMMIT = "before a commit"
    COMMITTED = "after a commit, before anybody heard of it"
    MOMENT = "some milliseconds after it began"


@dataclass(frozen=True, slots=True)
class Death:
    """At which occurrence of a point, counted from 1; for MOMENT, after how many microseconds."""

    point: Point
    number: int


def tell_of(block: CommittedBlock) -> Iterator[Event]:
    """Yield two events a block, which follow from it alone."""
    for name in ("a", "b"):
        body = f'{{"height":{block.height},"records":{len(block.records)}}}'
        yield Event(f"msg_{block.height}_{name}", block.height, "block", f"we_{name}", body)


def open_store(url: str) -> Store:
    return Store.open(url, key=KEY, events=tell_of)


def save_blocks(path: Path, blocks: Sequence[CommittedBlock]) -> None:
    columns = [
        (b.height, b.time_ns, b.app_hash, b.records, b.decisions, b.authorisations, b.receipts)
        for b in blocks
    ]
    path.write_bytes(pickle.dumps(columns))


def load_blocks(path: Path) -> list[CommittedBlock]:
    return [
        CommittedBlock(height, time_ns, AppHash.known(app_hash), *columns)
        for height, time_ns, app_hash, *columns in pickle.loads(path.read_bytes())
    ]


def follow_to(url: str, blocks_file: Path, height: int, death: Death | None) -> None:
    """Bring the store to a height, or die on the way."""
    blocks = load_blocks(blocks_file)[:height]
    store = open_store(url)
    known = (store.height + height + 1) // 2
    follower = Follower(store, lambda first: iter(blocks[first - 1 : known]))
    if death is not None:
        _arm(death)
    follower.start()
    follower.wait_for(known, PATIENCE_S)
    for block in blocks[known:]:
        follower.follow(block)
        follower.wait_for(block.height, PATIENCE_S)
    follower.close()
    store.close()


def _arm(death: Death) -> None:
    if death.point is Point.MOMENT:
        timer = threading.Timer(death.number / 1e6, _die)
        timer.daemon = True
        timer.start()
        return
    left = [death.number]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            _die()

    match death.point:
        case Point.STATEMENT:
            sa.event.listen(sa.Engine, "before_cursor_execute", count)
        case Point.COMMIT:
            sa.event.listen(sa.Engine, "commit", count)
        case Point.COMMITTED:
            # What the pool does next with a connection whose transaction was committed.
            sa.event.listen(sa.pool.Pool, "checkin", count)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
