"""Which country each party is of, by its number: two bytes a party, and the vault for those not seen yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from bezant.intelligence.countries import UNKNOWN, country_code
from bezant.vault.opened import OpenedBatch

_NONE: Final = 1
"""A party that is known to have no country; no code is so low."""
_WITH_COUNTRY: Final = ord("2")
"""How the text of a binding begins that says a country, two letters or none."""


class Countries:
    """Remembers the countries of parties; `read` gives that of one that was registered in an earlier run."""

    def __init__(self, read: Callable[[int], str]) -> None:
        self._read = read
        self._codes = np.zeros(1024, np.uint16)

    def note(self, party: int, country: str) -> None:
        """Remember the country that a party names."""
        if party >= len(self._codes):
            more = np.zeros(party + 1 + party // 2 - len(self._codes), np.uint16)
            self._codes = np.concatenate((self._codes, more))
        self._codes[party] = country_code(country) or _NONE

    def of(self, party: int) -> int:
        """Return the number of a party's country, UNKNOWN where it has none."""
        if party >= len(self._codes) or not self._codes[party]:
            self.note(party, self._read(party))
        code = int(self._codes[party])
        return UNKNOWN if code == _NONE else code

    def binding(self, party: int) -> bytes:
        """Return the text that is sealed with an account of a party."""
        code = self.of(party)
        return b"2" + (code.to_bytes(2, "big") if code else b"")

    def bound(self, batch: OpenedBatch) -> npt.NDArray[np.uint16]:
        """Return the countries (n,) that a batch of bindings says; those of before say none, and are read."""
        starts, lengths = batch.offsets[:-1], np.diff(batch.offsets)
        codes = np.zeros(len(starts), np.uint16)
        full = starts[lengths == 3]
        codes[lengths == 3] = batch.data[full + 1].astype(np.uint16) << 8 | batch.data[full + 2]
        old = np.flatnonzero(batch.data[starts] != _WITH_COUNTRY) if len(starts) else starts
        for row in old.tolist():
            codes[row] = self.of(int(batch.party[row]))
        return codes
