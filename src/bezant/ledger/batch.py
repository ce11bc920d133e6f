"""What a ledger is given, the same for both implementations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bezant.errors import InvariantViolation
from bezant.model.digest import TAG_ACCOUNT, Digests, sha256
from bezant.model.identifiers import U112_MASK, AccountId, AuthorityId, id_bytes
from bezant.model.records import FAULT, ORIGINAL, RecordArray, names_original

NS_PER_S = 1_000_000_000
NEVER = 2**64 - 1
"""A time in nanoseconds that does not come: when a bond ends by itself, when a validator that signed twice is
free."""


def no_originals() -> RecordArray:
    """Return the ORIGINAL rows of a block that is about no earlier payment."""
    return np.zeros(0, ORIGINAL)


def no_faults() -> RecordArray:
    """Return the FAULT rows of a block that reports none."""
    return np.zeros(0, FAULT)


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one block with what is known of their signatures.

    `records`, `decisions` (n,); `authorisations` (m,) cover the records in order, `authentic`
    (m,) uint8 is 1 where the signature verifies under the authority's key as of the previous
    block, and `accepted` (m,) uint8 is 1 where the Order's gateway is one of the genesis and
    signed. `time_ns` is the block's time, later than the previous block's. `record_hashes` (n, 32)
    are the records' RFC 6962 leaf hashes, which tell same content from other content. `originals` has
    an ORIGINAL row for every REVERSE and LABEL among the records, in their order. `faults` are those of
    validators that the engine reports with this block, FAULT rows.
    """

    time_ns: int
    records: RecordArray
    decisions: RecordArray
    authorisations: RecordArray
    authentic: npt.NDArray[np.uint8]
    accepted: npt.NDArray[np.uint8]
    record_hashes: Digests
    originals: RecordArray = field(default_factory=no_originals)
    faults: RecordArray = field(default_factory=no_faults)

    def __post_init__(self) -> None:
        naming = int(np.count_nonzero(names_original(self.records)))
        if len(self.originals) != naming:
            raise InvariantViolation(f"{len(self.originals)} originals for {naming} records that name one")

    @property
    def original_rows(self) -> npt.NDArray[np.int64]:
        """Return by record the row of its original, meaningless for other kinds; empty if none names one."""
        if not len(self.originals):
            return np.zeros(0, np.int64)
        return np.cumsum(names_original(self.records)) - 1


class Ledger(Protocol):
    """A deterministic state machine over batches."""

    def apply(self, batch: Batch) -> RecordArray:
        """Return the RECEIPT rows: expired holds first, then faults, then one for each record in order."""


def account_id(institution: int, authority: AuthorityId, asset: int, salt: int, zone: int = 0) -> AccountId:
    """Return zone (16 bits) ‖ hash (112 bits) of what an account is opened with."""
    digest = sha256(
        TAG_ACCOUNT,
        institution.to_bytes(4, "little"),
        id_bytes(authority),
        asset.to_bytes(4, "little"),
        id_bytes(salt),
    )
    return AccountId(zone << 112 | int.from_bytes(digest[:16], "little") & U112_MASK)
