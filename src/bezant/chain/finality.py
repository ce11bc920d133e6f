"""Why a block is final under CometBFT: what more than two thirds of the voting power signed.

The app hash of block H stands in the header of block H + 1, which validators sign, and the one before it
in the header of H itself. Whoever knows the validators of the genesis can follow them to that header:
wherever they change, the header before it names the next ones, and is signed by those before. Nothing else
is trusted: neither the node that hands this out, nor whoever carried it.

A header is given as its fourteen fields, each as it is encoded for hashing. Nothing is decoded here:
what a field has to say is encoded and compared.

Sources: CometBFT v0.38, spec/core/data_structures.md (hashes, sign bytes) and spec/core/encoding.md;
trees as in RFC 6962, of leaves of any length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from bezant.errors import ProofError
from bezant.model.digest import sha256
from bezant.model.genesis import MAX_POWER, MAX_VALIDATORS, GenesisValidator
from bezant.model.keys import verify
from bezant.model.merkle import LEAF, root

CHAIN_ID, HEIGHT, TIME, LAST_BLOCK, VALIDATORS, NEXT_VALIDATORS, APP_HASH = 1, 2, 3, 4, 7, 8, 10
"""Where these stand among a header's fields."""
FIELDS = 14
MAX_FIELD_BYTES = 256
_PRECOMMIT = 2
_HASH_FIELD = b"\x0a\x20"
"""What a field that holds 32 bytes begins with."""
_NS = 1_000_000_000


class Validator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may vote for a header: an Ed25519 key, hexadecimal, and its weight."""

    key: str
    power: int


class Vote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One validator's precommit: when, in nanoseconds since 1970, and its signature."""

    time_ns: int
    signature: str


class SignedHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A header with the votes for it; `votes` stand beside `validators`, None where one did not vote for it.

    `fields` are hexadecimal; `parts_total` and `parts_hash` say how its block was split for gossip, which
    every vote names too.
    """

    height: int
    fields: tuple[str, ...]
    round: int
    parts_total: int
    parts_hash: str
    validators: tuple[Validator, ...]
    votes: tuple[Vote | None, ...]


class Finality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that makes a block final for whoever knows the genesis.

    `changes` are the headers, oldest first, in front of every change of validators up to the last; `header`
    are the fields of the block's own header, which hold its time and the app hash before it; `after` is the
    next block's, which holds the app hash.
    """

    changes: tuple[SignedHeader, ...]
    header: tuple[str, ...]
    after: SignedHeader


@dataclass(frozen=True, slots=True)
class Signed:
    """How much of the voting power signed the header behind a block, and how often validators had changed."""

    power: int
    total: int
    validators: int
    changes: int


def chain_id(network: bytes) -> str:
    """Return the name that a network has within CometBFT: at most 50 characters are taken there."""
    return f"bezant-{network.hex()[:40]}"


def check_finality(
    proof: Finality,
    genesis: Sequence[Validator | GenesisValidator],
    chain: str,
    *,
    height: int,
    time_ns: int,
    previous: bytes,
    app_hash: bytes,
) -> Signed:
    """Return who signed for a block of this height and time, after checking all of it.

    The block takes the app hash from `previous`, which its own header names, to `app_hash`: a block without
    receipts leaves it as it is, and would otherwise pass for the one before. `genesis` are the validators
    that are trusted to begin with, `chain` the chain's name. Raises: ProofError.
    """
    _need(proof.after.height == height + 1, "the app hash of a block stands in the next one's header")
    expected = validators_hash(genesis)
    reached = 0
    for change in proof.changes:
        _need(reached < change.height <= height, "changes of validators are not in order")
        fields = _check_signed(change, expected, chain)
        expected, reached = _hash_in(fields[NEXT_VALIDATORS]), change.height
    fields = _check_signed(proof.after, expected, chain)
    own = _fields(proof.header)
    _need(fields[APP_HASH] == hash_field(app_hash), "the validators signed another app hash")
    _need(
        fields[LAST_BLOCK].startswith(_HASH_FIELD + header_hash(own)), "the block's header is another block's"
    )
    _need(own[HEIGHT] == height_field(height), "the block's header is of another height")
    _need(own[TIME] == time_field(time_ns), "the block's header has another time")
    _need(own[APP_HASH] == hash_field(previous), "the block is not the one that led to this app hash")
    return counted(proof)


def counted(proof: Finality) -> Signed:
    """Return who signed, as a proof that was checked says."""
    validators, votes = proof.after.validators, proof.after.votes
    return Signed(_power(proof.after), sum(one.power for one in validators), len(votes), len(proof.changes))


def drop_invalid_votes(signed: SignedHeader, chain: str) -> SignedHeader:
    """Return a header without the votes that do not verify here.

    CometBFT takes some signatures that libsodium refuses (those with a torsion part), and one validator must
    not be able to spoil a proof that the others make. Raises: ProofError for what is no header.
    """
    block_hash = header_hash(_fields(signed.fields))
    parts = parts_header(signed.parts_total, _hex(signed.parts_hash, 32))
    votes: list[Vote | None] = []
    for one, vote in zip(signed.validators, signed.votes, strict=True):
        if vote is not None:
            _need(0 <= vote.time_ns < 2**63, "a vote's time is out of range")
            message = vote_message(chain, signed.height, signed.round, block_hash, parts, vote.time_ns)
            valid = verify(bytes.fromhex(one.key), message, _hex(vote.signature, 64))
            votes.append(vote if valid else None)
        else:
            votes.append(None)
    return msgspec.structs.replace(signed, votes=tuple(votes))


