"""What goes in and out as JSON: names are ISO 20022's in snake_case, money is a decimal string."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

AccountRef = Annotated[
    str,
    Meta(pattern="^[0-9a-f]{32}$", description="Account id", examples=["00008c1f3ad27b0e4f9d5c6b7a8e9f01"]),
]
Decimal = Annotated[
    str, Meta(pattern=r"^[0-9]{1,20}(\.[0-9]{1,18})?$", description="Decimal, exact", examples=["12.50"])
]
AssetCode = Annotated[str, Meta(pattern="^[A-Z0-9]{1,8}$", description="Asset", examples=["EUR"])]
Text35 = Annotated[str, Meta(max_length=35)]
Text140 = Annotated[str, Meta(max_length=140)]
Hex32 = Annotated[
    str, Meta(pattern="^([0-9a-f]{64})?$", description="32 bytes in hexadecimal, or empty for none")
]
Uuid = Annotated[
    str,
    Meta(
        pattern="^([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})?$",
        description="UUIDv7, or empty for none",
    ),
]
Scheme = Literal["ed25519", "secp256k1"]
Uint63 = Annotated[int, Meta(ge=1, le=2**32 - 1)]
MAX_HOLD_S = 366 * 86_400


class In(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What comes in: a field that is not known is an error, not noise."""


class Out(msgspec.Struct, frozen=True, omit_defaults=True):
    """What goes out: what there is nothing to say about is left out."""


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    amount: Decimal
    asset: AssetCode


# Parties and accounts.


class PartyRequest(In, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=140)]
    country: Annotated[str, Meta(pattern="^([A-Z]{2})?$", description="ISO 3166-1 alpha-2")] = ""
    kind: Literal["person", "organisation"] = "person"


class NameHit(Out, frozen=True):
    """A listed name that a party's name resembles; `score` is 0 to 100."""

    entry: str
    name: str
    score: float


class PartyView(Out, frozen=True):
    party: int
    screening: Literal["allow", "review", "block"]
    name: str = ""
    country: str = ""
    kind: str = ""
    hits: tuple[NameHit, ...] = ()
    accounts: tuple[str, ...] = ()


class ErasedView(Out, frozen=True):
    party: int
    frozen_accounts: tuple[str, ...] = ()


class ScreeningView(Out, frozen=True):
    entries: int
    version: str
    digest: str
    changed_parties: tuple[int, ...] = ()
    """Parties whose verdict is another than before."""


class AccountRequest(In, frozen=True):
    party: Uint63
    asset: AssetCode
    public_key: Hex32 = ""
    """The holder's own key; without it the institution holds the account for the party."""
    scheme: Scheme = "ed25519"
    """What the key signs with; a secp256k1 key is the x-only one of BIP-340."""
    balance_limit: Decimal | None = None


class AccountView(Out, frozen=True):
    """Balances as the ledger has them now; `available` is what can be paid."""

    account: str
    asset: str
    balance: str
    available: str
    pending_debits: str
    pending_credits: str
    frozen: bool
    party: int | None = None
    balance_limit: str | None = None
    credit_limit: str | None = None
    """How far it may go negative, where it may; an issuer's treasury has no end and shows none."""
    closed: bool = False
    approved: bool = True
    """False where the asset's issuer decides who may hold it and has not approved this account."""
    authority: str = ""
    """Whose keys sign for it."""


class AccountPage(Out, frozen=True):
    accounts: tuple[AccountView, ...]
    next_cursor: str | None = None


class StatementLine(Out, frozen=True):
    """`brought_forward`: what the account had where this node's chain begins, with no payment behind it."""

    booked_at: str
    credit_debit: Literal["CRDT", "DBIT"]
    amount: str
    balance: str
    block: int
    payment_id: str | None = None
    counterparty: str | None = None
    brought_forward: bool | None = None


class StatementView(Out, frozen=True):
    """`opening_balance` and `closing_balance` enclose this page, the period's the whole time asked for."""

    account: str
    asset: str
    opening_balance: str
    closing_balance: str
    period_opening_balance: str
    period_closing_balance: str
    entries: tuple[StatementLine, ...]
    next_cursor: str | None = None


class AssetView(Out, frozen=True):
    asset: str
    scale: int
    issuer: str
    treasury: str
    issued: str
    """What the treasury has paid out and not got back."""
    paused: bool = False
    policy: tuple[str, ...] = ()
    """What the issuer declared in the genesis that it may do, e.g. ``pausable`` or ``clawback``."""
    refund_window_s: int = 0


class AssetList(Out, frozen=True):
    assets: tuple[AssetView, ...]


class NetworkView(Out, frozen=True):
    """What a client must know to sign a payment for this network."""

    network: str
    genesis_hash: str
    gateway_authority: str
    id_window_s: int
    id_future_s: int
    asset_numbers: dict[str, int]


class IssueRequest(In, frozen=True):
    creditor: AccountRef
    amount: Decimal


# Payments.


