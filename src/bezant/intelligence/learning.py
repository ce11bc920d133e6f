"""Learning from committed blocks, the only thing that features are updated from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bezant.chain.blocks import CommittedBlock
from bezant.intelligence.features import FeatureState
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind


def learn_block(features: FeatureState, block: CommittedBlock, scales: npt.NDArray[np.int64]) -> None:
    """Remember every payment of a block that moved or reserved value.

    The time is the one inside the payer's signed id, which is also what scoring used. `scales`
    (assets + 1,) are the decimals of each asset by number.
    """
    own = block.receipts[block.system_count :]
    kind, outcome = own["kind"], own["outcome"]
    pays = ((kind == Kind.TRANSFER) | (kind == Kind.HOLD)) & (outcome <= Outcome.HELD_FOR_REVIEW)
    if not pays.any():
        return
    rows = np.flatnonzero(pays)
    time_ns = (own["id_hi"][rows] >> np.uint64(16)).astype(np.int64) * 1_000_000
    features.learn(
        own["debtor_row"][rows].astype(np.int64),
        own["creditor_row"][rows].astype(np.int64),
        own["amount"][rows],
        time_ns,
        scale=scales[block.records["asset"][rows]],
    )
