"""How an account stands with its institution and the asset's issuer, and what an asset's policy allows."""

from __future__ import annotations

from enum import IntFlag

from bezant.model.genesis import GenesisAsset


class Standing(IntFlag):
    """Why an account may not pay or be paid; no bit: it may. One comparison on the way of a payment."""

    FROZEN = 1
    """By its institution."""
    FROZEN_BY_ISSUER = 2
    NOT_APPROVED = 4
    """The asset's issuer approves who may hold it, and has not."""
    CLOSED = 8
    """For good."""
    COLLECTS = 16
    """It collects the fees of the bonded asset: the ledger alone pays into it and out of it, which stands to
    everybody else as if it were frozen."""


IN_ORDER = Standing(0)


class Policy(IntFlag):
    """What an asset's genesis declares, as bits."""

    APPROVE_HOLDERS = 1
    FREEZABLE = 2
    PAUSABLE = 4
    CLAWBACK = 8
    MEMBER_CREDIT = 16


def policy_of(asset: GenesisAsset) -> Policy:
    """Return an asset's policy as bits."""
    declared = {
        Policy.APPROVE_HOLDERS: asset.approve_holders,
        Policy.FREEZABLE: asset.freezable,
        Policy.PAUSABLE: asset.pausable,
        Policy.CLAWBACK: asset.clawback,
        Policy.MEMBER_CREDIT: asset.member_credit,
    }
    return Policy(sum(bit for bit, yes in declared.items() if yes))
