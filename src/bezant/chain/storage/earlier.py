"""The blocks that a ledger had before it went on as a network, for the member that ran it.

They lie in a folder of their own, as they were, and are only read. What is proved from them is proved under
the genesis that they were ordered under.
"""

from __future__ import annotations

from pathlib import Path

from bezant.chain.storage.archive import ENTRY, ReceiptArchive
from bezant.chain.storage.background import run_in_thread
from bezant.chain.storage.disk import ReadOnlyDisk
from bezant.chain.storage.files import ChainFiles, Place
from bezant.chain.storage.journal import SEGMENT_BYTES, Journal, Start
from bezant.chain.storage.reader import BlockReader
from bezant.chain.storage.tree_file import HistoryTree
from bezant.errors import StorageError
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.genesis import Genesis, decode_genesis, network_id
from bezant.model.keys import SigningKey

FOLDER = "earlier"


class Earlier:
    """Opens ``genesis.json`` and ``chain/`` in a folder. `load` and `payment` from any thread."""

    def __init__(self, folder: Path, genesis: Genesis, ledger: ColumnarLedger, key: SigningKey, seed: bytes):
        """`genesis` is the network's, which names the ledger. Raises: StorageError ``origin_differs``."""
        origin = genesis.origin
        own = decode_genesis((folder / "genesis.json").read_bytes())
        if origin is None or network_id(own).hex() != origin.genesis:
            raise StorageError(
                f"{folder} is not the ledger that genesis.json goes on from; remove it, or restore it from a "
                "backup",
                code="origin_differs",
            )
        self.height = origin.height
        disk = ReadOnlyDisk()
        place = Place(folder / "chain", own, SEGMENT_BYTES, disk, run_in_thread)
        self._files = _open(place, origin.height)
        self._reader = BlockReader(self._files, ledger, key, seed, own)
        self.load, self.payment = self._reader.load, self._reader.payment

    def close(self) -> None:
        self._files.close()


def _open(place: Place, height: int) -> ChainFiles:
    """Open what is read of a stopped chain: its blocks up to a height, wherever its journal ends."""
    blocks = place.folder / "blocks.log"
    entries = blocks.stat().st_size // ENTRY.itemsize if blocks.exists() else 0
    if entries < height:
        raise StorageError(f"{place.folder} ends before block {height}", code="origin_differs")
    disk, rules = place.disk, place.genesis.rules
    archive = ReceiptArchive(place.folder, rules, disk, blocks=height, rows=_rows(place, height))
    journal = Journal(
        place.folder / "journal", network_id(place.genesis), disk=disk, start=Start(height), base=0
    )
    journal.durable_height = height
    return ChainFiles(journal, archive, HistoryTree(place.folder / "history.tree", disk, height), None)


def _rows(place: Place, height: int) -> int:
    """Return how many receipts the first blocks have."""
    archive = ReceiptArchive(place.folder, place.genesis.rules, place.disk, blocks=height)
    try:
        return archive.rows_until(height)
    finally:
        archive.close()
