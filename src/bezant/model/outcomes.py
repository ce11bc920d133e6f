"""What the ledger answers for each record: stable codes, in the order they are checked.

Codes below 16 are effects. From 16 on they are refusals, and *the lowest applicable
refusal wins*: precedence is the number itself. Numbers never change meaning; gaps are
for later ones.
"""

from __future__ import annotations

from enum import IntEnum


class Outcome(IntEnum):
    """The ledger's answer for one record."""

    APPLIED = 0
    """Value moved, or the command took effect."""
    HELD = 1
    """The amount is reserved until captured, released or expired."""
    HELD_FOR_REVIEW = 2
    """The decision asked for a person; the amount is reserved until one answers."""
    CAPTURED = 3
    RELEASED = 4
    HOLD_EXPIRED = 5
    """A system receipt: block time passed the hold's end and the reserve was returned."""
    LOCKED = 6
    """The hold can only be captured with the preimage from now on."""
    CAPTURED_IN_PART = 7
    """Value moved, and what is left of the hold stays held."""
    RECOVERY_STARTED = 8
    """The key takes over if the same is signed again after the waiting period, and nobody objects."""

    BONDED = 9
    """The amount is reserved for as long as its validator is to have votes for it."""
    UNBONDING = 10
    """It gives no more votes, and returns when no fault of before could come to light any more."""
    SLASHED = 11
    """A system receipt: part of a bond was paid over for a validator's fault."""
    JAILED = 12
    """A system receipt: a validator has no votes until it rejoins, or never again. Its id is the first half
    of the validator's key."""
    ACCEPTED = 13
    """A system receipt: more than two thirds of all votes are for a proposal. Its id is the proposal's; where
    the change comes into force another one answers APPLIED."""
    DECLINED = 14
    """A system receipt: a proposal can reach two thirds no more, or its time is over."""
    REWARDED = 15
    """A system receipt: a bond's part of the fees that were collected was paid to the account that bonded."""

    # Authenticity. None of these is remembered, so a stranger cannot burn an id.
    MALFORMED = 16
    """Unknown kind or flag, an id that is no UUIDv7, or a field or verdict that does not suit the kind."""
    UNKNOWN_AUTHORITY = 17
    BAD_SIGNATURE = 18
    GATEWAY_NOT_ACCEPTED = 19
    """The attesting gateway is not one that the network's genesis names."""
    THRESHOLD_NOT_MET = 20
    """Too few of the authority's keys signed, or keys without the role that this takes."""

    # Time. Definitive: such an id can never apply.
    ID_IN_FUTURE = 24
    EXPIRED = 25

    # Identity.
    EXISTS = 32
    """The same content was answered before; the first answer stands."""
    EXISTS_WITH_OTHER_CONTENT = 33
    CAPACITY = 34
    """A bound of the network (remembered ids, accounts, holds) is reached; try later."""

    # From here on the answer is remembered under (authority, id).
    BLOCKED = 40
    """The decision was to refuse; the evidence is ordered, nothing moves."""
    REVIEW_NOT_PERMITTED = 41
    """The decision asked for review, and the payer did not sign `may_review`."""
    ORIGINAL_UNKNOWN = 42
    """No earlier payment of that id went the other way between these two accounts; for a label: this way."""
    REFUND_WINDOW_CLOSED = 43
    NOT_GOVERNED = 44
    """Nobody votes on blocks here, so the rules stay those of the genesis."""
    DEBTOR_UNKNOWN = 48
    CREDITOR_UNKNOWN = 49
    NOT_AUTHORISED = 50
    """The signing authority may not do this to that account."""
    SAME_ACCOUNT = 51
    ASSET_MISMATCH = 52
    AMOUNT_ZERO = 53
    ASSET_PAUSED = 54
    """The asset's issuer has stopped every payment in it."""
    POLICY_FORBIDS = 55
    """The genesis does not declare this for the asset, or does not take this signature scheme."""
    DEBTOR_FROZEN = 56
    CREDITOR_FROZEN = 57
    DEBTOR_CLOSED = 58
    CREDITOR_CLOSED = 59
    DEBTOR_NOT_APPROVED = 60
    """The asset's issuer has not approved the account to hold it."""
    CREDITOR_NOT_APPROVED = 61
    RULE_OUT_OF_BOUNDS = 62
    """The network does not have that rule, or it may not become that."""
    SCHEDULE_REFUSED = 63
    """Votes would be taken for too long, or the change would come before it could be voted on."""

    HOLD_UNKNOWN = 64
    """No open hold of that id: never placed, or already captured, released or expired."""
    HOLD_MISMATCH = 65
    """Debtor, creditor or asset differ from the hold's, or part of a payment in review was to be
    captured: a reviewer lets all of it go or none."""
    AMOUNT_ABOVE_HOLD = 66
    HOLD_EXISTS = 67
    """The debtor account has an open hold under this id, placed by another of its signers."""
    PREIMAGE_MISMATCH = 68
    """The hold is locked, and what the capture shows does not hash to the lock."""
    MANDATE_EXPIRED = 69
    ABOVE_MANDATE = 70
    """More than the mandate allows in one payment."""
    ABOVE_MANDATE_PERIOD = 71
    """More than the mandate has left for this period."""

    OVERFLOW = 72
    """A sum would not fit its counter; nothing was written."""
    INSUFFICIENT_FUNDS = 73
    BALANCE_LIMIT = 74
    """The creditor account may not hold that much."""
    ABOVE_ORIGINAL = 75
    """More than is left of the original after what was reversed before."""
    FEE_ABOVE_MAX = 76
    """The fee is above what the payer signed for."""
    ACCOUNT_NOT_EMPTY = 78
    """The account has a balance, or something is pending."""
    LIMIT_BELOW_BALANCE = 79
    """The limit would be below what the account uses of it already."""

    AUTHORITY_EXISTS = 80
    ACCOUNT_EXISTS = 81
    ID_NOT_DERIVED = 82
    """The id in an opening record is not the hash of what it opens."""
    ASSET_UNKNOWN = 83
    HOLDER_UNKNOWN = 84
    """The authority that is to hold the account, or to act for it, is not registered."""
    CREDIT_NOT_PERMITTED = 85
    """Only the asset's issuer may let an account go negative, unless the asset lets its members."""
    KEY_SLOT = 86
    """There is no such slot or role, nothing to remove in it, or the key is in another slot already."""
    THRESHOLD_UNREACHABLE = 87
    """A threshold would be above the number of keys with that role, or nobody could administer."""
    RECOVERY_WAITING = 88
    """The waiting period of this recovery is not over."""
    VALIDATOR_JAILED = 89
    """Its time is not over, or it may never vote again."""
    MANDATE_UNKNOWN = 90
    MANDATE_EXISTS = 91
    """The account has a mandate of this id, set by another of its signers."""
    MODEL_UNKNOWN = 92
    """The authority has to register a model of that digest first."""
    MODELS_FULL = 93
    """The ledger knows as many models as it can; one has to be retired before another is registered."""
    VALIDATOR_UNKNOWN = 94
    VALIDATORS_FULL = 95
    """There are as many validators as there may be."""

    LINKED_FAILED = 96
    """Another member of the same linked chain was refused, so this one was undone."""
    CHAIN_OPEN = 97
    """The Authorisation ended inside a linked chain."""
    LAST_VALIDATOR = 98
    """Without it nobody would have a vote."""
    PROPOSAL_UNKNOWN = 99
    """No proposal of that id is voted on: it never was, or it is decided."""
    PROPOSAL_EXISTS = 100
    """Another institution has proposed something under this id."""
    PROPOSALS_FULL = 101
    """As many proposals are open as there may be, in all or of this institution."""
    BOND_BELOW_LEAST = 102
    """A validator that votes would have something bonded, and less than the rules ask for."""

    @property
    def refused(self) -> bool:
        return self >= 16

    @property
    def label(self) -> str:
        """The stable lower-case code that interfaces show."""
        return self.name.lower()


class Verdict(IntEnum):
    """What the pipeline concluded about one payment."""

    ALLOW = 0
    REVIEW = 1
    BLOCK = 2


class SigningMode(IntEnum):
    """Who signed, in relation to the debtor account; stated in every receipt."""

    SYSTEM = 0
    """The ledger itself (a hold that expired)."""
    SELF = 1
    INSTITUTION = 2
    DELEGATE = 3
