"""Mandates: leave to pay from an account, capped, for one payee or any, until it ends or is revoked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bezant.errors import InputError, NotFound
from bezant.gateway import commands
from bezant.gateway.accounts import Accounts
from bezant.gateway.desk import Desk
from bezant.gateway.payments import Answered, Payments
from bezant.ledger.batch import NS_PER_S
from bezant.ledger.open_items import OpenMandate, mandates_of
from bezant.model.identifiers import AccountId, AuthorityId, PaymentId, render_payment_id
from bezant.model.keys import authority_id
from bezant.model.records import Kind, id_of


class MandateStatus(StrEnum):
    """Whether one may pay under a mandate."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a mandate allows; amounts in minor units, times in Unix seconds, 0 where there is no such bound.

    `delegate` is who pays under it, the gateway where it is None; `payee` None is anybody.
    """

    cap: int
    payee: AccountId | None = None
    delegate: AuthorityId | None = None
    period_cap: int = 0
    period_s: int = 0
    expires_s: int = 0


@dataclass(frozen=True, slots=True)
class MandateStanding:
    """A mandate as it stands: its terms, and what was paid under it in the period under way."""

    id: PaymentId
    account: AccountId
    asset: int
    terms: Terms
    status: MandateStatus
    spent_minor: int = 0
    period_ends_s: int = 0


class Mandates:
    """Sets and revokes mandates as the institution, and says how they stand."""

    def __init__(self, desk: Desk, accounts: Accounts, payments: Payments) -> None:
        self._desk, self._accounts, self._payments = desk, accounts, payments

    def set(self, account: AccountId, terms: Terms, identity: PaymentId) -> tuple[MandateStanding, bool]:
        """Give leave to pay from an account; `identity` names the mandate. Returns how it stands, and
        whether it was set before.

        Raises: InputError for a period without a cap or the other way round; NotFound; ConflictError
        ``idempotency_key_reused``; BezantError naming the outcome that refused it.
        """
        if bool(terms.period_cap) != bool(terms.period_s):
            raise InputError(
                "a cap per period and the period's length go together",
                code="mandate_invalid",
                param="cap_per_period",
            )
        record = commands.set_mandate(
            identity,
            account,
            int(self._accounts.row(account)["asset"]),
            terms.delegate or authority_id(self._desk.gateway_key.public),
            terms.cap,
            payee=terms.payee,
            period_cap=terms.period_cap,
            period_s=terms.period_s,
            expires_s=terms.expires_s,
        )
        answered, replayed = self._payments.carry_out_once(record, self._desk.institution_key)
        return self._standing(answered), replayed

    def standing(self, mandate: PaymentId) -> MandateStanding:
        """Return how a mandate stands. Raises: NotFound ``mandate_unknown``."""
        found = self._payments.before(mandate)
        if found is None or found.record["kind"] != Kind.SET_MANDATE or found.outcome.refused:
            raise NotFound(f"there is no mandate {render_payment_id(mandate)}", code="mandate_unknown")
        return self._standing(found)

    def of(self, account: AccountId) -> list[MandateStanding]:
        """Return the mandates of an account that were not revoked. Raises: NotFound."""
        asset = int(self._accounts.row(account)["asset"])
        return [self._open(one, asset) for one in self._open_mandates(account)]

    def revoke(self, mandate: PaymentId) -> MandateStanding:
        """Take a mandate back; one that is revoked stays so. Raises: NotFound, BezantError."""
        standing = self.standing(mandate)
        if standing.status is not MandateStatus.REVOKED:
            record = commands.revoke_mandate(self._desk.now_ms(), standing.account, mandate)
            self._desk.carry_out(record, "revoke a mandate")
        return self.standing(mandate)

    def _standing(self, answered: Answered) -> MandateStanding:
        record = answered.record
        account, identity = AccountId(id_of(record, "debtor")), PaymentId(id_of(record, "id"))
        asset = int(record["asset"])
        for one in self._open_mandates(account):
            if one.id == identity:
                return self._open(one, asset)
        payee = id_of(record, "creditor")
        terms = Terms(
            int(record["amount"]),
            AccountId(payee) if payee else None,
            AuthorityId(id_of(record, "related")),
            int(record["max_fee"]),
            int(record["hold_for_s"]),
            int.from_bytes(record["payload_commitment"][:8].tobytes(), "little"),
        )
        return MandateStanding(identity, account, asset, terms, MandateStatus.REVOKED)

    def _open_mandates(self, account: AccountId) -> list[OpenMandate]:
        ledger = self._desk.engine.ledger
        return mandates_of(ledger, ledger.account_row(account))

    def _open(self, found: OpenMandate, asset: int) -> MandateStanding:
        now_s = self._desk.now_ns() // NS_PER_S
        ended = bool(found.expires_s) and now_s >= found.expires_s
        return MandateStanding(
            PaymentId(found.id),
            found.account,
            asset,
            Terms(found.cap, found.payee, found.delegate, found.period_cap, found.period_s, found.expires_s),
            MandateStatus.EXPIRED if ended else MandateStatus.ACTIVE,
            found.spent_at(now_s),
            found.period_ends_s(now_s),
        )
