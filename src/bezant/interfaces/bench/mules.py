"""Mules among accounts, on a file of transfers of which some accounts are labelled.

The protocol: labelled accounts are split by a hash of their name, 70 % to learn from and 30 % to be
measured on; every feature, size and weight was chosen by cross-validation among the former of the
first split. Further splits, by other hashes, say how much of a figure is luck. Balances at the start
(`init_balance`) stand in the file for labelled accounts only, so a model that used them could not
score the others: they are not read, nor is `fraudStep`, which is part of the label.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bezant.errors import DecodeError, InputError
from bezant.intelligence import metrics
from bezant.intelligence.features import FloatMatrix
from bezant.intelligence.history import History
from bezant.intelligence.mules import UNKNOWN, Labels, MuleScores, score_accounts
from bezant.intelligence.profiles import Links, profile_accounts
from bezant.interfaces.bench.machine import describe_machine
from bezant.interfaces.files.cards import CardFile
from bezant.interfaces.files.columns import read_keys, read_labels

TEST_PERCENT = 30
PROTOCOL = (
    "70 % of the labelled accounts, by a hash of their names, to learn from, 30 % to test; everything was "
    "chosen by cross-validation among the former of the first split, and its test accounts looked at last"
)
DATA_NOTE = "simulated data (AMLSim): good figures are necessary, not sufficient"

Note = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Accounts:
    """Everybody in the files, as rows; `name` (accounts,), `label` (accounts,)."""

    name: list[str]
    label: Labels
    profile: FloatMatrix
    links: Links


def run_mules_bench(
    folder: Path, *, seed: int, splits: int, scores: Path | None, note: Note
) -> dict[str, Any]:
    """Measure on the files of a folder and return the report, ready for JSON; see the module.

    Writes every account's score to `scores`, a CSV, if given. Raises: InputError for missing files.
    """
    accounts = read_accounts(folder, note)
    known = accounts.label != UNKNOWN
    measured = [_measure(accounts, seed, split, note) for split in range(splits)]
    report: dict[str, Any] = {
        "data": DATA_NOTE,
        "machine": describe_machine(),
        "seed": seed,
        "accounts": len(accounts.name),
        "labelled": int(known.sum()),
        "labelled_mules": int((accounts.label == 1).sum()),
        "protocol": PROTOCOL,
        "first_split": measured[0],
        "splits": {
            figure: _spread([one["test"][figure] for one in measured])
            for figure in ("area_under_roc", "average_precision", "own_behaviour_average_precision")
        },
    }
    if scores is not None:
        found = score_accounts(
            accounts.profile,
            accounts.links,
            accounts.label,
            seed,
            lambda step, share: note(f"all accounts: {step}", share),
        )
        _write(scores, accounts, found)
        report["scores"] = str(scores)
    return report


def read_accounts(folder: Path, note: Note) -> Accounts:
    """Return the accounts of the one transfer file and the one label file in a folder.

    Raises: InputError, DecodeError where a file is missing or cannot be read.
    """
    transfers = CardFile(_only(folder, "*_transactions.parquet"), "amlsim", sort=True)
    batches = list(transfers)
    labelled, label = _read_labels(_only(folder, "*_accounts_labelled.parquet"))
    rows: dict[str, int] = {}
    for name in (*transfers.debtors.keys, *transfers.creditors.keys, *labelled):
        rows.setdefault(name, len(rows))
    debtor_row = np.array([rows[name] for name in transfers.debtors.keys], np.int64)
    creditor_row = np.array([rows[name] for name in transfers.creditors.keys], np.int64)
    history = History(
        debtor_row[np.concatenate([batch.debtor for batch in batches])],
        creditor_row[np.concatenate([batch.creditor for batch in batches])],
        np.concatenate([batch.amount_minor for batch in batches]),
        np.concatenate([batch.time_ns for batch in batches]),
        np.zeros(sum(len(batch) for batch in batches), np.uint8),
    )
    labels = np.full(len(rows), UNKNOWN, np.int8)
    labels[[rows[name] for name in labelled]] = label
    profile = profile_accounts(history, len(rows), note)
    return Accounts(list(rows), labels, profile, Links.of(history, len(rows)))


def split_accounts(name: list[str], split: int) -> npt.NDArray[np.bool_]:
    """Return (accounts,) which are tested in a split: where a hash of name and split ends below 30 of 100.

    The hash is SplitMix64's (Steele, Lea, Flood 2014).
    """
    numbers = [int(text) if text.isdecimal() else int.from_bytes(text.encode(), "big") for text in name]
    x = np.array([number % 2**64 for number in numbers], np.uint64) + np.uint64(split << 32)
    x += np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x ^ (x >> np.uint64(31))) % np.uint64(100) < np.uint64(TEST_PERCENT)


def _measure(accounts: Accounts, seed: int, split: int, note: Note) -> dict[str, Any]:
    """Learn without the labels of the tested, then compare: within those learned from, and the tested."""
    tested = split_accounts(accounts.name, split)
    label = np.where(tested, np.int8(UNKNOWN), accounts.label)

    def progress(step: str, share: float) -> None:
        note(f"split {split + 1}: {step}", share)

    found = score_accounts(accounts.profile, accounts.links, label, seed, progress)
    return {
        "cross_validation": _figures(accounts.label, found, label != UNKNOWN),
        "test": _figures(accounts.label, found, tested & (accounts.label != UNKNOWN)),
    }


def _figures(label: Labels, found: MuleScores, rows: npt.NDArray[np.bool_]) -> dict[str, float | int]:
    truth, score = label[rows], found.probability[rows]
    first = np.argsort(-score, kind="stable")[: max(int(truth.sum()), 1)]
    return {
        "accounts": int(rows.sum()),
        "mules": int(truth.sum()),
        "expected_mules": round(float(score.sum()), 1),
        "area_under_roc": round(metrics.area_under_roc(truth, score), 4),
        "average_precision": round(metrics.average_precision(truth, score), 4),
        "precision_among_as_many": round(float(truth[first].mean()), 4),
        "brier": round(float(((score - truth) ** 2).mean()), 4),
        "own_behaviour_area_under_roc": round(metrics.area_under_roc(truth, found.own[rows]), 4),
        "own_behaviour_average_precision": round(metrics.average_precision(truth, found.own[rows]), 4),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "mean": round(float(np.mean(values)), 4),
        "standard_deviation": round(float(np.std(values)), 4),
        "least": min(values),
        "most": max(values),
    }


def _write(path: Path, accounts: Accounts, found: MuleScores) -> None:
    """Write account, score and how it was made; never that of a model that had seen the account's label."""
    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("account", "probability", "scored_by"))
            for name, score, label in zip(accounts.name, found.probability, accounts.label, strict=True):
                how = "all_labels" if label == UNKNOWN else "other_folds"
                writer.writerow((name, f"{score:.6f}", how))
    except OSError as problem:
        raise InputError(f"{path} cannot be written: {problem.strerror}", param="scores") from problem


def _read_labels(path: Path) -> tuple[list[str], npt.NDArray[np.int8]]:
    """Return names and labels of the labelled accounts; nothing else is read of them."""
    try:
        frame = pl.read_parquet(path, columns=["nodeid", "isFraud"])
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as problem:
        raise DecodeError(f"{path} cannot be read: {str(problem).partition(chr(10))[0]}") from problem
    names = read_keys(frame["nodeid"], 1).cast(pl.String).to_list()
    if len(set(names)) != len(names):
        raise DecodeError(f"{path} labels an account twice", param="nodeid")
    return names, read_labels(frame["isFraud"], 1).astype(np.int8)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise InputError(
            f"{folder} holds {len(found) or 'no'} files like {pattern}; name a folder with one of each",
            code="file_unreadable",
            param="data",
        )
    return found[0]
