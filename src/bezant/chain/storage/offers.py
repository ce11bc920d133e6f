"""Snapshots that a network's member offers to new ones: the state that an app hash covers, and every answer
until then (see `base`), cut into chunks.

The state is a file of its own; the answers are the beginnings of the archive's files, which only grow, so
that they are read out of those. The same bytes on every member: what is offered is named by their hashes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bezant.chain.blocks import CommittedBlock
from bezant.chain.storage.archive import ENTRY
from bezant.chain.storage.background import Runner, Task
from bezant.chain.storage.base import PATH
from bezant.chain.storage.disk import Disk, read_span
from bezant.chain.storage.files import ChainFiles
from bezant.chain.storage.snapshots import Arrays, Position, Snapshot, Snapshots, layout_id
from bezant.errors import BezantError, DecodeError, NotFound, StorageError
from bezant.model.digest import sha256
from bezant.model.records import RECEIPT

CHUNK_BYTES = 8 << 20
"""CometBFT takes less than 16 MiB."""
KEPT = 3
MAX_CHUNKS = 100_000
_NUMBER = 8
_HASH = 32


@dataclass(frozen=True, slots=True)
class Contents:
    """What an offer consists of: bytes of each part in the order of `base.PARTS`, and a hash for each chunk.

    `layout` names the release's tables; see `layout_id`.
    """

    layout: bytes
    chunk_bytes: int
    sizes: tuple[int, int, int]
    hashes: tuple[bytes, ...]

    @property
    def total(self) -> int:
        return sum(self.sizes)

    def encode(self) -> bytes:
        """Return the metadata that goes with an offer."""
        numbers = b"".join(one.to_bytes(_NUMBER, "little") for one in (self.chunk_bytes, *self.sizes))
        return self.layout + numbers + b"".join(self.hashes)


def decode_contents(data: bytes, chunks: int) -> Contents:
    """Return what an offer of so many chunks says of itself; no room is taken yet. Raises: DecodeError."""
    start = _HASH + 4 * _NUMBER
    if not 1 <= chunks <= MAX_CHUNKS or len(data) != start + chunks * _HASH:
        raise DecodeError("what is offered has no such number of chunks", code="offer_malformed")
    numbers = [int.from_bytes(data[at : at + _NUMBER], "little") for at in range(_HASH, start, _NUMBER)]
    size, (state, receipts, blocks) = numbers[0], numbers[1:]
    hashes = tuple(data[at : at + _HASH] for at in range(start, len(data), _HASH))
    found = Contents(data[:_HASH], size, (state, receipts, blocks), hashes)
    if not 0 < size <= CHUNK_BYTES or -(-found.total // size) != chunks:
        raise DecodeError("what is offered does not have the size of its chunks", code="offer_malformed")
    if receipts % RECEIPT.itemsize or blocks % ENTRY.itemsize or not state or not blocks:
        raise DecodeError("what is offered has parts of rows", code="offer_malformed")
    return found


@dataclass(frozen=True, slots=True)
class Offer:
    """A snapshot after block `height`, ready to be handed out."""

    height: int
    contents: Contents
    state: Path


@dataclass(frozen=True, slots=True)
class _Draft:
    block: CommittedBlock
    tables: Arrays
    path: Sequence[bytes]


class Offers:
    """Follows one chain. `begin` by the thread that applies, `durable` by the one that writes, `all` and
    `chunk` by any."""

    def __init__(
        self,
        folder: Path,
        files: ChainFiles,
        network: bytes,
        disk: Disk,
        runner: Runner,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self._folder, self._files, self._network = folder, files, network
        self._disk, self._runner, self._chunk_bytes = disk, runner, chunk_bytes
        self._draft: _Draft | None = None
        self._task: Task | None = None
        self._offers: dict[int, Offer] = {}
        self.failure: BezantError | None = None
        """Why the last one could not be made, if it could not: the chain goes on without."""

    def resume(self, height: int) -> None:
        """Offer again what was offered before a restart, up to the block that the chain is at."""
        found = [path for path in self._paths() if int(path.stem) <= height]

        def survey() -> bool:
            for path in found:
                try:
                    self._offer(path, int(path.stem))
                except (StorageError, NotFound) as error:
                    self.failure = error
            return False

        if found:
            self._task = self._runner("offer", survey)

    def begin(self, block: CommittedBlock, tables: Arrays, path: Sequence[bytes]) -> None:
        """Draft an offer of the state after `block`, which its app hash covers by this path."""
        self._draft = _Draft(block, tables, path)

    def durable(self, height: int) -> None:
        """Hear up to which height everything is durable; begin writing what was drafted until there."""
        draft = self._draft
        if draft is None or draft.block.height > height:
            return
        self._draft = None
        if self._task is not None:
            self._task.join()

        def write() -> bool:
            try:
                self._write(draft)
                self.failure = None
            except StorageError as error:
                self.failure = error
            return False

        self._task = self._runner("offer", write)

    def all(self) -> list[Offer]:
        """Return what is offered now, the newest first."""
        offers = self._offers.copy()
        return [offers[height] for height in sorted(offers, reverse=True)]

    def chunk(self, height: int, number: int) -> bytes:
        """Return a chunk of an offer. Raises: NotFound, StorageError."""
        offer = self._offers.get(height)
        if offer is None or not 0 <= number < len(offer.contents.hashes):
            raise NotFound(f"there is no chunk {number} of a snapshot at block {height}", code="no_offer")
        start = number * offer.contents.chunk_bytes
        return self._span(offer.state, offer.contents.sizes, start, start + offer.contents.chunk_bytes)

    def close(self) -> None:
        """Finish what is being written."""
        if self._task is not None:
            self._task.join()

    def _write(self, draft: _Draft) -> None:
        block = draft.block
        self._disk.make_folder(self._folder)
        state = self._folder / f"{block.height:016d}.base"
        rows = self._files.archive.rows_until(block.height)
        at = Position(
            block.height,
            block.time_ns,
            block.app_hash,
            self._files.history.root(block.height),
            rows,
            0,
            0,
            None,
        )
        path = np.frombuffer(b"".join(draft.path), np.uint8).reshape(-1, _HASH)
        snapshots = Snapshots(self._folder, self._network, self._disk)
        snapshots.write_to(state, Snapshot(at, draft.tables, {PATH: path}))
        self._offer(state, block.height)
        for old in self.all()[KEPT:]:
            del self._offers[old.height]
        for stale in self._paths():
            if int(stale.stem) not in self._offers:
                with contextlib.suppress(OSError):
                    self._disk.unlink(stale)

    def _offer(self, state: Path, height: int) -> None:
        """Hash what is to be handed out, and offer it from now on."""
        file = self._disk.open(state)
        try:
            size = self._disk.size(file)
        finally:
            self._disk.close(file)
        rows, step = self._files.archive.rows_until(height), self._chunk_bytes
        sizes = (size, rows * RECEIPT.itemsize, height * ENTRY.itemsize)
        hashes = [sha256(self._span(state, sizes, at, at + step)) for at in range(0, sum(sizes), step)]
        contents = Contents(bytes.fromhex(layout_id()), step, sizes, tuple(hashes))
        self._offers[height] = Offer(height, contents, state)

    def _paths(self) -> list[Path]:
        """Return the states that were written, each named by its height."""
        self._disk.make_folder(self._folder)
        return [path for path in self._disk.list(self._folder) if path.suffix == ".base"]

    def _span(self, state: Path, sizes: Sequence[int], start: int, stop: int) -> bytes:
        """Return bytes of the parts, one after the other."""
        found, begins = [], 0
        folder = self._folder.parent
        for path, size in zip((state, folder / "receipts.log", folder / "blocks.log"), sizes, strict=True):
            low, high = max(start - begins, 0), min(stop - begins, size)
            if low < high:
                found.append(read_span(self._disk, path, low, high - low))
            begins += size
        return b"".join(found)
