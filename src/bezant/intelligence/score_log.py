"""What champion and challenger said of the same payments: a file of bounded size, the newest kept.

Payments that either finds notable are all kept, of the others one in ONE_IN by its id, with that weight, so
that what is computed with weights is right for all of them. It is for comparing models and no record of
decisions; those are in the chain and in the vault.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bezant.intelligence.model import Model
from bezant.model.money import U64_MAX
from bezant.model.records import RecordArray

ROW = np.dtype(
    [
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        ("champion", "<u8"),
        ("challenger", "<u8"),
        ("champion_ppm", "<u4"),
        ("challenger_ppm", "<u4"),
        ("weight", "<u4"),
        ("reserved", "<u4"),
    ]
)
"""Models by the first 8 bytes of their digests; `weight` is how many payments the row stands for."""
HEADER = np.dtype(
    [("magic", "S8"), ("version", "<u4"), ("rows", "<u4"), ("written", "<u8"), ("zeros", "V40")]
)
MAGIC, VERSION = b"BZSCORES", 1
ROWS = 1 << 20
"""48 MiB at most; the file is sparse until they are written."""
NOTABLE_PPM = 2_000
ONE_IN = 16


class ScoreLog:
    """A ring of rows in a file. One thread appends, any may read."""

    def __init__(self, path: Path, rows: int = ROWS) -> None:
        """Open the file, or begin anew where there is none of this layout."""
        size = HEADER.itemsize + rows * ROW.itemsize
        fresh = not path.exists() or path.stat().st_size != size
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w+b" if fresh else "r+b") as file:
            file.truncate(size)
        self._bytes = np.memmap(path, np.uint8, "r+", shape=(size,))
        self._header = self._bytes[: HEADER.itemsize].view(HEADER)
        self._rows = self._bytes[HEADER.itemsize :].view(ROW)
        named = (self._header["magic"][0], int(self._header["version"][0]), int(self._header["rows"][0]))
        if named != (MAGIC, VERSION, rows):
            self._header["magic"], self._header["version"], self._header["rows"] = MAGIC, VERSION, rows
            self._header["written"] = 0

    @property
    def written(self) -> int:
        """How many rows were ever written."""
        return int(self._header["written"][0])

    def append(
        self,
        id_lo: npt.NDArray[np.uint64],
        id_hi: npt.NDArray[np.uint64],
        champion: bytes,
        challenger: bytes,
        champion_ppm: npt.NDArray[np.uint32],
        challenger_ppm: npt.NDArray[np.uint32],
    ) -> None:
        """Keep what two models, by their digests or names, said of payments (n,)."""
        notable = np.maximum(champion_ppm, challenger_ppm) >= NOTABLE_PPM
        chosen = np.flatnonzero(notable | (id_lo % np.uint64(ONE_IN) == 0))[-len(self._rows) :]
        rows = np.zeros(len(chosen), ROW)
        rows["id_lo"], rows["id_hi"] = id_lo[chosen], id_hi[chosen]
        rows["champion"], rows["challenger"] = _short(champion), _short(challenger)
        rows["champion_ppm"], rows["challenger_ppm"] = champion_ppm[chosen], challenger_ppm[chosen]
        rows["weight"] = np.where(notable[chosen], 1, ONE_IN)
        at = (self.written + np.arange(len(rows))) % len(self._rows)
        self._rows[at] = rows
        self._header["written"] += len(rows)

    def rows(self, champion: Model, challenger: Model) -> RecordArray:
        """Return a copy of what is kept of two models, oldest first."""
        written = self.written
        kept = min(written, len(self._rows))
        rows = np.asarray(self._rows[(written - kept + np.arange(kept)) % len(self._rows)])
        pair = (rows["champion"] == _short(champion.digest)) & (
            rows["challenger"] == _short(challenger.digest)
        )
        return rows[pair]

    def close(self) -> None:
        self._bytes.flush()


def mark(rows: RecordArray, labels: Mapping[int, bool]) -> npt.NDArray[np.int8]:
    """Return for rows (n,) 1 where the payment is labelled fraud, 0 where genuine, -1 where not at all."""
    marks = np.full(len(rows), -1, np.int8)
    order = np.argsort(rows["id_hi"], kind="stable")
    high = rows["id_hi"][order]
    wanted = np.array([payment >> 64 for payment in labels], np.uint64)
    starts = np.searchsorted(high, wanted).tolist()
    ends = np.searchsorted(high, wanted, side="right").tolist()
    for (payment, fraud), start, end in zip(labels.items(), starts, ends, strict=True):
        for at in order[start:end].tolist():
            if int(rows["id_lo"][at]) == payment & U64_MAX:
                marks[at] = fraud
    return marks


def _short(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little")
