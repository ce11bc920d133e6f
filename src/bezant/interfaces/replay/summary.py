"""What a replay did: counts, value, speed, and, where the file has labels, how good the decisions were."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bezant.model.money import Asset, render_minor
from bezant.model.outcomes import Outcome, Verdict
from bezant.pipeline.intake import Answers
from bezant.pipeline.telemetry import Histogram


@dataclass
class Summary:
    """Counted while replaying; one `add` for each batch."""

    payments: int = 0
    value_minor: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    allowed: int = 0
    reviewed: int = 0
    blocked: int = 0
    flagged_fraud: int = 0
    fraud: int = 0
    labelled: int = 0
    """Payments whose decision is held against a label."""
    flagged_labelled: int = 0
    seconds: float = 0.0
    latency: Histogram = field(default_factory=Histogram)
    approved: int = 0
    complaints: int = 0
    """Payments that were labelled as fraud, a week after they were made or refused."""
    remarks: list[str] = field(default_factory=list)
    _assets: dict[str, Asset] = field(default_factory=dict)

    def add(
        self,
        answers: Answers,
        amounts: npt.NDArray[np.uint64],
        asset: Asset,
        elapsed_ns: int,
        labels: npt.NDArray[np.uint8] | None = None,
        judged: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Count a batch; amounts (n,) minor units, labels (n,) 1 for fraud.

        `judged` (n,) says which decisions count for precision and recall; None means all.
        """
        outcome = answers.outcome
        self.payments += len(outcome)
        self.latency.add(elapsed_ns, len(outcome))
        for code, count in zip(*np.unique(outcome, return_counts=True), strict=True):
            label = Outcome(int(code)).label
            self.outcomes[label] = self.outcomes.get(label, 0) + int(count)
        applied = outcome == Outcome.APPLIED
        # Python integers: a u64 sum over a large file could wrap.
        moved = sum(amounts[applied].tolist())
        self._move(moved, asset)
        verdict = answers.receipts["verdict"]
        flagged = verdict != Verdict.ALLOW
        self.allowed += int(np.count_nonzero(~flagged))
        self.reviewed += int(np.count_nonzero(verdict == Verdict.REVIEW))
        self.blocked += int(np.count_nonzero(verdict == Verdict.BLOCK))
        if labels is not None:
            counts = np.ones(len(labels), np.bool_) if judged is None else judged
            is_fraud, flagged = (labels == 1) & counts, flagged & counts
            self.labelled += int(np.count_nonzero(counts))
            self.fraud += int(np.count_nonzero(is_fraud))
            self.flagged_labelled += int(np.count_nonzero(flagged))
            self.flagged_fraud += int(np.count_nonzero(flagged & is_fraud))

    def refuse(self, code: str) -> None:
        """Count a payment that was refused before it was signed."""
        self.payments += 1
        self.outcomes[code] = self.outcomes.get(code, 0) + 1

    def add_approved(self, amount_minor: int, asset: Asset) -> None:
        """Count a payment that was held for review and then approved."""
        self.approved += 1
        self._move(amount_minor, asset)

    def _move(self, minor: int, asset: Asset) -> None:
        self._assets[asset.code] = asset
        self.value_minor[asset.code] = self.value_minor.get(asset.code, 0) + minor

    @property
    def value(self) -> dict[str, str]:
        """Settled value by asset, as decimals."""
        return {
            code: render_minor(minor, self._assets[code].scale) for code, minor in self.value_minor.items()
        }

    @property
    def per_second(self) -> float:
        return self.payments / self.seconds if self.seconds else 0.0

    @property
    def precision(self) -> float | None:
        """Share of the flagged payments that were fraud; None without labels or flags."""
        return self.flagged_fraud / self.flagged_labelled if self.flagged_labelled else None

    @property
    def recall(self) -> float | None:
        """Share of the fraud that was flagged; None without labelled fraud."""
        return self.flagged_fraud / self.fraud if self.fraud else None

    def as_dict(self) -> dict[str, object]:
        """Return what ``--json`` prints; latencies in milliseconds."""
        return {
            "payments": self.payments,
            "value": self.value,
            "outcomes": dict(sorted(self.outcomes.items())),
            "allow": self.allowed,
            "review": self.reviewed,
            "block": self.blocked,
            "approved_after_review": self.approved,
            "seconds": round(self.seconds, 3),
            "payments_per_second": round(self.per_second, 1),
            "p50_ms": round(self.latency.quantile_ns(0.50) / 1e6, 3),
            "p99_ms": round(self.latency.quantile_ns(0.99) / 1e6, 3),
            "judged": self.labelled,
            "fraud": self.fraud if self.labelled else None,
            "flagged": self.flagged_labelled if self.labelled else None,
            "precision": self.precision,
            "recall": self.recall,
            "complaints": self.complaints,
            "remarks": self.remarks,
        }