def header_hash(fields: Sequence[bytes]) -> bytes:
    """Return the hash of a header by its encoded fields."""
    return _root(fields)


def validators_hash(validators: Sequence[Validator | GenesisValidator]) -> bytes:
    """Return the hash of a set of validators, in the order in which the engine holds it."""
    rows = sorted(validators, key=lambda one: (-one.power, address(bytes.fromhex(one.key))))
    return _root([_validator(bytes.fromhex(one.key), one.power) for one in rows])


def next_validators(signed: SignedHeader) -> bytes:
    """Return the hash of the validators that a header names for the next block. Raises: ProofError."""
    return _hash_in(_fields(signed.fields)[NEXT_VALIDATORS])


def address(key: bytes) -> bytes:
    """Return a validator's address, 20 bytes."""
    return sha256(key)[:20]


def vote_message(
    chain: str, height: int, round_: int, block_hash: bytes, parts: bytes, time_ns: int
) -> bytes:
    """Return what a validator signs for a block; `parts` is its encoded part set header."""
    block = bytes_field(1, block_hash) + bytes_field(2, parts)
    body = (
        number_field(1, _PRECOMMIT)
        + _fixed_field(2, height)
        + _fixed_field(3, round_)
        + bytes_field(4, block)
        + bytes_field(5, time_field(time_ns))
        + bytes_field(6, chain.encode())
    )
    return varint(len(body)) + body


# Encoding, as Protocol Buffers have it: a field of no content is left out.


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value) if value else b""


def bytes_field(number: int, content: bytes) -> bytes:
    """Return a field of bytes or of a message; one without content is still there."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def time_field(time_ns: int) -> bytes:
    """Return nanoseconds since 1970 as a Timestamp."""
    return number_field(1, time_ns // _NS) + number_field(2, time_ns % _NS)


def height_field(height: int) -> bytes:
    return number_field(1, height)


def text_field(text: str) -> bytes:
    return bytes_field(1, text.encode()) if text else b""


def hash_field(content: bytes) -> bytes:
    return bytes_field(1, content) if content else b""


def parts_header(total: int, hash_: bytes) -> bytes:
    return number_field(1, total) + (bytes_field(2, hash_) if hash_ else b"")


def _fixed_field(number: int, value: int) -> bytes:
    return varint(number << 3 | 1) + value.to_bytes(8, "little") if value else b""


def _validator(key: bytes, power: int) -> bytes:
    return bytes_field(1, bytes_field(1, key)) + number_field(2, power)


# Checking.


def _check_signed(signed: SignedHeader, expected: bytes, chain: str) -> list[bytes]:
    """Return the fields of a header, if it is signed by enough of the validators that are expected."""
    validators = signed.validators
    _need(0 < len(validators) <= MAX_VALIDATORS, "there are no validators, or too many")
    _need(len(signed.votes) == len(validators), "votes do not stand beside validators")
    _need(len({one.key for one in validators}) == len(validators), "a validator is named twice")
    for one in validators:
        _need(_is_key(one.key) and 0 < one.power <= MAX_POWER, "a validator's key or power is none")
    _need(validators_hash(validators) == expected, "these are not the validators of that height")
    fields = _fields(signed.fields)
    _need(0 < signed.height < 2**63 and 0 <= signed.round < 2**31, "a height or round is out of range")
    _need(0 <= signed.parts_total < 2**32, "a block has too many parts")
    _need(fields[CHAIN_ID] == text_field(chain), "the header is another chain's")
    _need(fields[HEIGHT] == height_field(signed.height), "the header is of another height")
    _need(fields[VALIDATORS] == _HASH_FIELD + expected, "the header names other validators")
    _need(
        drop_invalid_votes(signed, chain).votes == signed.votes,
        "a validator's signature does not cover the header",
    )
    power, total = _power(signed), sum(one.power for one in validators)
    _need(3 * power > 2 * total, f"{power} of {total} votes are not more than two thirds")
    return fields


def _power(signed: SignedHeader) -> int:
    """Return the power of the validators whose votes are there."""
    pairs = zip(signed.validators, signed.votes, strict=True)
    return sum(one.power for one, vote in pairs if vote is not None)


def _fields(texts: Sequence[str]) -> list[bytes]:
    _need(len(texts) == FIELDS, f"a header has {FIELDS} fields")
    _need(all(len(text) <= 2 * MAX_FIELD_BYTES for text in texts), "a field of a header is too long")
    return [_hex(text) for text in texts]


def _hash_in(field: bytes) -> bytes:
    _need(len(field) == 34 and field.startswith(_HASH_FIELD), "a header names no next validators")
    return field[2:]


def _hex(text: str, length: int | None = None) -> bytes:
    plain = len(text) % 2 == 0 and not set(text) - set("0123456789abcdef")
    _need(plain and (length is None or len(text) == 2 * length), "a field is not plain hexadecimal")
    return bytes.fromhex(text)


def _is_key(text: str) -> bool:
    return len(text) == 64 and not set(text) - set("0123456789abcdef")


def _root(items: Sequence[bytes]) -> bytes:
    leaves = b"".join(sha256(LEAF, item) for item in items)
    return root(np.frombuffer(leaves, np.uint8).reshape(-1, 32))


def _need(holds: bool, why: str) -> None:
    if not holds:
        raise ProofError(f"the block is not shown to be final: {why}", param="finality")
