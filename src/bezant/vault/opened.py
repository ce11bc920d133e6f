"""What was read from the vault: the rows of a batch as columns, or one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bezant.vault.sealing import I64Array, U8Array, U32Array, U64Array


@dataclass(frozen=True, slots=True)
class Entry:
    """One readable row."""

    id: int
    party: int
    text: bytes


@dataclass(frozen=True, slots=True)
class OpenedBatch:
    """The readable rows of one sealed batch, as columns.

    ids_lo, ids_hi (n,) uint64; party (n,) uint32; text i is data[offsets[i]:offsets[i + 1]],
    offsets (n + 1,) int64. Rows of erased parties are not in it.
    """

    ids_lo: U64Array
    ids_hi: U64Array
    party: U32Array
    offsets: I64Array
    data: U8Array

    def entries(self) -> Iterator[Entry]:
        """Yield the rows in order."""
        data, ends = self.data.tobytes(), self.offsets.tolist()
        ids = zip(joined(self.ids_lo, self.ids_hi), self.party.tolist(), ends[:-1], ends[1:], strict=True)
        for id_, party, start, end in ids:
            yield Entry(id_, party, data[start:end])


def joined(ids_lo: U64Array, ids_hi: U64Array) -> list[int]:
    """Return ids (n,) as integers."""
    return [high << 64 | low for low, high in zip(ids_lo.tolist(), ids_hi.tolist(), strict=True)]
