"""The headers in front of every change of validators so far, kept apart from CometBFT's blocks.

A proof leads from the validators of the genesis to those that signed. CometBFT has every header until it is
told to forget old ones, or began at a snapshot; what a proof needs of those is little, and is here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bezant.chain.cometbft.rpc import Rpc
from bezant.chain.cometbft.votes import TRAIL, changes
from bezant.chain.finality import SignedHeader
from bezant.errors import StorageError
from bezant.model.genesis import Genesis


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    height: int
    changes: tuple[SignedHeader, ...]


class Trail:
    """A file beside a member's data. One thread extends it; any may read."""

    def __init__(self, folder: Path) -> None:
        """Raises: StorageError ``trail_damaged``."""
        self._path = folder / TRAIL
        self._kept = _Kept(0, ())
        if self._path.exists():
            try:
                self._kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
            except msgspec.DecodeError as error:
                raise StorageError(
                    f"{self._path} cannot be read ({error}); restore it from a backup, or copy it from "
                    "another member: what it says is checked wherever it is used",
                    code="trail_damaged",
                ) from None

    @property
    def changes(self) -> Sequence[SignedHeader]:
        """The headers, oldest first."""
        return self._kept.changes

    @property
    def height(self) -> int:
        """Up to which block every change that a proof may need is here."""
        return self._kept.height

    def extend(self, rpc: Rpc, genesis: Genesis, height: int) -> None:
        """Keep what leads to the validators of block `height`. Raises: NotFound, Overloaded, DecodeError."""
        if height > self.height:
            self.keep(height, changes(rpc, genesis, height, self.changes))

    def keep(self, height: int, changes: Sequence[SignedHeader]) -> None:
        """Write down, durably, what leads to the validators of block `height`."""
        kept = _Kept(height, tuple(changes))
        partial = self._path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(msgspec.json.encode(kept))
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self._path)
        self._kept = kept
