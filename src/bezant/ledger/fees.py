"""What payments are charged, where it goes, and how it is shared: whole numbers, the same for both ledgers.

The fees of an asset are collected in one account of its issuer, which the issuer opens under `FEE_SALT`.
Where the asset is the one that is bonded, only the ledger pays into and out of that account: what is in it at
a checkpoint is divided among those who bonded.
"""

from __future__ import annotations

from collections.abc import Sequence

from bezant.ledger.batch import account_id
from bezant.model.genesis import Fee, Genesis
from bezant.model.identifiers import AccountId
from bezant.model.keys import authority_id

FEE_SALT = int.from_bytes(b"bezant/fees/1", "little")
PPM = 1_000_000


def collector_id(genesis: Genesis, asset: int) -> AccountId:
    """Return the account that collects the fees of an asset, open or not."""
    issuer = genesis.assets[asset - 1].issuer
    holder = authority_id(bytes.fromhex(genesis.institutions[issuer - 1].key))
    return account_id(issuer, holder, asset, FEE_SALT)


def quote(fee: Fee, amount: int) -> int:
    """Return what a schedule charges for an amount, both in minor units; parts of one are dropped.

    >>> quote(Fee(asset=1, flat=5, ppm=2_500, minimum=10, maximum=100), 1_000)
    10
    >>> quote(Fee(asset=1, flat=5, ppm=2_500, minimum=10, maximum=100), 10_000)
    30
    """
    return max(fee.minimum, min(fee.flat + amount * fee.ppm // PPM, fee.maximum))


def shares(pot: int, weights: Sequence[int]) -> list[int]:
    """Return what each weight is due of a pot, whole units; what is left over stays in it.

    >>> shares(100, [1, 1, 1])
    [33, 33, 33]
    """
    total = sum(weights)
    return [pot * weight // total for weight in weights] if total else []
