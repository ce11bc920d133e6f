"""128-bit identifiers, as integers in memory, as two little-endian u64 words on the wire.

A *payment id* is a UUIDv7 (RFC 9562): its first 48 bits are milliseconds since 1970, which
is what lets the ledger forget it after the window. An *account id* is a 16-bit zone and a
112-bit hash of what the account was opened with; keys may rotate, the id stays.
"""

from __future__ import annotations

import secrets
from typing import NewType
from uuid import UUID

from bezant.errors import InputError

PaymentId = NewType("PaymentId", int)
AccountId = NewType("AccountId", int)
AuthorityId = NewType("AuthorityId", int)

U64_MASK = 2**64 - 1
U112_MASK = 2**112 - 1


def new_payment_id(time_ms: int, randomness: int | None = None) -> PaymentId:
    """Return a UUIDv7 for a time in Unix milliseconds; `randomness` (74 bits) only for seeded worlds."""
    bits = secrets.randbits(74) if randomness is None else randomness & (2**74 - 1)
    rand_a, rand_b = bits >> 62, bits & (2**62 - 1)
    return PaymentId((time_ms & (2**48 - 1)) << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)


def payment_time_ms(payment: int) -> int:
    """Return the Unix milliseconds inside a UUIDv7."""
    return payment >> 80


def is_uuid7(value: int) -> bool:
    """Return whether the version and variant bits are those of a UUIDv7."""
    return (value >> 76) & 0xF == 0x7 and (value >> 62) & 0x3 == 0b10


def parse_payment_id(text: str, *, param: str = "id") -> PaymentId:
    """Return the payment id written as a UUID; raises InputError for anything but a UUIDv7."""
    try:
        value = UUID(text).int
    except ValueError:
        value = 0
    if not is_uuid7(value):
        raise InputError(f"{text[:64]!r} is not a UUIDv7", code="id_malformed", param=param)
    return PaymentId(value)


def parse_authority_id(text: str, *, param: str = "authority") -> AuthorityId:
    """Return the authority id written as 32 hexadecimal digits; raises InputError."""
    return AuthorityId(_parse_hex128(text, "an authority id", param))


def render_payment_id(payment: int) -> str:
    digits = f"{payment:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse_account_id(text: str, *, param: str = "account") -> AccountId:
    """Return the account id written as 32 hexadecimal digits; raises InputError."""
    return AccountId(_parse_hex128(text, "an account id", param))


def render_id(value: int) -> str:
    """Return an account or authority id as 32 hexadecimal digits."""
    return f"{value:032x}"


def words(value: int) -> tuple[int, int]:
    """Return (low, high) 64-bit words, the order in which records store them."""
    return value & U64_MASK, value >> 64


def join(low: int, high: int) -> int:
    """Return the 128-bit integer of two words; the inverse of `words`."""
    return int(high) << 64 | int(low)


def id_bytes(value: int) -> bytes:
    """Return the 16 little-endian bytes that are hashed and stored."""
    return value.to_bytes(16, "little")


def _parse_hex128(text: str, what: str, param: str) -> int:
    if len(text) == 32 and all(c in "0123456789abcdef" for c in text):
        return int(text, 16)
    raise InputError(
        f"{text[:64]!r} is not {what}: 32 lower-case hexadecimal digits", code="id_malformed", param=param
    )
