"""The networks whose lives are simulated, and an engine that is told of faults as one would be that votes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

from bezant.chain.embedded.engine import EmbeddedEngine
from bezant.chain.signatures import Checked
from bezant.chain.storage.chain import Composed
from bezant.ledger.batch import no_faults
from bezant.model.digest import Digests
from bezant.model.genesis import Fee, Genesis, GenesisValidator, Stake
from bezant.model.orders import Order
from bezant.model.records import FAULT, Fault, RecordArray, join_rows
from bezant.testing.ledgers import fault, small_genesis

POLICY = {
    "approve_holders": True,
    "freezable": True,
    "pausable": True,
    "clawback": True,
    "member_credit": True,
    "refund_window_s": 60,
}
ALONE: Genesis = small_genesis(
    POLICY,
    Stake(asset=1, unit=10, unbonding_s=10),
    id_window_s=40,
    id_future_s=5,
    review_for_s=12,
    checkpoint_interval=1,
    max_live_ids=400,
    recovery_delay_s=6,
)
"""One node orders: nobody votes on rules, and nothing is charged."""
FEES = (Fee(1, flat=1, ppm=40_000, maximum=6),)
CHARGED: Genesis = msgspec.structs.replace(ALONE, fees=FEES)
"""The same with fees, which are divided among what is bonded."""
VOTERS = tuple(bytes([number]) * 32 for number in range(1, 5))
"""Keys of the validators that there are, and of one to come."""
GOVERNED: Genesis = msgspec.structs.replace(
    CHARGED,
    stake=Stake(asset=1, unit=10, unbonding_s=10, slash_ppm=200_000, jail_s=5, away_blocks=2, least_bond=10),
    validators=tuple(
        GenesisValidator(key.hex(), power, institution)
        for key, power, institution in zip(VOTERS, (10, 10, 5), (1, 2, 2), strict=False)
    ),
)
"""Institutions vote: it takes both, unless bonds and faults change that."""
NETWORKS = (ALONE, CHARGED, GOVERNED)


def network_of(seed: int) -> Genesis:
    """Return the network that lives through a seed: each has its turn."""
    return NETWORKS[seed % len(NETWORKS)]


def some_faults(rng: Random) -> RecordArray:
    """Return what an engine may report with one block: somebody was away, or signed twice."""
    rows = [
        fault(key, rng.choices((Fault.ABSENT, Fault.DOUBLE_SIGN), (75, 25))[0])
        for key in rng.sample(VOTERS, rng.randint(1, 2))
    ]
    return join_rows(rows, FAULT)


class ReportingEngine(EmbeddedEngine):
    """Orders by itself, and puts `faults` into its next block, as one does to which others report."""

    faults: RecordArray = no_faults()

    def compose(
        self,
        orders: Sequence[Order],
        time_ns: int,
        record_hashes: Digests | None = None,
        checked: Checked | None = None,
        *_: Any,
    ) -> Composed:
        return super().compose(orders, time_ns, record_hashes, checked, faults=self.faults)
