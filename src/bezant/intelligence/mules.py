"""Which accounts are mules: a model of accounts, from their own history and the company they keep.

Two models, one after the other. The first knows only how an account itself behaved (`profiles`). Its
scores, and where there is one the label, say how suspicious each account is; the second sees an
account's own profile and how suspicious those are who pay it, whom it pays, and who shares its
payers and payees. Somebody who has done nothing odd yet is seen by that.
There is no third: what the second says of an account already knows its neighbours' labels, so that a
model fed with it would be told, in training only, the very label it is to guess.

A label never says anything of its own account: its surroundings are sums over others, and where a
path of two steps leads back to the account itself, its own part is taken out. Labelled accounts are
scored by models that were not trained on them (five folds), all others by the model of all labels.

A payee of thousands is next to every mule and says little of any: each neighbour's suspicion counts
less the more neighbours it has itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bezant.errors import ModelError
from bezant.intelligence.calibration import fit_calibration
from bezant.intelligence.features import FloatMatrix
from bezant.intelligence.history import Progress
from bezant.intelligence.profiles import Links

if TYPE_CHECKING:
    import lightgbm

FOLDS = 5
OWN_TREES, TREES = 200, 250
LEAVES = 15
LEAST_MULES = 25
"""Fewer labelled mules than these teach nothing that could be measured."""
UNKNOWN = -1

COMPANY: tuple[str, ...] = (
    *(f"payers_{how}" for how in ("light", "lighter", "mean", "most", "two_steps")),
    *(f"payees_{how}" for how in ("light", "lighter", "mean", "most", "two_steps")),
    *(f"{who}_{how}" for who in ("sharing_payees", "sharing_payers") for how in ("light", "lighter")),
    "neighbours_light",
    "neighbours_lighter",
    *(f"{who}_{what}" for who in ("payers", "payees") for what in ("count", "mean_fan_in", "mean_fan_out")),
)  # fmt: skip
"""What `company` measures, in its order."""

FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]
"""(accounts,): 1 a mule, 0 none, UNKNOWN."""


@dataclass(frozen=True, slots=True)
class MuleScores:
    """How likely each account is a mule.

    `probability` (accounts,), calibrated: of labelled accounts by models that were not trained on them;
    `own` (accounts,): the same by the first model, from an account's own behaviour alone.
    """

    probability: FloatArray
    own: FloatArray


def score_accounts(
    profile: FloatMatrix,
    links: Links,
    label: Labels,
    seed: int,
    progress: Progress = lambda step, share: None,
) -> MuleScores:
    """Return the scores of every account from `profile` (accounts, MEASURES), its links and some labels.

    The same input and seed give the same scores. Raises: ModelError for too few labels of either kind.
    """
    known = label != UNKNOWN
    mules = int((label == 1).sum())
    if mules < LEAST_MULES or int(known.sum()) - mules < LEAST_MULES:
        raise ModelError(
            f"{mules} mules among {int(known.sum())} labelled accounts are too few to learn from",
            code="too_few_labels",
        )
    fold = np.random.default_rng(seed).integers(0, FOLDS, label.size)
    own = _probability(
        _margins(profile, label, fold, OWN_TREES, seed, lambda share: progress("own behaviour", share)), label
    )
    suspicion = np.where(known, label == 1, own)
    around = company(links, suspicion, mules / int(known.sum()))
    x = np.hstack([profile, own[:, None].astype(np.float32), around])
    margin = _margins(x, label, fold, TREES, seed + 1, lambda share: progress("company", share))
    return MuleScores(_probability(margin, label), own)


def company(links: Links, suspicion: FloatArray, usual: float) -> FloatMatrix:
    """Return (accounts, COMPANY): what the accounts around each one are suspected of, beyond what is usual.

    `suspicion` (accounts,) from 0 to 1; an account's own has no part in its row.
    """
    back = links.turned()
    excess = suspicion - usual
    ones = np.ones(links.accounts)
    fan_in, fan_out = links.over_payers(ones), links.over_payees(ones)
    neighbours = np.maximum(fan_in + fan_out, 1.0)
    light, lighter = excess / np.sqrt(neighbours), excess / neighbours
    columns = [
        column for side in (links, back) for column in _one_side(side, suspicion, excess, light, lighter)
    ]
    columns += [column for side in (links, back) for column in _sharing(side, excess)]
    columns += [links.over_payers(weight) + links.over_payees(weight) for weight in (light, lighter)]
    for side in (links, back):
        count = np.maximum(side.over_payers(ones), 1.0)
        columns += [
            side.over_payers(ones),
            side.over_payers(fan_in) / count,
            side.over_payers(fan_out) / count,
        ]
    return np.column_stack(columns).astype(np.float32)


def _one_side(
    links: Links, suspicion: FloatArray, excess: FloatArray, light: FloatArray, lighter: FloatArray
) -> list[FloatArray]:
    """Return what is to be said of each account's payers, and of theirs."""
    count = np.maximum(links.over_payers(np.ones(links.accounts)), 1.0)
    most = np.zeros(links.accounts)
    np.maximum.at(most, links.creditor, suspicion[links.debtor])
    mean = links.over_payers(excess) / count
    # Where two pay each other the second step leads home.
    home = excess * links.mutual().over_payers(1.0 / count)
    two_steps = links.over_payers(mean) - home
    return [links.over_payers(light), links.over_payers(lighter), mean, most, two_steps]


def _sharing(links: Links, excess: FloatArray) -> list[FloatArray]:
    """Return what is to be said of those who pay the same as each account does, without itself."""
    payers = links.over_payers(np.ones(links.accounts))
    others = np.maximum(payers - 1.0, 1.0)
    found = []
    for weight in (1.0 / np.sqrt(others), 1.0 / others):
        all_payers = links.over_payees(links.over_payers(excess) * weight)
        found.append(all_payers - excess * links.over_payees(weight))
    return found


def _margins(
    x: FloatMatrix,
    label: Labels,
    fold: npt.NDArray[np.int64],
    trees: int,
    seed: int,
    progress: Callable[[float], None],
) -> FloatArray:
    """Return (accounts,) log odds: of the labelled by models of other folds, of the rest by one of all."""
    known = label != UNKNOWN
    margin = np.empty(label.size)
    for number in range(FOLDS):
        learned, judged = known & (fold != number), known & (fold == number)
        margin[judged] = _grow(x[learned], label[learned], trees, seed).predict(x[judged], raw_score=True)
        progress((number + 1) / (FOLDS + 1))
    if not known.all():
        margin[~known] = _grow(x[known], label[known], trees, seed).predict(x[~known], raw_score=True)
    progress(1.0)
    return margin


def _grow(x: FloatMatrix, label: Labels, trees: int, seed: int) -> lightgbm.Booster:
    """Return a forest; one thread, so that sums have one order."""
    import lightgbm  # Takes 0.7 s to import, and only training needs it.

    parameters = {
        "objective": "binary",
        "num_leaves": LEAVES,
        "learning_rate": 0.04,
        "min_data_in_leaf": 20,
        "lambda_l2": 1.0,
        "feature_fraction": 0.4,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "use_missing": False,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "verbosity": -1,
    }
    return lightgbm.train(parameters, lightgbm.Dataset(x, label), trees)


def _probability(margin: FloatArray, label: Labels) -> FloatArray:
    """Return margins as probabilities, calibrated on the labelled, whose margins are out of fold."""
    known = label != UNKNOWN
    slope, intercept = fit_calibration(margin[known], label[known].astype(np.uint8))
    return 1.0 / (1.0 + np.exp(-(slope * margin + intercept)))
