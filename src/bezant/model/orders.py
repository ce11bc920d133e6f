"""Authorisations and Orders: who signed what, and the bytes in which it travels.

An *Authorisation* is one signature by a debtor's authority over the RFC 6962 root of its
records (one or up to 1,024), so that any one of them can be proved without the rest. Where the
authority needs several signatures, *co-signatures* follow it: rows of the same authority with
`count` 0, each by a key of a higher index, over the very same text. Their `first` is where the next
records begin, as every row's is: the number of records covered before it.

An *Order*
is many Authorisations, one Decision per record, and the gateway's signature over all.

Order, little-endian, no padding::

    header 64 | AUTHORISATION 96 x m | RECORD 128 x n | DECISION 64 x n | gateway signature 64
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bezant.errors import DecodeError
from bezant.model.digest import TAG_AUTHORISATION, TAG_ORDER, Digests, as_rows, sha256
from bezant.model.identifiers import AuthorityId, id_bytes, join, words
from bezant.model.keys import SigningKey, authority_id
from bezant.model.layouts import packer
from bezant.model.merkle import group_roots, leaf_hashes
from bezant.model.records import AUTHORISATION, DECISION, MAX_KEYS, RECORD, RecordArray, join_rows

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
_pack_header = packer(HEADER)
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
    attested_by: AuthorityId | None = field(default=None, init=False, compare=False)
    """Who signed it in this process; no copy and nothing read from bytes says so."""

    def __len__(self) -> int:
        return len(self.records)


def leading_rows(authorisations: RecordArray) -> npt.NDArray[np.intp] | None:
    """Return for each row the one whose records it signs, (m,): its own, or the one a co-signature
    follows. None where there are no co-signatures, which is the usual case."""
    leads = authorisations["count"] != 0
    if leads.all():
        return None
    return np.maximum.accumulate(np.where(leads, np.arange(len(leads)), 0))


def cosigned(authorisations: RecordArray, row: int) -> RecordArray:
    """Return the row with the co-signatures behind it."""
    end = row + 1
    while end < len(authorisations) and authorisations["count"][end] == 0:
        end += 1
    return authorisations[row:end]


def signed_roots(authorisations: RecordArray, hashes: Digests) -> Digests:
    """Return the root each row signs, (m, 32), from the records' leaf hashes (n, 32)."""
    leads = authorisations["count"] != 0
    covering = authorisations[leads] if not leads.all() else authorisations
    roots = group_roots(hashes, covering["first"], covering["count"])
    return roots if len(covering) == len(authorisations) else roots[np.cumsum(leads) - 1]


def authorisation_roots(authorisations: RecordArray, records: RecordArray) -> Digests:
    """Return the root each row signs, (m, 32)."""
    return signed_roots(authorisations, leaf_hashes(as_rows(records)))


def authorisation_messages(network: bytes, authorisations: RecordArray, roots: Digests) -> Digests:
    """Return the signed texts, (m, 112): tag 24 ‖ network 32 ‖ authority 16 ‖ count u64 ‖ root 32.

    A co-signature's text is that of the row it follows, count included.
    """
    leading = leading_rows(authorisations)
    counts = authorisations["count"] if leading is None else authorisations["count"][leading]
    out = np.empty((len(authorisations), 112), np.uint8)
    out[:, :24] = np.frombuffer(TAG_AUTHORISATION, np.uint8)
    out[:, 24:56] = np.frombuffer(network, np.uint8)
    out[:, 56:72] = as_rows(authorisations)[:, :16]
    out[:, 72:80] = counts.astype("<u8").view(np.uint8).reshape(-1, 8)
    out[:, 80:] = roots
    return out


def authorisation_message(network: bytes, authority: AuthorityId, count: int, root: bytes) -> bytes:
    """Return one signed text; see `authorisation_messages`."""
    return b"".join((TAG_AUTHORISATION, network, id_bytes(authority), count.to_bytes(8, "little"), root))


def authorise(
    network: bytes,
    key: SigningKey,
    records: RecordArray,
    *,
    together: bool = True,
    authority: AuthorityId | None = None,
    key_index: int = 0,
) -> RecordArray:
    """Return Authorisations of the records by one key: one over all, or one for each.

    `authority` and `key_index` say which key of which authority it is, where it is not the one that
    the authority was registered with.

    Raises: DecodeError when `together` is asked for no record, or for more than 1,024.
    """
    count = len(records)
    if together and not 1 <= count <= MAX_AUTHORISED_RECORDS:
        raise DecodeError(
            f"an Authorisation covers 1 to {MAX_AUTHORISED_RECORDS} records, not {count}; split them",
            code="authorisation_size",
        )
    made = np.zeros(1 if together else count, AUTHORISATION)
    made["authority_lo"], made["authority_hi"] = words(authority or authority_id(key.public, key.scheme))
    made["first"] = 0 if together else np.arange(count)
    made["count"] = count if together else 1
    made["scheme"], made["key_index"] = key.scheme, key_index
    messages = authorisation_messages(network, made, authorisation_roots(made, records))
    for row, message in enumerate(messages):
        made["signature"][row] = np.frombuffer(key.sign(message.tobytes()), np.uint8)
    return made


