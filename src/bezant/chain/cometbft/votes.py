"""The proof that a block is final, put together from what CometBFT keeps: its header, the next, its votes."""

from __future__ import annotations

import time
from base64 import b64decode

import msgspec

from bezant.chain.cometbft.headers import header_fields, signed_header
from bezant.chain.cometbft.rpc import Json, Rpc
from bezant.chain.finality import Finality
from bezant.errors import DecodeError, NotFound

PATIENCE_S = 5.0
"""The next block follows within a block's time, because the app hash changed."""
AGAIN_S = 0.05
PAGE = 100
"""Validators that CometBFT tells of at once, at most."""


def finality(rpc: Rpc, height: int, patience_s: float = PATIENCE_S) -> Finality:
    """Return the votes under a block's app hash, which stand in the next block's header.

    Raises: NotFound ``not_provable_yet`` where there is no next block yet; Overloaded; DecodeError.
    """
    until_s = time.monotonic() + patience_s
    while True:
        try:
            signed = rpc.ask("commit", height=height + 1)
            break
        except NotFound:
            if time.monotonic() > until_s:
                raise NotFound(
                    f"block {height} is final, and proved once the next one is; ask again in a moment",
                    code="not_provable_yet",
                ) from None
            time.sleep(AGAIN_S)
    try:
        own = rpc.ask("header", height=height)["header"]
        after = signed_header(signed["signed_header"], _validators(rpc, height + 1))
        return Finality((), header_fields(own), after)
    except (KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"the engine's header does not parse: {error!r}", code="rpc_malformed") from None


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
