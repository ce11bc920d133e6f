"""Names against the watchlist, when a party registers and when the list changes; a column after that.

What came of it is kept in the vault under everything it follows from (list, thresholds, the code that
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
"""Parties judged, after which what came of it is kept once more: a killed node judges about so many again."""


class Screening:
    """What the list says of each party, by party number. Thread-safe; one thread changes the list."""

    def __init__(self, watchlist: Watchlist, thresholds: Thresholds) -> None:
        self.watchlist = watchlist
        self._thresholds = thresholds
        self._lock = threading.Lock()
        self._settled: Watchlist | None = watchlist
        """The list by which everybody was judged; None while it changes, and where that broke off."""
        self._verdicts: dict[int, Verdict] = {}
        self._through, self._ahead = NOBODY, set[int]()
        """Every party up to the one was judged, and those in the other, which came side by side."""
        self._kept: tuple[int, bytes] = (0, b"")
        self._kept_through = NOBODY

    def judge(self, name: str) -> tuple[Verdict, tuple[Hit, ...]]:
        """Return the verdict on a name and the listed names it resembles."""
        hits = tuple(self.watchlist.match(name))
        return _VERDICTS[self._thresholds.verdict(hits)], hits

    def judge_party(self, party: int, name: str) -> tuple[Verdict, tuple[Hit, ...]]:
        """Judge a party's name by the list there is now, and remember the verdict."""
        with self._lock:
            verdict, hits = self.judge(name)
            if verdict is Verdict.ALLOW:
                # A clear one takes no memory.
                self._verdicts.pop(party, None)
            else:
                self._verdicts[party] = verdict
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
    def changing(self, watchlist: Watchlist) -> Iterator[Watchlist]:
        """Judge by another list from here on; the caller judges again all whom it may concern.

        Yielded are the entries that may concern even somebody whom the old list had nothing on: those that
        changed, and all of them where an earlier change broke off. Nothing is kept meanwhile, nor after an
        error: the next start judges everybody.
        """
        with self._lock:
            settled, self._settled = self._settled, None
            self.watchlist = watchlist
        yield watchlist if settled is None else watchlist.only(watchlist.changes_since(settled).changed)
        with self._lock:
            self._settled = watchlist

    def recall(self, vault: Vault) -> int:
        """Take over what came of judging by the same rule before; return the last party it covers."""
        rule = self._rule()
        try:
            text = vault.read(VaultKind.SCREENING, rule)
        except (NotFound, VaultError):
            return NOBODY
        rows = np.frombuffer(text, _KEPT, offset=8)
        for party, verdict in rows[np.isin(rows["party"], vault.parties)].tolist():
            self._verdicts[party] = Verdict(verdict)
        self._kept = rule, text
        self._through = self._kept_through = int.from_bytes(text[:8], "little")
        return self._through

    def cover(self, party: int) -> None:
        """Take it that all parties up to this one were judged, or have no name and never will."""
        with self._lock:
            self._through = max(self._through, party)
            self._advance(set())

    def keep(self, vault: Vault, *, after: int = 0) -> None:
        """Seal what came of judging so far, unless that is kept already, or fewer than `after` parties came
        since, or not everybody was judged by the list. Raises: StorageError."""
        with self._lock:
            if self._settled is None or self._through - self._kept_through < after:
                return
            rows = np.array(sorted(self._verdicts.items()), np.uint32).reshape(-1, 2)
            # Somebody may have been erased while being judged.
            rows = rows[np.isin(rows[:, 0], vault.parties)]
            kept = self._rule(), self._through.to_bytes(8, "little") + rows.tobytes()
            if kept != self._kept:
                vault.seal_text(VaultKind.SCREENING, kept[0], NOBODY, kept[1])
                vault.sync()
                self._kept, self._kept_through = kept, self._through

    def _advance(self, parties: set[int]) -> None:
        """Note that parties were judged. A registration that failed leaves a gap: what comes behind it is
        kept from the next start on."""
        self._ahead |= {party for party in parties if party > self._through}
        while self._through + 1 in self._ahead:
            self._through += 1
            self._ahead.remove(self._through)

    def _rule(self) -> int:
        """Return 128 bits that name all that a verdict follows from beside the party's name."""
        parts = f"{self.watchlist.digest} {self._thresholds!r} {matching_digest()}"
        return int.from_bytes(hashlib.sha256(parts.encode()).digest()[:16], "little")
