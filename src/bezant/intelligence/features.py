"""Streaming features: one definition for training and serving.

`compute` looks, `learn` remembers a payment, `label` remembers that one was fraud. All run the same compiled
kernels (`aspects`), so what a model saw in training is what it sees when it serves. Everything here
is approximate by nature and above the determinism line; on one build it is reproducible bit for bit.

What each feature says stands in the module of its aspect: `windows`, `habits`, `places`,
`instruments`, `graph`.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.errors import InputError
from bezant.intelligence import aspects
from bezant.intelligence.aspects import BYTES_PER_ACCOUNT, FEATURES, Bounded, ByAccount, Labels, Payments
from bezant.intelligence.slots import slots_for

__all__ = ["BYTES_PER_ACCOUNT", "COLUMN", "FEATURES", "FeatureState", "FloatMatrix"]

FloatMatrix = npt.NDArray[np.float32]
"""Features, shape (n, F), C-contiguous."""

COLUMN: dict[str, int] = {name: position for position, name in enumerate(FEATURES)}
"""The column of each feature in X."""

GROWTH_SHARE = 48
"""Grows by one 48th, so that little room stands empty."""
DEFAULT_PAIRS = 1 << 18
DEFAULT_PLACES = 1 << 14
DEFAULT_INSTRUMENTS = 1 << 17
DEFAULT_LABELS = 1 << 16
LAYOUT = 3
"""Version of the state's layout, checked when a snapshot is loaded."""

_UNITS = np.array([10.0**scale for scale in range(20)])
_BLANK = aspects.new_accounts(1)
_NONE = np.zeros(0, np.uint64)


