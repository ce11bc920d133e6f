"""The one protocol of the pipeline: a named, versioned callable from batch to batch.

A stage declares which columns it reads and writes, how long it may take, and what happens
instead when it fails or takes longer. The conformance suite holds it to that.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from bezant.pipeline.batch import PaymentBatch


class Stage(Protocol):
    """One step of the flow."""

    name: str
    """What it is in the flow, e.g. ``score``."""
    version: str
    """Which implementation, e.g. ``lightgbm-1``."""
    reads: frozenset[str]
    writes: frozenset[str]
    has_fallback: bool
    """Whether it offers `fall_back`. One that does not is never skipped for being slow, and the
    batch is refused whole when it fails."""
    budget_us: float
    """Time it may take for one payment, microseconds, beside `budget_base_us` for a batch."""
    budget_base_us: float

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        """Return the batch with this stage's columns filled."""


@runtime_checkable
class Fallback(Protocol):
    """What a stage with `has_fallback` also offers."""

    def fall_back(self, batch: PaymentBatch) -> PaymentBatch:
        """Do the safe thing instead; must not fail."""
