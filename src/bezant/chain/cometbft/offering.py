"""Snapshots as CometBFT's members tell each other of them, on both sides; see `storage.offers`."""

from __future__ import annotations

from collections.abc import Sequence

from bezant.chain.cometbft.messages import LoadChunk, Snapshot
from bezant.chain.storage.offers import Offer, Offers
from bezant.errors import NotFound, StorageError
from bezant.model.digest import sha256

FORMAT = 1
"""How what is offered is put together and cut; others are refused."""


def described(offers: Sequence[Offer]) -> list[Snapshot]:
    """Return offers as other members hear of them."""
    found = []
    for one in offers:
        metadata = one.contents.encode()
        found.append(Snapshot(one.height, FORMAT, len(one.contents.hashes), sha256(metadata), metadata))
    return found


def chunk_of(offers: Offers, request: LoadChunk) -> bytes:
    """Return a chunk that somebody asks for, nothing where there is none: it may have been replaced,
    even while it is read."""
    if request.format != FORMAT:
        return b""
    try:
        return offers.chunk(request.height, request.chunk)
    except (NotFound, StorageError):
        return b""
