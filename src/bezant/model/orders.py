"""Authorisations and Orders: who signed what, and the bytes in which it travels.

An *Authorisation* is one signature by a debtor's authority over the RFC 6962 root of its
records (one or up to 1,024), so that any one of them can be proved without the rest. An
*Order* is many Authorisations, one Decision per record, and the gateway's signature over all.

Order, little-endian, no padding::

    header 64 | AUTHORISATION 96 x m | RECORD 128 x n | DECISION 64 x n | gateway signature 64
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bezant.errors import DecodeError
from bezant.model.digest import TAG_AUTHORISATION, TAG_ORDER, Digests, as_rows, sha256
from bezant.model.identifiers import AuthorityId, id_bytes, join, words
from bezant.model.keys import SCHEME_ED25519, SigningKey, authority_id
from bezant.model.merkle import group_roots, leaf_hashes
from bezant.model.records import AUTHORISATION, DECISION, RECORD, RecordArray

HEADER = np.dtype(
    [
        ("magic", "S4"),
        ("version", "<u2"),
        ("reserved", "<u2"),
        ("authorisations", "<u4"),
        ("records", "<u4"),
        ("gateway_lo", "<u8"),
        ("gateway_hi", "<u8"),
        ("network", "u1", (32,)),
    ]
)
MAGIC, VERSION = b"BZOR", 1
SIGNATURE_BYTES = 64
MAX_ORDER_BYTES = 256 * 1024
MAX_AUTHORISED_RECORDS = 1024


@dataclass(frozen=True, slots=True)
class Order:
    """The unit of ordering: columns, and the gateway that attests the decisions."""

    gateway: AuthorityId
    authorisations: RecordArray
    records: RecordArray
    decisions: RecordArray
    signature: bytes = b""
    digest: bytes = field(default=b"", init=False, compare=False)
    """What was signed, where this process attested the order; no copy and nothing read from bytes has it."""

    def __len__(self) -> int:
        return len(self.records)


def authorisation_roots(authorisations: RecordArray, records: RecordArray) -> Digests:
    """Return the root each Authorisation signs, (m, 32)."""
    return group_roots(leaf_hashes(as_rows(records)), authorisations["first"], authorisations["count"])


def authorisation_messages(network: bytes, authorisations: RecordArray, roots: Digests) -> Digests:
    """Return the signed texts, (m, 112): tag 24 ‖ network 32 ‖ authority 16 ‖ count u64 ‖ root 32."""
    out = np.empty((len(authorisations), 112), np.uint8)
    out[:, :24] = np.frombuffer(TAG_AUTHORISATION, np.uint8)
    out[:, 24:56] = np.frombuffer(network, np.uint8)
    out[:, 56:72] = as_rows(authorisations)[:, :16]
    out[:, 72:80] = authorisations["count"].astype("<u8").view(np.uint8).reshape(-1, 8)
    out[:, 80:] = roots
    return out


def authorisation_message(network: bytes, authority: AuthorityId, count: int, root: bytes) -> bytes:
    """Return one signed text; see `authorisation_messages`."""
    return b"".join((TAG_AUTHORISATION, network, id_bytes(authority), count.to_bytes(8, "little"), root))


def authorise(network: bytes, key: SigningKey, records: RecordArray, *, together: bool = True) -> RecordArray:
    """Return Authorisations of the records by one key: one over all, or one for each.

    Raises: DecodeError when `together` is asked for no record, or for more than 1,024.
    """
    count = len(records)
    if together and not 1 <= count <= MAX_AUTHORISED_RECORDS:
        raise DecodeError(
            f"an Authorisation covers 1 to {MAX_AUTHORISED_RECORDS} records, not {count}; split them",
            code="authorisation_size",
        )
    made = np.zeros(1 if together else count, AUTHORISATION)
    made["authority_lo"], made["authority_hi"] = words(authority_id(key.public))
    made["first"] = 0 if together else np.arange(count)
    made["count"] = count if together else 1
    made["scheme"] = SCHEME_ED25519
    messages = authorisation_messages(network, made, authorisation_roots(made, records))
    for row, message in enumerate(messages):
        made["signature"][row] = np.frombuffer(key.sign(message.tobytes()), np.uint8)
    return made


def join_authorised(parts: list[tuple[RecordArray, RecordArray]]) -> tuple[RecordArray, RecordArray]:
    """Join (authorisations, records) pairs into one pair, moving each `first` behind what precedes it."""
    records = np.concatenate([part[1] for part in parts]) if parts else np.zeros(0, RECORD)
    moved, offset = [], 0
    for authorisations, own in parts:
        copy = authorisations.copy()
        copy["first"] += np.uint32(offset)
        moved.append(copy)
        offset += len(own)
    return (np.concatenate(moved) if moved else np.zeros(0, AUTHORISATION)), records


def _header(network: bytes, order: Order) -> bytes:
    header = np.zeros(1, HEADER)
    header["magic"], header["version"] = MAGIC, VERSION
    header["authorisations"], header["records"] = len(order.authorisations), len(order.records)
    header["gateway_lo"], header["gateway_hi"] = words(order.gateway)
    header["network"] = np.frombuffer(network, np.uint8)
    return header.tobytes()


def order_digest(network: bytes, order: Order) -> bytes:
    """Return what the gateway signs: a tagged hash over everything in front of its signature."""
    return sha256(
        TAG_ORDER,
        _header(network, order),
        order.authorisations.tobytes(),
        order.records.tobytes(),
        order.decisions.tobytes(),
    )


def attest(network: bytes, order: Order, gateway_key: SigningKey) -> Order:
    """Return the order with the gateway's signature."""
    digest = order_digest(network, order)
    signature = gateway_key.sign(digest)
    attested = Order(order.gateway, order.authorisations, order.records, order.decisions, signature)
    object.__setattr__(attested, "digest", digest)
    return attested


