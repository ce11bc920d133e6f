"""Names against the watchlist, when a party registers and when the list changes; a column after that.

What was concluded is kept in the vault under everything it follows from (list, thresholds, the code that
compares names), so that a node with a million parties need not match them all again to start.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from bezant.errors import NotFound, VaultError
from bezant.intelligence.watchlist import Hit, Thresholds, Watchlist, matching_digest
from bezant.model.outcomes import Verdict
from bezant.stages.resources import NOBODY
from bezant.vault import Vault, VaultKind

_VERDICTS = {"clear": Verdict.ALLOW, "review": Verdict.REVIEW, "block": Verdict.BLOCK}
_KEPT = np.dtype([("party", "<u4"), ("verdict", "<u4")])


class Screening:
    """What the list says of each party, by party number."""

    def __init__(self, watchlist: Watchlist, thresholds: Thresholds) -> None:
        self.watchlist = watchlist
        self._thresholds = thresholds
        self._verdicts: dict[int, Verdict] = {}
        self._kept = b""

    def judge(self, name: str) -> tuple[Verdict, tuple[Hit, ...]]:
        """Return the verdict on a name and the listed names it resembles."""
        hits = tuple(self.watchlist.match(name))
        return _VERDICTS[self._thresholds.verdict(hits)], hits

    def set(self, party: int, verdict: Verdict) -> None:
        """Remember a verdict; a clear one takes no memory."""
        if verdict is Verdict.ALLOW:
            self._verdicts.pop(party, None)
        else:
            self._verdicts[party] = verdict

    def of(self, party: int) -> Verdict:
        return self._verdicts.get(party, Verdict.ALLOW)

    def verdicts(self, parties: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
        """Return the verdict of each party, (n,)."""
        out = np.full(len(parties), Verdict.ALLOW, np.uint8)
        listed = np.array(sorted(self._verdicts), np.uint32)
        for row in np.flatnonzero(np.isin(parties, listed)).tolist():
            out[row] = self._verdicts[int(parties[row])]
        return out

    def forget(self, party: int) -> None:
        self._verdicts.pop(party, None)

    def recall(self, vault: Vault) -> int:
        """Take over what was concluded before by the same rule; return the last party it covers."""
        try:
            self._kept = vault.read(VaultKind.SCREENING, self._rule())
        except (NotFound, VaultError):
            return NOBODY
        rows = np.frombuffer(self._kept, _KEPT, offset=8)
        for party, verdict in rows[np.isin(rows["party"], vault.parties)].tolist():
            self._verdicts[party] = Verdict(verdict)
        return int.from_bytes(self._kept[:8], "little")

    def keep(self, vault: Vault) -> None:
        """Seal what is concluded of all parties there are, unless that is kept already."""
        rows = np.array(sorted(self._verdicts.items()), np.uint32).reshape(-1, 2)
        text = int(vault.parties[-1]).to_bytes(8, "little") + rows.tobytes()
        if text != self._kept:
            vault.seal_text(VaultKind.SCREENING, self._rule(), NOBODY, text)
            vault.sync()
            self._kept = text

    def _rule(self) -> int:
        """Return 128 bits that name all that a verdict follows from beside the party's name."""
        parts = f"{self.watchlist.digest} {self._thresholds!r} {matching_digest()}"
        return int.from_bytes(hashlib.sha256(parts.encode()).digest()[:16], "little")
