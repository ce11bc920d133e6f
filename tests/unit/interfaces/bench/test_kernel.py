"""The kernel's benchmark measures records that have their effect, not refusals."""

from __future__ import annotations

import pytest

from bezant.interfaces.bench.kernel import BATCH, KernelBench
from bezant.testing.ledgers import ISSUER, small_genesis


@pytest.mark.parametrize("hot_share", [0.0, 1.0])
def test_every_measured_record_has_its_effect(hot_share: float) -> None:
    report = KernelBench(small_genesis(), ISSUER, 50, 1).measure(BATCH, hot_share=hot_share)
    outcomes = report["outcomes"]
    assert isinstance(outcomes, dict)
    assert outcomes.keys() == {"applied", "held"}
    assert sum(outcomes.values()) == report["records"] == BATCH
    assert 0.15 < outcomes["held"] / BATCH < 0.25
