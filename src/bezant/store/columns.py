"""From numpy record fields to lists that a database driver takes, a column at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.model.records import RecordArray


def joined(parts: Sequence[RecordArray]) -> RecordArray:
    """Return the rows of all parts, which have one dtype, one after the other.

    Joined as plain bytes: `np.concatenate` compares the fields of every part with those of the first,
    which costs more than the rows of a small block.
    """
    dtype = parts[0].dtype
    raw = np.dtype((np.void, dtype.itemsize))
    return np.concatenate([np.ascontiguousarray(part).view(raw) for part in parts]).view(dtype)


def ids(rows: RecordArray, field: str) -> list[bytes]:
    """Return a 128-bit field of every row as 16 big-endian bytes."""
    both = np.empty((len(rows), 2), ">u8")
    both[:, 0], both[:, 1] = rows[f"{field}_hi"], rows[f"{field}_lo"]
    keys: list[bytes] = both.view("V16").ravel().tolist()
    return keys


def amounts(column: npt.NDArray[Any]) -> list[int]:
    """Return u64 amounts as the signed integers that store them."""
    stored: list[int] = np.ascontiguousarray(column, "<u8").view(np.int64).tolist()
    return stored


def balances(side: RecordArray) -> list[str]:
    """Return credits_posted - debits_posted of every side (n,) as decimal text, exact at 128 bits."""
    credits_, debits = side["credits_posted_lo"], side["debits_posted_lo"]
    high = side["credits_posted_hi"] | side["debits_posted_hi"] | (credits_ | debits) >> np.uint64(63)
    if not high.any():
        return list(map(str, (credits_.astype(np.int64) - debits.astype(np.int64)).tolist()))
    words = zip(
        side["credits_posted_hi"].tolist(),
        credits_.tolist(),
        side["debits_posted_hi"].tolist(),
        debits.tolist(),
        strict=True,
    )
    return [str((c_hi << 64 | c_lo) - (d_hi << 64 | d_lo)) for c_hi, c_lo, d_hi, d_lo in words]
