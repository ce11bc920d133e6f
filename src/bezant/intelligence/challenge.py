"""The challenger: it scores what the champion scored, beside the payments' way, and decides nothing."""

from __future__ import annotations

from bezant.intelligence.health import symptoms
from bezant.intelligence.model import Model
from bezant.intelligence.score_log import ScoreLog
from bezant.intelligence.scored import Scored


class Challenge:
    """Keeps what a challenger says beside what the champion said; any thread may change the challenger."""

    def __init__(self, log: ScoreLog) -> None:
        self._log = log
        self.challenger: Model | None = None
        self.scored = 0
        """Payments that a challenger scored."""
        self.nonsense = 0
        """Payments for which its answers were of no use, and were not kept."""

    def look(self, seen: Scored) -> None:
        """Score what a champion scored; where rules did there is nothing to compare with."""
        challenger = self.challenger
        if challenger is None or not any(seen.model) or challenger.name == seen.model:
            return
        margin, score_ppm = challenger.examine(seen.x)
        if symptoms(seen.x, margin, score_ppm):
            self.nonsense += len(seen.x)
            return
        self.scored += len(seen.x)
        self._log.append(seen.id_lo, seen.id_hi, seen.model, challenger.digest, seen.score_ppm, score_ppm)
