"""Rows in a file: what is appended goes to the disk piece by piece, and is read back as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bezant.chain.storage.disk import SystemDisk
from bezant.chain.storage.rows import WRITE_OUT_BYTES, RowFile

NUMBER = np.dtype("<u8")


class Watched(SystemDisk):
    """Notes what the system was asked to write out."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

    def write_out(self, file: int, offset: int, count: int) -> None:
        self.spans.append((offset, offset + count))
        super().write_out(file, offset, count)


def numbers(first: int, nbytes: int) -> np.ndarray:
    return np.arange(first, first + nbytes // NUMBER.itemsize, dtype=NUMBER)


def test_rows_are_written_out_as_they_gather(tmp_path: Path) -> None:
    disk, step = Watched(), WRITE_OUT_BYTES // 4
    rows = RowFile(tmp_path / "rows", NUMBER, disk)
    for _ in range(10):
        rows.append(numbers(len(rows), step))
    assert disk.spans == [(0, 4 * step), (4 * step, 8 * step)]
    rows.append(numbers(len(rows), 3 * WRITE_OUT_BYTES))
    assert disk.spans[-1] == (8 * step, 22 * step)
    assert rows.read(0, len(rows)).tolist() == list(range(len(rows)))
    rows.close()


def test_what_was_there_before_is_not_written_out_again(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "rows", NUMBER, SystemDisk(), first=100)
    rows.append(numbers(100, 3 * WRITE_OUT_BYTES))
    count = len(rows)
    rows.close()
    disk = Watched()
    rows = RowFile(tmp_path / "rows", NUMBER, disk, keep=count, first=100)
    rows.append(numbers(count, 8))
    assert disk.spans == []
    rows.append(numbers(count + 1, WRITE_OUT_BYTES))
    assert disk.spans == [(3 * WRITE_OUT_BYTES, 4 * WRITE_OUT_BYTES + 8)]
    assert rows.read(100, len(rows) - 100).tolist() == list(range(100, len(rows)))
    rows.close()
