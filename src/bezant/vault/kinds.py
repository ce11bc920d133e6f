"""What the vault keeps: the kinds of sealed rows."""

from __future__ import annotations

from enum import IntEnum


class VaultKind(IntEnum):
    """The kind of a sealed row; its number is on disk and never changes meaning.

    Ids of PAYLOAD, EVIDENCE, RAW_MESSAGE, INSTRUMENTS and CASE are those of payments, time-ordered (UUIDv7),
    and are found by the time they carry. PARTY_PROFILE (id = party number), ACCOUNT_PARTY (id =
    account id) and SCREENING (id = what names were judged by) are in no order and few, so every one of them
    has a place in an index in memory.
    """

    PARTY_PROFILE = 1
    PAYLOAD = 2
    EVIDENCE = 3
    RAW_MESSAGE = 4
    ACCOUNT_PARTY = 5
    SCREENING = 6
    INSTRUMENTS = 7
    """Keys of the device and the terminal that a payment named."""
    CASE = 8
    """What people said and did about a payment that waited for them; a longer one replaces it each time."""

    @property
    def time_ordered(self) -> bool:
        return self in _TIME_ORDERED


_TIME_ORDERED = frozenset(
    {
        VaultKind.PAYLOAD,
        VaultKind.EVIDENCE,
        VaultKind.RAW_MESSAGE,
        VaultKind.INSTRUMENTS,
        VaultKind.CASE,
    }
)
