"""What CometBFT is answered: the responses of ABCI 2.0 (CometBFT v0.38); each function returns a whole one.

Source: the field numbers of proto/tendermint/abci/types.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from bezant.chain.cometbft.messages import Snapshot, Unused, Validator
from bezant.chain.cometbft.wire import encode_varint, put_bytes, put_integer, put_part

OK, REFUSED = 0, 1
"""Codes of CheckTx and of an Order in a block."""
ACCEPT, REJECT = 1, 2
"""The status of ProcessProposal and of VerifyVoteExtension; 0 would be an error."""


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
