"""Ed25519 keys and signatures, all through libsodium, so that every node agrees on every edge case."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey as _SigningKey
from nacl.signing import VerifyKey as _VerifyKey
from numba import njit, types

from bezant.model.digest import TAG_AUTHORITY, sha256
from bezant.model.identifiers import AuthorityId
from bezant.model.native import KERNEL, ed25519_open

SCHEME_ED25519 = 1


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A secret key; its `repr` shows the public half only, so that no log can leak it."""

    seed: bytes
    public: bytes = field(init=False, compare=False)
    _signer: _SigningKey = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Deriving the public half takes as long as signing, so it is done once for each key.
        signer = _SigningKey(self.seed)
        object.__setattr__(self, "_signer", signer)
        object.__setattr__(self, "public", bytes(signer.verify_key))

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte detached signature."""
        return self._signer.sign(message).signature

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()})"


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether the signature is authentic."""
    try:
        _VerifyKey(public).verify(message, signature)
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True


def authority_id(public: bytes) -> AuthorityId:
    """Return the id of the authority that one Ed25519 key alone makes up.

    The hash covers threshold 1 of 1 and the key's scheme, so that larger authorities differ.
    """
    digest = sha256(TAG_AUTHORITY, bytes([1, 1, SCHEME_ED25519]), public)
    return AuthorityId(int.from_bytes(digest[:16], "little"))


@njit(cache=True, **KERNEL)
def _verify_rows(signatures, messages, keys, signed, opened, length, out):
    width = messages.shape[1]
    for i in range(messages.shape[0]):
        for j in range(64):
            signed[j] = signatures[i, j]
        for j in range(width):
            signed[64 + j] = messages[i, j]
        out[i] = np.uint8(
            ed25519_open(
                types.uintp(opened.ctypes.data),
                types.uintp(length.ctypes.data),
                types.uintp(signed.ctypes.data),
                types.uint64(64 + width),
                types.uintp(keys[i].ctypes.data),
            )
            == 0
        )


def verify_rows(
    signatures: npt.NDArray[np.uint8], messages: npt.NDArray[np.uint8], keys: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Return 1 for every authentic row, else 0; releases the GIL throughout.

    signatures (n, 64), messages (n, width), keys (n, 32), all uint8 and contiguous.
    """
    out = np.zeros(len(messages), np.uint8)
    room = 64 + messages.shape[1]
    _verify_rows(
        np.ascontiguousarray(signatures),
        np.ascontiguousarray(messages),
        np.ascontiguousarray(keys),
        np.empty(room, np.uint8),
        np.empty(room, np.uint8),
        np.empty(1, np.uint64),
        out,
    )
    return out
