"""Headers packed by the standard library are the bytes that numpy would write."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from bezant.chain.storage.frames import BLOCK_HEADER, FRAME_HEADER
from bezant.model.layouts import packer, shared
from bezant.model.orders import HEADER
from bezant.vault.frames import HEADER as VAULT_HEADER


@pytest.mark.parametrize("layout", [HEADER, FRAME_HEADER, BLOCK_HEADER, VAULT_HEADER])
def test_a_packed_header_is_what_numpy_would_write(layout: np.dtype[np.void]) -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        row = np.frombuffer(random.bytes(layout.itemsize), layout)
        fields = (row[name] for name in layout.names or ())
        values = [
            int(field[0]) if field.dtype.kind == "u" and field.ndim == 1 else field.tobytes()
            for field in fields
        ]
        assert packer(layout)(*values) == row.tobytes()


def test_what_does_not_fit_is_not_cut_off() -> None:
    pack = packer(np.dtype([("number", "<u2"), ("name", "S4")]))
    assert pack(513, b"ab") == b"\x01\x02ab\x00\x00"
    with pytest.raises(struct.error):
        pack(1 << 16, b"ab")
    pack = packer(np.dtype([("nonce", "u1", (4,)), ("count", "<u4")]))
    for nonce in (b"abc", b"abcde"):
        with pytest.raises(struct.error, match=f"nonce takes 4 octets, not {len(nonce)}"):
            pack(nonce, 1)


def test_a_layout_with_gaps_is_none() -> None:
    with pytest.raises(AssertionError, match="gaps"):
        packer(np.dtype([("small", "u1"), ("large", "<u8")], align=True))


def test_fields_in_another_order_are_not_shared() -> None:
    one = np.dtype([("id", "<u8"), ("kind", "<u2"), ("mode", "u1"), ("verdict", "u1")])
    other = np.dtype([("kind", "<u2"), ("verdict", "u1"), ("mode", "u1"), ("id", "<u8")])
    assert shared(one, other, "id", "id") == (0, 4, 8)
    assert shared(one, np.dtype([("flags", "<u4"), *one.descr]), "id", "verdict") == (0, 4, 12)
    with pytest.raises(AssertionError, match="verdict"):
        shared(one, other, "kind", "mode")
