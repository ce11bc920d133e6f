"""What models learn from and which decide: labels of payments, and the roles of models."""

from __future__ import annotations

from bezant.ledger.books import Answer, RegisteredModel, State
from bezant.ledger.reference.parties import Request, find_parties, institution, signing_mode
from bezant.model.outcomes import Outcome, SigningMode
from bezant.model.records import MAX_MODELS, ModelRole, id_of

ALONE = (ModelRole.CHALLENGER, ModelRole.CHAMPION)
"""Roles that one model of an authority has at a time."""


def label(state: State, asked: Request) -> Answer:
    """Say what an earlier payment was, by whoever may review the payments of its debtor.

    Nothing changes in the books; it may be said again, and the last word counts. The receipt names both
    accounts and the payment's amount, which is what learning needs. Of a payment that was refused only the
    debtor is named, an account of who signs: nobody can say on the chain whom it would have been paid to.
    """
    # CHECK
    original, asset = asked.original, int(asked.original["asset"])
    parties = id_of(original, "debtor"), id_of(original, "creditor")
    if asset == 0 or parties != (asked.id("debtor"), asked.id("creditor")):
        return Answer(Outcome.ORIGINAL_UNKNOWN)
    if asked.id("creditor") == 0:
        return label_refused(state, asked)
    found = find_parties(state, asked)
    if isinstance(found, Outcome):
        return Answer(found)
    debtor, creditor = found
    mode = signing_mode(state, asked.signer, debtor)
    if mode is not SigningMode.INSTITUTION:
        return Answer(Outcome.NOT_AUTHORISED)
    if int(asked.record["asset"]) != asset:
        return Answer(Outcome.ASSET_MISMATCH)
    # RECEIPT
    return Answer(Outcome.APPLIED, int(original["amount"]), mode, debtor, creditor)


def label_refused(state: State, asked: Request) -> Answer:
    """Say what a payment was that history knows as refused; see `label`."""
    # CHECK
    debtor = state.accounts.get(asked.id("debtor"))
    if debtor is None:
        return Answer(Outcome.DEBTOR_UNKNOWN)
    mode = signing_mode(state, asked.signer, debtor)
    if mode is not SigningMode.INSTITUTION:
        return Answer(Outcome.NOT_AUTHORISED)
    if int(asked.record["asset"]) != debtor.asset:
        return Answer(Outcome.ASSET_MISMATCH)
    # RECEIPT
    return Answer(Outcome.APPLIED, 0, mode, debtor)


def set_model(state: State, asked: Request) -> Answer:
    """Give a model of the signing institution a role, or take it away.

    Whoever had a role that only one can have is REGISTERED from then on. Without a champion rules decide.
    """
    # CHECK
    authority, role = asked.signer.authority, ModelRole(asked.amount)
    digest = asked.record["payload_commitment"].tobytes()
    if authority != asked.id("debtor") or not institution(state, asked.signer):
        return Answer(Outcome.NOT_AUTHORISED)
    before = state.models.get((authority, digest))
    if before is None and role is not ModelRole.REGISTERED:
        return Answer(Outcome.MODEL_UNKNOWN)
    if before is None and len(state.models) == MAX_MODELS:
        return Answer(Outcome.MODELS_FULL)
    # POST
    if role is ModelRole.RETIRED:
        del state.models[authority, digest]
    elif before is None or before.role is not role:
        for (owner, other), model in list(state.models.items()):
            if owner == authority and role in ALONE and model.role is role:
                state.models[owner, other] = RegisteredModel(ModelRole.REGISTERED, asked.time_ns)
        state.models[authority, digest] = RegisteredModel(role, asked.time_ns)
    return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION)
