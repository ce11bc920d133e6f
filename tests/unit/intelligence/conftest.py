"""One small trained model and its newest payments, shared by the tests of this folder."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from bezant.economy import World, join_traffic
from bezant.economy.training import START_NS, history_of, train_on_economy
from bezant.intelligence.features import FloatMatrix
from bezant.intelligence.history import replay_features
from bezant.intelligence.model import Model


class Judged(NamedTuple):
    """Features and labels of another world than the model's, after its first weeks."""

    x: FloatMatrix
    label: np.ndarray


@pytest.fixture(scope="session")
def model() -> Model:
    return train_on_economy(5, payments=30_000, attackers=False)


@pytest.fixture(scope="session")
def judged() -> Judged:
    traffic = join_traffic(World(99, 300, 30, 9).traffic(START_NS, count=30_000))
    x = replay_features(history_of(traffic), lambda step, share: None)
    return Judged(x[15_000:], traffic.label[15_000:])
