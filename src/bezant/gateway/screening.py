"""Names against the watchlist, when a party registers and when the list changes; a column after that."""

from __future__ import annotations

from bezant.intelligence.watchlist import Hit, Thresholds, Watchlist
from bezant.model.outcomes import Verdict

_VERDICTS = {"clear": Verdict.ALLOW, "review": Verdict.REVIEW, "block": Verdict.BLOCK}


class Screening:
    """What the list says of each party, by party number."""

    def __init__(self, watchlist: Watchlist, thresholds: Thresholds) -> None:
        self.watchlist = watchlist
        self._thresholds = thresholds
        self._verdicts: dict[int, Verdict] = {}

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

    def forget(self, party: int) -> None:
        self._verdicts.pop(party, None)
