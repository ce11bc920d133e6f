"""One table from what this code answers to what the outside understands.

Every refusing `Outcome` has an HTTP status, an ISO 20022 reason (external code set
`ExternalStatusReason1Code`) and a title; so has every error code that is not simply of its kind.
A code's text never changes meaning, because programs compare it.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from bezant.errors import (
    AuthError,
    BezantError,
    ConflictError,
    InputError,
    NotFound,
    Overloaded,
    StorageError,
    UnknownOutcome,
    VaultError,
)
from bezant.model.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Reason:
    """How one code is told: HTTP status, ISO 20022 reason (empty where none applies), a short title."""

    status: int
    iso: str
    title: str
    retryable: bool = False


_REFUSED: Final = HTTPStatus.UNPROCESSABLE_ENTITY.value

OUTCOMES: Final[dict[Outcome, Reason]] = {
    Outcome.MALFORMED: Reason(_REFUSED, "FF01", "The record is malformed"),
    Outcome.UNKNOWN_AUTHORITY: Reason(_REFUSED, "DS0F", "The signing authority is not registered"),
    Outcome.BAD_SIGNATURE: Reason(_REFUSED, "DS0B", "The signature is not valid"),
    Outcome.GATEWAY_NOT_ACCEPTED: Reason(_REFUSED, "AGNT", "The gateway is not one of this network's"),
    Outcome.THRESHOLD_NOT_MET: Reason(_REFUSED, "DS19", "Too few of the authority's keys signed"),
    Outcome.ID_IN_FUTURE: Reason(_REFUSED, "DT04", "The payment id lies in the future"),
    Outcome.EXPIRED: Reason(_REFUSED, "TM01", "The payment id is too old to be accepted"),
    Outcome.EXISTS: Reason(409, "AM05", "The payment was answered before"),
    Outcome.EXISTS_WITH_OTHER_CONTENT: Reason(
        _REFUSED, "DU03", "The payment id was used before with other content"
    ),
    Outcome.CAPACITY: Reason(503, "FF10", "A bound of the network is reached", retryable=True),
    Outcome.BLOCKED: Reason(_REFUSED, "RR04", "The payment was blocked"),
    Outcome.REVIEW_NOT_PERMITTED: Reason(_REFUSED, "RR04", "The payment needs a review it does not permit"),
    Outcome.ORIGINAL_UNKNOWN: Reason(409, "AG09", "There is no such payment to reverse or to label"),
    Outcome.REFUND_WINDOW_CLOSED: Reason(_REFUSED, "DT05", "The time for a reversal is over"),
    Outcome.NOT_GOVERNED: Reason(409, "", "Nobody votes here, so the rules stay those of the genesis"),
    Outcome.DEBTOR_UNKNOWN: Reason(_REFUSED, "AC02", "The debtor account is not known"),
    Outcome.CREDITOR_UNKNOWN: Reason(_REFUSED, "AC03", "The creditor account is not known"),
    Outcome.NOT_AUTHORISED: Reason(_REFUSED, "DS0H", "The signer may not do this to that account"),
    Outcome.SAME_ACCOUNT: Reason(_REFUSED, "AC03", "Debtor and creditor are the same account"),
    Outcome.ASSET_MISMATCH: Reason(_REFUSED, "AC09", "An account does not hold this asset"),
    Outcome.AMOUNT_ZERO: Reason(_REFUSED, "AM01", "The amount is zero"),
    Outcome.ASSET_PAUSED: Reason(503, "AG01", "The issuer has paused the asset", retryable=True),
    Outcome.POLICY_FORBIDS: Reason(_REFUSED, "AG01", "The network's genesis does not allow this"),
    Outcome.DEBTOR_FROZEN: Reason(_REFUSED, "AC06", "The debtor account is frozen"),
    Outcome.CREDITOR_FROZEN: Reason(_REFUSED, "AC06", "The creditor account is frozen"),
    Outcome.DEBTOR_CLOSED: Reason(_REFUSED, "AC05", "The debtor account is closed"),
    Outcome.CREDITOR_CLOSED: Reason(_REFUSED, "AC07", "The creditor account is closed"),
    Outcome.DEBTOR_NOT_APPROVED: Reason(_REFUSED, "AG01", "The issuer has not approved the debtor account"),
    Outcome.CREDITOR_NOT_APPROVED: Reason(
        _REFUSED, "AG01", "The issuer has not approved the creditor account"
    ),
    Outcome.RULE_OUT_OF_BOUNDS: Reason(_REFUSED, "", "The rule may not become that, or is none here"),
    Outcome.SCHEDULE_REFUSED: Reason(_REFUSED, "", "The change comes too soon, or votes are taken too long"),
    Outcome.HOLD_UNKNOWN: Reason(409, "AG09", "Nothing is held under this id"),
    Outcome.HOLD_MISMATCH: Reason(_REFUSED, "AG09", "The hold is between other accounts"),
    Outcome.AMOUNT_ABOVE_HOLD: Reason(_REFUSED, "AM09", "The amount is above what is held"),
    Outcome.HOLD_EXISTS: Reason(409, "AM05", "A hold of this id is open already"),
    Outcome.PREIMAGE_MISMATCH: Reason(_REFUSED, "AG09", "This does not open the hold's lock"),
    Outcome.MANDATE_EXPIRED: Reason(_REFUSED, "MD01", "The mandate has ended"),
    Outcome.ABOVE_MANDATE: Reason(_REFUSED, "AM02", "More than the mandate allows in one payment"),
    Outcome.ABOVE_MANDATE_PERIOD: Reason(_REFUSED, "AM14", "More than the mandate has left for this period"),
    Outcome.OVERFLOW: Reason(_REFUSED, "AM13", "A sum would not fit its counter"),
    Outcome.INSUFFICIENT_FUNDS: Reason(_REFUSED, "AM04", "The debtor account has too little available"),
    Outcome.BALANCE_LIMIT: Reason(_REFUSED, "AM14", "The creditor account may not hold that much"),
    Outcome.ABOVE_ORIGINAL: Reason(_REFUSED, "AM09", "More than is left of the original payment"),
    Outcome.FEE_ABOVE_MAX: Reason(_REFUSED, "AM02", "The fee is above what the payer signed for"),
    Outcome.ACCOUNT_NOT_EMPTY: Reason(409, "", "The account is not empty"),
    Outcome.LIMIT_BELOW_BALANCE: Reason(409, "", "The account uses more than this limit already"),
    Outcome.AUTHORITY_EXISTS: Reason(409, "AM05", "The authority is registered already"),
    Outcome.ACCOUNT_EXISTS: Reason(409, "AM05", "The account is open already"),
    Outcome.ID_NOT_DERIVED: Reason(_REFUSED, "AC01", "The id is not the hash of what it opens"),
    Outcome.ASSET_UNKNOWN: Reason(_REFUSED, "AM11", "The asset is not known"),
    Outcome.HOLDER_UNKNOWN: Reason(_REFUSED, "DS0F", "The holder's authority is not registered"),
    Outcome.CREDIT_NOT_PERMITTED: Reason(_REFUSED, "AG01", "Only the issuer's account may go negative"),
    Outcome.KEY_SLOT: Reason(_REFUSED, "", "No key can be put into, or taken out of, this slot"),
    Outcome.THRESHOLD_UNREACHABLE: Reason(_REFUSED, "", "Too few keys would be left to reach a threshold"),
    Outcome.RECOVERY_WAITING: Reason(409, "", "The waiting period of the recovery is not over", True),
    Outcome.VALIDATOR_JAILED: Reason(409, "", "The validator may not vote yet, or never again"),
    Outcome.MANDATE_UNKNOWN: Reason(404, "MD01", "There is no such mandate"),
    Outcome.MANDATE_EXISTS: Reason(409, "AM05", "A mandate of this id exists already"),
    Outcome.MODEL_UNKNOWN: Reason(404, "", "No such model is registered"),
    Outcome.MODELS_FULL: Reason(409, "", "The ledger knows as many models as it can"),
    Outcome.VALIDATOR_UNKNOWN: Reason(404, "", "There is no such validator"),
    Outcome.VALIDATORS_FULL: Reason(409, "", "There are as many validators as there may be"),
    Outcome.LINKED_FAILED: Reason(_REFUSED, "ED05", "Another member of the chain was refused"),
    Outcome.CHAIN_OPEN: Reason(_REFUSED, "FF01", "A linked chain was left open"),
    Outcome.LAST_VALIDATOR: Reason(409, "", "Without this validator nobody would have a vote"),
    Outcome.PROPOSAL_UNKNOWN: Reason(404, "", "No such proposal is voted on"),
    Outcome.PROPOSAL_EXISTS: Reason(409, "AM05", "Another institution has proposed something under this id"),
    Outcome.PROPOSALS_FULL: Reason(409, "", "As many proposals are open as there may be"),
    Outcome.BOND_BELOW_LEAST: Reason(
        _REFUSED, "", "A validator that votes has more than that bonded, or nothing at all"
    ),
}
"""Every refusing outcome; a test asks for all of them."""

CODES: Final[dict[str, Reason]] = {
    "amount_invalid": Reason(_REFUSED, "AM12", "The amount is not valid"),
    "amount_malformed": Reason(_REFUSED, "AM12", "The amount is not a decimal number"),
    "amount_negative": Reason(_REFUSED, "AM12", "The amount is negative"),
    "amount_over_precise": Reason(_REFUSED, "AM12", "The amount has too many decimals"),
    "amount_too_large": Reason(_REFUSED, "AM02", "The amount is too large"),
    "asset_unknown": Reason(_REFUSED, "AM11", "The asset is not known"),
    "id_malformed": Reason(400, "FF01", "The identifier is malformed"),
    "malformed": Reason(400, "FF02", "The request does not parse"),
    "input_invalid": Reason(400, "FF01", "The request is not valid"),
    "other_network": Reason(_REFUSED, "DS28", "This was signed for another network"),
    "party_unusable": Reason(_REFUSED, "BE06", "The party cannot be used"),
    "payload_mismatch": Reason(_REFUSED, "DS17", "Payload and commitment do not match"),
    "party_unknown": Reason(404, "BE06", "The party is not known"),
    "account_unknown": Reason(404, "AC01", "The account is not known"),
    "payment_unknown": Reason(404, "AG09", "The payment is not known"),
    "before_beginning": Reason(404, "AG09", "It is from before this node's chain begins"),
    "pruned": Reason(410, "", "This node keeps no votes of so long ago"),
    "not_held": Reason(409, "AG09", "Nothing is held any more"),
    "in_review": Reason(409, "", "The payment waits for a person"),
    "not_settled": Reason(409, "AG09", "Nothing was paid that could be paid back"),
    "not_labelled": Reason(409, "AG09", "Nothing was paid or held that could be labelled"),
    "nothing_left": Reason(409, "AM09", "All of it was paid back before"),
    "capture_needed": Reason(400, "FF01", "There are several captures"),
    "capture_unknown": Reason(404, "AG09", "There is no such capture of this payment"),
    "authority_unknown": Reason(404, "DS0F", "The authority is not known"),
    "signature_missing": Reason(400, "DS0A", "Nothing was signed"),
    "unsupported_media_type": Reason(415, "", "The content type is not accepted"),
    "method_not_allowed": Reason(405, "", "The method is not allowed here"),
    "body_too_large": Reason(413, "AMSE", "The body is too large"),
    "rate_limited": Reason(429, "", "Too many requests", retryable=True),
    "idempotency_key_missing": Reason(400, "", "An Idempotency-Key is required"),
    "idempotency_key_invalid": Reason(400, "", "The Idempotency-Key is not usable"),
    "idempotency_key_reused": Reason(_REFUSED, "DU01", "The Idempotency-Key was used with another request"),
    "idempotency_in_flight": Reason(409, "", "The first request is still being answered", retryable=True),
    "erased": Reason(410, "", "The personal data was erased"),
    "model_missing": Reason(404, "", "The model's file is not in the data folder"),
    "model_altered": Reason(409, "", "The model's file is not what it was"),
    "model_format": Reason(409, "", "The model's file cannot be read"),
    "model_features": Reason(409, "", "The model was trained on other features"),
    "model_digest_invalid": Reason(400, "", "This is no digest of a model"),
    "model_ambiguous": Reason(409, "", "Several models begin like this"),
    "no_stake": Reason(409, "", "Nobody bonds in this network"),
    "no_challenger": Reason(409, "", "There are no two models in use to compare"),
    "no_earlier_champion": Reason(409, "", "No earlier champion can be put back"),
    "store_behind": Reason(503, "", "The read model is behind", retryable=True),
    "internal": Reason(500, "", "The node failed"),
}
"""Error codes that are told in their own way; others go by their kind."""

_KINDS: Final[tuple[tuple[type[BezantError], Reason], ...]] = (
    (AuthError, Reason(401, "", "Not authenticated")),
    (NotFound, Reason(404, "", "Not found")),
    (ConflictError, Reason(409, "", "Conflict")),
    (Overloaded, Reason(503, "", "Overloaded; nothing was accepted", retryable=True)),
    (UnknownOutcome, Reason(504, "", "It may or may not have happened")),
    (InputError, Reason(400, "FF01", "The request is not valid")),
    (StorageError, Reason(503, "", "The node cannot write")),
    (VaultError, Reason(503, "", "Sealed data cannot be read")),
)
_OTHERWISE: Final = Reason(500, "", "The node failed")
_OUTCOME_OF: Final = {outcome.label: outcome for outcome in OUTCOMES}


def reason_of(error: BezantError) -> Reason:
    """Return how an error is told: by its code, by the ledger outcome it names, else by its kind."""
    known = CODES.get(error.code)
    if known is not None:
        return known
    outcome = _OUTCOME_OF.get(error.code)
    if outcome is not None:
        return OUTCOMES[outcome]
    return next((reason for kind, reason in _KINDS if isinstance(error, kind)), _OTHERWISE)
