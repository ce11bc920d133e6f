"""What CometBFT asks and what it is answered: the messages of ABCI 2.0 (CometBFT v0.38), those parts we use.

Source: the field numbers of proto/tendermint/abci/types.proto. Fields that nobody here reads (hashes of
validators, who proposed) are passed over. Times are Unix nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from bezant.chain.cometbft.wire import (
    Value,
    encode_varint,
    fields,
    integer,
    octets,
    put_bytes,
    put_integer,
    put_part,
    text,
)
from bezant.errors import DecodeError

OK, REFUSED = 0, 1
"""Codes of CheckTx and of an Order in a block."""
ABSENT = 1
"""The flag of a vote that did not come in time."""
ACCEPT, REJECT = 1, 2
"""The status of ProcessProposal and of VerifyVoteExtension; 0 would be an error."""


@dataclass(frozen=True, slots=True)
class Echo:
    message: str


@dataclass(frozen=True, slots=True)
class Flush:
    """Everything asked so far is to be answered now."""


@dataclass(frozen=True, slots=True)
class Info:
    """Where is the application?"""


@dataclass(frozen=True, slots=True)
class Validator:
    """An Ed25519 key and its voting power."""

    key: bytes
    power: int


@dataclass(frozen=True, slots=True)
class InitChain:
    """The very first: what the engine's own genesis says."""

    time_ns: int
    chain_id: str
    validators: tuple[Validator, ...]
    app_state: bytes
    initial_height: int


@dataclass(frozen=True, slots=True)
class Query:
    data: bytes
    path: str
    height: int


@dataclass(frozen=True, slots=True)
class CheckTx:
    """May this Order into the mempool; `recheck` after a block."""

    order: bytes
    recheck: bool


@dataclass(frozen=True, slots=True)
class Commit:
    """The block is decided: keep it."""


@dataclass(frozen=True, slots=True)
class PrepareProposal:
    """Which of these Orders does this validator propose."""

    max_bytes: int
    orders: tuple[bytes, ...]
    height: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class ProcessProposal:
    """Is somebody's proposal acceptable."""

    orders: tuple[bytes, ...]
    block_hash: bytes
    height: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class FinalizeBlock:
    """This block was decided: apply it.

    `absent` are the addresses (20 bytes) of validators whose vote for the block before is not in it,
    `misbehaving` of those that signed two blocks of one height, or one for a light client that is not the
    chain's.
    """

    orders: tuple[bytes, ...]
    block_hash: bytes
    height: int
    time_ns: int
    absent: tuple[bytes, ...] = ()
    misbehaving: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ListSnapshots:
    """Where could a new member begin?"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as members offer it: `digest` names it, `metadata` says what it consists of."""

    height: int
    format: int
    chunks: int
    digest: bytes
    metadata: bytes


@dataclass(frozen=True, slots=True)
class OfferSnapshot:
    """May this node begin at a snapshot? `app_hash` is what the network has after its block."""

    snapshot: Snapshot
    app_hash: bytes


@dataclass(frozen=True, slots=True)
class LoadChunk:
    """Somebody wants a chunk of a snapshot."""

    height: int
    format: int
    chunk: int


@dataclass(frozen=True, slots=True)
class ApplyChunk:
    """A chunk of the snapshot that was accepted, and which peer sent it."""

    index: int
    chunk: bytes
    sender: str


@dataclass(frozen=True, slots=True)
class Unused:
    """A request whose answer is always the same here: votes carry nothing."""

    number: int


Request = (
    Echo
    | Flush
    | Info
    | InitChain
    | Query
    | CheckTx
    | Commit
    | PrepareProposal
    | ProcessProposal
    | FinalizeBlock
    | ListSnapshots
    | OfferSnapshot
    | LoadChunk
    | ApplyChunk
    | Unused
)

# Requests.


def decode_request(data: memoryview) -> Request:
    """Return what is asked. Raises: DecodeError."""
    found = list(fields(data))
    if len(found) != 1:
        raise DecodeError(f"a request holds {len(found)} messages, not one", code="abci_malformed")
    number, body = found[0]
    if number in _FIXED_ANSWERS:
        return Unused(number)
    reader = _READERS.get(number)
    if reader is None:
        raise DecodeError(f"there is no request of the number {number}", code="abci_unknown")
    return reader(octets(body))


