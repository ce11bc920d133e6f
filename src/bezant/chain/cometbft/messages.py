"""What CometBFT asks: the requests of ABCI 2.0 (CometBFT v0.38), those parts that we use.

Source: the field numbers of proto/tendermint/abci/types.proto. Fields that nobody here reads (hashes of
validators, who proposed) are passed over. Times are Unix nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bezant.chain.cometbft.wire import (
    Value,
    fields,
    integer,
    octets,
    text,
)
from bezant.errors import DecodeError

ABSENT = 1
"""The flag of a vote that did not come in time."""


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
    18: lambda body: Unused(18),
    19: lambda body: Unused(19),
    20: _read_finalize,
}
