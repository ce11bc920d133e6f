"""Where a chain begins that does not begin with block 1: behind block H, at a snapshot that somebody vouches
for.

::

    base.snapshot   the state after block H
    receipts.log    every answer that was given until then, and
    blocks.log      the blocks they are in

The answers come along because reversals and labels name payments of long ago, and every validator has to
find the same. Blocks themselves are not here: the journal goes on behind H.

There are two kinds. Where the genesis names its `origin`, that vouches, and the state is taken over as
another genesis had it (`succession`). Else it is a snapshot that a network offers: the app hash of block H
covers the root of the state, in which stand H, its time, and the root over all the answers. Everything is
computed from the bytes that are there before anything in them is followed, and nothing that is not covered
gets into the state.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.chain import history, leaves
from bezant.chain.blocks import StateRoot
from bezant.chain.storage.archive import ENTRY, ReceiptArchive, archive_leaf
from bezant.chain.storage.disk import Disk, SystemDisk, read_span
from bezant.chain.storage.frames import SEGMENT_HEADER, decode_segment_header, read_frame
from bezant.chain.storage.snapshots import Position, Snapshot, Snapshots
from bezant.chain.storage.state_roots import root_of, standing_digest
from bezant.chain.storage.tree_file import HistoryTree
from bezant.errors import DecodeError, NotFound, StorageError
from bezant.ledger import state as layout
from bezant.ledger.succession import succeed
from bezant.model.digest import as_rows
from bezant.model.genesis import Genesis, network_id
from bezant.model.merkle import leaf_hashes, root_from_path
from bezant.model.records import RECEIPT

FILE = "base.snapshot"
PARTS = (FILE, "receipts.log", "blocks.log")
PATH = "path"
"""The companion of an offered snapshot: the way from its state root to the root over its block's leaves."""
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Opening:
    """What a ledger was where its chain begins: where that is, and the ledger's tables."""

    position: Position
    tables: Mapping[str, npt.NDArray[Any]]


def read_base(folder: Path, genesis: Genesis, disk: Disk) -> Snapshot | None:
    """Return the base in a chain's folder, None where the chain begins with block 1.

    Raises: StorageError ``base_unusable``, ``origin_missing``.
    """
    path = folder / FILE
    if path not in disk.list(folder):
        if genesis.origin is not None:
            raise StorageError(
                f"genesis.json goes on from block {genesis.origin.height} of another ledger, and {path} "
                "is missing; take origin/ from another member, remove chain/ and start again",
                code="origin_missing",
            )
        if _begins_later(folder, disk):
            raise _unusable(
                "its journal begins behind another block than the first, and what it began at is lost"
            )
        return None
    try:
        base = Snapshots(folder / "snapshots", network_id(genesis), disk).read(path, any_layout=True)
        return replace(base, tables=_completed(base, genesis))
    except StorageError as error:
        raise _unusable(error.message) from error


def check_base(
    base: Snapshot, archive: ReceiptArchive, answers: HistoryTree, seed: bytes, genesis: Genesis
) -> None:
    """Raise StorageError ``base_unusable`` unless a base is what the genesis names, or what its own app hash
    covers; who vouches for that hash is the caller's to know. `answers` is the tree over `archive`."""
    at, origin = base.position, genesis.origin
    if (at.segment, at.offset, at.waiting) != (0, 0, None) or at.height < 1:
        raise _unusable("it does not say where a chain begins")
    entry = archive.entry(at.height)[0]
    if int(entry["time_ns"]) != at.time_ns or archive.app_hash(at.height) != at.app_hash:
        raise _unusable("its last block is another one")
    if origin is not None and at.height == origin.height:
        found = (
            at.time_ns,
            at.app_hash.hex(),
            root_of(base.tables, seed).hex(),
            answers.root(at.height).hex(),
        )
        if found != (origin.time_ns, origin.app_hash, origin.state_root, origin.archive_root):
            raise _unusable("it is not the ledger that genesis.json names as its origin")
        return
    receipts = archive.receipts(at.height)
    standing = standing_digest(at.height, at.time_ns, answers.root(at.height - 1), receipts)
    state = StateRoot(at.height, root_of(base.tables, seed, standing))
    if archive.state_in(at.height) != state:
        raise _unusable("its state is not the one that its last block covers")
    rows = base.companions.get(PATH, np.zeros(0, np.uint8))
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 32:
        raise _unusable("it has no way from its state to an app hash")
    path = [row.tobytes() for row in rows]
    leaf = leaf_hashes(as_rows(leaves.state_leaf(state)))[0].tobytes()
    top = root_from_path(leaf, len(receipts), len(receipts) + 1, path)
    if top is None or leaves.next_app_hash(archive.app_hash(at.height - 1), top) != at.app_hash:
        raise _unusable("the app hash of its last block does not cover its state")


def opening_tables(base: Snapshot, genesis: Genesis) -> dict[str, npt.NDArray[Any]]:
    """Return the ledger's tables that a chain begins with. Raises: StorageError ``origin_differs``."""
    origin = genesis.origin
    if origin is not None and base.position.height == origin.height:
        return succeed(base.tables, genesis)
    return dict(base.tables)


