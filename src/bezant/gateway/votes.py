"""Votes on blocks as the institution orders them: bonds for validators, their end, and coming back."""

from __future__ import annotations

from collections.abc import Sequence

from bezant.errors import ConflictError
from bezant.gateway import commands
from bezant.gateway.desk import Desk
from bezant.gateway.payments import Answered, Payments
from bezant.ledger import open_items
from bezant.ledger.batch import account_id
from bezant.ledger.open_items import Voter
from bezant.model.genesis import Stake
from bezant.model.identifiers import AccountId, PaymentId
from bezant.model.keys import authority_id
from bezant.model.money import parse_minor


class Votes:
    """Bonds and ends bonds under the institution's signature, once for each id.

    All raise BezantError naming the outcome that refused it.
    """

    def __init__(self, desk: Desk, payments: Payments) -> None:
        self._desk, self._payments = desk, payments

    @property
    def stake(self) -> Stake:
        """What votes cost here. Raises: ConflictError ``no_stake`` where nobody bonds."""
        stake = self._desk.engine.genesis.stake
        if stake is None:
            raise ConflictError(
                "the genesis of this network has no stake: votes stay as it grants them", code="no_stake"
            )
        return stake

    def known(self) -> Sequence[Voter]:
        """Return every validator that has or had votes."""
        return open_items.validators(self._desk.engine.ledger)

    def bond(self, account: AccountId, key: bytes, amount: str, identity: PaymentId) -> tuple[Answered, bool]:
        """Reserve an amount of an account for a validator's votes; what a fault costs goes to the issuer.

        `key` is the validator's, 32 bytes; `identity` names the bond. Raises: AmountError too.
        """
        stake = self.stake
        asset = self._desk.engine.genesis.assets[stake.asset - 1]
        issuer = self._desk.engine.genesis.institutions[asset.issuer - 1]
        treasury = account_id(asset.issuer, authority_id(bytes.fromhex(issuer.key)), asset.number, 0)
        minor = parse_minor(amount, asset.scale)
        record = commands.bond(identity, account, treasury, asset.number, minor, key)
        return self._payments.carry_out_once(record, self._desk.institution_key)

    def unbond(self, bond: PaymentId, identity: PaymentId) -> tuple[Answered, bool]:
        """End a bond; its money is free once no fault of before can come to light. Raises: NotFound."""
        record = commands.unbond(identity, self._payments.look_up(bond).record)
        return self._payments.carry_out_once(record, self._desk.institution_key)

    def rejoin(self, key: bytes, identity: PaymentId) -> tuple[Answered, bool]:
        """Let a validator that was away vote again."""
        own = authority_id(self._desk.institution_key.public)
        return self._payments.carry_out_once(commands.rejoin(identity, own, key), self._desk.institution_key)
