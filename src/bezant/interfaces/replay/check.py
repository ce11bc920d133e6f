"""After a replay: does the journal give the same state again, and do receipts verify."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bezant.chain.clock import SetClock
from bezant.chain.receipts import build_receipt, render_receipt, verify_receipt
from bezant.errors import InvariantViolation
from bezant.model.records import COMMAND_KINDS, id_of
from bezant.node import Node

SAMPLES = 200


@dataclass(frozen=True, slots=True)
class Verification:
    """What was recomputed."""

    blocks: int
    app_hash: str
    receipts_verified: int


def verify_folder(
    path: Path, clock: SetClock, app_hash: bytes, progress: Callable[[int], None] = lambda height: None
) -> Verification:
    """Open the data folder again, which replays its journal, and hold the result against `app_hash`.

    Then the books are added up and the receipts of a sample of payments are verified as a stranger
    would, pinned to the genesis. Raises: InvariantViolation, ProofError.
    """
    with Node(path, clock=clock, with_store=False, progress=lambda _, height: progress(height)) as node:
        engine = node.engine
        if engine.app_hash != app_hash:
            raise InvariantViolation("replaying the journal gives another app hash than the live run did")
        engine.ledger.check_invariants()
        random, verified = np.random.default_rng(1), 0
        for height in random.integers(1, engine.height + 1, SAMPLES).tolist():
            block = next(engine.blocks_from(height))
            payments = np.flatnonzero(block.records["kind"] < COMMAND_KINDS)
            if len(payments):
                record = block.records[random.choice(payments)]
                receipt = build_receipt(engine.prove(id_of(record, "id")), open_debtor=True)
                verify_receipt(render_receipt(receipt), genesis_hash=engine.network.hex())
                verified += 1
        return Verification(engine.height, app_hash.hex(), verified)
