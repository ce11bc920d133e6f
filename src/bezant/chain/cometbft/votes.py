"""The proof that a block is final, put together from what CometBFT keeps.

That is its own header, the next one and its votes, and the headers in front of every change of validators
that lies between the genesis and there.
"""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Sequence

import msgspec

from bezant.chain.cometbft.headers import header_fields, nanoseconds, signed_header
from bezant.chain.cometbft.home import first_height
from bezant.chain.cometbft.rpc import Json, Rpc
from bezant.chain.finality import (
    Finality,
    SignedHeader,
    chain_id,
    check_finality,
    drop_invalid_votes,
    header_hash,
    next_validators,
    validators_hash,
)
from bezant.errors import DecodeError, NotFound
from bezant.model.genesis import Genesis, network_id

PATIENCE_S = 5.0
"""The next block follows within a block's time, because the app hash changed."""
AGAIN_S = 0.05
TRAIL = "trail.json"
"""The file in which a member keeps the headers in front of changes; see `trail`."""
PAGE = 100
"""Validators that CometBFT tells of at once, at most."""


def finality(
    rpc: Rpc,
    genesis: Genesis,
    height: int,
    trail: Sequence[SignedHeader] = (),
    patience_s: float = PATIENCE_S,
) -> Finality:
    """Return the votes under a block's app hash, which stand in the next block's header.

    `trail` are the headers in front of changes of validators that are known already. Raises: NotFound
    ``not_provable_yet`` where there is no next block yet, ``pruned`` where CometBFT has the block no more;
    Overloaded; DecodeError.
    """
    until_s = time.monotonic() + patience_s
    while True:
        try:
            signed = rpc.ask("commit", height=height + 1)
            break
        except NotFound:
            _check_kept(rpc, height)
            if time.monotonic() > until_s:
                raise NotFound(
                    f"block {height} is final, and proved once the next one is; ask again in a moment",
                    code="not_provable_yet",
                ) from None
            time.sleep(AGAIN_S)
    try:
        _check_kept(rpc, height)
        own = rpc.ask("header", height=height)["header"]
        after = _signed(rpc, signed["signed_header"], height + 1)
        return Finality(tuple(changes(rpc, genesis, height + 1, trail)), header_fields(own), after)
    except (KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"the engine's header does not parse: {error!r}", code="rpc_malformed") from None


def vouched(
    rpc: Rpc, genesis: Genesis, trail: Sequence[SignedHeader] = ()
) -> tuple[int, str, tuple[SignedHeader, ...]]:
    """Return the height and hash (hexadecimal) of a recent block that the validators signed, as the genesis
    names them and every change since, and the headers of those changes: whoever answers is not trusted.

    Raises: NotFound, Overloaded, DecodeError, ProofError.
    """
    height = int(rpc.ask("status")["sync_info"]["latest_block_height"]) - 1
    proof = finality(rpc, genesis, height, trail)
    own, after = (rpc.ask("header", height=at)["header"] for at in (height, height + 1))
    check_finality(
        proof,
        genesis.validators,
        chain_id(network_id(genesis)),
        height=height,
        time_ns=nanoseconds(own["time"]),
        previous=bytes.fromhex(own["app_hash"]),
        app_hash=bytes.fromhex(after["app_hash"]),
    )
    fields = [bytes.fromhex(text) for text in proof.after.fields]
    return height + 1, header_hash(fields).hex().upper(), proof.changes


def _check_kept(rpc: Rpc, height: int) -> None:
    """Raise NotFound ``pruned`` where CometBFT had a block and has it no more."""
    earliest = _earliest(rpc)
    if height < earliest:
        raise NotFound(
            f"the votes for block {height} are not here any more: CometBFT has blocks from {earliest} on. "
            "Ask a member that keeps all of them ([chain] keep_blocks = 0)",
            code="pruned",
        )


def _earliest(rpc: Rpc) -> int:
    return int(rpc.ask("status")["sync_info"]["earliest_block_height"])


def changes(rpc: Rpc, genesis: Genesis, until: int, trail: Sequence[SignedHeader] = ()) -> list[SignedHeader]:
    """Return the headers that lead from the genesis's validators to those of header `until`, oldest first.

    Those of `trail` are known already. Others are found by halving: between a header of the validators that
    are known and one of others there is one whose next are others. Where the same came back, what lay between
    is left out, and proves as much. Raises: NotFound ``pruned`` where a header on the way is not kept.
    """
    wanted, known = _voting(rpc, until), validators_hash(genesis.validators).hex()
    found = [one for one in trail if one.height < until]
    low = first_height(genesis)
    if found:
        known, low = next_validators(found[-1]).hex(), found[-1].height + 1
    earliest = _earliest(rpc) if known != wanted else 0
    if low < earliest:
        low = earliest
        if _voting(rpc, low) != known:
            raise NotFound(
                f"how validators changed before block {earliest} is not here any more; copy {TRAIL} from a "
                "member that knows it",
                code="pruned",
            )
    while known != wanted:
        high = until
        while high - low > 1:
            middle = (low + high) // 2
            if _voting(rpc, middle) == known:
                low = middle
            else:
                high = middle
        told = rpc.ask("commit", height=low)["signed_header"]
        found.append(_signed(rpc, told, low))
        known, low = _voting(rpc, high), high
    return found


def _signed(rpc: Rpc, told: Json, height: int) -> SignedHeader:
    """Return a header with those of its votes that verify."""
    return drop_invalid_votes(signed_header(told, _validators(rpc, height)), told["header"]["chain_id"])


def _voting(rpc: Rpc, height: int) -> str:
    """Return the hash of the validators that vote on a block, hexadecimal."""
    return str(rpc.ask("header", height=height)["header"]["validators_hash"]).lower()


def _validators(rpc: Rpc, height: int) -> list[Json]:
    found: list[Json] = []
    page = 1
    while True:
        told = rpc.ask("validators", height=height, page=page, per_page=PAGE)
        found += told["validators"]
        if len(found) >= int(told["total"]) or not told["validators"]:
            return found
        page += 1


def block_of(rpc: Rpc, height: int) -> Json:
    """Return what the application has of a block, 0 for its last: height, app hash, the state root in it.

    Raises: NotFound, Overloaded, DecodeError.
    """
    told = rpc.ask("abci_query", path='"/block"', height=height)["response"]
    if told.get("code"):
        raise NotFound(str(told.get("log", "")), code="block_unknown")
    found: Json = msgspec.json.decode(b64decode(told["value"]))
    return found
