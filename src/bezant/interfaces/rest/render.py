"""From the ledger's numbers to what goes out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from bezant.errors import InputError
from bezant.gateway.events import render_time
from bezant.gateway.history import Standing
from bezant.gateway.payments import Answered
from bezant.interfaces.reasons import OUTCOMES
from bezant.interfaces.rest.shapes import ClosedView, HeldView, Money, PaymentView
from bezant.ledger.open_items import OpenHold
from bezant.model.genesis import Genesis
from bezant.model.identifiers import render_id, render_payment_id
from bezant.model.money import render_minor
from bezant.model.outcomes import Outcome
from bezant.model.payment import Payload
from bezant.model.records import Kind, id_of
from bezant.store import PaymentStatus
from bezant.store.schema import STATUS_OF

VerdictWord = Literal["allow", "review", "block"]
TypeWord = Literal["payment", "refund", "clawback"]
ClosedWord = Literal["captured", "captured_in_part", "released"]
ModeWord = Literal["system", "self", "institution", "delegate"]
# By the numbers of `Verdict` and `SigningMode`.
_VERDICTS: tuple[VerdictWord, ...] = ("allow", "review", "block")
_MODES: tuple[ModeWord, ...] = ("system", "self", "institution", "delegate")
_TYPES: dict[Kind, TypeWord] = {Kind.REVERSE: "refund", Kind.CLAWBACK: "clawback"}
_CLOSED: dict[Outcome, ClosedWord] = {
    Outcome.CAPTURED: "captured",
    Outcome.CAPTURED_IN_PART: "captured_in_part",
    Outcome.RELEASED: "released",
}
_NS_PER_S = 1_000_000_000
_TEXTS = (
    "end_to_end_id",
    "uetr",
    "purpose",
    "charge_bearer",
    "remittance_information",
    "debtor_name",
    "creditor_name",
    "device",
    "terminal",
)


class Renderer:
    """Knows the assets of the network."""

    def __init__(self, genesis: Genesis, review_for_s: Callable[[], int]) -> None:
        """`review_for_s` says how long a payment waits for a reviewer by the rules in force."""
        self._review_for_s = review_for_s
        self._assets = {asset.number: (asset.code, asset.scale) for asset in genesis.assets}

    def money(self, asset: int, minor: int) -> Money:
        """Return minor units with their asset; an unknown asset shows by its number."""
        code, scale = self._assets.get(asset, (str(asset), 0))
        return Money(render_minor(minor, scale), code)

    def amount(self, asset: int, minor: int) -> str:
        return self.money(asset, minor).amount

    def asset(self, number: int) -> str:
        return self._assets.get(number, (str(number), 0))[0]

    def answered(
        self, answered: Answered, payload: Payload, erased: bool = False, hashlock: bytes = b""
    ) -> PaymentView:
        """Return a payment as it was first answered."""
        record, receipt = answered.record, answered.receipt
        asset, outcome, related = int(record["asset"]), answered.outcome, id_of(record, "related")
        kind = Kind(int(record["kind"]))
        amount = self.money(asset, int(record["amount"]))
        at = render_time(answered.time_ns)
        return PaymentView(
            id=render_payment_id(id_of(record, "id")),
            status=STATUS_OF.get(outcome, PaymentStatus.REFUSED).value,
            outcome=outcome.label,
            debtor=render_id(id_of(record, "debtor")),
            creditor=render_id(id_of(record, "creditor")),
            instructed_amount=amount,
            verdict=verdict_word(int(receipt["verdict"])),
            signing_mode=_mode_word(int(receipt["mode"])),
            block=answered.height,
            created_at=at,
            updated_at=at,
            type=_TYPES.get(kind, "payment"),
            settled_amount=amount if outcome is Outcome.APPLIED else None,
            fee=self.money(asset, int(receipt["fee"])) if receipt["fee"] else None,
            held=self._held_since(answered, hashlock),
            **_related(kind, related),
            reason_code=OUTCOMES[outcome].iso if outcome.refused else None,
            **_texts(payload),
            texts_erased=erased,
        )

    def standing(self, standing: Standing, payload: Payload, erased: bool = False) -> PaymentView:
        """Return a payment as it stands now."""
        outcome, settled = standing.outcome, standing.settled_minor
        refunded, held = standing.refunded_minor, standing.held
        return PaymentView(
            id=render_payment_id(standing.payment),
            status=standing.status.value,
            outcome=outcome.label,
            debtor=render_id(standing.debtor),
            creditor=render_id(standing.creditor),
            instructed_amount=self.money(standing.asset, standing.amount_minor),
            verdict=verdict_word(standing.verdict),
            signing_mode=_mode_word(standing.mode),
            block=standing.height,
            created_at=render_time(standing.created_ns),
            updated_at=render_time(standing.updated_ns),
            type=_TYPES.get(standing.kind, "payment"),
            settled_amount=None if settled is None else self.money(standing.asset, settled),
            fee=self.money(standing.asset, standing.fee_minor) if standing.fee_minor else None,
            refunded_amount=self.money(standing.asset, refunded) if refunded else None,
            held=None if held is None else self._held(standing.asset, held),
            **_related(standing.kind, standing.related),
            reason_code=OUTCOMES[outcome].iso if outcome.refused else None,
            **_texts(payload),
            texts_erased=erased,
        )

    def closed(self, answered: Answered) -> ClosedView:
        """Return how a capture or release was answered."""
        record = answered.record
        return ClosedView(
            id=render_payment_id(id_of(record, "id")),
            payment_id=render_payment_id(id_of(record, "related")),
            outcome=_CLOSED[answered.outcome],
            amount=self.money(int(record["asset"]), int(answered.receipt["amount"])),
            block=answered.height,
            created_at=render_time(answered.time_ns),
        )

    def _held(self, asset: int, held: OpenHold) -> HeldView:
        return HeldView(self.money(asset, held.amount), render_time(held.expires_ns), held.lock.hex())

    def _held_since(self, answered: Answered, hashlock: bytes) -> HeldView | None:
        """Return the reserve that an answer says was placed."""
        if answered.outcome is Outcome.HELD:
            lasts_s = int(answered.record["hold_for_s"])
        elif answered.outcome is Outcome.HELD_FOR_REVIEW:
            lasts_s = self._review_for_s()
        else:
            return None
        expires_ns = answered.time_ns + lasts_s * _NS_PER_S
        return self._held(
            int(answered.record["asset"]), OpenHold(int(answered.record["amount"]), expires_ns, hashlock)
        )


def verdict_word(verdict: int) -> VerdictWord:
    return _VERDICTS[verdict]


def parse_time(text: str | None, param: str) -> int | None:
    """Return an RFC 3339 time in nanoseconds since 1970. Raises: InputError."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise InputError(
            f"{text[:40]!r} is not a time with its zone; write it like 2026-01-31T12:00:00Z", param=param
        )
    since = parsed - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * _NS_PER_S + since.microseconds * 1_000


def _mode_word(mode: int) -> ModeWord:
    return _MODES[mode]


def _related(kind: Kind, related: int) -> dict[str, Any]:
    """Return what `related` names, under the name it goes by."""
    if not related:
        return {}
    return {"refund_of" if kind is Kind.REVERSE else "mandate": render_payment_id(related)}


def _texts(payload: Payload) -> dict[str, Any]:
    return {name: getattr(payload, name) for name in _TEXTS}
