"""The rules that are in force, in the units that kernels count in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bezant.ledger.state import EMPTY
from bezant.model.genesis import Genesis


class Limits(NamedTuple):
    """One number a rule, and a row of `fees` an asset."""

    id_window_ms: np.uint64
    id_future_ms: np.uint64
    review_for_ns: np.uint64
    max_live_ids: np.uint64
    recovery_delay_ns: np.uint64
    schemes: np.uint64
    """A bit for every signature scheme that new keys may have, from bit 0 on for scheme 0."""
    bond_asset: np.uint64
    """0: nobody bonds."""
    bond_unit: np.uint64
    unbonding_ns: np.uint64
    slash_ppm: np.uint64
    jail_ns: np.uint64
    away_blocks: np.uint64
    least_bond: np.uint64
    height: np.uint64
    """Of the block that is applied, where validators may change the rules; 0 where nobody votes."""
    charges: np.uint64
    """1 where any payment may be charged a fee."""
    fees: npt.NDArray[np.uint64]
    """By asset number: flat part, parts per million, minimum, maximum, and the row of the account that
    collects them, EMPTY where that is not open or there are none."""


def limits_of(genesis: Genesis) -> Limits:
    """Return the limits by a genesis with the rules in force, in front of the first block."""
    rules, stake = genesis.rules, genesis.stake
    fees = np.zeros((len(genesis.assets) + 1, 5), np.uint64)
    fees[:, -1] = EMPTY
    for fee in genesis.fees:
        fees[fee.asset, :-1] = fee.flat, fee.ppm, fee.minimum, fee.maximum
    return Limits(
        np.uint64(rules.id_window_s * 1000),
        np.uint64(rules.id_future_s * 1000),
        np.uint64(rules.review_for_s * 1_000_000_000),
        np.uint64(rules.max_live_ids),
        np.uint64(rules.recovery_delay_s * 1_000_000_000),
        np.uint64(sum(1 << scheme for scheme in rules.schemes)),
        np.uint64(stake.asset if stake else 0),
        np.uint64(stake.unit if stake else 0),
        np.uint64(stake.unbonding_s * 1_000_000_000 if stake else 0),
        np.uint64(stake.slash_ppm if stake else 0),
        np.uint64(stake.jail_s * 1_000_000_000 if stake else 0),
        np.uint64(stake.away_blocks if stake else 0),
        np.uint64(stake.least_bond if stake else 0),
        np.uint64(0),
        np.uint64(0),
        fees,
    )