class PaymentRequest(In, frozen=True):
    debtor: AccountRef
    creditor: AccountRef
    instructed_amount: Money
    end_to_end_id: Text35 = ""
    uetr: Annotated[
        str,
        Meta(
            pattern="^([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})?$",
            description="Unique end-to-end transaction reference, a UUIDv4",
        ),
    ] = ""
    purpose: Annotated[str, Meta(pattern="^([A-Z0-9]{1,4})?$", description="ExternalPurpose1Code")] = ""
    charge_bearer: Literal["", "DEBT", "CRED", "SHAR", "SLEV"] = ""
    remittance_information: Text140 = ""
    debtor_name: Text140 = ""
    creditor_name: Text140 = ""
    device: Text140 = ""
    """What is paid with, by a name that stays the same: an app's installation, a card. Features know by it
    whether the payer has used it before; nobody can read it out of them."""
    terminal: Text140 = ""
    """Where: a point of sale, a cash machine."""
    hold_for_s: Annotated[int, Meta(ge=0, le=MAX_HOLD_S)] = 0
    """More than 0 reserves the amount for so many seconds instead of paying it."""
    may_review: bool = True
    """Whether a doubtful payment may wait for a person; otherwise it is refused."""
    hashlock: Hex32 = ""
    """SHA-256 of a secret of 32 bytes: the hold can be captured only by showing the secret, and until it
    ends only the creditor's side can release it."""
    mandate: Uuid = ""
    """Pay under this mandate instead of the account's own leave to the gateway."""


Status = Literal["settled", "held", "in_review", "captured", "released", "expired", "refused", "blocked"]


class HeldView(Out, frozen=True):
    """What is reserved now, and until when."""

    amount: Money
    expires_at: str
    hashlock: str = ""


class PaymentView(Out, frozen=True):
    id: str
    status: Status
    outcome: str
    debtor: str
    creditor: str
    instructed_amount: Money
    verdict: Literal["allow", "review", "block"]
    signing_mode: Literal["system", "self", "institution", "delegate"]
    block: int
    created_at: str
    updated_at: str
    type: Literal["payment", "refund", "clawback"] = "payment"
    settled_amount: Money | None = None
    """What was paid so far; a hold may be captured in parts."""
    fee: Money | None = None
    """What was charged so far: beside a payment made at once, or out of what was captured of a hold."""
    refunded_amount: Money | None = None
    held: HeldView | None = None
    refund_of: str | None = None
    """The payment, or capture, that a refund pays back."""
    mandate: str | None = None
    reason_code: str | None = None
    """ISO 20022 reason, where the payment was refused."""
    end_to_end_id: str = ""
    uetr: str = ""
    purpose: str = ""
    charge_bearer: str = ""
    remittance_information: str = ""
    debtor_name: str = ""
    creditor_name: str = ""
    device: str = ""
    terminal: str = ""
    texts_erased: bool = False


class PaymentPage(Out, frozen=True):
    payments: tuple[PaymentView, ...]
    next_cursor: str | None = None


class EmptyRequest(In, frozen=True):
    """Nothing to say."""


class ClosedView(Out, frozen=True):
    """How a hold was captured or released; `id` is that of the capture or release itself."""

    id: str
    payment_id: str
    outcome: Literal["captured", "captured_in_part", "released"]
    amount: Money
    block: int
    created_at: str


class WebhookRequest(In, frozen=True):
    url: Annotated[str, Meta(min_length=8, max_length=2048, examples=["https://example.org/bezant"])]
    types: tuple[Annotated[str, Meta(max_length=64)], ...] = ()
    """Event types, e.g. ``payment.settled`` or ``model.drift``; none means all."""


class WebhookView(Out, frozen=True):
    id: str
    url: str
    types: tuple[str, ...]
    enabled: bool
    created_at: str


class WebhookSecretView(Out, frozen=True):
    """Shown when it is made or rotated, and never again."""

    webhook: WebhookView
    secret: str


class WebhookList(Out, frozen=True):
    webhooks: tuple[WebhookView, ...]


class DeliveryView(Out, frozen=True):
    event: str
    type: str
    webhook: str
    attempts: int
    created_at: str
    delivered_at: str = ""
    next_attempt_at: str = ""
    last_error: str = ""


class DeliveryList(Out, frozen=True):
    deliveries: tuple[DeliveryView, ...]


# Asking without paying.


class DryRunView(Out, frozen=True):
    """What the pipeline and the ledger would answer now; nothing was ordered."""

    outcome: str
    verdict: Literal["allow", "review", "block"]
    score: float
    reasons: tuple[str, ...] = ()


# Checkpoints.


class CosignatureRequest(In, frozen=True):
    """A checkpoint's note with a witness's line under it."""

    note: Annotated[str, Meta(min_length=1, max_length=65_536)]


class CheckpointView(Out, frozen=True):
    """A checkpoint as its note, and whose signatures are under it."""

    blocks: int
    note: str
    signed_by: tuple[str, ...]