def _read_echo(body: memoryview) -> Echo:
    return Echo(next((text(value) for number, value in fields(body) if number == 1), ""))


def _read_init_chain(body: memoryview) -> InitChain:
    found: dict[int, Value] = {}
    validators: list[Validator] = []
    for number, value in fields(body):
        if number == 4:
            validators.append(_read_validator(octets(value)))
        else:
            found[number] = value
    return InitChain(
        _time(found.get(1, _NOTHING)),
        text(found.get(2, _NOTHING)),
        tuple(validators),
        bytes(octets(found.get(5, _NOTHING))),
        integer(found.get(6, 0)),
    )


def _read_validator(body: memoryview) -> Validator:
    found = dict(fields(body))
    key = next(
        (bytes(octets(value)) for number, value in fields(octets(found.get(1, _NOTHING))) if number == 1), b""
    )
    return Validator(key, integer(found.get(2, 0)))


def _read_query(body: memoryview) -> Query:
    found = dict(fields(body))
    return Query(
        bytes(octets(found.get(1, _NOTHING))), text(found.get(2, _NOTHING)), integer(found.get(3, 0))
    )


def _read_check_tx(body: memoryview) -> CheckTx:
    found = dict(fields(body))
    return CheckTx(bytes(octets(found.get(1, _NOTHING))), integer(found.get(2, 0)) != 0)


def _read_prepare(body: memoryview) -> PrepareProposal:
    orders, found = _split(body, 2)
    return PrepareProposal(
        integer(found.get(1, 0)), orders, integer(found.get(5, 0)), _time(found.get(6, _NOTHING))
    )


def _read_process(body: memoryview) -> ProcessProposal:
    return ProcessProposal(*_read_block(body))


def _read_finalize(body: memoryview) -> FinalizeBlock:
    votes = next((octets(value) for number, value in fields(body) if number == 2), _NOTHING)
    absent = [
        _address(found.get(1, _NOTHING))
        for number, value in fields(votes)
        if number == 2 and integer((found := dict(fields(octets(value)))).get(3, 0)) == ABSENT
    ]
    misbehaving = [
        _address(dict(fields(octets(value))).get(2, _NOTHING))
        for number, value in fields(body)
        if number == 3
    ]
    return FinalizeBlock(*_read_block(body), tuple(absent), tuple(misbehaving))


def _read_offer(body: memoryview) -> OfferSnapshot:
    found = dict(fields(body))
    inner = dict(fields(octets(found.get(1, _NOTHING))))
    height, kind, chunks = (integer(inner.get(number, 0)) for number in (1, 2, 3))
    digest, metadata = (bytes(octets(inner.get(number, _NOTHING))) for number in (4, 5))
    snapshot = Snapshot(height, kind, chunks, digest, metadata)
    return OfferSnapshot(snapshot, bytes(octets(found.get(2, _NOTHING))))


def _read_load_chunk(body: memoryview) -> LoadChunk:
    found = dict(fields(body))
    height, kind, chunk = (integer(found.get(number, 0)) for number in (1, 2, 3))
    return LoadChunk(height, kind, chunk)


def _read_apply_chunk(body: memoryview) -> ApplyChunk:
    found = dict(fields(body))
    chunk, sender = bytes(octets(found.get(2, _NOTHING))), text(found.get(3, _NOTHING))
    return ApplyChunk(integer(found.get(1, 0)), chunk, sender)


def _address(validator: Value) -> bytes:
    """Return the address of a validator as votes and evidence name it."""
    return bytes(octets(dict(fields(octets(validator))).get(1, _NOTHING)))


def _read_block(body: memoryview) -> tuple[tuple[bytes, ...], bytes, int, int]:
    orders, found = _split(body, 1)
    return (
        orders,
        bytes(octets(found.get(4, _NOTHING))),
        integer(found.get(5, 0)),
        _time(found.get(6, _NOTHING)),
    )


def _split(body: memoryview, repeated: int) -> tuple[tuple[bytes, ...], dict[int, Value]]:
    """Return the repeated field of bytes, and the last of each other field by number."""
    many: list[bytes] = []
    found: dict[int, Value] = {}
    for number, value in fields(body):
        if number == repeated:
            many.append(bytes(octets(value)))
        else:
            found[number] = value
    return tuple(many), found


def _time(value: Value) -> int:
    found = dict(fields(octets(value)))
    return integer(found.get(1, 0)) * 1_000_000_000 + integer(found.get(2, 0))