def encode_order(network: bytes, order: Order) -> bytes:
    return b"".join(
        (
            _header(network, order),
            order.authorisations.tobytes(),
            order.records.tobytes(),
            order.decisions.tobytes(),
            order.signature,
        )
    )


def decode_order(data: bytes | memoryview, network: bytes) -> Order:
    """Return the order in `data`; columns are copies, so that compiled code meets one array type.

    Only the shape is checked here: signatures are the ledger's business. Lengths are compared
    before anything is allocated. Raises: DecodeError.
    """
    if len(data) < HEADER.itemsize + SIGNATURE_BYTES:
        raise DecodeError(f"an Order of {len(data)} bytes is cut short", code="order_truncated")
    header = np.frombuffer(data, HEADER, 1)[0]
    if header["magic"] != MAGIC or header["version"] != VERSION or header["reserved"]:
        raise DecodeError("these bytes are not an Order of version 1", code="order_version")
    if header["network"].tobytes() != network:
        raise DecodeError(
            "the Order is for another network; its signatures mean nothing here", code="other_network"
        )
    many, count = int(header["authorisations"]), int(header["records"])
    start = HEADER.itemsize
    ends = np.cumsum(
        [start, many * AUTHORISATION.itemsize, count * RECORD.itemsize, count * DECISION.itemsize]
    ).tolist()
    if len(data) != ends[3] + SIGNATURE_BYTES:
        raise DecodeError(
            f"an Order of {many} Authorisations and {count} records takes "
            f"{ends[3] + SIGNATURE_BYTES} bytes, not {len(data)}",
            code="order_length",
        )
    authorisations = np.frombuffer(data, AUTHORISATION, many, ends[0]).copy()
    check_coverage(authorisations, count)
    return Order(
        AuthorityId(join(header["gateway_lo"], header["gateway_hi"])),
        authorisations,
        np.frombuffer(data, RECORD, count, ends[1]).copy(),
        np.frombuffer(data, DECISION, count, ends[2]).copy(),
        bytes(data[ends[3] :]),
    )


def check_shape(order: Order) -> None:
    """Raise DecodeError unless `decode_order` would take the order's bytes back.

    An engine asks before it writes: a block that cannot be read again must never be journaled.
    """
    if len(order.decisions) != len(order.records) or len(order.signature) != SIGNATURE_BYTES:
        raise DecodeError(
            f"an Order of {len(order.records)} records has {len(order.decisions)} decisions and a gateway "
            f"signature of {len(order.signature)} bytes; attest it before it is submitted",
            code="order_length",
        )
    check_coverage(order.authorisations, len(order.records))


def check_coverage(authorisations: RecordArray, count: int) -> None:
    """Raise DecodeError unless the Authorisations cover `count` records, each once, in order."""
    counts = authorisations["count"].astype(np.int64)
    follows = np.cumsum(counts) - counts
    covered = int(counts.sum())
    if (
        covered != count
        or (counts < 1).any()
        or (counts > MAX_AUTHORISED_RECORDS).any()
        or (authorisations["first"] != follows).any()
    ):
        raise DecodeError(
            f"the Authorisations do not cover the {count} records one after another", code="order_coverage"
        )
