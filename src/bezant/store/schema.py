"""The tables of the read model, and how exact values lie in them.

- A 128-bit id is 16 *big-endian* bytes, so that sorting by id sorts UUIDv7 by time.
- An amount is u64 and SQL integers are signed: it is stored as the signed 64-bit integer of the
  same bits (`signed_amount`). Every amount below 2**63 reads as itself in any SQL tool; a larger
  one shows as amount - 2**64, and `unsigned_amount` gives it back. Nothing is rounded or refused.
- A balance is signed and needs up to 129 bits: decimal text.
- A time is nanoseconds since 1970 as BIGINT (good until 2262), and is always a block's time.
- `era` numbers runs of blocks with about 65,536 receipts each, and leads every index whose keys come in no
  order of time, such as accounts. New rows then fall into the era under way, a part of the B-tree
  that fits into memory, however much lies behind; without it each payment costs more the more there
  were before (measured: 27 µs of CPU after 200,000 payments, 66 after 800,000). Whoever looks for an
  account's rows asks era by era (`eras`).
- `ordinal` is height * 2**24 + position among the block's receipts: one integer that orders
  everything that ever happened, which is what lists are sorted by and cursors hold.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import sqlalchemy as sa

from bezant.model.outcomes import Outcome

POSITION_BITS: Final = 24
ERA_BITS: Final = 16
HASH_BYTES: Final = 16
"""Length of the keyed BLAKE2b under which an end-to-end id is found."""


class PaymentStatus(StrEnum):
    """Where a payment stands.

    ==========  ======================================================================
    settled     TRANSFER, REVERSE or CLAWBACK answered APPLIED
    held        HOLD answered HELD: reserved until captured, released or expired
    in_review   TRANSFER answered HELD_FOR_REVIEW: reserved until a person answers
    captured    a held or reviewed payment that a CAPTURE settled, all or in part, whatever
                became of a rest that stayed held for a while
    released    a held or reviewed payment whose whole reserve a RELEASE returned
    expired     a held or reviewed payment whose whole reserve the ledger returned in time
    blocked     answered BLOCKED: the decision was to refuse
    refused     any other refusal that is an answer to the payer (see `projection`)
    ==========  ======================================================================
    """

    SETTLED = "settled"
    HELD = "held"
    IN_REVIEW = "in_review"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"
    REFUSED = "refused"
    BLOCKED = "blocked"


class ProposalStatus(StrEnum):
    """What became of a change that was put to the vote.

    ==========  ======================================================================
    voting      votes are taken
    accepted    more than two thirds said yes, and its height is not there yet
    in_force    put into force; what is in force now may be a later one
    declined    a third said no
    lapsed      its time ended, or too little notice would have been left
    ==========  ======================================================================
    """

    VOTING = "voting"
    ACCEPTED = "accepted"
    IN_FORCE = "in_force"
    DECLINED = "declined"
    LAPSED = "lapsed"


STATUS_OF: Final = {
    Outcome.APPLIED: PaymentStatus.SETTLED,
    Outcome.HELD: PaymentStatus.HELD,
    Outcome.HELD_FOR_REVIEW: PaymentStatus.IN_REVIEW,
    Outcome.CAPTURED: PaymentStatus.CAPTURED,
    Outcome.CAPTURED_IN_PART: PaymentStatus.HELD,
    Outcome.RELEASED: PaymentStatus.RELEASED,
    Outcome.HOLD_EXPIRED: PaymentStatus.EXPIRED,
    Outcome.BLOCKED: PaymentStatus.BLOCKED,
}
"""Every other outcome is REFUSED."""

metadata = sa.MetaData()


def _ordinal() -> sa.Column[int]:
    return sa.Column("ordinal", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)


def _id(name: str, *, primary_key: bool = False, index: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(16), primary_key=primary_key, nullable=False, index=index)


blocks = sa.Table(
    "blocks",
    metadata,
    sa.Column("height", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time_ns", sa.BigInteger, nullable=False, index=True),
    sa.Column("app_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("records", sa.Integer, nullable=False),
)

eras = sa.Table(
    "eras",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("first", sa.BigInteger, nullable=False),
)
"""Every era that has blocks, and the ordinal that it begins with. Not every number need be there."""

payments = sa.Table(
    "payments",
    metadata,
    _ordinal(),
    sa.Column("era", sa.Integer, nullable=False),
    _id("id"),
    _id("authority"),
    sa.Column("kind", sa.SmallInteger, nullable=False),
    _id("debtor"),
    _id("creditor"),
    sa.Column("asset", sa.BigInteger, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("settled_amount", sa.BigInteger),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("outcome", sa.SmallInteger, nullable=False),
    sa.Column("verdict", sa.SmallInteger, nullable=False),
    sa.Column("score_ppm", sa.BigInteger, nullable=False),
    sa.Column("fallback", sa.SmallInteger, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("mode", sa.SmallInteger, nullable=False),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
    sa.Column("updated_ns", sa.BigInteger, nullable=False),
    sa.Column("settled_ns", sa.BigInteger),
    sa.Column("closed_by", sa.LargeBinary(16)),
    sa.Column("related", sa.LargeBinary(16)),
    sa.Column("reversed_amount", sa.BigInteger),
    sa.Column("end_to_end_hash", sa.LargeBinary(HASH_BYTES)),
    sa.UniqueConstraint("id", "authority", name="payments_id_authority"),
)
"""`closed_by` is the id of the last CAPTURE or RELEASE; an expiry has none. `related` is what a REVERSE pays
back, a payment or a capture, or the mandate of a payment; `reversed_amount` what was paid back of a payment
or of its captures together."""
sa.Index("payments_debtor", payments.c.era, payments.c.debtor, payments.c.ordinal)
sa.Index("payments_creditor", payments.c.era, payments.c.creditor, payments.c.ordinal)

NOT_SETTLED: Final = sa.text("status <> 'settled'")
"""The condition of the status index, repeated word for word by queries that are to use it. Nearly
every payment is settled, and a list of those needs no index of its own."""
sa.Index(
    "payments_status",
    payments.c.status,
    payments.c.ordinal,
    sqlite_where=NOT_SETTLED,
    postgresql_where=NOT_SETTLED,
)
_RELATED = sa.text("related IS NOT NULL")
sa.Index("payments_related", payments.c.related, sqlite_where=_RELATED, postgresql_where=_RELATED)
_HASHED = sa.text("end_to_end_hash IS NOT NULL")
sa.Index(
    "payments_end_to_end",
    payments.c.era,
    payments.c.end_to_end_hash,
    sqlite_where=_HASHED,
    postgresql_where=_HASHED,
)

captures = sa.Table(
    "captures",
    metadata,
    _ordinal(),
    _id("id"),
    _id("payment"),
    _id("debtor"),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("reversed_amount", sa.BigInteger),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
)
"""One CAPTURE that took effect on the hold `payment`; a REVERSE names it by `id`."""
sa.Index("captures_id", captures.c.id)
sa.Index("captures_payment", captures.c.payment)

labels = sa.Table(
    "labels",
    metadata,
    _ordinal(),
    _id("payment"),
    _id("debtor"),
    sa.Column("label", sa.SmallInteger, nullable=False),
    _id("authority"),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
)
"""What a payment was said to be and by whom; of several rows of one payment and debtor the last counts."""
sa.Index("labels_payment", labels.c.payment, labels.c.debtor, labels.c.ordinal)

reviews = sa.Table(
    "reviews",
    metadata,
    _ordinal(),
    _id("id"),
    _id("debtor"),
    _id("creditor"),
    sa.Column("asset", sa.BigInteger, nullable=False),
    sa.Column("priority", sa.LargeBinary(8), nullable=False),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
)
"""What waits for a person, and nothing else: a row goes when its payment is captured, released or expires.
`priority` is the expected loss in minor units, eight big-endian bytes: as large as an amount can be."""
sa.Index("reviews_order", reviews.c.asset, reviews.c.priority.desc(), reviews.c.ordinal)
sa.Index("reviews_id", reviews.c.id)
sa.Index("reviews_debtor", reviews.c.debtor)
sa.Index("reviews_creditor", reviews.c.creditor)

escalations = sa.Table(
    "escalations",
    metadata,
    _id("payment", primary_key=True),
    sa.Column("since_ns", sa.BigInteger, nullable=False),
)
"""Reviews that somebody passed on. Not from blocks, so it survives a rebuild; why is in the vault."""

model_changes = sa.Table(
    "model_changes",
    metadata,
    _ordinal(),
    _id("authority"),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("role", sa.SmallInteger, nullable=False),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
)
"""Every role that a model was given; few, so that no index is needed."""


def _values() -> tuple[sa.Column[int], ...]:
    """Return the columns of what a rule is: one number, and of a fee all four."""
    return tuple(
        sa.Column(name, sa.BigInteger, nullable=False) for name in ("value", "ppm", "minimum", "maximum")
    )


proposals = sa.Table(
    "proposals",
    metadata,
    _ordinal(),
    _id("id"),
    _id("authority"),
    sa.Column("rule", sa.SmallInteger, nullable=False),
    sa.Column("asset", sa.BigInteger, nullable=False),
    *_values(),
    sa.Column("height", sa.BigInteger, nullable=False),
    sa.Column("until_ns", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("created_ns", sa.BigInteger),
    sa.Column("decided", sa.BigInteger),
    sa.Column("decided_ns", sa.BigInteger),
    sa.Column("enacted", sa.BigInteger),
    sa.Column("enacted_ns", sa.BigInteger),
)
"""Every PROPOSE that was applied. `height` is the one it was proposed for, u64 stored as amounts are;
`decided` and `enacted` are ordinals of system receipts. An id names the last proposal before: another
institution may use it again. Times are null where this node's chain begins behind them."""
sa.Index("proposals_id", proposals.c.id, proposals.c.ordinal)
sa.Index("proposals_status", proposals.c.status, proposals.c.ordinal)