_NOTHING = memoryview(b"")
_READERS: dict[int, Callable[[memoryview], Request]] = {
    1: _read_echo,
    2: lambda body: Flush(),
    3: lambda body: Info(),
    5: _read_init_chain,
    6: _read_query,
    8: _read_check_tx,
    11: lambda body: Commit(),
    12: lambda body: ListSnapshots(),
    13: _read_offer,
    14: _read_load_chunk,
    15: _read_apply_chunk,
    16: _read_prepare,
    17: _read_process,
    20: _read_finalize,
}

# Answers; each is a whole Response.


def exception(message: str) -> bytes:
    """The answer after which CometBFT stops."""
    return put_part(1, put_bytes(1, message.encode()))


def echo(message: str) -> bytes:
    return put_part(2, put_bytes(1, message.encode()))


def flush() -> bytes:
    return put_part(3, b"")


def info(name: str, version: str, height: int, app_hash: bytes) -> bytes:
    """`height` and `app_hash` are those of the last Commit."""
    body = (
        put_bytes(1, name.encode())
        + put_bytes(2, version.encode())
        + put_integer(4, height)
        + put_bytes(5, app_hash)
    )
    return put_part(4, body)


def init_chain(app_hash: bytes) -> bytes:
    return put_part(6, put_bytes(3, app_hash))


def query(code: int, value: bytes, height: int, log: str = "") -> bytes:
    body = put_integer(1, code) + put_bytes(3, log.encode()) + put_bytes(7, value) + put_integer(9, height)
    return put_part(7, body)


def check_tx(code: int, log: str = "") -> bytes:
    return put_part(9, put_integer(1, code) + put_bytes(3, log.encode()))


def commit(retain_height: int = 0) -> bytes:
    return put_part(12, put_integer(3, retain_height))


def prepare_proposal(orders: Sequence[bytes]) -> bytes:
    return put_part(17, b"".join([put_part(1, order) for order in orders]))


def process_proposal(accepted: bool) -> bytes:
    return put_part(18, put_integer(1, ACCEPT if accepted else REJECT))


def finalize_block(codes: Sequence[int], app_hash: bytes, voters: Sequence[Validator] = ()) -> bytes:
    """`codes`: one for each Order of the block, in order. `voters`: those whose power changes; 0 removes."""
    results = b"".join([put_part(2, put_integer(1, code)) for code in codes])
    changes = b"".join(
        [put_part(3, put_part(1, put_bytes(1, one.key)) + put_integer(2, one.power)) for one in voters]
    )
    return put_part(21, results + changes + put_bytes(5, app_hash))


class Offered(IntEnum):
    """What becomes of a snapshot that is offered."""

    ACCEPT = 1
    REJECT = 3
    REJECT_FORMAT = 4


class Chunk(IntEnum):
    """What becomes of a chunk."""

    ACCEPT = 1
    RETRY = 3
    REJECT_SNAPSHOT = 5


def list_snapshots(snapshots: Sequence[Snapshot]) -> bytes:
    parts = [
        put_part(
            1,
            put_integer(1, one.height)
            + put_integer(2, one.format)
            + put_integer(3, one.chunks)
            + put_bytes(4, one.digest)
            + put_bytes(5, one.metadata),
        )
        for one in snapshots
    ]
    return put_part(13, b"".join(parts))


def offer_snapshot(result: Offered) -> bytes:
    return put_part(14, put_integer(1, result))


def load_chunk(chunk: bytes) -> bytes:
    """An empty chunk says that there is none."""
    return put_part(15, put_bytes(1, chunk))


def apply_chunk(result: Chunk, refetch: int | None = None, rejected: str = "") -> bytes:
    """`refetch`: the chunk to ask for again; `rejected`: the peer that nothing more is taken from."""
    again = b"" if refetch is None else put_part(2, encode_varint(refetch))
    sender = put_part(3, rejected.encode()) if rejected else b""
    return put_part(16, put_integer(1, result) + again + sender)


_FIXED_ANSWERS = {
    18: put_part(19, b""),
    19: put_part(20, put_integer(1, ACCEPT)),
}
"""By request: votes, which nothing is added to."""


def fixed_answer(request: Unused) -> bytes:
    """Return the answer that such a request always has."""
    return _FIXED_ANSWERS[request.number]
