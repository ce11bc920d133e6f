"""Commands about accounts: open and close them, set limits, freeze, approve, pause, delegate."""

from __future__ import annotations

from bezant.ledger.batch import account_id
from bezant.ledger.books import Account, Answer, State
from bezant.ledger.fees import collector_id
from bezant.ledger.reference.parties import Request, institution, signing_mode
from bezant.ledger.standing import Policy, Standing
from bezant.model.identifiers import AccountId, AuthorityId
from bezant.model.outcomes import Outcome, SigningMode


def open_account(state: State, asked: Request) -> Answer:
    """Open an account. Only the asset's issuer may let one go negative, which is how money is issued;
    other institutions where the asset's policy lets its members give credit."""
    # CHECK
    own = institution(state, asked.signer)
    holder = AuthorityId(asked.id("creditor"))
    number, identity = int(asked.record["asset"]), asked.id("debtor")
    credit_limit, balance_limit = asked.amount, int(asked.record["max_fee"])
    if not own:
        return Answer(Outcome.NOT_AUTHORISED)
    if identity in state.accounts:
        return Answer(Outcome.ACCOUNT_EXISTS)
    if identity != account_id(own, holder, number, asked.id("related")):
        return Answer(Outcome.ID_NOT_DERIVED)
    if not 1 <= number <= len(asked.genesis.assets):
        return Answer(Outcome.ASSET_UNKNOWN)
    if holder not in state.authorities:
        return Answer(Outcome.HOLDER_UNKNOWN)
    if credit_limit and not _may_give_credit(asked, own, number):
        return Answer(Outcome.CREDIT_NOT_PERMITTED)
    # POST
    stake = asked.genesis.stake
    collects = stake is not None and stake.asset == number and identity == collector_id(asked.genesis, number)
    if collects:
        credit_limit = balance_limit = 0
    waits = asked.declares(number, Policy.APPROVE_HOLDERS) and own != asked.issuer(number)
    account = Account(
        len(state.accounts),
        AccountId(identity),
        holder,
        own,
        number,
        credit_limit,
        balance_limit,
        Standing.COLLECTS if collects else Standing.NOT_APPROVED if waits else Standing(0),
    )
    state.accounts[identity] = account
    return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION, debtor=account)


def close_account(state: State, asked: Request) -> Answer:
    """Close an empty account for good, by its holder or its institution."""
    # CHECK
    account = state.accounts.get(asked.id("debtor"))
    if account is None:
        return Answer(Outcome.DEBTOR_UNKNOWN)
    mode = signing_mode(state, asked.signer, account)
    if mode is None:
        return Answer(Outcome.NOT_AUTHORISED)
    if Standing.COLLECTS in account.standing:
        return Answer(Outcome.DEBTOR_FROZEN)
    if Standing.CLOSED in account.standing:
        return Answer(Outcome.DEBTOR_CLOSED)
    if not account.is_empty:
        return Answer(Outcome.ACCOUNT_NOT_EMPTY)
    # POST
    account.standing |= Standing.CLOSED
    return Answer(Outcome.APPLIED, mode=mode, debtor=account)


def set_limits(state: State, asked: Request) -> Answer:
    """Change how far an account may go negative and how much it may hold; never below what it uses."""
    # CHECK
    account = state.accounts.get(asked.id("debtor"))
    credit_limit, balance_limit = asked.amount, int(asked.record["max_fee"])
    if account is None:
        return Answer(Outcome.DEBTOR_UNKNOWN)
    if institution(state, asked.signer) != account.institution:
        return Answer(Outcome.NOT_AUTHORISED)
    if Standing.COLLECTS in account.standing:
        return Answer(Outcome.DEBTOR_FROZEN)
    if Standing.CLOSED in account.standing:
        return Answer(Outcome.DEBTOR_CLOSED)
    if account.spends_too_much(0, credit_limit) or account.holds_too_much(0, balance_limit):
        return Answer(Outcome.LIMIT_BELOW_BALANCE)
    if credit_limit and not _may_give_credit(asked, account.institution, account.asset):
        return Answer(Outcome.CREDIT_NOT_PERMITTED)
    # POST
    account.credit_limit, account.balance_limit = credit_limit, balance_limit
    return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION, debtor=account)


