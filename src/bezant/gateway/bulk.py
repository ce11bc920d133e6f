"""Many payments at once: the columns of a file or of the simulated world as signed records."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bezant.gateway.commands import VALID_FOR_S
from bezant.model.identifiers import AccountId, words
from bezant.model.records import Flag, Kind, RecordArray, new_records

U64Array = npt.NDArray[np.uint64]


class AccountColumns:
    """Account ids as two u64 columns, grown as parties appear; position = the caller's own number."""

    def __init__(self) -> None:
        self.lo: U64Array = np.zeros(0, np.uint64)
        self.hi: U64Array = np.zeros(0, np.uint64)

    def __len__(self) -> int:
        return len(self.lo)

    def append(self, accounts: list[AccountId]) -> None:
        pairs = np.array([words(account) for account in accounts], np.uint64).reshape(-1, 2)
        self.lo = np.concatenate((self.lo, pairs[:, 0]))
        self.hi = np.concatenate((self.hi, pairs[:, 1]))


def new_ids(time_ms: npt.NDArray[np.int64], random: np.random.Generator) -> tuple[U64Array, U64Array]:
    """Return UUIDv7 words (low, high), each (n,), for times in Unix milliseconds."""
    count = len(time_ms)
    low = random.integers(0, 2**62, count, np.uint64) | np.uint64(1 << 63)
    high = time_ms.astype(np.uint64) << np.uint64(16) | np.uint64(0x7000)
    return low, high | random.integers(0, 2**12, count, np.uint64)


def transfers(
    ids: tuple[U64Array, U64Array],
    debtors: tuple[U64Array, U64Array],
    creditors: tuple[U64Array, U64Array],
    asset: int,
    amount_minor: U64Array,
    *,
    valid_for_s: int = VALID_FOR_S,
) -> RecordArray:
    """Return TRANSFER rows that may be reviewed; every pair is (low, high) words, (n,) each."""
    rows = new_records(len(amount_minor))
    for name, (low, high) in (("id", ids), ("debtor", debtors), ("creditor", creditors)):
        rows[f"{name}_lo"], rows[f"{name}_hi"] = low, high
    rows["amount"], rows["asset"], rows["valid_for_s"] = amount_minor, asset, valid_for_s
    rows["kind"], rows["flags"] = Kind.TRANSFER, Flag.MAY_REVIEW
    return rows


def labels(
    ids: tuple[U64Array, U64Array],
    payments: RecordArray,
    said: npt.NDArray[np.int64],
    refused: npt.NDArray[np.bool_],
    *,
    valid_for_s: int = VALID_FOR_S,
) -> RecordArray:
    """Return LABEL rows that say of each of the payments (n,) what it was, a `Label`, of those `refused` by
    their debtor alone; ids are (low, high) words."""
    rows = new_records(len(payments))
    for name in ("debtor_lo", "debtor_hi", "creditor_lo", "creditor_hi", "asset"):
        rows[name] = payments[name]
    rows["creditor_lo"][refused], rows["creditor_hi"][refused] = 0, 0
    rows["related_lo"], rows["related_hi"] = payments["id_lo"], payments["id_hi"]
    rows["id_lo"], rows["id_hi"] = ids
    rows["amount"], rows["valid_for_s"], rows["kind"] = said, valid_for_s, Kind.LABEL
    return rows
