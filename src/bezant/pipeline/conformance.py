"""What any stage must do, whoever wrote it: run this before it sees a real payment.

======================  ==================================================================
declaration             a name of the flow, a version, known columns, positive budgets, and
                        a fallback exactly where one is declared
columns                 reads what it declares, changes only what it declares; what came in
                        (records, signatures, texts) is nobody's to change
rows                    a batch of 0, 1 or 1,000 keeps its rows, each column its length
refusals                a refused payment stays refused, never with a higher code
repetition              the same batch gives the same columns
fallback                all of this too, and its answer never opens the gate
======================  ==================================================================

A node checks the declaration alone before it takes a stage in: running a candidate beside live
payments could have effects, so the whole suite belongs in the tests of whoever writes a stage.
Effects cannot be judged from columns: a stage with effects (settle, notify) is checked with
``repeatable=False`` and needs tests of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from dataclasses import fields, is_dataclass
from typing import Any, Final, NoReturn

import numpy as np

from bezant.errors import ConfigError
from bezant.model.outcomes import Outcome, Verdict
from bezant.pipeline.batch import COLUMNS, PENDING, PaymentBatch
from bezant.pipeline.flow import STAGES
from bezant.pipeline.stage import Fallback, Stage

SIZES: Final = (0, 1, 1_000)
INPUTS: Final = frozenset({"records", "authorisations", "payloads"})
"""Columns that come in with the batch."""
CONTEXT: Final = frozenset({"received_ns", "sizes", "moves", "generation", "stages", "fallback"})
"""What the flow notes of a batch: free to read, the flow's own to write."""
PER_ROW: Final = frozenset(
    {
        "record_hashes",
        "refused",
        "first_outcome",
        "debtor_row",
        "creditor_row",
        "screening",
        "device",
        "terminal",
        "features",
        "score_ppm",
        "reasons",
        "decisions",
        "evidence",
    }
)

MakeBatch = Callable[[int], PaymentBatch]
"""Returns a fresh batch of a size, as it stands in front of the stage."""
Run = Callable[[PaymentBatch], PaymentBatch]


def check_stage(
    stage: Stage, make_batch: MakeBatch, *, repeatable: bool = True, salted: Collection[str] = ()
) -> None:
    """Hold a stage to the protocol.

    `salted` names columns that hold fresh randomness by design; of those only the length is compared
    between two runs. Raises: ConfigError code ``stage_unfit`` that says which rule was broken.
    """
    check_declaration(stage)
    runs: list[tuple[str, Run]] = [("the stage", stage)]
    if isinstance(stage, Fallback):
        runs.append(("its fallback", stage.fall_back))
    for what, run in runs:
        for size in SIZES:
            _check_run(stage, f"{what} on {size:,} payments", run, make_batch(size))
            refused = make_batch(size)
            refused.refused[::3] = Outcome.EXPIRED
            _check_run(stage, f"{what} on {size:,} payments, a third of them refused", run, refused)
            if repeatable:
                _check_repeats(stage, f"{what} on {size:,} payments", run, make_batch(size), salted)
    if isinstance(stage, Fallback):
        _check_safe(stage, stage.fall_back(make_batch(SIZES[-1])))


def check_declaration(stage: Stage) -> None:
    """Check what a stage says of itself, without running it. Raises: ConfigError ``stage_unfit``."""
    if stage.name not in STAGES:
        _unfit(stage, f"its name is not one of {', '.join(STAGES)}")
    if not stage.version:
        _unfit(stage, "it has no version")
    unknown = (stage.reads | stage.writes) - set(COLUMNS)
    if unknown:
        _unfit(stage, f"it declares columns that do not exist: {sorted(unknown)}")
    taken = stage.writes & (INPUTS | CONTEXT)
    if taken:
        _unfit(stage, f"it declares to write what is not a stage's to write: {sorted(taken)}")
    if stage.budget_us <= 0 or stage.budget_base_us <= 0:
        _unfit(stage, "its budgets must be positive")
    if stage.has_fallback != isinstance(stage, Fallback):
        _unfit(stage, "it declares has_fallback and has no fall_back, or the other way round")