ballots = sa.Table(
    "ballots",
    metadata,
    _ordinal(),
    _id("proposal"),
    _id("authority"),
    sa.Column("ballot", sa.SmallInteger, nullable=False),
)
"""What institutions said to a proposal; of several rows of one of them the last counts."""
sa.Index("ballots_proposal", ballots.c.proposal, ballots.c.ordinal)

rule_changes = sa.Table(
    "rule_changes",
    metadata,
    sa.Column("rule", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("asset", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("since", sa.BigInteger, primary_key=True, autoincrement=False),
    *_values(),
)
"""What each rule became at which height; before the first it was as the genesis has it."""

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("era", sa.Integer, primary_key=True, autoincrement=False),
    _id("account", primary_key=True),
    sa.Column("ordinal", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("side", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    _id("payment"),
    _id("counterparty"),
    sa.Column("balance", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
"""One posted leg. No payment has one account on both sides, so the key needs no side. Without a
rowid SQLite keeps an account's entries of an era together, which is the order statements read them in."""

accounts = sa.Table(
    "accounts",
    metadata,
    _id("id", primary_key=True),
    sa.Column("row", sa.BigInteger, nullable=False, unique=True),
    _id("authority", index=True),
    sa.Column("asset", sa.BigInteger, nullable=False),
    sa.Column("credit_limit", sa.BigInteger, nullable=False),
    sa.Column("balance_limit", sa.BigInteger, nullable=False),
    sa.Column("frozen", sa.Boolean, nullable=False),
    sa.Column("delegate", sa.LargeBinary(16)),
    sa.Column("delegate_cap", sa.BigInteger, nullable=False),
    sa.Column("opened_ns", sa.BigInteger, nullable=False),
    sa.Column("closed_ns", sa.BigInteger),
    sa.Column("ordinal", sa.BigInteger, nullable=False),
)
"""`row` is the ledger's own number of the account, by which system receipts name it."""

account_parties = sa.Table(
    "account_parties",
    metadata,
    _id("account", primary_key=True),
    sa.Column("party", sa.BigInteger, nullable=False, index=True),
    sa.Column("erased", sa.Boolean, nullable=False),
)
"""Which party of the vault an account belongs to. Not from blocks, so it survives a rebuild."""

checkpoint = sa.Table(
    "checkpoint",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("height", sa.BigInteger, nullable=False),
    sa.Column("app_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("receipts", sa.BigInteger, nullable=False),
    sa.Column("events_height", sa.BigInteger, nullable=False),
)
"""The last block projected, how many receipts there were up to it, and the last block whose events went to
the outbox (a rebuild sends none)."""

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False, index=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.SmallInteger, nullable=False),
    sa.Column("next_attempt_ns", sa.BigInteger),
    sa.Column("delivered_ns", sa.BigInteger),
    sa.Column("last_error", sa.Text),
)
_WAITING = sa.text("next_attempt_ns IS NOT NULL")
sa.Index(
    "outbox_due",
    outbox.c.next_attempt_ns,
    outbox.c.sequence,
    sqlite_where=_WAITING,
    postgresql_where=_WAITING,
)

PROJECTED: Final = (
    blocks,
    eras,
    payments,
    captures,
    labels,
    reviews,
    model_changes,
    proposals,
    ballots,
    rule_changes,
    entries,
    accounts,
)
"""What a rebuild empties and fills again from the blocks."""


def signed_amount(amount: int) -> int:
    """Return the signed 64-bit integer that stores a u64 amount.

    >>> signed_amount(1250), signed_amount(2**64 - 1)
    (1250, -1)
    """
    return amount - 2**64 if amount >= 2**63 else amount


def unsigned_amount(stored: int) -> int:
    """Return the u64 amount behind a stored integer; the inverse of `signed_amount`."""
    return stored & 0xFFFFFFFFFFFFFFFF


def id_key(value: int) -> bytes:
    """Return the 16 big-endian bytes under which an id is stored."""
    return value.to_bytes(16, "big")