class FeatureState:
    """What is remembered about accounts, pairs, places and instruments; rows are the ledger's account rows.

    Accounts take BYTES_PER_ACCOUNT (296) each and grow with the highest row seen. The other tables are
    bounded: `pairs`, `places`, `instruments` and `labels` slots, each rounded up to a power of two.
    Methods may be called from any thread; they take turns. One thread at a time learns.

    Looking at a batch leaves the traces that learning it would leave, and remembers how to undo them.
    Mostly the very same payments are learned next, and then nothing is left to do; whatever else is
    asked for instead begins by stepping back.
    """

    def __init__(
        self,
        accounts: int = 1024,
        pairs: int = DEFAULT_PAIRS,
        places: int = DEFAULT_PLACES,
        instruments: int = DEFAULT_INSTRUMENTS,
        labels: int = DEFAULT_LABELS,
    ) -> None:
        self._accounts = aspects.new_accounts(accounts)
        sizes = (pairs, places, instruments, labels)
        self._tables = aspects.new_tables(*(slots_for(size) for size in sizes))
        self._ahead: Payments | None = None
        self._room = 0
        self._traces = aspects.new_traces(0)
        self._scratch = aspects.new_traces(1)
        self._turn = Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that accounts and tables occupy now."""
        return self.account_nbytes + sum(array.nbytes for array in self._tables)

    @property
    def account_nbytes(self) -> int:
        """Bytes that accounts alone occupy, empty room included."""
        return sum(array.nbytes for array in self._accounts)

    def compute(
        self,
        debtor: npt.ArrayLike,
        creditor: npt.ArrayLike,
        amount_minor: npt.ArrayLike,
        time_ns: npt.ArrayLike,
        scale: npt.ArrayLike = 2,
        *,
        device: npt.ArrayLike | None = None,
        terminal: npt.ArrayLike | None = None,
    ) -> FloatMatrix:
        """Return X (n, F) float32; each row also sees the rows before it, as if they had settled.

        Inputs are (n,) account rows, minor units, nanoseconds since 1970; `scale` is the decimals of
        the asset, one for all or (n,). A row of -1 or NO_ROW is an account that does not exist yet.
        `device` and `terminal` are 64-bit keys, 0 where a payment names none. The remembered state is
        the same afterwards. Raises: InputError for columns of unequal length.
        """
        payments = _columns(debtor, creditor, amount_minor, time_ns, scale, device, terminal)
        count = payments.debtor.size
        x = np.empty((count, len(FEATURES)), np.float32)
        with self._turn:
            self._step_back()
            self._reserve(payments)
            if self._room < count:
                self._traces, self._room = aspects.new_traces(count), count
            aspects.look(self._accounts, self._tables, payments, _BLANK, self._traces, x)
            self._ahead = payments
        return x

    def learn(
        self,
        debtor: npt.ArrayLike,
        creditor: npt.ArrayLike,
        amount_minor: npt.ArrayLike,
        time_ns: npt.ArrayLike,
        settled: npt.NDArray[np.bool_] | None = None,
        scale: npt.ArrayLike = 2,
        *,
        device: npt.ArrayLike | None = None,
        terminal: npt.ArrayLike | None = None,
    ) -> None:
        """Remember payments in the order given, those that `settled` (n,) marks (None: all).

        Raises: InputError for columns of unequal length.
        """
        payments = _columns(debtor, creditor, amount_minor, time_ns, scale, device, terminal)
        shape = payments.debtor.shape
        mask = np.ones(shape, np.bool_) if settled is None else np.asarray(settled, np.bool_)
        if mask.shape != shape:
            raise InputError(f"settled has shape {mask.shape}, the payments {shape}", param="settled")
        with self._turn:
            if self._ahead is not None and mask.all() and _alike(payments, self._ahead):
                self._ahead = None
                return
            self._step_back()
            self._reserve(payments)
            aspects.learn(self._accounts, self._tables, payments, mask, self._scratch)

    def label(
        self,
        debtor: npt.ArrayLike,
        creditor: npt.ArrayLike,
        paid_ns: npt.ArrayLike,
        known_ns: npt.ArrayLike,
        *,
        terminal: npt.ArrayLike | None = None,
        payment: npt.ArrayLike | None = None,
        fraud: npt.ArrayLike = True,
        refused: npt.ArrayLike = False,
    ) -> None:
        """Remember what payments turned out to be: made at `paid_ns`, known at `known_ns`, all (n,).

        `fraud` is one for all or (n,): False takes back what the same payment was called before. `payment`
        are 64 bits of ids, so that one said twice counts once; 0, or none given, is always another payment.
        `refused`, one for all or (n,), marks those that were tried and never learned as payments.
        In the order in which they became known, between the payments before and after that. What is not
        labelled within a week counts as honest by itself. Raises: InputError for columns of unequal length.
        """
        rows = np.asarray(debtor).astype(np.int64)
        is_fraud, was_refused = (
            np.broadcast_to(np.asarray(given, np.bool_), rows.shape).copy() for given in (fraud, refused)
        )
        said = Labels(
            rows,
            np.asarray(creditor).astype(np.int64),
            _keys(terminal, rows.size),
            _keys(payment, rows.size),
            is_fraud,
            was_refused,
            np.asarray(paid_ns).astype(np.int64),
            np.asarray(known_ns).astype(np.int64),
        )
        _check_alike(said)
        with self._turn:
            self._step_back()
            self._reserve(said)
            aspects.label(self._accounts, self._tables, said)

    def dump(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return copies of all state, for a snapshot."""
        with self._turn:
            self._step_back()
            copies: dict[str, npt.NDArray[np.generic]] = {k: v.copy() for k, v in self._arrays().items()}
        copies["layout"] = np.array([LAYOUT], np.int64)
        return copies

    @classmethod
    def load(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> FeatureState:
        """Return the state of a dump; raises InputError for another layout or shapes that do not fit."""
        state = cls(1, 1, 1, 1, 1)
        found = {name: (a.dtype, a.shape[1:], a.ndim) for name, a in arrays.items() if name != "layout"}
        wanted = {name: (a.dtype, a.shape[1:], a.ndim) for name, a in state._arrays().items()}
        version = arrays.get("layout", np.array([-1]))
        if found != wanted or version.tolist() != [LAYOUT] or not _sizes_fit(arrays):
            raise InputError(
                f"this feature snapshot is not of layout {LAYOUT}; delete it and the state is learned again "
                "from the receipts",
                code="feature_layout",
            )
        own: dict[str, Any] = {name: np.ascontiguousarray(arrays[name]).copy() for name in wanted}
        state._accounts = ByAccount(**{name: own[name] for name in ByAccount._fields})
        state._tables = Bounded(**{name: own[name] for name in Bounded._fields})
        return state

    def _step_back(self) -> None:
        """Wipe out the traces of payments that were looked at and not learned as they were."""
        if self._ahead is not None:
            aspects.undo(self._accounts, self._tables, self._ahead, self._traces)
            self._ahead = None

    def _arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The state by name, as a snapshot holds it."""
        return {**self._accounts._asdict(), **self._tables._asdict()}

    def _reserve(self, payments: Payments | Labels) -> None:
        """Grow until the highest row has a place."""
        rows = 1 + int(aspects.highest_row(payments.debtor, payments.creditor))
        held = len(self._accounts.windows)
        if rows <= held:
            return
        grown = aspects.new_accounts(max(rows, held + held // GROWTH_SHARE))
        for new, old in zip(grown, self._accounts, strict=True):
            new[:held] = old
        self._accounts = grown


def _columns(
    debtor: npt.ArrayLike,
    creditor: npt.ArrayLike,
    amount_minor: npt.ArrayLike,
    time_ns: npt.ArrayLike,
    scale: npt.ArrayLike,
    device: npt.ArrayLike | None,
    terminal: npt.ArrayLike | None,
) -> Payments:
    """Return the kernel's columns."""
    unit = 10.0**scale if isinstance(scale, int) else _UNITS[np.asarray(scale)]
    rows = np.asarray(debtor).astype(np.int64)
    payments = Payments(
        rows,
        np.asarray(creditor).astype(np.int64),
        np.asarray(amount_minor).astype(np.float64) / unit,
        np.asarray(time_ns).astype(np.int64),
        _keys(device, rows.size),
        _keys(terminal, rows.size),
    )
    _check_alike(payments)
    return payments


def _check_alike(columns: Payments | Labels) -> None:
    rows = columns.debtor
    if rows.ndim != 1 or any(column.shape != rows.shape for column in columns):
        shapes = ", ".join(str(column.shape) for column in columns)
        raise InputError(f"{', '.join(columns._fields)} must be (n,) alike, not {shapes}")


def _keys(given: npt.ArrayLike | None, count: int) -> npt.NDArray[np.uint64]:
    """Return a column of keys; a batch that names none shares one of zeros."""
    global _NONE
    if given is not None:
        return np.asarray(given).astype(np.uint64)
    if _NONE.size < count:
        _NONE = np.zeros(count, np.uint64)
    return _NONE[:count]


def _alike(payments: Payments, others: Payments) -> bool:
    """Return whether columns are the same: as bytes, which numpy compares in a tenth of the time."""
    return all(one.tobytes() == other.tobytes() for one, other in zip(payments, others, strict=True))


def _sizes_fit(arrays: Mapping[str, npt.NDArray[np.generic]]) -> bool:
    """Whether every account has a row in each table, and the others are powers of two of equal length."""
    accounts = {len(arrays[name]) for name in ByAccount._fields}
    fields = Bounded._fields
    tables = [{len(arrays[name]) for name in fields[at : at + 3]} for at in range(0, len(fields), 3)]
    return len(accounts) == 1 and all(
        len(sizes) == 1 and slots_for(size) == size for sizes in tables for size in sizes
    )
