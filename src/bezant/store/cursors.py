"""Opaque cursors: where the next page begins, and of which list.

A cursor holds the key of the last row shown, never a count, so rows that arrive meanwhile neither
shift nor repeat what follows. It also carries a digest of the list's filters: used with others it
is refused, because it would silently skip or repeat rows.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from bezant.errors import InputError

_VERSION: Final = b"\x01"
_DIGEST_BYTES: Final = 8


def encode_cursor(scope: str, key: int) -> str:
    """Return the cursor that continues a list after a key (0 <= key < 2**128)."""
    data = _VERSION + key.to_bytes(16, "big")
    return base64.urlsafe_b64encode(data + _digest(scope, data)).rstrip(b"=").decode()


def decode_cursor(scope: str, cursor: str) -> int:
    """Return the key of a cursor; raises InputError ``cursor_invalid`` for any other text."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    data, digest = raw[:-_DIGEST_BYTES], raw[-_DIGEST_BYTES:]
    if len(data) != 17 or not data.startswith(_VERSION) or digest != _digest(scope, data):
        raise InputError(
            "the cursor is not one that this list gave, with these filters; leave it out to begin again",
            code="cursor_invalid",
            param="cursor",
        )
    return int.from_bytes(data[1:], "big")


def _digest(scope: str, data: bytes) -> bytes:
    return hashlib.blake2b(scope.encode() + b"\0" + data, digest_size=_DIGEST_BYTES).digest()