def install(
    parts: Path,
    chain: Path,
    genesis: Genesis,
    ledger_seed: bytes,
    app_hash: bytes,
    height: int,
    progress: Progress = lambda height: None,
) -> None:
    """Make a chain's folder of the `PARTS` in a folder beside it, which becomes that folder.

    `app_hash` is the one after block `height`, as somebody vouches for it. Everything is checked first.
    Raises: StorageError ``base_unusable``.
    """
    disk = SystemDisk()
    base = read_base(parts, genesis, disk)
    if base is None or (base.position.app_hash, base.position.height) != (app_hash, height):
        raise _unusable("it is of another block than the one that is vouched for")
    at = base.position
    sizes = (at.receipts * RECEIPT.itemsize, at.height * ENTRY.itemsize)
    if tuple((parts / name).stat().st_size for name in PARTS[1:]) != sizes:
        raise _unusable("its answers are more or fewer than it says")
    with ExitStack() as opened:
        archive = ReceiptArchive(parts, genesis.rules, disk, blocks=at.height, rows=at.receipts)
        opened.callback(archive.close)
        blocks, answers = (HistoryTree(parts / name, disk) for name in ("history.tree", "archive.tree"))
        opened.callback(blocks.close)
        opened.callback(answers.close)
        try:
            _grow(archive, blocks, answers, at.height, progress)
            check_base(base, archive, answers, ledger_seed, genesis)
        except (NotFound, StorageError) as error:
            raise error if error.code == "base_unusable" else _unusable(error.message) from error
        if blocks.root() != at.history_root:
            raise _unusable("its history is another one")
        archive.sync()
        blocks.sync()
        answers.sync()
    _sync(parts / FILE)
    disk.sync_folder(parts)
    disk.rename(parts, chain)
    disk.sync_folder(chain.absolute().parent)


def begin_at_origin(origin: Path, chain: Path, genesis: Genesis, ledger_seed: bytes) -> None:
    """Make a chain's folder of what its genesis goes on from, as it lies in a folder beside it, and stays.

    Raises: StorageError ``origin_missing``, ``origin_differs``.
    """
    named = genesis.origin
    if named is None or not all((origin / name).is_file() for name in PARTS):
        raise StorageError(
            f"{origin} has to hold {', '.join(PARTS)}: what this network goes on from; take them from "
            "another member",
            code="origin_missing",
        )
    coming = chain.with_name(chain.name + ".coming")
    shutil.rmtree(coming, ignore_errors=True)
    coming.mkdir(mode=0o700)
    for name in PARTS:
        shutil.copyfile(origin / name, coming / name)
    try:
        install(coming, chain, genesis, ledger_seed, bytes.fromhex(named.app_hash), named.height)
    except StorageError as error:
        raise StorageError(
            f"{origin} is not the ledger that genesis.json goes on from ({error.message}); take it from "
            "another member",
            code="origin_differs",
        ) from error


def _grow(
    archive: ReceiptArchive, blocks: HistoryTree, answers: HistoryTree, height: int, progress: Progress
) -> None:
    """Make both trees of the blocks of an archive, whose rows have to follow one another."""
    rows, time_ns = 0, 0
    for number in range(1, height + 1):
        entry = archive.entry(number)
        first, count, now_ns = (int(entry[name][0]) for name in ("first", "count", "time_ns"))
        if first != rows or count > archive.rows - rows or now_ns < time_ns:
            raise _unusable(f"block {number} does not follow from the one before")
        rows, time_ns = rows + count, now_ns
        receipts, app_hash = archive.receipts(number), entry["app_hash"][0].tobytes()
        leaf_count = count + (archive.state_in(number) is not None)
        blocks.append(history.block_leaf(number, time_ns, leaf_count, app_hash))
        answers.append(archive_leaf(entry, receipts))
        if number % 1_000 == 0 or number == height:
            progress(number)
    if rows != archive.rows:
        raise _unusable("there are more answers than its blocks have")


def _begins_later(folder: Path, disk: Disk) -> bool:
    """Return whether the journal in a chain's folder does not begin with block 1.

    Its header may say so because a bit of it turned round, so its first frame has to say so too, or where it
    has none yet, the answers that came along. What is damaged the journal refuses by file and byte.
    """
    path = folder / "journal" / "00000001.segment"
    with suppress(StorageError, DecodeError):
        first = decode_segment_header(read_span(disk, path, 0, SEGMENT_HEADER.itemsize)).first_height
        if first <= 1:
            return False
        frame = read_frame(memoryview(read_span(disk, path)), SEGMENT_HEADER.itemsize)
        return frame.height >= first if frame else bool(read_span(disk, folder / "blocks.log", 0, 1))
    return False


def _completed(base: Snapshot, genesis: Genesis) -> dict[str, npt.NDArray[Any]]:
    """Return a base's tables with those that ledgers got since, empty. Raises: StorageError."""
    expected = layout.tables(layout.new_state(genesis))
    found = dict(base.tables)
    for name in layout.LATER:
        found.setdefault(name, expected[name][:0])
    same = found.keys() == expected.keys() and all(
        found[name].dtype == rows.dtype and found[name].ndim == 1 for name, rows in expected.items()
    )
    if not same or len(found["counters"]) != 1:
        raise StorageError("its tables are not those of a ledger", code="snapshot_differs")
    counters = found["counters"][0]
    for name in (*layout.INDEX_OF, *layout.WRITE_ONCE, *layout.UNINDEXED):
        if len(found[name]) != int(counters[name]):
            raise StorageError(f"it has {len(found[name])} {name} and counts others", code="snapshot_differs")
    return found


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(why: str) -> StorageError:
    return StorageError(
        f"this chain cannot begin at the snapshot that is there: {why}. Take it from the other members again "
        "with: bezant network resync",
        code="base_unusable",
    )