def _check_run(stage: Stage, what: str, run: Run, batch: PaymentBatch) -> None:
    before, size = _snapshot(batch), len(batch)
    watched = _watch(batch)
    try:
        after = run(watched)
    except Exception as error:
        raise ConfigError(f"{_title(stage)}: {what} raised {error!r}", code="stage_unfit") from error
    undeclared = watched.seen - stage.reads - stage.writes - CONTEXT
    if len(after) != size:
        _unfit(stage, f"{what} returned {len(after)} payments")
    if undeclared:
        _unfit(stage, f"{what} reads columns it does not declare: {sorted(undeclared)}")
    now = _snapshot(after)
    for name in COLUMNS:
        if name not in stage.writes and not _equal(before[name], now[name]):
            _unfit(stage, f"{what} changed {name!r}, which it does not declare to write")
        if name in PER_ROW & stage.writes and len(now[name]) != size:
            _unfit(stage, f"{what} left {len(now[name])} rows in {name!r}")
    was, is_now = before["refused"], now["refused"]
    if len(was) == len(is_now) and (is_now[was != PENDING] > was[was != PENDING]).any():
        _unfit(stage, f"{what} took a refusal back, or put a higher code in its place")


def _check_repeats(stage: Stage, what: str, run: Run, batch: PaymentBatch, salted: Collection[str]) -> None:
    first, second = (_snapshot(run(_twin(batch))) for _ in range(2))
    for name in stage.writes:
        one, other = first[name], second[name]
        if not (len(one) == len(other) if name in salted else _equal(one, other)):
            _unfit(stage, f"{what} gave other values in {name!r} the second time")


def _check_safe(stage: Stage, batch: PaymentBatch) -> None:
    """What a fallback decides is at least as strict as sending everything to a person."""
    pays = batch.pays
    if "screening" in stage.writes and (batch.screening[pays] < Verdict.REVIEW).any():
        _unfit(stage, "its fallback lets parties through unscreened")
    if "decisions" in stage.writes and (batch.decisions["verdict"][pays] < Verdict.REVIEW).any():
        _unfit(stage, "its fallback allows payments")
    if "score_ppm" in stage.writes and (batch.score_ppm > 1_000_000).any():
        _unfit(stage, "its fallback gives scores above 1,000,000")


class _Watched(PaymentBatch):
    """A batch that notes which of its columns are looked at."""

    seen: set[str]

    def __getattribute__(self, name: str) -> Any:
        if name in _NAMES:
            object.__getattribute__(self, "seen").add(name)
        return object.__getattribute__(self, name)

    def __len__(self) -> int:
        # How many payments there are is no column.
        return len(object.__getattribute__(self, "records"))


_NAMES: Final = frozenset(COLUMNS)


def _watch(batch: PaymentBatch) -> _Watched:
    watched = object.__new__(_Watched)
    watched.seen = set()
    for name in COLUMNS:
        setattr(watched, name, getattr(batch, name))
    return watched


def _twin(batch: PaymentBatch) -> PaymentBatch:
    """Return a batch with columns of its own."""
    twin = copy.copy(batch)
    for name, value in _snapshot(batch).items():
        setattr(twin, name, value)
    return twin


def _snapshot(batch: PaymentBatch) -> dict[str, Any]:
    """Return every column, arrays and lists copied; anything else is immutable."""
    columns = {name: object.__getattribute__(batch, name) for name in COLUMNS}
    return {name: copy.copy(v) if isinstance(v, np.ndarray | list) else v for name, v in columns.items()}


def _equal(before: Any, after: Any) -> bool:
    if isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
        return before.shape == after.shape and before.tobytes() == after.tobytes()
    if before is after or type(before) is not type(after):
        return before is after
    if is_dataclass(before):
        return all(_equal(getattr(before, one.name), getattr(after, one.name)) for one in fields(before))
    return bool(before == after)


def _title(stage: Stage) -> str:
    return f"stage {stage.name} {stage.version}"


def _unfit(stage: Stage, why: str) -> NoReturn:
    raise ConfigError(f"{_title(stage)}: {why}", code="stage_unfit")
