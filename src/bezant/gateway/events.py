"""Payment events: what a committed block changed, in words that outsiders follow.

Ids, amounts, accounts and outcomes; never a text of a person, and never a score or its reasons. An
event follows from its block alone, so a replayed block gives the same events under the same ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np

from bezant.chain.blocks import CommittedBlock
from bezant.intelligence.drift import Drift
from bezant.model.genesis import GenesisAsset
from bezant.model.identifiers import render_id, render_payment_id
from bezant.model.money import render_minor
from bezant.model.outcomes import Outcome
from bezant.model.records import COMMAND_KINDS, Kind, RecordArray, id_of
from bezant.store.endpoints import Endpoint
from bezant.store.outbox import Event
from bezant.store.schema import POSITION_BITS

REFUSED: Final = "payment.refused"
TYPE_OF: Final = {
    Outcome.APPLIED: "payment.settled",
    Outcome.HELD: "payment.held",
    Outcome.HELD_FOR_REVIEW: "payment.in_review",
    Outcome.CAPTURED: "payment.captured",
    Outcome.CAPTURED_IN_PART: "payment.captured",
    Outcome.RELEASED: "payment.released",
    Outcome.HOLD_EXPIRED: "payment.expired",
    Outcome.BLOCKED: "payment.blocked",
}
REVERSED: Final = "payment.reversed"
PAYMENT_EVENTS: Final = (*dict.fromkeys(TYPE_OF.values()), REVERSED, REFUSED)
EVENT_TYPES: Final = (*PAYMENT_EVENTS, "model.drift", "stage.drift")
"""What an endpoint may ask for: what became of payments, and what drifted."""
_SILENT: Final = frozenset(
    {
        # Anybody can send records in anybody's name; those are no news of a payment.
        Outcome.MALFORMED,
        Outcome.UNKNOWN_AUTHORITY,
        Outcome.BAD_SIGNATURE,
        Outcome.GATEWAY_NOT_ACCEPTED,
        Outcome.THRESHOLD_NOT_MET,
        # These repeat an answer that was told before.
        Outcome.EXISTS,
        Outcome.EXISTS_WITH_OTHER_CONTENT,
    }
)
_UNTOLD: Final = (Kind.LOCK, Kind.LABEL, Kind.BOND, Kind.UNBOND)
"""A lock is part of its hold, what a payment turned out to be is for those who review, a bond pays nobody."""
_ENCODER: Final = msgspec.json.Encoder()


class EventAmount(msgspec.Struct, frozen=True):
    amount: str
    asset: str


class PaymentChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened to one payment. `id` is the event's, ``height-position``; `refund_of` what a
    ``payment.reversed`` pays back, a payment or a capture of one; `fee` what was charged with this: beside
    the amount of a payment, out of the amount of a capture; left out where nothing was."""

    id: str
    payment_id: str
    outcome: str
    amount: EventAmount
    debtor: str
    creditor: str
    height: int
    refund_of: str = ""
    fee: EventAmount | None = None


class PaymentEvent(msgspec.Struct, frozen=True):
    """The body of a webhook, in the three fields that Standard Webhooks recommends."""

    type: str
    timestamp: str
    data: PaymentChange


class DriftChange(msgspec.Struct, frozen=True):
    """What drifted: see `intelligence.drift.Drift`, whose words and units these are."""

    id: str
    subject: str
    measure: str
    before: float
    after: float


class DriftEvent(msgspec.Struct, frozen=True):
    """The body of a webhook that tells of drift; it is in no block, and told when it is found."""

    type: str
    timestamp: str
    data: DriftChange


def drift_rows(drift: Drift, height: int, endpoints: Iterable[Endpoint]) -> Iterator[Event]:
    """Yield the outbox rows of a drift that was found when the chain was at a height: one for every endpoint
    that wants its type."""
    name = f"drift-{drift.at_ns}-{drift.subject}"
    change = DriftChange(name, drift.subject, drift.measure, drift.before, drift.after)
    body = _ENCODER.encode(DriftEvent(drift.kind, render_time(drift.at_ns), change)).decode()
    for endpoint in endpoints:
        if endpoint.wants(drift.kind):
            id_ = f"msg_{name}_{endpoint.id.removeprefix('we_')}"
            yield Event(id_, (height + 1 << POSITION_BITS) - 1, drift.kind, endpoint.id, body)


