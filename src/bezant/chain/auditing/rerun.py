"""A stopped chain's blocks once more: read from the journal and applied, with nothing changed on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bezant.chain.blocks import AppHash, CommittedBlock
from bezant.chain.storage import frames
from bezant.chain.storage.archive import ENTRY
from bezant.chain.storage.base import opening_tables, read_base
from bezant.chain.storage.columns import batch_of, block_of, join_orders
from bezant.chain.storage.disk import ReadOnlyDisk
from bezant.chain.storage.journal import SEGMENT_BYTES, Journal
from bezant.errors import InvariantViolation, StorageError
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.digest import as_rows
from bezant.model.genesis import Genesis, network_id
from bezant.model.merkle import leaf_hashes


class Rerun:
    """Gives the blocks of a chain from the first on, for whoever wants to know what happened in it.

    Signatures are taken as the journal says, and what is derived from it is not looked at; `Audit` does both.
    The journal alone is enough, so a copy of a running node's folder will do.
    """

    def __init__(self, folder: Path, genesis: Genesis) -> None:
        """Raises: StorageError ``no_journal`` where there is no chain."""
        if not (folder / "journal").is_dir():
            raise StorageError(
                f"{folder} has no journal; name the data folder of a node that has run, or a copy of it",
                code="no_journal",
            )
        self._folder, self._network = folder, network_id(genesis)
        self.ledger = ColumnarLedger(genesis)
        """The ledger as it is after the block that was given last."""
        base = read_base(folder, genesis, ReadOnlyDisk())
        self.begins_behind = base.position.height if base else 0
        """The block that what is given begins behind: 0, but where the chain began at a snapshot."""
        if base is not None:
            self.ledger.restore(opening_tables(base, genesis), self.begins_behind)

    @property
    def expected(self) -> int:
        """About how many blocks there are, for a progress bar."""
        entries = self._folder / "blocks.log"
        return max(entries.stat().st_size // ENTRY.itemsize, 1) if entries.exists() else 1

    def __iter__(self) -> Iterator[CommittedBlock]:
        """Yield the blocks. Raises: JournalDamaged, DecodeError, InvariantViolation."""
        journal = Journal(
            self._folder / "journal",
            self._network,
            segment_bytes=SEGMENT_BYTES,
            disk=ReadOnlyDisk(),
            base=self.begins_behind,
        )
        for frame in journal.survey():
            journaled = frames.decode_block(frame.body, self._network)
            columns = join_orders(journaled.orders)
            hashes = leaf_hashes(as_rows(columns.records))
            receipts = self.ledger.apply(batch_of(journaled, columns, hashes))
            yield block_of(journaled, columns, receipts, AppHash(_never_computed), None)


def _never_computed() -> bytes:
    raise InvariantViolation("a rerun says what happened, not what it hashes to; an audit computes that")
