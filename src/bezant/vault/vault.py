"""The vault: every personal thing, sealed under the key of the party it concerns.

Journal and chain hold salted commitments; names, texts, raw messages and feature vectors are here,
durable before the Order that commits to them is submitted. Erasing a party destroys its key: what
was sealed for it is noise from then on, and every proof still verifies.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from bezant.errors import InputError, NotFound, StorageError, VaultError
from bezant.vault import frames, sealing
from bezant.vault.catalogue import Catalogue, Walked
from bezant.vault.files import create_durably, disk_errors
from bezant.vault.kinds import VaultKind
from bezant.vault.opened import Entry, OpenedBatch, joined
from bezant.vault.parties import PartyKeys, load_master_key
from bezant.vault.sealing import (
    KEY_BYTES,
    NONCE_PREFIX_BYTES,
    I64Array,
    U8Array,
    U32Array,
    U64Array,
)
from bezant.vault.segments import SEGMENT_BYTES, Place, Segments

_OPENED_BATCHES: Final = 256
"""How many batches are kept open while many ids are read."""


class Vault:
    """An open vault. Thread-safe; one process at a time (the data folder's lock sees to that)."""

    def __init__(self, keys: PartyKeys, segments: Segments, *, native: bool) -> None:
        self._keys = keys
        self._segments = segments
        self._native = native
        self._catalogue = Catalogue(segments)

    @staticmethod
    def open(folder: Path, *, native: bool = True, segment_bytes: int = SEGMENT_BYTES) -> Vault:
        """Open the vault of a data folder, or create it with a new master key in ``keys/vault.key``.

        `native=False` seals row by row through PyNaCl's Python functions (the same bytes).
        Raises: VaultError ``master_key_missing``, ``master_key_exposed``, ``master_key_wrong``;
        StorageError ``vault_damaged`` naming file and offset.
        """
        master_path, vault_folder = folder / "keys" / "vault.key", folder / "vault"
        table_path = vault_folder / "parties.keys"
        with disk_errors(folder):
            master_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            vault_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            sealed_before = any(vault_folder.glob("segment-*.log"))
        if not table_path.exists() and sealed_before:
            raise StorageError(
                f"{table_path} is missing, and nothing sealed can be read without it: restore a backup",
                code="vault_damaged",
            )
        if not table_path.exists() and not master_path.exists():
            create_durably(master_path, secrets.token_bytes(KEY_BYTES))
        master_key = load_master_key(master_path)
        if not table_path.exists():
            PartyKeys.create(table_path, master_key)
        keys = PartyKeys(table_path, master_key)
        try:
            return Vault(keys, Segments(vault_folder, segment_bytes=segment_bytes), native=native)
        except BaseException:
            keys.close()
            raise

    # -- parties ---------------------------------------------------------------------------

    @property
    def parties(self) -> U32Array:
        """The numbers of the parties whose data can be read, the node's own (0) among them."""
        numbers = np.arange(self._keys.count, dtype=np.uint32)
        return numbers[self._keys.live_mask(numbers)]

    @property
    def last_party(self) -> int:
        """The last number that was given to a party, erased or not; none is given twice."""
        return self._keys.count - 1

    def new_party(self) -> int:
        """Return the number of a new party; its key is durable on return."""
        return int(self._keys.create_parties(1)[0])

    def new_parties(self, count: int) -> U32Array:
        """Return the numbers (count,) of new parties, with one sync for all of them."""
        return self._keys.create_parties(count)

    def erase(self, party: int) -> None:
        """Destroy a party's key; nothing sealed for it can be read again. Idempotent.

        Raises: VaultError ``party_unknown`` or ``party_permanent``.
        """
        self._keys.erase(party)

    # -- sealing ---------------------------------------------------------------------------

    def seal_rows(
        self,
        kind: VaultKind,
        ids_lo: U64Array,
        ids_hi: U64Array,
        party: U32Array | int,
        rows: U8Array,
    ) -> int:
        """Seal rows (n, width) uint8 of one width; return the ticket for `sync`.

        ids_lo, ids_hi (n,) uint64; party (n,) uint32, or one number for all. A later row of the same
        kind and id replaces the earlier. Raises: VaultError ``erased`` or ``party_unknown``;
        StorageError ``disk_full``: nothing of the batch is kept.
        """
        count, width = rows.shape
        plain = np.ascontiguousarray(rows, np.uint8).ravel()
        offsets = frames.uniform_offsets(count, width)
        return self._seal(kind, ids_lo, ids_hi, party, plain, offsets, width)

    def seal_texts(
        self,
        kind: VaultKind,
        ids_lo: U64Array,
        ids_hi: U64Array,
        party: U32Array | int,
        texts: Sequence[bytes],
    ) -> int:
        """Seal texts of any lengths; otherwise as `seal_rows`."""
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=offsets[1:])
        plain = np.frombuffer(b"".join(texts), np.uint8)
        return self._seal(kind, ids_lo, ids_hi, party, plain, offsets, frames.VARIABLE)

    def seal_text(self, kind: VaultKind, id_: int, party: int, text: bytes) -> int:
        """Seal one text under one id."""
        low, high = np.array([id_ & 0xFFFFFFFFFFFFFFFF], np.uint64), np.array([id_ >> 64], np.uint64)
        return self.seal_texts(kind, low, high, party, [text])

    def sync(self, ticket: int | None = None) -> None:
        """Return once everything up to a ticket (None: all) is on disk; one sync serves many appends.

        Raises: StorageError; after a failed sync the vault takes no more writes.
        """
        self._segments.sync(ticket)

    # -- reading ---------------------------------------------------------------------------

    def read(self, kind: VaultKind, id_: int) -> bytes:
        """Return the text that was last sealed under an id.

        Raises: NotFound; VaultError ``erased``, or ``vault_unreadable`` if it was altered;
        StorageError ``vault_damaged``.
        """
        place, header, columns, row = self._find(kind, id_)
        party = int(columns.party[row])
        text = sealing.open_row(
            kind,
            id_,
            party,
            self._segments.read_sealed(place, header, columns, row),
            self._keys.key(party),
            sealing.row_nonce(header["nonce"].tobytes(), row),
        )
        if text is None:
            raise _altered(kind, id_)
        return text

    def read_many(self, kind: VaultKind, ids: Iterable[int]) -> dict[int, bytes]:
        """Return by id the texts that `read` would, for many ids that were sealed near each other.

        A batch is opened whole, and once, which costs a fraction of reading its rows one by one. Left out
        are ids that the vault does not hold and those of erased parties. Raises: VaultError for an
        altered row; StorageError ``vault_damaged``.
        """
        texts: dict[int, bytes] = {}
        walked: Walked = {}
        opened: dict[Place, dict[int, bytes | None]] = {}
        for id_ in ids:
            if len(walked) > _OPENED_BATCHES:
                walked.clear()
            for place in self._catalogue.candidates(kind, id_, walked):
                if place not in opened:
                    if len(opened) == _OPENED_BATCHES:
                        opened.clear()
                    opened[place] = self._texts_of(kind, place)
                if id_ in opened[place]:
                    text = opened[place][id_]
                    if text is not None:
                        texts[id_] = text
                    break
        return texts

    def holds(self, kind: VaultKind) -> bool:
        """Whether anything of a kind was ever sealed."""
        return self._catalogue.holds(kind)

    def party_of(self, kind: VaultKind, id_: int) -> int:
        """Return the party an id was last sealed for, erased or not; raises NotFound."""
        _, _, columns, row = self._find(kind, id_)
        return int(columns.party[row])

    def batches(self, kind: VaultKind, *, above: int = -1) -> Iterator[OpenedBatch]:
        """Yield every batch of a kind in the order it was sealed, without rows of erased parties.

        Batches that have no id above the one given are passed over unread. Raises: StorageError
        ``vault_damaged``; VaultError for an altered row.
        """
        for place in self.places(kind):
            if above >= 0:
                header = self._segments.read_header(place)
                if int(header["max_hi"]) << 64 | int(header["max_lo"]) <= above:
                    continue
            yield self._open_batch(kind, place)[0]

    def newest(self, kind: VaultKind) -> Iterator[OpenedBatch]:
        """Yield every batch of a kind as `batches` does, the newest first."""
        for place in self.places(kind, newest=True):
            yield self._open_batch(kind, place)[0]

    def places(self, kind: VaultKind, *, newest: bool = False) -> Iterator[Place]:
        """Yield where every batch of a kind is, in the order they were sealed, or the newest first."""
        return self._catalogue.places(kind, newest=newest)

    def entries(self, kind: VaultKind, *, above: int = -1) -> Iterator[Entry]:
        """Yield every readable row of a kind in the order it was sealed; replaced rows included.

        Those in batches without an id above the one given are left out.
        """
        for batch in self.batches(kind, above=above):
            yield from batch.entries()

    def verify(self) -> int:
        """Read and check every byte and every tag; return how many rows can be read.

        Raises: StorageError ``vault_damaged``; VaultError for an altered row.
        """
        return sum(len(batch.party) for kind in VaultKind for batch in self.batches(kind))

    def close(self) -> None:
        """Sync, and forget the keys."""
        try:
            self._segments.close()
        finally:
            self._keys.close()

    # -- within ----------------------------------------------------------------------------

    def _seal(
        self,
        kind: VaultKind,
        ids_lo: U64Array,
        ids_hi: U64Array,
        party: U32Array | int,
        plain: U8Array,
        offsets: I64Array,
        width: int,
    ) -> int:
        count = len(offsets) - 1
        parties = _party_column(party, count)
        if not count == len(ids_lo) == len(ids_hi) == len(parties):
            raise InputError(f"{count} rows, {len(ids_lo)} ids and {len(parties)} parties do not match")
        columns = frames.Columns(
            np.ascontiguousarray(ids_lo, np.uint64), np.ascontiguousarray(ids_hi, np.uint64), parties, offsets
        )
        prefix = secrets.token_bytes(NONCE_PREFIX_BYTES)
        sealed = self._encrypt(kind, columns, plain, prefix)
        ticket, place, length = self._segments.append(kind, prefix, columns, width, sealed)
        self._catalogue.add(kind, place, columns, length)
        return ticket

    def _encrypt(self, kind: VaultKind, columns: frames.Columns, plain: U8Array, prefix: bytes) -> U8Array:
        """Seal without holding a lock, and again if a key went away meanwhile.

        An erasure or a growing table zeroes memory that the kernel may be reading. What was then
        sealed would lie under a key of zeros, so it is thrown away before anything is written.
        The same nonces serve again with the same texts under the same keys, which reveals nothing.
        """
        while True:
            version = self._keys.version
            self._keys.check(columns.party)
            sealed = sealing.seal(
                kind,
                columns.ids_lo,
                columns.ids_hi,
                columns.party,
                plain,
                columns.offsets,
                self._keys.keys,
                prefix,
                native=self._native,
            )
            if self._keys.version == version:
                return sealed

    def _find(self, kind: VaultKind, id_: int) -> tuple[Place, np.void, frames.Columns, int]:
        low, high = np.uint64(id_ & 0xFFFFFFFFFFFFFFFF), np.uint64(id_ >> 64)
        for place in self._catalogue.candidates(kind, id_):
            header = self._segments.read_header(place)
            columns = self._segments.read_columns(place, header)
            rows = np.flatnonzero((columns.ids_lo == low) & (columns.ids_hi == high))
            if len(rows):
                return place, header, columns, int(rows[-1])
        raise NotFound(f"the vault holds no {kind.name.lower()} of id {id_:032x}")

    def _texts_of(self, kind: VaultKind, place: Place) -> dict[int, bytes | None]:
        """Return the text of every id of a batch, None where its party was erased."""
        batch, columns = self._open_batch(kind, place)
        texts: dict[int, bytes | None] = dict.fromkeys(joined(columns.ids_lo, columns.ids_hi))
        return texts | {entry.id: entry.text for entry in batch.entries()}

    def _open_batch(self, kind: VaultKind, place: Place) -> tuple[OpenedBatch, frames.Columns]:
        """Return what can be read of a batch, and the columns of all of it."""
        while True:
            version = self._keys.version
            header, columns, sealed = self._segments.read_body(place)
            readable = np.flatnonzero(self._keys.live_mask(columns.party)).astype(np.int64)
            data, bad = sealing.unseal(
                kind,
                columns.ids_lo,
                columns.ids_hi,
                columns.party,
                sealed,
                columns.offsets,
                self._keys.keys,
                header["nonce"].tobytes(),
                readable,
                native=self._native,
            )
            if self._keys.version == version:
                break
        if bad >= 0:
            raise _altered(kind, int(columns.ids_hi[bad]) << 64 | int(columns.ids_lo[bad]))
        offsets = np.zeros(len(readable) + 1, np.int64)
        np.cumsum(np.diff(columns.offsets)[readable], out=offsets[1:])
        batch = OpenedBatch(
            columns.ids_lo[readable], columns.ids_hi[readable], columns.party[readable], offsets, data
        )
        return batch, columns


def _party_column(party: U32Array | int, count: int) -> U32Array:
    if isinstance(party, int):
        return np.full(count, party, np.uint32)
    column: npt.NDArray[np.uint32] = np.ascontiguousarray(party, np.uint32)
    return column


def _altered(kind: VaultKind, id_: int) -> VaultError:
    return VaultError(
        f"{kind.name.lower()} {id_:032x} does not open under its party's key: it was altered, or the key "
        "table belongs to another vault"
    )
