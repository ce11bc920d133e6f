"""A node that has no chain yet takes a snapshot from the network, and begins there.

CometBFT finds out which snapshots are offered and what the app hash after their blocks is: its light client
follows the votes. Here chunks are taken, each held against the hash that was named before it came, and at the
end everything against that app hash (`storage.base`). Only then is there a chain; what CometBFT asks next is
answered by whoever opened it.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bezant.chain.cometbft import answers, peers
from bezant.chain.cometbft.answers import Chunk, Offered
from bezant.chain.cometbft.messages import (
    ApplyChunk,
    Info,
    ListSnapshots,
    LoadChunk,
    OfferSnapshot,
    Query,
    Request,
)
from bezant.chain.cometbft.offering import FORMAT
from bezant.chain.cometbft.peers import Cut
from bezant.chain.cometbft.server import AbciServer, Application
from bezant.chain.storage.base import PARTS, install
from bezant.chain.storage.offers import Contents, decode_contents
from bezant.chain.storage.snapshots import layout_id
from bezant.errors import BezantError, DecodeError, StorageError
from bezant.model.digest import sha256
from bezant.model.genesis import Genesis

NAME, VERSION = "bezant", "1"
_LOG = logging.getLogger("bezant.cometbft")


@dataclass(slots=True)
class _Coming:
    """A snapshot on its way."""

    height: int
    app_hash: bytes
    contents: Contents
    taken: set[int]


class Joining:
    """Answers CometBFT until there is a chain. `wait`, then `hand_over` to whoever opened it."""

    def __init__(self, socket: Path, chain: Path, genesis: Genesis, ledger_seed: bytes) -> None:
        """`chain` is the folder that will be made. Raises: ConfigError where the socket cannot be."""
        self._chain, self._genesis, self._seed = chain, genesis, ledger_seed
        self._parts = chain.with_name(chain.name + ".coming")
        self._refuses = Cut(socket.parent).refuses
        self._coming: _Coming | None = None
        self._begun: _Coming | None = None
        self._decided, self._handed_over = threading.Event(), threading.Event()
        self._next: Application | None = None
        self._on_failure: Callable[[Exception], None] = lambda error: None
        self.server = AbciServer(socket, self, self._failed)
        self.server.start()

    def wait(self) -> None:
        """Return once a snapshot is there, or CometBFT begins with the first block instead."""
        self._decided.wait()

    def hand_over(self, application: Application, on_failure: Callable[[Exception], None]) -> None:
        """Have `application` answer from now on, what waits for it first."""
        self._on_failure, self._next = on_failure, application
        self._handed_over.set()

    def abandon(self) -> None:
        """Have whatever waits for a chain hear that none will be opened; after `hand_over` nothing does."""
        self._handed_over.set()

    def __call__(self, request: Request) -> bytes:
        if self._next is not None:
            return self._next(request)
        match request:
            case Info():
                begun = self._begun
                return answers.info(
                    NAME, VERSION, begun.height if begun else 0, begun.app_hash if begun else b""
                )
            case Query() if request.path.startswith((peers.BY_ID, peers.BY_ADDRESS)):
                refused = self._refuses(request.path.removeprefix(peers.BY_ID))
                return answers.query(answers.REFUSED if refused else answers.OK, b"", 0)
            case Query():
                return answers.query(answers.REFUSED, b"", 0, "there is no chain here yet")
            case ListSnapshots():
                return answers.list_snapshots(())
            case LoadChunk():
                return answers.load_chunk(b"")
            case OfferSnapshot() if self._begun is None:
                return answers.offer_snapshot(self._offered(request))
            case ApplyChunk() if self._begun is None:
                return self._apply(request)
            case _:
                # Blocks are coming, from the first on or behind the snapshot: they need a ledger. So does
                # a CometBFT that ended before it noted where it begins, and asks for snapshots once more.
                self._decided.set()
                self._handed_over.wait()
                if self._next is None:
                    raise StorageError("this node stops before its chain is open", code="joining_abandoned")
                return self._next(request)

    def _failed(self, error: Exception) -> None:
        self._on_failure(error)

    def _offered(self, request: OfferSnapshot) -> Offered:
        """Judge what is offered by what it says of itself; nothing is taken yet."""
        snapshot = request.snapshot
        if snapshot.format != FORMAT:
            return Offered.REJECT_FORMAT
        try:
            contents = decode_contents(snapshot.metadata, snapshot.chunks)
        except DecodeError as error:
            _LOG.warning("a snapshot at block %d is refused: %s", snapshot.height, error.message)
            return Offered.REJECT
        if contents.layout.hex() != layout_id():
            _LOG.warning("a snapshot at block %d is of another release", snapshot.height)
            return Offered.REJECT
        free = shutil.disk_usage(self._chain.parent).free
        if sha256(snapshot.metadata) != snapshot.digest or 2 * contents.total > free:
            _LOG.warning(
                "a snapshot of %d bytes at block %d is refused; %d are free on the disk",
                contents.total,
                snapshot.height,
                free,
            )
            return Offered.REJECT
        shutil.rmtree(self._parts, ignore_errors=True)
        self._parts.mkdir(mode=0o700)
        self._coming = _Coming(snapshot.height, request.app_hash, contents, set())
        _LOG.info("beginning at block %d: %d bytes", snapshot.height, contents.total)
        return Offered.ACCEPT

    def _apply(self, request: ApplyChunk) -> bytes:
        coming = self._coming
        if coming is None or not 0 <= request.index < len(coming.contents.hashes):
            return answers.apply_chunk(Chunk.REJECT_SNAPSHOT)
        contents = coming.contents
        size = min(contents.chunk_bytes, contents.total - request.index * contents.chunk_bytes)
        if len(request.chunk) != size or sha256(request.chunk) != contents.hashes[request.index]:
            _LOG.warning("chunk %d from %s is not the one that was named", request.index, request.sender)
            return answers.apply_chunk(Chunk.RETRY, request.index, request.sender)
        self._put(contents, request.index, request.chunk)
        coming.taken.add(request.index)
        if len(coming.taken) < len(contents.hashes):
            return answers.apply_chunk(Chunk.ACCEPT)
        self._coming = None
        try:
            self._install(coming)
        except Exception as error:
            # Somebody made it: whatever it breaks, the next one is taken. There was no chain before.
            said = error.message if isinstance(error, BezantError) else repr(error)
            _LOG.error("the snapshot at block %d is refused: %s", coming.height, said)
            for folder in (self._parts, self._chain):
                shutil.rmtree(folder, ignore_errors=True)
            return answers.apply_chunk(Chunk.REJECT_SNAPSHOT)
        return answers.apply_chunk(Chunk.ACCEPT)

    def _put(self, contents: Contents, number: int, chunk: bytes) -> None:
        """Write a chunk where it belongs, across the parts."""
        start, begins = number * contents.chunk_bytes, 0
        for name, size in zip(PARTS, contents.sizes, strict=True):
            low, high = max(start, begins), min(start + len(chunk), begins + size)
            path = self._parts / name
            path.touch(mode=0o600)
            if low < high:
                with path.open("r+b") as file:
                    file.seek(low - begins)
                    file.write(chunk[low - start : high - start])
            begins += size

    def _install(self, coming: _Coming) -> None:
        if coming.height == (self._genesis.origin.height if self._genesis.origin else 0):
            raise StorageError("what a network goes on from is not offered", code="base_unusable")
        install(self._parts, self._chain, self._genesis, self._seed, coming.app_hash, coming.height)
        self._begun = coming
        self._decided.set()
