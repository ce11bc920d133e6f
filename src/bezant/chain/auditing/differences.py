"""What an audit found: where files begin to say something else than the journal, in words to compare."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a file begins to say something else than the journal."""

    block: int
    file: str
    field: str
    found: str
    expected: str
    record: int | None = None
    """The record's place in the block, where it is one record's."""


@dataclass(slots=True)
class Report:
    """What an audit looked at, and the first difference of each file, by block."""

    network: str
    first: int
    last: int
    """The last block compared; the journal may have ended or broken before the one asked for."""
    begins_behind: int = 0
    """The block that the chain begins behind, where it began at a snapshot: blocks before are not there."""
    records: int = 0
    signatures: int = 0
    state_roots: int = 0
    snapshots: int = 0
    checkpoints: int = 0
    consistent_since: int | None = None
    """The height of an earlier checkpoint that this history was proved to begin with."""
    app_hash: str = ""
    history_root: str = ""
    differences: list[Difference] = field(default_factory=list)


def first_field(found: np.void, right: np.void) -> tuple[str, str, str]:
    """Return (name, found, expected) of the first field in which two rows of one layout differ."""
    for name in found.dtype.names or ():
        if found[name].tobytes() != right[name].tobytes():
            if found[name].dtype.names:
                inner, was, expected = first_field(found[name], right[name])
                return f"{name}.{inner}", was, expected
            return name, shown(found[name]), shown(right[name])
    return "row", shown(found), shown(right)


def shown(value: Any) -> str:
    """Return a value as a person can compare it: bytes in hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return value.tobytes().hex()
    return str(value)