def set_frozen(state: State, asked: Request) -> Answer:
    """Freeze or thaw an account, by its institution, or by the asset's issuer where its policy says so.
    Each lifts its own freeze only."""
    # CHECK
    account = state.accounts.get(asked.id("debtor"))
    if account is None:
        return Answer(Outcome.DEBTOR_UNKNOWN)
    own = institution(state, asked.signer)
    bit = Standing.FROZEN if own == account.institution else Standing.FROZEN_BY_ISSUER
    if own not in (account.institution, asked.issuer(account.asset)):
        return Answer(Outcome.NOT_AUTHORISED)
    if bit is Standing.FROZEN_BY_ISSUER and not asked.declares(account.asset, Policy.FREEZABLE):
        return Answer(Outcome.POLICY_FORBIDS)
    if Standing.CLOSED in account.standing:
        return Answer(Outcome.DEBTOR_CLOSED)
    # POST
    _set_standing(account, bit, present=asked.amount != 0)
    return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION, debtor=account)


def set_holder(state: State, asked: Request) -> Answer:
    """Approve an account to hold an asset whose issuer decides who may, or take that back."""
    # CHECK
    account = state.accounts.get(asked.id("debtor"))
    if account is None:
        return Answer(Outcome.DEBTOR_UNKNOWN)
    if institution(state, asked.signer) != asked.issuer(account.asset):
        return Answer(Outcome.NOT_AUTHORISED)
    if not asked.declares(account.asset, Policy.APPROVE_HOLDERS):
        return Answer(Outcome.POLICY_FORBIDS)
    if Standing.CLOSED in account.standing:
        return Answer(Outcome.DEBTOR_CLOSED)
    # POST
    _set_standing(account, Standing.NOT_APPROVED, present=asked.amount == 0)
    return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION, debtor=account)


def set_paused(state: State, asked: Request) -> Answer:
    """Stop every payment in an asset, or let them go on. Reserves still return, and claw-backs work."""
    # CHECK
    number, own = int(asked.record["asset"]), institution(state, asked.signer)
    known = 1 <= number <= len(asked.genesis.assets)
    if not own or (known and own != asked.issuer(number)):
        return Answer(Outcome.NOT_AUTHORISED)
    if known and not asked.declares(number, Policy.PAUSABLE):
        return Answer(Outcome.POLICY_FORBIDS)
    if not known:
        return Answer(Outcome.ASSET_UNKNOWN)
    # POST
    state.paused = state.paused | {number} if asked.amount else state.paused - {number}
    return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION)


def set_delegate(state: State, asked: Request) -> Answer:
    """Let an authority pay from an account up to a cap a payment; what a gateway pays under."""
    # CHECK
    account = state.accounts.get(asked.id("debtor"))
    delegate, cap = AuthorityId(asked.id("creditor")), asked.amount
    if account is None:
        return Answer(Outcome.DEBTOR_UNKNOWN)
    mode = signing_mode(state, asked.signer, account)
    if mode is None:
        return Answer(Outcome.NOT_AUTHORISED)
    if Standing.CLOSED in account.standing:
        return Answer(Outcome.DEBTOR_CLOSED)
    if cap and delegate not in state.authorities:
        return Answer(Outcome.HOLDER_UNKNOWN)
    # POST
    account.delegate, account.delegate_cap = (delegate, cap) if cap else (None, 0)
    return Answer(Outcome.APPLIED, mode=mode, debtor=account)


def _may_give_credit(asked: Request, own: int, asset: int) -> bool:
    return own == asked.issuer(asset) or asked.declares(asset, Policy.MEMBER_CREDIT)


def _set_standing(account: Account, bit: Standing, *, present: bool) -> None:
    account.standing = account.standing | bit if present else account.standing & ~bit
