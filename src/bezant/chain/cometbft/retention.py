"""How many of CometBFT's blocks a member keeps. Its own journal has all of them either way.

CometBFT may forget what nobody needs any more: not before evidence of a fault in it is too old to be taken,
nor what a new member needs that begins at a snapshot offered here, nor before the headers that proofs lead
through are kept (`trail`).
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bezant.chain.cometbft.rpc import Rpc
from bezant.chain.cometbft.trail import Trail
from bezant.chain.storage.chain import StoredChain
from bezant.errors import BezantError
from bezant.model.genesis import Genesis

EVERY = 100
"""Blocks between two looks at what may be forgotten."""
_LOG = logging.getLogger("bezant.cometbft")


@dataclass(frozen=True, slots=True)
class EvidenceAge:
    """How old evidence may be and still be taken: too old is what is beyond both."""

    blocks: int
    nanoseconds: int


def evidence_age(home: Path) -> EvidenceAge:
    """Return what the engine's own genesis says of it."""
    told = json.loads((home / "config" / "genesis.json").read_text("utf-8"))
    evidence = told["consensus_params"]["evidence"]
    return EvidenceAge(int(evidence["max_age_num_blocks"]), int(evidence["max_age_duration"]))


class Retention:
    """Says, block by block, from which on CometBFT has to keep them; 0: all."""

    def __init__(self, keep_blocks: int, age: EvidenceAge, trail: Trail) -> None:
        """`keep_blocks` is how many at least; 0 keeps everything."""
        self._keep_blocks, self._age, self._trail = keep_blocks, age, trail
        self._retained = 0

    def after(self, chain: StoredChain) -> int:
        """Return the first block to keep, now that the chain's last one was."""
        height = chain.durable_height
        if self._keep_blocks and height % EVERY == 0:
            old = min(height - self._age.blocks, chain.height_at(chain.time_ns - self._age.nanoseconds))
            needed = [height - self._keep_blocks + 1, old, self._trail.height]
            needed += [offer.height for offer in chain.offers.all()]
            self._retained = max(self._retained, min(needed))
        return self._retained


class TrailKeeper:
    """Extends the trail beside the chain, so that blocks may be forgotten."""

    def __init__(self, trail: Trail, rpc: Rpc, genesis: Genesis, durable_height: Callable[[], int]) -> None:
        self._trail, self._rpc, self._genesis = trail, rpc, genesis
        self._durable_height = durable_height
        self._due, self._closing = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="trail", daemon=True)
        self._thread.start()

    def on_durable(self, height: int) -> None:
        """Hear of a durable block; never waits."""
        if height % EVERY == EVERY // 2:
            self._due.set()

    def close(self) -> None:
        self._closing = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while self._due.wait() and not self._closing:
            self._due.clear()
            try:
                # The votes for the last block are in the one after it.
                self._trail.extend(self._rpc, self._genesis, self._durable_height() - 2)
            except BezantError as error:
                _LOG.warning("old blocks are kept for now: %s", error.message)
