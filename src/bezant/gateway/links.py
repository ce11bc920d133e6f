"""What a payment under review is linked with: other payments of its parties, and accounts around them.

From the read model and what payments named, bounded whatever an account has done: the last LOOKED payments
of each party and of each instrument, and of the NEAREST accounts around them the last OF_EACH.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bezant.gateway.history import History
from bezant.model.identifiers import AccountId, PaymentId
from bezant.stages.sightings import Sightings
from bezant.store.queries import Queries
from bezant.store.reviews import Wanted
from bezant.store.views import StoredPayment, StoredReview

LOOKED: Final = 100
NEAREST: Final = 20
OF_EACH: Final = 20
SHOWN: Final = 10
"""Payments of each party that are given out."""

PAID_THE_PAYEE, PAID_BY_THE_PAYER = "paid the same payee", "paid by the same payer"
PAID_BY_THE_PAYEE, PAID_THE_PAYER = "paid by the payee", "paid the payer"
SAME_DEVICE, SAME_TERMINAL = "same device", "same terminal"
_NEAR: Final = (
    SAME_DEVICE,
    PAID_BY_THE_PAYEE,
    PAID_THE_PAYEE,
    PAID_BY_THE_PAYER,
    PAID_THE_PAYER,
    SAME_TERMINAL,
)
"""The nearest first: who shares a device is nearer than who stood at the same terminal."""


@dataclass(slots=True)
class LinkedAccount:
    """An account around the parties: how it is linked, by how many payments, when last, and how many frauds
    are known of its own last payments."""

    account: AccountId
    via: list[str] = field(default_factory=list)
    payments: int = 0
    last_ns: int = 0
    frauds: int = 0

    @property
    def nearness(self) -> tuple[int, int, int]:
        return -min(map(_NEAR.index, self.via)), self.payments, self.last_ns


@dataclass(frozen=True, slots=True)
class Links:
    """`frauds` are those of all payments named here that are known to be fraud by now."""

    of_debtor: Sequence[StoredPayment]
    of_creditor: Sequence[StoredPayment]
    reviews: Sequence[StoredReview]
    accounts: Sequence[LinkedAccount]
    frauds: frozenset[PaymentId]


class Linker:
    """Finds links; asks the read model alone, and waits for nobody."""

    def __init__(self, history: History, sightings: Sightings) -> None:
        self._history, self._sightings = history, sightings

    def of(self, payment: StoredPayment) -> Links:
        """Return what a payment is linked with. Raises: StorageError, Overloaded."""
        queries = self._history.queries()
        debtor, creditor = payment.debtor, payment.creditor
        of_debtor, of_creditor = (
            [one for one in queries.payments(account=side, limit=LOOKED).items if one.id != payment.id]
            for side in (debtor, creditor)
        )
        shared = self._sightings.shared(payment.id, LOOKED)
        by_device, by_terminal = queries.payments_of(shared.device), queries.payments_of(shared.terminal)
        found: dict[AccountId, LinkedAccount] = {}
        outsiders = (
            (SAME_DEVICE, ((one.debtor, one) for one in by_device)),
            (SAME_TERMINAL, ((one.debtor, one) for one in by_terminal)),
            (PAID_THE_PAYEE, ((one.debtor, one) for one in of_creditor if one.creditor == creditor)),
            (PAID_BY_THE_PAYEE, ((one.creditor, one) for one in of_creditor if one.debtor == creditor)),
            (PAID_BY_THE_PAYER, ((one.creditor, one) for one in of_debtor if one.debtor == debtor)),
            (PAID_THE_PAYER, ((one.debtor, one) for one in of_debtor if one.creditor == debtor)),
        )
        for via, payments in outsiders:
            _link(
                found, via, ((account, one) for account, one in payments if account not in (debtor, creditor))
            )
        nearest = sorted(found.values(), key=lambda one: one.nearness, reverse=True)[:NEAREST]
        named = {one.id for one in (*of_debtor, *of_creditor, *by_device, *by_terminal)}
        frauds = queries.frauds(list(named)) | self._count_frauds(queries, nearest)
        nearest.sort(key=lambda one: (one.frauds, one.nearness), reverse=True)
        reviews = {
            one.payment.id: one
            for side in (debtor, creditor)
            for one in queries.reviews(Wanted(account=side), limit=SHOWN).items
            if one.payment.id != payment.id
        }
        return Links(
            of_debtor[:SHOWN], of_creditor[:SHOWN], list(reviews.values()), nearest, frozenset(frauds)
        )

    @staticmethod
    def _count_frauds(queries: Queries, accounts: Iterable[LinkedAccount]) -> set[PaymentId]:
        """Count the known frauds among the last payments of accounts; return them."""
        lately = {
            one.account: {paid.id for paid in queries.payments(account=one.account, limit=OF_EACH).items}
            for one in accounts
        }
        frauds = queries.frauds(list(set().union(*lately.values())))
        for one in accounts:
            one.frauds = len(lately[one.account] & frauds)
        return frauds


def _link(
    found: dict[AccountId, LinkedAccount], via: str, payments: Iterable[tuple[AccountId, StoredPayment]]
) -> None:
    for account, payment in payments:
        linked = found.setdefault(account, LinkedAccount(account))
        if via not in linked.via:
            linked.via.append(via)
        linked.payments += 1
        linked.last_ns = max(linked.last_ns, payment.created_ns)
