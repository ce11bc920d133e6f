"""Ed25519: the vectors of RFC 8032 §7.1, and what a strict verifier must refuse."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.model.keys import SigningKey, authority_id, verify, verify_rows
from bezant.testing.ledgers import ALICE, BOB

ORDER = 2**252 + 27742317777372353535851937790883648493
"""The group order L, RFC 8032 §5.1."""

VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]

SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]
"""Points of order 1, 2, 4, 4, 8 and 8: keys under which one signature can fit many messages."""


def both(public: bytes, message: bytes, signature: bytes) -> set[bool]:
    """Return what the single and the compiled verifier say."""
    arrays = [np.frombuffer(part, np.uint8).reshape(1, -1) for part in (signature, message, public)]
    rows = verify_rows(*arrays) if message else [verify(public, message, signature)]
    return {verify(public, message, signature), bool(rows[0])}


@pytest.mark.parametrize(("seed", "public", "message", "signature"), VECTORS)
def test_vectors_of_the_rfc(seed: str, public: str, message: str, signature: str) -> None:
    key = SigningKey(bytes.fromhex(seed))
    assert key.public.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert both(key.public, bytes.fromhex(message), bytes.fromhex(signature)) == {True}


@pytest.mark.parametrize("part", ["message", "signature", "public"])
def test_a_changed_bit_anywhere_is_refused(part: str) -> None:
    good = {"public": ALICE.public, "message": b"pay 5", "signature": ALICE.sign(b"pay 5")}
    for at in range(len(good[part])):
        for bit in range(8):
            changed = bytearray(good[part])
            changed[at] ^= 1 << bit
            assert both(**(good | {part: bytes(changed)})) == {False}


def test_a_malleated_signature_is_refused() -> None:
    """S + L gives the same equation; RFC 8032 §5.1.7 demands S < L, or one payment has two signatures."""
    signature = ALICE.sign(b"pay 5")
    scalar = int.from_bytes(signature[32:], "little")
    for multiple in (1, 2, 7):
        if scalar + multiple * ORDER < 2**256:
            malleated = signature[:32] + (scalar + multiple * ORDER).to_bytes(32, "little")
            assert both(ALICE.public, b"pay 5", malleated) == {False}
    assert both(ALICE.public, b"pay 5", signature) == {True}


@pytest.mark.parametrize("public", SMALL_ORDER)
@pytest.mark.parametrize("point", SMALL_ORDER)
def test_keys_of_small_order_are_refused(public: str, point: str) -> None:
    """With S = 0 and both points small, the plain equation holds for some messages without any secret."""
    for message in (b"pay 5", b"pay 6", b"pay 7", b"pay 8", b"pay 9"):
        assert both(bytes.fromhex(public), message, bytes.fromhex(point) + bytes(32)) == {False}


@pytest.mark.parametrize(("key", "signature"), [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0), (32, 0)])
def test_wrong_lengths_are_not_authentic(key: int, signature: int) -> None:
    assert not verify(bytes(key), b"x", bytes(signature))


def test_rows_are_judged_one_by_one() -> None:
    keys = [ALICE, BOB] * 8
    messages = [bytes([n]) * 112 for n in range(16)]
    signatures = [key.sign(message) for key, message in zip(keys, messages, strict=True)]
    signatures[3], signatures[9] = signatures[9], signatures[3]

    def rows(parts: list[bytes]) -> np.ndarray:
        return np.frombuffer(b"".join(parts), np.uint8).reshape(len(parts), -1)

    judged = verify_rows(rows(signatures), rows(messages), rows([key.public for key in keys]))
    assert judged.tolist() == [int(n not in (3, 9)) for n in range(16)]


def test_a_secret_is_not_shown() -> None:
    assert ALICE.seed.hex() not in repr(ALICE)
    assert ALICE.public.hex() in repr(ALICE)


def test_authorities_follow_from_their_keys() -> None:
    assert authority_id(ALICE.public) == authority_id(ALICE.public) != authority_id(BOB.public)
    assert 0 < authority_id(ALICE.public) < 2**128
