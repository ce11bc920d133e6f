"""What the world emits: frozen columns of payments, with texts rendered only when asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from bezant.economy.calendar import DAY_NS, year_month

FIRST_FRAUD = 16


class Scenario(IntEnum):
    """Why a payment was made; from 16 on it is fraud. A label for training and tests, never a feature."""

    PURCHASE = 0
    TRANSFER = 1
    SALARY = 2
    RENT = 3
    INVOICE = 4
    COLLECTION = 5
    """Friends send one person their share, who pays the merchant: a pass-through that is honest."""
    TAKEOVER = 16
    """Somebody else uses a consumer's account: a burst to new payees, out of hours and habit."""
    MULE_CHAIN = 17
    """Stolen money fans in to a ring, passes through it and fans out."""
    ATTACK = 18
    """A thief who reacts to what the network answers; see `bezant.economy.adversary`."""


_NOTES = ("dinner", "thanks", "tickets", "for the gift", "groceries", "trip", "see you soon", "weekend")
_ORDER = "Order {reference:06d}"


@dataclass(frozen=True, slots=True)
class Traffic:
    """A batch of n payments in the order of their time.

    `debtor`, `creditor` (n,) int32 are positions in `World.parties`; `amount_minor` (n,) uint64;
    `time_ns` (n,) int64 ascends and is when the payment is handed in; `simulated_ns` (n,) int64
    is when it happens in the world (the same unless a rate was asked for, see `Pace`);
    `label` (n,) uint8 is 1 for fraud; `scenario` (n,) uint8 is a `Scenario`; `serial` (n,) uint64
    is unique in a world; `reference` (n,) uint32 feeds the texts.
    """

    debtor: npt.NDArray[np.int32]
    creditor: npt.NDArray[np.int32]
    amount_minor: npt.NDArray[np.uint64]
    time_ns: npt.NDArray[np.int64]
    simulated_ns: npt.NDArray[np.int64]
    label: npt.NDArray[np.uint8]
    scenario: npt.NDArray[np.uint8]
    serial: npt.NDArray[np.uint64]
    reference: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return self.debtor.size

    def rows(self, start: int, stop: int) -> Traffic:
        """Return the payments `start : stop`; the columns are views."""
        return Traffic(*(getattr(self, f.name)[start:stop] for f in fields(self)))

    def end_to_end_id(self, row: int) -> str:
        """Return the debtor's reference of one payment, unique in its world."""
        return f"E2E{int(self.serial[row]):014X}"

    def remittance_information(self, row: int) -> str:
        """Return what the debtor wrote, e.g. ``INV 2041/17``."""
        reference = int(self.reference[row])
        year, month = year_month(int(self.simulated_ns[row]) // DAY_NS)
        match Scenario(int(self.scenario[row])):
            case Scenario.SALARY:
                return f"Salary {month:02d}/{year}"
            case Scenario.RENT:
                return f"Rent {month:02d}/{year}"
            case Scenario.INVOICE:
                return f"INV {1 + reference % 9_999}/{year % 100:02d}"
            case Scenario.TRANSFER | Scenario.COLLECTION:
                return _NOTES[reference % len(_NOTES)]
            case Scenario.PURCHASE:
                return _ORDER.format(reference=reference % 1_000_000)
            case Scenario.TAKEOVER | Scenario.MULE_CHAIN | Scenario.ATTACK:
                # Thieves write what honest people write, sometimes nothing.
                plain = (*_NOTES, "", _ORDER.format(reference=reference % 1_000_000))
                return plain[reference % len(plain)]


def reference_of(serial: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    """Return references (n,) that look scattered and need no draws: Knuth's multiplicative hash."""
    return ((serial * np.uint64(2_654_435_761)) >> np.uint64(8)).astype(np.uint32)


def join_traffic(batches: Iterable[Traffic]) -> Traffic:
    """Return one batch that holds the rows of all, in the order given."""
    parts = list(batches)
    return Traffic(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Traffic)))
