"""Which rules of a network its validators may change by vote, and what each may become.

What cannot change, and why: how old a payment id may be and how long it is remembered (an id that was
forgotten could apply again), how many ids are kept (every node has reserved that memory), the checkpoint
interval (state roots and snapshots meet there), and what is bonded and what a vote takes of it (every vote
would be worth something else at once, and there might be none left). The least that is to be bonded takes no
vote from anybody: it is asked for when somebody bonds, ends a bond or comes back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import msgspec
import numpy as np

from bezant.model.genesis import MAX_LEAST_BOND, Fee, Genesis, is_schedule

NOTICE_BLOCKS: Final = 20
"""Blocks at least between the one that accepts a change and the one it is in force from."""
MAX_VOTING_S: Final = 90 * 86_400
MAX_PROPOSALS: Final = 32
"""Proposals that are voted on, or accepted and not in force yet, at once."""
MAX_OWN_PROPOSALS: Final = 4
"""Of them, those of one institution, so that none keeps the others from proposing."""
VALUES: Final = 4
"""Numbers that a rule has at most; most have one, and the others are 0."""


class Rule(IntEnum):
    """A rule that may be changed by vote."""

    REVIEW_FOR_S = 1
    """How long a payment waits for a reviewer; those that wait already keep their time."""
    RECOVERY_DELAY_S = 2
    """How long the keys of an authority have to object to a recovery, one that waits already too."""
    SCHEMES = 3
    """Signature schemes that new keys may have, as bits: 1 Ed25519, 2 BIP-340 over secp256k1."""
    UNBONDING_S = 4
    """How long a bond can still be taken from after it ended; what unbonds already keeps its time."""
    SLASH_PPM = 5
    """Part of every bond, in parts per million, that signing twice costs."""
    JAIL_S = 6
    """How long a validator that was away may not rejoin."""
    AWAY_BLOCKS = 7
    """After how many blocks in a row without its vote a validator is away."""
    FEE = 8
    """What payments in an asset are charged: flat part, parts per million, minimum, maximum; all 0: none."""
    LEAST_BOND = 9
    """Minor units that a validator which votes has bonded at least, if it has any bonded; 0: no least."""


RANGES: Final[dict[Rule, tuple[int, int]]] = {
    Rule.REVIEW_FOR_S: (1, 2**32 - 1),
    Rule.RECOVERY_DELAY_S: (0, 2**32 - 1),
    Rule.SCHEMES: (1, 3),
    # CometBFT takes evidence for 48 hours, which its own genesis fixes.
    Rule.UNBONDING_S: (172_800, 2**32 - 1),
    Rule.SLASH_PPM: (0, 1_000_000),
    Rule.JAIL_S: (0, 2**32 - 1),
    # A slow block or two must not cost votes.
    Rule.AWAY_BLOCKS: (10, 2**32 - 1),
    Rule.LEAST_BOND: (0, MAX_LEAST_BOND),
}
"""The least and the most that each may be, of those that are one number."""
STAKE_RULES: Final = (Rule.UNBONDING_S, Rule.SLASH_PPM, Rule.JAIL_S, Rule.AWAY_BLOCKS, Rule.LEAST_BOND)
"""Rules that only a network has in which votes are bonded."""


class Ballot(IntEnum):
    """What an institution says to a proposal; it may say otherwise as long as votes are taken."""

    YES = 1
    NO = 2


@dataclass(frozen=True, slots=True)
class Change:
    """What a rule becomes; `asset` is 0 where it is not one of an asset."""

    rule: Rule
    values: tuple[int, ...]
    asset: int = 0


def change_of(record: Any) -> Change:
    """Return what a well-formed PROPOSE asks for."""
    words = np.frombuffer(record["payload_commitment"].tobytes(), "<u8")
    return Change(Rule(int(record["amount"])), tuple(words.tolist()), int(record["asset"]))


def value_of(genesis: Genesis, rule: Rule) -> int:
    """Return what a rule of one number is in a genesis, or in one with the rules in force."""
    if rule is Rule.SCHEMES:
        return sum(genesis.rules.schemes)
    found: int = getattr(genesis.stake if rule in STAKE_RULES else genesis.rules, rule.name.lower())
    return found


def values_of(genesis: Genesis, rule: Rule, asset: int) -> tuple[int, ...]:
    """Return all four numbers that a rule is there; those that it has not are 0, as all of no fee are."""
    if rule is not Rule.FEE:
        return (value_of(genesis, rule), *[0] * (VALUES - 1))
    charged = (fee for fee in genesis.fees if fee.asset == asset)
    return next(((fee.flat, fee.ppm, fee.minimum, fee.maximum) for fee in charged), (0,) * VALUES)


def is_allowed(genesis: Genesis, change: Change) -> bool:
    """Return whether the network has the rule, and it may be that."""
    if change.rule is Rule.FEE:
        flat, ppm, minimum, maximum = change.values
        return 1 <= change.asset <= len(genesis.assets) and is_schedule(flat, ppm, minimum, maximum)
    low, high = RANGES[change.rule]
    has_it = change.rule not in STAKE_RULES or genesis.stake is not None
    return has_it and change.asset == 0 and low <= change.values[0] <= high and not any(change.values[1:])


def in_force(genesis: Genesis, changes: Iterable[Change]) -> Genesis:
    """Return the genesis as it would read with these changes; it is not what the network's id is of."""
    rules, stake, fees = genesis.rules, genesis.stake, {fee.asset: fee for fee in genesis.fees}
    for change in changes:
        name, value = change.rule.name.lower(), change.values[0]
        if change.rule is Rule.FEE:
            fees.pop(change.asset, None)
            if any(change.values):
                fees[change.asset] = Fee(change.asset, *change.values)
        elif change.rule is Rule.SCHEMES:
            schemes = tuple(scheme for scheme in (1, 2) if value & scheme)
            rules = msgspec.structs.replace(rules, schemes=schemes)
        elif change.rule in STAKE_RULES and stake is not None:
            stake = msgspec.structs.replace(stake, **{name: value})
        else:
            rules = msgspec.structs.replace(rules, **{name: value})
    charged = tuple(fees[asset] for asset in sorted(fees))
    return msgspec.structs.replace(genesis, rules=rules, stake=stake, fees=charged)
