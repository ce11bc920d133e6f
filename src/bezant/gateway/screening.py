"""Names against the watchlist, when a party registers and when the list changes; a column after that.

What was concluded is kept in the vault under everything it follows from (list, thresholds, the code that
compares names), so that a node with a million parties need not match them all again to start.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from bezant.errors import NotFound, VaultError
from bezant.intelligence.watchlist import Hit, Thresholds, Watchlist, matching_digest
from bezant.model.outcomes import Verdict
from bezant.stages.resources import NOBODY
from bezant.vault import Vault, VaultKind

_VERDICTS = {"clear": Verdict.ALLOW, "review": Verdict.REVIEW, "block": Verdict.BLOCK}
_KEPT = np.dtype([("party", "<u4"), ("verdict", "<u4")])


KEPT_EVERY = 10_000
"""Parties after which what was concluded is kept once more: a killed node matches no more of them again."""


class Screening:
    """What the list says of each party, by party number. Thread-safe."""

    def __init__(self, watchlist: Watchlist, thresholds: Thresholds) -> None:
        self.watchlist = watchlist
        self._thresholds = thresholds
        self._lock = threading.Lock()
        self._verdicts: dict[int, Verdict] = {}
        self._through = NOBODY
        """Every party up to this one was concluded by the list; those in `_ahead` were, too."""
        self._ahead: set[int] = set()
        self._kept, self._kept_through = b"", NOBODY

    def judge(self, name: str) -> tuple[Verdict, tuple[Hit, ...]]:
        """Return the verdict on a name and the listed names it resembles."""
        hits = tuple(self.watchlist.match(name))
        return _VERDICTS[self._thresholds.verdict(hits)], hits

    def conclude(self, party: int, name: str) -> tuple[Verdict, tuple[Hit, ...]]:
        """Judge a party's name by the list there is now, and remember the verdict."""
        with self._lock:
            verdict, hits = self.judge(name)
            self._set(party, verdict)
            self._advance({party})
        return verdict, hits

    def of(self, party: int) -> Verdict:
        return self._verdicts.get(party, Verdict.ALLOW)

    def verdicts(self, parties: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
        """Return the verdict of each party, (n,)."""
        out = np.full(len(parties), Verdict.ALLOW, np.uint8)
        with self._lock:
            listed = np.array(sorted(self._verdicts), np.uint32)
            for row in np.flatnonzero(np.isin(parties, listed)).tolist():
                out[row] = self._verdicts[int(parties[row])]
        return out

    def forget(self, party: int) -> None:
        with self._lock:
            self._verdicts.pop(party, None)

    @contextmanager
    def changing(self, watchlist: Watchlist) -> Iterator[None]:
        """Judge by another list from here on. Within, whoever was concluded by the one before is to be
        concluded again; until that is done nothing counts as concluded by this one."""
        with self._lock:
            self.watchlist = watchlist
            through, ahead = self._through, self._ahead
            self._through, self._ahead = NOBODY, set()
        yield
        with self._lock:
            since, self._ahead = self._ahead, set()
            self._through = through
            self._advance(ahead | since)

    def recall(self, vault: Vault) -> int:
        """Take over what was concluded before by the same rule; return the last party it covers."""
        try:
            self._kept = vault.read(VaultKind.SCREENING, self._rule())
        except (NotFound, VaultError):
            return NOBODY
        rows = np.frombuffer(self._kept, _KEPT, offset=8)
        for party, verdict in rows[np.isin(rows["party"], vault.parties)].tolist():
            self._verdicts[party] = Verdict(verdict)
        self._through = self._kept_through = int.from_bytes(self._kept[:8], "little")
        return self._through

    def cover(self, party: int) -> None:
        """Take it that all parties up to this one were concluded, or have no name and never will."""
        with self._lock:
            self._through = max(self._through, party)
            self._advance(set())

    def keep(self, vault: Vault) -> None:
        """Seal what is concluded, unless that is kept already."""
        with self._lock:
            rows = np.array(sorted(self._verdicts.items()), np.uint32).reshape(-1, 2)
            text = self._through.to_bytes(8, "little") + rows.tobytes()
            if text != self._kept:
                vault.seal_text(VaultKind.SCREENING, self._rule(), NOBODY, text)
                vault.sync()
                self._kept, self._kept_through = text, self._through

    def keep_from_time_to_time(self, vault: Vault) -> None:
        """Seal what is concluded where that is many parties more than what is kept."""
        if self._through - self._kept_through >= KEPT_EVERY:
            self.keep(vault)

    def _set(self, party: int, verdict: Verdict) -> None:
        """Remember a verdict; a clear one takes no memory."""
        if verdict is Verdict.ALLOW:
            self._verdicts.pop(party, None)
        else:
            self._verdicts[party] = verdict

    def _advance(self, parties: set[int]) -> None:
        """Note that parties were concluded; those registered side by side come in any order."""
        self._ahead |= {party for party in parties if party > self._through}
        while self._through + 1 in self._ahead:
            self._through += 1
            self._ahead.remove(self._through)

    def _rule(self) -> int:
        """Return 128 bits that name all that a verdict follows from beside the party's name."""
        parts = f"{self.watchlist.digest} {self._thresholds!r} {matching_digest()}"
        return int.from_bytes(hashlib.sha256(parts.encode()).digest()[:16], "little")
