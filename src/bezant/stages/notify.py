"""Tell whoever waits, once it is durable."""

from __future__ import annotations

from typing import ClassVar

from bezant.pipeline.batch import PaymentBatch
from bezant.stages.resources import Resources


class Notify:
    """Hands the batch over; answers go out when the engine says its block is durable.

    Without a fallback, so that it never rests: whoever waits would wait for ever. The store and its
    outbox follow the blocks by themselves. Whoever observes gets the batch last, and nobody waits for that.
    """

    name: ClassVar = "notify"
    version: ClassVar = "1"
    reads: ClassVar = frozenset({"refused", "first_outcome", "ordered", "block"})
    writes: ClassVar = frozenset[str]()
    has_fallback: ClassVar = False
    budget_us: ClassVar = 50.0
    budget_base_us: ClassVar = 20_000.0

    def __init__(self, resources: Resources) -> None:
        self._announce, self._observe = resources.announce, resources.observe

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        self._announce(batch)
        self._observe(batch)
        return batch
