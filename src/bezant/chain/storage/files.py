"""The files of a chain, opened together where a snapshot left off, or where it begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bezant.chain.storage.archive import ReceiptArchive
from bezant.chain.storage.background import Runner
from bezant.chain.storage.disk import Disk
from bezant.chain.storage.journal import Journal, Start
from bezant.chain.storage.snapshots import Position, Snapshot, Snapshots
from bezant.chain.storage.tree_file import HistoryTree
from bezant.errors import StorageError
from bezant.model.genesis import Genesis, network_id

_OF_THE_MACHINE = ("disk_full", "storage_unavailable")
"""Codes of refusals that say nothing against the snapshot that was to be read."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chain's files are and how they are read and written."""

    folder: Path
    genesis: Genesis
    segment_bytes: int
    disk: Disk
    runner: Runner


@dataclass(frozen=True, slots=True)
class ChainFiles:
    """What a chain keeps: the journal, and what is derived from it."""

    journal: Journal
    archive: ReceiptArchive
    history: HistoryTree
    answers: HistoryTree | None
    """The tree over the archive (`archive_leaf`), where a network offers snapshots or began at one."""

    def position_after(self, height: int, time_ns: int, app_hash: bytes) -> Position:
        """Return the position after a written block, nothing waiting."""
        end = self.journal.end_of(height)
        return Position(
            height=height,
            time_ns=time_ns,
            app_hash=app_hash,
            history_root=self.history.root(height),
            receipts=self.archive.rows_until(height),
            segment=end.segment,
            offset=end.offset,
            waiting=None,
        )

    def sync_derived(self) -> None:
        """Make durable what a snapshot takes for granted."""
        self.journal.sync_places()
        self.archive.sync()
        self.history.sync()
        if self.answers is not None:
            self.answers.sync()

    def close(self) -> None:
        self.journal.close()
        self.archive.close()
        self.history.close()
        if self.answers is not None:
            self.answers.close()


def candidates(
    snapshots: Snapshots, place: Place, base: Snapshot | None
) -> Iterator[tuple[ChainFiles, Snapshot | None]]:
    """Yield the chain's files as of each usable snapshot, the newest first, and last from the beginning:
    behind `base` where the chain does not begin with block 1.

    Whoever takes one closes it; who asks for the next refuses the one before. What is refused is discarded
    first: what lies beside a snapshot is durable as of when it was written, and is now made again, which
    another power cut may undo while the snapshot still vouches for it. Where it is the machine that lacks
    something, as room or memory, nothing is discarded.
    Raises: StorageError where not even the last can be opened, or the machine lacks something.
    """
    begins_behind = base.position.height if base else 0
    for path in snapshots.paths():
        try:
            snapshot = snapshots.read(path)
            files = open_files(place, snapshot, begins_behind)
        except StorageError as error:
            if error.code in _OF_THE_MACHINE:
                raise
        else:
            yield files, snapshot
        snapshots.discard(path)
    yield open_files(place, base, begins_behind), base


def open_files(place: Place, snapshot: Snapshot | None, begins_behind: int = 0) -> ChainFiles:
    """Open what there is. Raises: StorageError ``snapshot_differs`` where it is not the snapshot's."""
    at = snapshot.position if snapshot else None
    height = at.height if at else 0
    with ExitStack() as opened:
        start = Start(at.height, at.segment, at.offset) if at else Start(begins_behind)
        journal = Journal(
            place.folder / "journal",
            network_id(place.genesis),
            segment_bytes=place.segment_bytes,
            disk=place.disk,
            runner=place.runner,
            start=start,
            base=begins_behind,
        )
        opened.callback(journal.close)
        archive = ReceiptArchive(
            place.folder,
            place.genesis.rules,
            place.disk,
            blocks=height,
            rows=at.receipts if at else 0,
        )
        opened.callback(archive.close)
        history = HistoryTree(place.folder / "history.tree", place.disk, height)
        opened.callback(history.close)
        answers: HistoryTree | None = None
        if place.genesis.snapshot_interval or place.genesis.origin is not None:
            answers = HistoryTree(place.folder / "archive.tree", place.disk, height)
            opened.callback(answers.close)
        if at is not None:
            found = (
                history.root(),
                archive.app_hash(height),
                archive.rows_until(height),
                journal.end_of(height),
            )
            if found != (at.history_root, at.app_hash, at.receipts, start):
                raise StorageError("what lies beside the snapshot is not its", code="snapshot_differs")
        opened.pop_all()
        return ChainFiles(journal, archive, history, answers)