class PaymentEvents:
    """Turns blocks into events, and events into one outbox row for each endpoint that wants them."""

    def __init__(
        self,
        assets: Sequence[GenesisAsset],
        accounts: Callable[[], RecordArray],
        endpoints: Callable[[], Sequence[Endpoint]] = tuple,
    ) -> None:
        """`accounts` gives the ledger's accounts by row, whose ids and assets never change."""
        self._assets, self._accounts, self._endpoints = assets, accounts, endpoints

    def of(self, block: CommittedBlock) -> Iterator[PaymentEvent]:
        """Yield the events of a block in order."""
        for position, receipt in enumerate(block.receipts):
            outcome = Outcome(int(receipt["outcome"]))
            type_ = type_of(int(receipt["kind"]), outcome)
            if is_news(int(receipt["kind"]), outcome):
                change = self._change(block, position, receipt, outcome)
                yield PaymentEvent(type_, render_time(block.time_ns), change)

    def rows(self, block: CommittedBlock) -> Iterator[Event]:
        """Yield the outbox rows of a block: every event for every endpoint that wants its type."""
        endpoints = [endpoint for endpoint in self._endpoints() if endpoint.enabled]
        if not endpoints:
            return
        for event in self.of(block):
            body = _ENCODER.encode(event).decode()
            position = int(event.data.id.partition("-")[2])
            for endpoint in endpoints:
                if endpoint.wants(event.type):
                    name = f"msg_{event.data.id}_{endpoint.id.removeprefix('we_')}"
                    yield Event(name, block.height << POSITION_BITS | position, event.type, endpoint.id, body)

    def _change(
        self, block: CommittedBlock, position: int, receipt: np.void, outcome: Outcome
    ) -> PaymentChange:
        index, refund_of = position - block.system_count, ""
        if index >= 0:
            record = block.records[index]
            closes = int(record["kind"]) in (Kind.CAPTURE, Kind.RELEASE)
            payment = id_of(record, "related" if closes else "id")
            debtor, creditor = id_of(record, "debtor"), id_of(record, "creditor")
            asset = int(record["asset"])
            if record["kind"] == Kind.REVERSE:
                refund_of = render_payment_id(id_of(record, "related"))
            # A refusal moved nothing: what was asked for is told.
            amount = int(record["amount"] if outcome.refused else receipt["amount"])
        else:
            # A hold that ran out: the ledger itself answers, and names the accounts by row.
            accounts = self._accounts()
            payment, amount = id_of(receipt, "id"), int(receipt["amount"])
            payer, payee = accounts[receipt["debtor_row"]], accounts[receipt["creditor_row"]]
            debtor, creditor, asset = id_of(payer, "id"), id_of(payee, "id"), int(payer["asset"])
        return PaymentChange(
            f"{block.height}-{position}",
            render_payment_id(payment),
            outcome.label,
            self._amount(asset, amount),
            render_id(debtor),
            render_id(creditor),
            block.height,
            refund_of,
            self._amount(asset, int(receipt["fee"])) if receipt["fee"] else None,
        )

    def _amount(self, number: int, minor: int) -> EventAmount:
        """Return an amount in decimals; an asset that does not exist shows its number and minor units."""
        if not 1 <= number <= len(self._assets):
            return EventAmount(str(minor), f"#{number}")
        asset = self._assets[number - 1]
        return EventAmount(render_minor(minor, asset.scale), asset.code)


def type_of(kind: int, outcome: Outcome) -> str:
    """Return the type of the event that an answer to a record of that kind makes."""
    if kind == Kind.REVERSE and outcome is Outcome.APPLIED:
        return REVERSED
    return TYPE_OF.get(outcome, REFUSED)


def is_news(kind: int, outcome: Outcome) -> bool:
    """Return whether an answer is news of a payment, for streams and webhooks alike."""
    if kind >= COMMAND_KINDS or kind in _UNTOLD or outcome in _SILENT:
        return False
    # A capture that was refused changes nothing about the payment it names.
    return not (outcome.refused and kind in (Kind.CAPTURE, Kind.RELEASE))


@lru_cache(maxsize=256)
def render_time(time_ns: int) -> str:
    """Return an RFC 3339 time in UTC with nanoseconds.

    >>> render_time(1_767_225_600_000_000_001)
    '2026-01-01T00:00:00.000000001Z'
    """
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
