"""Layouts of rows beyond numpy: headers packed by the standard library, and where kernels find fields."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

_CODES = {"u1": "B", "u2": "H", "u4": "I", "u8": "Q"}


def packer(layout: np.dtype[Any]) -> Callable[..., bytes]:
    """Return what packs one row of a little-endian layout: integers, and bytes where it has text or octets.

    Field by field numpy takes thirty times as long, which for few payments is a part of the whole. Raises
    `struct.error` when called with values that do not fit.
    """
    names = layout.names or ()
    octets = [(at, layout[name].itemsize) for at, name in enumerate(names) if layout[name].subdtype]
    codes = "".join(_code(layout[name]) for name in names)
    packed = struct.Struct("<" + codes)
    assert packed.size == layout.itemsize, f"{layout} has gaps"

    def pack(*values: Any) -> bytes:
        for at, width in octets:
            # The standard library would cut them off or fill them up.
            if len(values[at]) != width:
                raise struct.error(f"{names[at]} takes {width} octets, not {len(values[at])}")
        return packed.pack(*values)

    return pack


def place(layout: np.dtype[Any], name: str) -> int:
    """Return at which byte of a row a field begins."""
    assert layout.fields is not None
    return int(layout.fields[name][1])


def shared(source: np.dtype[Any], target: np.dtype[Any], first: str, last: str) -> tuple[int, int, int]:
    """Return where two layouts have the same fields, from the first to the last of them: where in the one,
    where in the other, how many bytes."""
    names = target.names or ()
    run = names[names.index(first) : names.index(last) + 1]
    start, to = place(source, first), place(target, first)
    for name in run:
        alike = place(source, name) - start == place(target, name) - to and source[name] == target[name]
        assert alike, f"{name} is not at the same place from {first} on"
    return start, to, place(target, last) + target[last].itemsize - to


def _code(field: np.dtype[Any]) -> str:
    if field.kind == "S" or field.subdtype is not None:
        return f"{field.itemsize}s"
    return _CODES[field.str[1:]]
