"""Who asks for an effect, who is concerned, and who may do what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bezant.ledger.batch import NS_PER_S
from bezant.ledger.books import Account, Signer, State
from bezant.ledger.standing import Policy, Standing, policy_of
from bezant.model.genesis import Genesis
from bezant.model.money import U64_MAX
from bezant.model.outcomes import Outcome, SigningMode, Verdict
from bezant.model.records import Kind, id_of

U128_MAX = 2**128 - 1
FROZEN = Standing.FROZEN | Standing.FROZEN_BY_ISSUER | Standing.COLLECTS


@dataclass(frozen=True, slots=True)
class Request:
    """One record on its way to its effect, authentic and new.

    `chain_start` is the hold sequence in front of the chain the record is in, None where it stands
    alone; `original` the ORIGINAL row of a REVERSE or LABEL.
    """

    genesis: Genesis
    record: Any
    verdict: Verdict
    signer: Signer
    time_ns: int
    chain_start: int | None = None
    original: Any = None

    @property
    def kind(self) -> Kind:
        return Kind(int(self.record["kind"]))

    @property
    def amount(self) -> int:
        return int(self.record["amount"])

    @property
    def now_s(self) -> int:
        return self.time_ns // NS_PER_S

    def id(self, field: str) -> int:
        """Return a 128-bit field of the record."""
        return id_of(self.record, field)

    def declares(self, asset: int, policy: Policy) -> bool:
        """Return whether the genesis declares this for an asset."""
        return policy in policy_of(self.genesis.assets[asset - 1])

    def issuer(self, asset: int) -> int:
        return self.genesis.assets[asset - 1].issuer


def institution(state: State, signer: Signer) -> int | None:
    """Return the institution whose authority signed, if it is one's."""
    return state.institution_of.get(signer.authority)


def signing_mode(state: State, signer: Signer, account: Account) -> SigningMode | None:
    """Return in which capacity somebody signs for an account, None where they have no say over it."""
    if institution(state, signer) == account.institution:
        return SigningMode.INSTITUTION
    return SigningMode.SELF if signer.authority == account.authority else None


def find_parties(state: State, asked: Request) -> tuple[Account, Account] | Outcome:
    """Return debtor and creditor account, or which of them is not known."""
    debtor = state.accounts.get(asked.id("debtor"))
    creditor = state.accounts.get(asked.id("creditor"))
    if debtor is None:
        return Outcome.DEBTOR_UNKNOWN
    if creditor is None:
        return Outcome.CREDITOR_UNKNOWN
    return debtor, creditor


def check_value(asked: Request, debtor: Account, creditor: Account) -> Outcome | None:
    """Return why this amount of this asset makes no payment between two accounts."""
    if debtor is creditor:
        return Outcome.SAME_ACCOUNT
    if not debtor.asset == creditor.asset == int(asked.record["asset"]):
        return Outcome.ASSET_MISMATCH
    return Outcome.AMOUNT_ZERO if asked.amount == 0 else None


def check_standing(state: State, debtor: Account | None, creditor: Account) -> Outcome | None:
    """Return why the asset's issuer or an institution keeps value from moving now."""
    if debtor is not None and debtor.asset in state.paused:
        return Outcome.ASSET_PAUSED
    paying = debtor.standing if debtor is not None else Standing(0)
    for bits, of_debtor, of_creditor in (
        (FROZEN, Outcome.DEBTOR_FROZEN, Outcome.CREDITOR_FROZEN),
        (Standing.CLOSED, Outcome.DEBTOR_CLOSED, Outcome.CREDITOR_CLOSED),
        (Standing.NOT_APPROVED, Outcome.DEBTOR_NOT_APPROVED, Outcome.CREDITOR_NOT_APPROVED),
    ):
        if paying & bits:
            return of_debtor
        if creditor.standing & bits:
            return of_creditor
    return None


def check_sums(debtor: Account, creditor: Account, amount: int, credit_limit: int) -> Outcome | None:
    """Return which sum, limit or balance does not allow the amount."""
    if overflows(debtor.debits_pending, debtor.debits_posted, amount):
        return Outcome.OVERFLOW
    if overflows(creditor.credits_pending, creditor.credits_posted, amount):
        return Outcome.OVERFLOW
    if debtor.spends_too_much(amount, credit_limit):
        return Outcome.INSUFFICIENT_FUNDS
    if creditor.holds_too_much(amount, creditor.balance_limit):
        return Outcome.BALANCE_LIMIT
    return None


def check_fee(
    refusal: Outcome | None, debtor: Account, amount: int, fee: int, max_fee: int
) -> Outcome | None:
    """Return the lowest of what refuses a payment without its fee, and what refuses it with it."""
    if fee == 0 or refusal in (Outcome.OVERFLOW, Outcome.INSUFFICIENT_FUNDS):
        return refusal
    spent = amount + fee
    if spent > U64_MAX or overflows(debtor.debits_pending, debtor.debits_posted, spent):
        return Outcome.OVERFLOW
    if debtor.spends_too_much(spent, debtor.credit_limit):
        return Outcome.INSUFFICIENT_FUNDS
    return refusal or (Outcome.FEE_ABOVE_MAX if fee > max_fee else None)


def overflows(pending: int, posted: int, amount: int) -> bool:
    """Return whether either counter, or what is compared with the limit, would leave u128."""
    return pending + posted + amount + 2**64 > U128_MAX


def post(debtor: Account, creditor: Account, amount: int) -> None:
    """Move value; every sum has been checked."""
    debtor.debits_posted += amount
    creditor.credits_posted += amount
