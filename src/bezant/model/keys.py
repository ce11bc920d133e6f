"""Keys and signatures in the two schemes a network may take, through one library each, so that every
node agrees on every edge case.

Scheme 1 is Ed25519 by libsodium. Scheme 2 is BIP-340 Schnorr over secp256k1 by libsecp256k1: x-only
keys of 32 bytes, signatures of 64, and exactly one valid form of each, which is why it is the
network rule (docs/decisions/0004). What scheme 2 signs is the SHA-256 of what scheme 1 signs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from coincurve import PrivateKey, PublicKeyXOnly
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey as _SigningKey
from nacl.signing import VerifyKey as _VerifyKey
from numba import njit, types

from bezant.model.digest import TAG_AUTHORITY, digest_rows, sha256
from bezant.model.identifiers import AuthorityId
from bezant.model.native import ENTRY, SECP256K1_CONTEXT, ed25519_open, schnorr_verify, take, xonly_parse

SCHEME_ED25519, SCHEME_SECP256K1 = 1, 2
SCHEMES = (SCHEME_ED25519, SCHEME_SECP256K1)
SCHEME_NAMES = {SCHEME_ED25519: "ed25519", SCHEME_SECP256K1: "secp256k1"}
"""What interfaces call them."""
SCHEME_NUMBERS = {name: scheme for scheme, name in SCHEME_NAMES.items()}

NO_RANDOMNESS = bytes(32)
"""BIP-340 allows it: the nonce is then a hash of key and message alone, and signing is repeatable."""

Column = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A secret key; its `repr` shows the public half only, so that no log can leak it."""

    seed: bytes
    scheme: int = SCHEME_ED25519
    public: bytes = field(init=False, compare=False)
    """The 32 bytes that an authority is registered with."""
    _signer: _SigningKey | PrivateKey = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Deriving the public half takes as long as signing, so it is done once for each key.
        if self.scheme == SCHEME_SECP256K1:
            secret = PrivateKey(self.seed)
            object.__setattr__(self, "_signer", secret)
            object.__setattr__(self, "public", secret.public_key_xonly.format())
        else:
            signer = _SigningKey(self.seed)
            object.__setattr__(self, "_signer", signer)
            object.__setattr__(self, "public", bytes(signer.verify_key))

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte detached signature; the same one every time, in either scheme."""
        if isinstance(self._signer, PrivateKey):
            return self._signer.sign_schnorr(sha256(message), NO_RANDOMNESS)
        return self._signer.sign(message).signature

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()}, scheme={self.scheme})"


def verify(public: bytes, message: bytes, signature: bytes, scheme: int = SCHEME_ED25519) -> bool:
    """Return whether the signature is authentic; a scheme that is not known never is."""
    try:
        if scheme == SCHEME_SECP256K1:
            return len(signature) == 64 and PublicKeyXOnly(public).verify(signature, sha256(message))
        if scheme == SCHEME_ED25519:
            _VerifyKey(public).verify(message, signature)
            return True
    except (BadSignatureError, ValueError, TypeError):
        return False
    return False


def authority_id(public: bytes, scheme: int = SCHEME_ED25519) -> AuthorityId:
    """Return the id of the authority that one key alone makes up when it is registered.

    The hash covers threshold 1 of 1 and the key's scheme. The id stays as it is when keys change.
    """
    digest = sha256(TAG_AUTHORITY, bytes([1, 1, scheme]), public)
    return AuthorityId(int.from_bytes(digest[:16], "little"))


@njit(**ENTRY)
def _verify_ed25519(signatures, messages, keys, signed, opened, length, taken, out):
    rows, width = messages.shape
    i = take(taken, 1)
    while i < rows:
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
        i = take(taken, 1)


@njit(**ENTRY)
def _verify_secp256k1(context, signatures, digests, keys, parsed, taken, out):
    rows = digests.shape[0]
    i = take(taken, 1)
    while i < rows:
        known = xonly_parse(context, types.uintp(parsed.ctypes.data), types.uintp(keys[i].ctypes.data))
        if known == 1:
            out[i] = np.uint8(
                schnorr_verify(
                    context,
                    types.uintp(signatures[i].ctypes.data),
                    types.uintp(digests[i].ctypes.data),
                    types.uint64(32),
                    types.uintp(parsed.ctypes.data),
                )
                == 1
            )
        i = take(taken, 1)


class RowsToVerify:
    """Signatures that any number of threads verify together: each calls `work`, without the GIL.

    signatures (n, 64), messages (n, width), keys (n, 32), all uint8; one scheme for all rows. `authentic`
    (n,) uint8 is 1 for every authentic row once `work` has returned to all who called it.
    """

    def __init__(self, signatures: Column, messages: Column, keys: Column, scheme: int) -> None:
        self._scheme = scheme
        self._signatures, self._keys = np.ascontiguousarray(signatures), np.ascontiguousarray(keys)
        self._messages = np.ascontiguousarray(messages)
        if scheme == SCHEME_SECP256K1:
            self._messages = digest_rows(b"", self._messages)
        self._taken = np.zeros(1, np.int64)
        self.authentic = np.zeros(len(messages), np.uint8)

    def work(self) -> None:
        """Verify what nobody has taken, until nothing is left."""
        rows = self._signatures, self._messages, self._keys
        if self._scheme == SCHEME_SECP256K1:
            context, parsed = np.uintp(SECP256K1_CONTEXT), np.empty(64, np.uint8)
            _verify_secp256k1(context, *rows, parsed, self._taken, self.authentic)
        elif self._scheme == SCHEME_ED25519:
            signed, opened = np.empty((2, 64 + self._messages.shape[1]), np.uint8)
            _verify_ed25519(*rows, signed, opened, np.empty(1, np.uint64), self._taken, self.authentic)


def verify_rows(
    signatures: Column, messages: Column, keys: Column, scheme: int = SCHEME_ED25519
) -> npt.NDArray[np.uint8]:
    """Return 1 for every authentic row, else 0, (n,) uint8; see `RowsToVerify`."""
    rows = RowsToVerify(signatures, messages, keys, scheme)
    rows.work()
    return rows.authentic
