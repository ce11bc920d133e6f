"""What an institution may do to its accounts, and an issuer to its asset, as far as the genesis allows."""

from __future__ import annotations

from bezant.gateway import commands
from bezant.gateway.accounts import Accounts
from bezant.gateway.desk import Desk
from bezant.gateway.payments import Answered, Payments
from bezant.model.identifiers import AccountId, PaymentId
from bezant.model.money import Asset


class Controls:
    """Commands that the node's own institution signs. All raise BezantError naming the outcome that
    refused them, and NotFound for an account that does not exist."""

    def __init__(self, desk: Desk, accounts: Accounts, payments: Payments) -> None:
        self._desk, self._accounts, self._payments = desk, accounts, payments

    def set_limits(
        self, account: AccountId, *, credit_limit: int | None = None, balance_limit: int | None = None
    ) -> None:
        """Say how far an account may go negative and how much it may hold, in minor units; 0 for no
        balance limit. What is None stays as it is; none may be below what the account uses already."""
        row = self._accounts.row(account)
        record = commands.set_limits(
            self._desk.now_ms(),
            account,
            int(row["credit_limit"]) if credit_limit is None else credit_limit,
            int(row["balance_limit"]) if balance_limit is None else balance_limit,
        )
        self._desk.carry_out(record, "set limits")

    def close(self, account: AccountId) -> None:
        """Close an account for good; it has to be empty, and nothing pending."""
        self._accounts.row(account)
        self._desk.carry_out(commands.close_account(self._desk.now_ms(), account), "close an account")

    def approve(self, account: AccountId, approved: bool) -> None:
        """Let an account hold an asset whose issuer decides who may, or take that back."""
        self._accounts.row(account)
        self._desk.carry_out(commands.set_holder(self._desk.now_ms(), account, approved), "approve a holder")

    def pause(self, asset: Asset, paused: bool) -> None:
        """Stop every payment in an asset, or let them go on."""
        self._desk.carry_out(commands.set_paused(self._desk.now_ms(), asset.number, paused), "pause an asset")

    def claw_back(
        self, asset: Asset, account: AccountId, amount_minor: int, identity: PaymentId
    ) -> tuple[Answered, bool]:
        """Take an amount back from an account to the treasury; return how that was answered, and whether
        it was before. Raises: ConflictError ``idempotency_key_reused`` too."""
        self._accounts.row(account)
        treasury = self._accounts.treasury(asset)
        record = commands.claw_back(identity, account, treasury, asset.number, amount_minor)
        return self._payments.carry_out_once(record, self._desk.institution_key)