def authorise_jointly(
    network: bytes, authority: AuthorityId, keys: Mapping[int, SigningKey], records: RecordArray
) -> RecordArray:
    """Return one Authorisation over all records with its co-signatures, by the keys at these indexes.

    Raises: DecodeError for no record, or more than 1,024; ValueError for no key.
    """
    rows: list[RecordArray] = []
    for index in sorted(keys):
        row = authorise(network, keys[index], records, authority=authority, key_index=index)
        if rows:
            row["first"], row["count"] = len(records), 0
        rows.append(row)
    return join_rows(rows, AUTHORISATION)


def join_authorised(parts: list[tuple[RecordArray, RecordArray]]) -> tuple[RecordArray, RecordArray]:
    """Join (authorisations, records) pairs into one pair, moving each `first` behind what precedes it."""
    records = join_rows([part[1] for part in parts], RECORD)
    moved = join_rows([part[0] for part in parts], AUTHORISATION)
    at = offset = 0
    for authorisations, own in parts:
        moved["first"][at : at + len(authorisations)] += np.uint32(offset)
        at, offset = at + len(authorisations), offset + len(own)
    return moved, records


def _header(network: bytes, order: Order) -> bytes:
    many, count = len(order.authorisations), len(order.records)
    return _pack_header(MAGIC, VERSION, 0, many, count, *words(order.gateway), network)


def order_digest(network: bytes, order: Order) -> bytes:
    """Return what the gateway signs: a tagged hash over everything in front of its signature."""
    return sha256(TAG_ORDER, _header(network, order), *_tables(order))


def _tables(order: Order) -> tuple[memoryview, ...]:
    """Return an order's rows as bytes, one table after the other, without copying them. Of views as plain
    octets: numpy would keep a description of every field for as long as there are the rows."""
    tables = order.authorisations, order.records, order.decisions
    return tuple(np.ascontiguousarray(table).view(np.uint8).data for table in tables)


def attest(network: bytes, order: Order, gateway_key: SigningKey) -> Order:
    """Return the order with the gateway's signature."""
    signature = gateway_key.sign(order_digest(network, order))
    attested = Order(order.gateway, order.authorisations, order.records, order.decisions, signature)
    object.__setattr__(attested, "attested_by", authority_id(gateway_key.public, gateway_key.scheme))
    return attested


def encode_order(network: bytes, order: Order) -> bytes:
    return b"".join((_header(network, order), *_tables(order), order.signature))


def decode_order(data: bytes | memoryview, network: bytes) -> Order:
    """Return the order in `data`; columns are copies, so that compiled code meets one array type.

    Only the shape is checked here: signatures are the ledger's business. Lengths are compared
    before anything is allocated. Raises: DecodeError.
    """
    if len(data) < HEADER.itemsize + SIGNATURE_BYTES:
        raise DecodeError(f"an Order of {len(data)} bytes is cut short", code="order_truncated")
    header = read_header(data, network, MAGIC)
    many, count = int(header["authorisations"]), int(header["records"])
    if len(data) != order_bytes(many, count):
        raise DecodeError(
            f"an Order of {many} Authorisations and {count} records takes "
            f"{order_bytes(many, count)} bytes, not {len(data)}",
            code="order_length",
        )
    at_records = HEADER.itemsize + many * AUTHORISATION.itemsize
    authorisations = np.frombuffer(data, AUTHORISATION, many, HEADER.itemsize).copy()
    check_coverage(authorisations, count)
    return Order(
        AuthorityId(join(header["gateway_lo"], header["gateway_hi"])),
        authorisations,
        np.frombuffer(data, RECORD, count, at_records).copy(),
        np.frombuffer(data, DECISION, count, at_records + count * RECORD.itemsize).copy(),
        bytes(data[-SIGNATURE_BYTES:]),
    )


def read_header(data: bytes | memoryview, network: bytes, magic: bytes) -> np.void:
    """Return the HEADER in front of an Order, in the form that `magic` begins. Raises: DecodeError."""
    header = np.frombuffer(data, HEADER, 1)[0]
    if header["magic"] != magic or header["version"] != VERSION or header["reserved"]:
        raise DecodeError("these bytes are not an Order of version 1", code="order_version")
    if header["network"].tobytes() != network:
        raise DecodeError(
            "the Order is for another network; its signatures mean nothing here", code="other_network"
        )
    return header


def order_bytes(authorisations: int, records: int) -> int:
    """Return how many bytes an Order takes."""
    rows = authorisations * AUTHORISATION.itemsize + records * (RECORD.itemsize + DECISION.itemsize)
    return HEADER.itemsize + rows + SIGNATURE_BYTES


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
    """Raise DecodeError unless the Authorisations cover `count` records, each once, in order, and every
    co-signature follows a row of its authority with a lower key index."""
    counts = authorisations["count"].astype(np.int64)
    follows = np.cumsum(counts) - counts
    covered = int(counts.sum())
    if (
        covered != count
        or (counts > MAX_AUTHORISED_RECORDS).any()
        or (authorisations["first"] != follows).any()
    ):
        raise DecodeError(
            f"the Authorisations do not cover the {count} records one after another", code="order_coverage"
        )
    also = (counts == 0).nonzero()[0]
    if not len(also):
        return
    key_index = authorisations["key_index"]
    if (
        also[0] == 0
        or (authorisations["authority_lo"][also] != authorisations["authority_lo"][also - 1]).any()
        or (authorisations["authority_hi"][also] != authorisations["authority_hi"][also - 1]).any()
        or (key_index[also] <= key_index[also - 1]).any()
        or (key_index[also] >= MAX_KEYS).any()
    ):
        raise DecodeError(
            "a co-signature follows a signature of the same authority by a key of a lower index",
            code="order_cosignature",
        )
