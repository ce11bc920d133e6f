"""Authorities: registered with one key, then up to sixteen, with roles, thresholds and a way back."""

from __future__ import annotations

from dataclasses import replace

from bezant.ledger.batch import NS_PER_S
from bezant.ledger.books import Answer, Authority, Key, Recovery, State
from bezant.ledger.reference.parties import Request, institution
from bezant.model.identifiers import AuthorityId
from bezant.model.keys import authority_id
from bezant.model.outcomes import Outcome, SigningMode
from bezant.model.records import MAX_KEYS, ROLES, Role

ALL_ROLES = sum(ROLES)


def register_authority(state: State, asked: Request) -> Answer:
    """Register an authority of one key, by any institution."""
    # CHECK
    key, scheme = asked.record["payload_commitment"].tobytes(), asked.amount
    authority = AuthorityId(asked.id("debtor"))
    if not institution(state, asked.signer):
        return Answer(Outcome.NOT_AUTHORISED)
    if scheme not in asked.genesis.rules.schemes:
        return Answer(Outcome.POLICY_FORBIDS)
    if authority in state.authorities:
        return Answer(Outcome.AUTHORITY_EXISTS)
    if authority != authority_id(key, scheme):
        return Answer(Outcome.ID_NOT_DERIVED)
    # POST
    state.authorities[authority] = Authority.of_one(key, scheme)
    return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION)


def set_key(state: State, asked: Request) -> Answer:
    """Put a key into a slot of the signing authority, or take it out; a waiting recovery is off."""
    # CHECK
    authority, slot, scheme = asked.signer.authority, asked.id("related"), asked.amount
    roles, public = int(asked.record["max_fee"]), asked.record["payload_commitment"].tobytes()
    if authority != asked.id("debtor"):
        return Answer(Outcome.NOT_AUTHORISED)
    if roles and scheme not in asked.genesis.rules.schemes:
        return Answer(Outcome.POLICY_FORBIDS)
    before = state.authorities[authority]
    elsewhere = any(key.public == public for other, key in before.keys.items() if other != slot)
    if slot >= MAX_KEYS or roles > ALL_ROLES:
        return Answer(Outcome.KEY_SLOT)
    if elsewhere if roles else slot not in before.keys:
        return Answer(Outcome.KEY_SLOT)
    keys = {other: key for other, key in before.keys.items() if other != slot}
    if roles:
        keys[slot] = Key(public, scheme, Role(roles))
    after = replace(before, keys=keys, recovery=None)
    if not after.can_be_used:
        return Answer(Outcome.THRESHOLD_UNREACHABLE)
    # POST
    state.authorities[authority] = after
    return Answer(Outcome.APPLIED, mode=SigningMode.SELF)


def set_thresholds(state: State, asked: Request) -> Answer:
    """Say how many keys must sign for each role; a waiting recovery is off."""
    # CHECK
    authority = asked.signer.authority
    if authority != asked.id("debtor"):
        return Answer(Outcome.NOT_AUTHORISED)
    if asked.amount >= 1 << 8 * len(ROLES):
        return Answer(Outcome.THRESHOLD_UNREACHABLE)
    thresholds = tuple(asked.amount.to_bytes(len(ROLES), "little"))
    after = replace(state.authorities[authority], thresholds=thresholds, recovery=None)
    if not after.can_be_used:
        return Answer(Outcome.THRESHOLD_UNREACHABLE)
    # POST
    state.authorities[authority] = after
    return Answer(Outcome.APPLIED, mode=SigningMode.SELF)


def recover(state: State, asked: Request) -> Answer:
    """Replace every key by one: asked once it waits, asked again after the delay it is done.

    Asking for another key meanwhile starts anew.
    """
    # CHECK
    authority, scheme = asked.signer.authority, asked.amount
    public = asked.record["payload_commitment"].tobytes()
    if authority != asked.id("debtor"):
        return Answer(Outcome.NOT_AUTHORISED)
    if scheme not in asked.genesis.rules.schemes:
        return Answer(Outcome.POLICY_FORBIDS)
    before = state.authorities[authority]
    waiting = before.recovery
    again = waiting is not None and (waiting.public, waiting.scheme) == (public, scheme)
    delay_ns = asked.genesis.rules.recovery_delay_s * NS_PER_S
    if again and waiting is not None and asked.time_ns < waiting.started_ns + delay_ns:
        return Answer(Outcome.RECOVERY_WAITING)
    # POST
    if again:
        state.authorities[authority] = Authority.of_one(public, scheme)
        return Answer(Outcome.APPLIED, mode=SigningMode.SELF)
    state.authorities[authority] = replace(before, recovery=Recovery(public, scheme, asked.time_ns))
    return Answer(Outcome.RECOVERY_STARTED, mode=SigningMode.SELF)
