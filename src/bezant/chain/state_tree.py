"""The state root: one hash of all that a ledger holds, and proofs of single balances under it.

::

    leaf    H(00 ‖ leaf tag ‖ blind ‖ account row)      blind = H(blind tag ‖ account seed)
    root    H(state tag ‖ number of accounts ‖ RFC 6962 root of the leaves ‖ tables)
    tables  H(name ‖ rows ‖ digest of the rows, for each other table by name)

Leaves stand in the order in which accounts were opened. Only what changed is hashed again. A root is
known some time before the chain covers it, and balances are proved under the covered one until then;
so a layer keeps what its rows were, beside what they are, until the newer root takes over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.chain.leaves import account_seed
from bezant.chain.state_kernel import hash_accounts, hash_parents
from bezant.model.digest import (
    TAG_BLIND_SEED,
    TAG_STATE,
    TAG_STATE_BLIND,
    TAG_STATE_LEAF,
    Digests,
    new_lanes,
    sha256,
)
from bezant.model.merkle import EMPTY_ROOT, LEAF
from bezant.model.sha256 import LANES

Positions = npt.NDArray[np.int64]
GROWTH_SHARE = 8
CHUNK_ROWS = 65_536


class Layer:
    """Rows by position: as they are, and as they were when `cover` was last called."""

    def __init__(self, width: int) -> None:
        self._rows = np.zeros((0, width), np.uint8)
        self._was_at = np.zeros(0, np.int64)
        self._was = self._rows
        self.count = 0

    @property
    def rows(self) -> npt.NDArray[np.uint8]:
        """The rows in use, (count, width)."""
        return self._rows[: self.count]

    def write(self, at: Positions, rows: npt.NDArray[np.uint8]) -> None:
        """Put rows (n, width) at ascending positions (n,); call `cover` before the next."""
        known = at < self.count
        self._was_at = at[known]
        self._was = self._rows[self._was_at]
        if len(at) and int(at[-1]) >= self.count:
            self.count = int(at[-1]) + 1
            self._reserve()
        self._rows[at] = rows

    def cover(self) -> None:
        """Forget what the rows were."""
        self._was_at, self._was = self._was_at[:0], self._was[:0]

    def covered(self, position: int) -> bytes:
        """Return a row as it was."""
        found = int(np.searchsorted(self._was_at, position))
        if found < len(self._was_at) and int(self._was_at[found]) == position:
            return self._was[found].tobytes()
        return self._rows[position].tobytes()

    def _reserve(self) -> None:
        if self.count > len(self._rows):
            bigger = np.zeros((self.count + self.count // GROWTH_SHARE, self._rows.shape[1]), np.uint8)
            bigger[: len(self._rows)] = self._rows
            self._rows = bigger


class AccountTree:
    """The tree over account rows. One thread writes; proofs are read under the owner's lock."""

    def __init__(self, ledger_seed: bytes, width: int) -> None:
        self.image = Layer(width)
        """The account rows themselves."""
        self._seed = ledger_seed
        self._levels = [Layer(32)]
        self._covered_count = 0

    def update(self, at: Positions, rows: npt.NDArray[np.uint8]) -> bytes:
        """Take over changed rows (n, width) at ascending positions; return the new root.

        The root before stays the covered one until `cover`.
        """
        self.image.write(at, rows)
        hashes = self._hash_leaves(rows)
        context, messages = new_lanes(65, len(at))
        self._levels[0].write(at, hashes)
        below = self._levels[0]
        for level in range(1, max(0, below.count - 1).bit_length() + 1):
            if level == len(self._levels):
                self._levels.append(Layer(32))
            at = _parents(at)
            hashes = np.empty((len(at), 32), np.uint8)
            hash_parents(below.rows, below.count, at, context, messages, hashes)
            self._levels[level].write(at, hashes)
            below = self._levels[level]
        return self._levels[-1].rows[0].tobytes() if self.image.count else EMPTY_ROOT

    def cover(self) -> None:
        """From now on prove balances under the root that `update` returned last."""
        self.image.cover()
        for level in self._levels:
            level.cover()
        self._covered_count = self.image.count

    @property
    def covered_count(self) -> int:
        return self._covered_count

    def covered_path(self, position: int) -> list[bytes]:
        """Return the path of an account's leaf under the covered root, nearest sibling first."""
        found, count = [], self._covered_count
        for level in self._levels:
            if count <= 1:
                break
            if position ^ 1 < count:
                found.append(level.covered(position ^ 1))
            position, count = position // 2, (count + 1) // 2
        return found

    def _hash_leaves(self, rows: npt.NDArray[np.uint8]) -> Digests:
        count, start = len(rows), np.frombuffer(TAG_BLIND_SEED + self._seed, np.uint8)
        context, seed_texts = new_lanes(len(start) + 16, count)
        _, blind_texts = new_lanes(len(TAG_STATE_BLIND) + 32, count)
        _, leaf_texts = new_lanes(len(LEAF + TAG_STATE_LEAF) + 32 + rows.shape[1], count)
        hashed, out = np.empty((LANES, 32), np.uint8), np.empty((count, 32), np.uint8)
        texts = context, seed_texts, blind_texts, leaf_texts, hashed
        hash_accounts(np.ascontiguousarray(rows), start, *texts, out)
        return out


class WriteOnceDigest:
    """The digest of a table whose rows are only ever added: full chunks are hashed once."""

    def __init__(self) -> None:
        self._key: object = None
        self._chunks: list[bytes] = []

    def digest(self, key: object, rows: npt.NDArray[Any]) -> bytes:
        """Return the digest of `rows`, which begin with those given before under the same `key`."""
        if key != self._key:
            self._key, self._chunks = key, []
        for start in range(len(self._chunks) * CHUNK_ROWS, len(rows) - CHUNK_ROWS + 1, CHUNK_ROWS):
            self._chunks.append(_digest(rows[start : start + CHUNK_ROWS]))
        return sha256(*self._chunks, _digest(rows[len(self._chunks) * CHUNK_ROWS :]))


def state_blind(ledger_seed: bytes, account: int) -> bytes:
    """Return the blind of an account's state leaf, for its holder."""
    return sha256(TAG_STATE_BLIND, account_seed(ledger_seed, account))


def state_leaf_hash(blind: bytes, row: bytes) -> bytes:
    """Return the leaf hash of an account row (dtype ACCOUNT)."""
    return sha256(LEAF, TAG_STATE_LEAF, blind, row)


def tables_digest(digests: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Return the digest of all tables beside the accounts, given (rows, digest) of each by name."""
    return sha256(
        *(
            name.encode() + b"\0" + rows.to_bytes(8, "little") + digest
            for name, (rows, digest) in sorted(digests.items())
        )
    )


def table_digest(rows: npt.NDArray[Any]) -> bytes:
    """Return the digest of a table that may change anywhere."""
    return sha256(_digest(rows)) if len(rows) else _EMPTY_TABLE


_EMPTY_TABLE = sha256(sha256())


def state_root(accounts: int, accounts_root: bytes, tables: bytes) -> bytes:
    """Return the root of the whole state."""
    return sha256(TAG_STATE, accounts.to_bytes(8, "little"), accounts_root, tables)


def _digest(rows: npt.NDArray[Any]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(rows).view(np.uint8).data).digest()


def _parents(at: Positions) -> Positions:
    """Return the positions above ascending ones, each once."""
    above = at >> 1
    if not len(above):
        return above
    return above[np.append(True, above[1:] != above[:-1])]
