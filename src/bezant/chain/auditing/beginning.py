"""Where an audit begins in a chain that does not begin with block 1, and what it knows of before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bezant.chain.blocks import StateRoot
from bezant.chain.checkpoints import Checkpoint
from bezant.chain.history import Peaks
from bezant.chain.storage.archive import ReceiptArchive
from bezant.chain.storage.base import Opening, check_base, opening_tables, read_base
from bezant.chain.storage.disk import Disk
from bezant.chain.storage.tree_file import HistoryTree
from bezant.errors import NotFound, StorageError
from bezant.model.genesis import Genesis, network_id
from bezant.model.records import RecordArray


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a chain begins, and the trees and the last ENTRY (1,) until there."""

    opening: Opening
    history: Peaks
    answers: Peaks
    entry: RecordArray
    covered: StateRoot | None


def find_beginning(folder: Path, genesis: Genesis, ledger_seed: bytes, disk: Disk) -> Beginning | None:
    """Return where the chain in a folder begins, None where with block 1; checked as a node does at a start.

    Raises: StorageError ``base_unusable``.
    """
    base = read_base(folder, genesis, disk)
    if base is None:
        return None
    at = base.position
    archive = ReceiptArchive(folder, genesis.rules, disk, blocks=at.height, rows=at.receipts)
    names = "history.tree", "archive.tree"
    blocks, answers = (HistoryTree(folder / name, disk, at.height) for name in names)
    try:
        check_base(base, archive, answers, ledger_seed, genesis)
        covered = archive.state_root(at.height)
        return Beginning(
            Opening(at, opening_tables(base, genesis)),
            blocks.peaks(),
            answers.peaks(),
            archive.entry(at.height),
            covered[1] if covered else None,
        )
    finally:
        for one in (archive, blocks, answers):
            one.close()


def checkpoint_at(folder: Path, genesis: Genesis, height: int, named: bytes, disk: Disk) -> Checkpoint:
    """Return the checkpoint of a block from before a chain begins, as its archive and its history have it.

    `named` is the network that a checkpoint to compare names: blocks of the origin were of another one.
    Raises: StorageError where the archive does not hold the block.
    """
    own, origin = network_id(genesis), genesis.origin
    earlier = origin is not None and height <= origin.height and named.hex() == origin.genesis
    archive = ReceiptArchive(folder, genesis.rules, disk, blocks=height)
    tree = HistoryTree(folder / "history.tree", disk, height)
    try:
        covered = archive.state_root(height)
        return Checkpoint(
            named if earlier else own,
            height,
            tree.root(),
            archive.time_ns(height),
            archive.app_hash(height),
            covered[1].height if covered else 0,
            covered[1].root if covered else bytes(32),
        )
    except NotFound as error:
        raise StorageError(error.message, code="archive_damaged") from error
    finally:
        archive.close()
        tree.close()
