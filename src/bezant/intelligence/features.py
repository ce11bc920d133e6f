"""Streaming features: one definition for training and serving.

`compute` looks, `learn` remembers. Both run the same compiled kernel (`windows`), so what a
model saw in training is what it sees when it serves. Everything here is approximate by nature and
above the determinism line; on one build it is still reproducible bit for bit.

Amounts are in major units inside a logarithm, log(1 + amount). Windows are exponentially decayed:
a payment as old as the window still counts 1/e.

==========================  ==================================================================
feature                     what it says, before the payment itself
==========================  ==================================================================
amount                      log of the amount
hour_sin, hour_cos          time of day, UTC
night, weekend              1 from midnight to six; 1 on Saturday and Sunday
sent_count_W                payments the debtor sent, window W of 1h, 1d, 7d, 30d
sent_amount_W               log of the amount the debtor sent
received_count_W            payments the creditor received
received_amount_W           log of the amount the creditor received
pair_count_W                payments from this debtor to this creditor
debtor_gap, pair_gap        log of the seconds since the last one; -1: there was none
amount_over_mean            log amount less the debtor's own mean of it
amount_deviation            the same in the debtor's own standard deviations
pair_new                    1: this debtor has not paid this creditor before
new_payees_1d               creditors new to the debtor within a day
new_payee_share_7d          their share of what the debtor sent in 7 days
new_payers_1d               debtors new to the creditor within a day: fan-in
new_payer_share_7d          their share of what the creditor received in 7 days
debtor_received_1h          log of the amount the debtor received within the hour
pass_through_1h             that amount against this one, 0 to 1
pass_through_1d             the debtor's day: the smaller of in and out over the larger
creditor_sent_1d            log of the amount the creditor sent on within a day
creditor_gap                log of the seconds since the creditor last received
debtor_age, creditor_age    log of the seconds since the account was first seen; -1: never
amount_over_creditor_mean   log amount less the mean of what the creditor receives
==========================  ==================================================================
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.errors import InputError
from bezant.intelligence import windows

FloatMatrix = npt.NDArray[np.float32]
"""Features, shape (n, F), C-contiguous."""

_SPANS = ("1h", "1d", "7d", "30d")

FEATURES: tuple[str, ...] = (
    "amount",
    "hour_sin",
    "hour_cos",
    "night",
    "weekend",
    *(f"sent_count_{span}" for span in _SPANS),
    *(f"sent_amount_{span}" for span in _SPANS),
    *(f"received_count_{span}" for span in _SPANS),
    *(f"received_amount_{span}" for span in _SPANS),
    *(f"pair_count_{span}" for span in _SPANS),
    "debtor_gap",
    "pair_gap",
    "amount_over_mean",
    "amount_deviation",
    "pair_new",
    "new_payees_1d",
    "new_payee_share_7d",
    "new_payers_1d",
    "new_payer_share_7d",
    "debtor_received_1h",
    "pass_through_1h",
    "pass_through_1d",
    "creditor_sent_1d",
    "creditor_gap",
    "debtor_age",
    "creditor_age",
    "amount_over_creditor_mean",
)

COLUMN: dict[str, int] = {name: position for position, name in enumerate(FEATURES)}
"""The column of each feature in X."""

GROWTH_SHARE = 48
"""Grows by one 48th, so that little room stands empty."""
BYTES_PER_ACCOUNT = 4 * windows.ACCOUNT_FLOATS + 8 * windows.ACCOUNT_TIMES
BYTES_PER_PAIR = 8 + 8 + 4 * 4
DEFAULT_PAIRS = 1 << 18
LAYOUT = 1
"""Version of the state's layout, checked when a snapshot is loaded."""

_UNITS = np.array([10.0**scale for scale in range(20)])
_BLANK = np.zeros(windows.ACCOUNT_FLOATS, np.float32)
_BLANK_TIMES = np.full(windows.ACCOUNT_TIMES, windows.NEVER, np.int64)


class FeatureState:
    """What is remembered about accounts and pairs; rows are the ledger's account rows.

    Accounts take BYTES_PER_ACCOUNT (120) each and grow with the highest row seen. The
    pair table is bounded: `pairs` slots (rounded up to a power of two) of BYTES_PER_PAIR (32).
    Methods may be called from any thread; they take turns. One thread at a time learns.

    Looking at a batch leaves the traces that learning it would leave, and remembers how to undo them.
    Mostly the very same payments are learned next, and then nothing is left to do; whatever else is
    asked for instead begins by stepping back.
    """

    def __init__(self, accounts: int = 1024, pairs: int = DEFAULT_PAIRS) -> None:
        slots = max(windows.BUCKET, 1 << (pairs - 1).bit_length())
        self._accounts = np.zeros((accounts, windows.ACCOUNT_FLOATS), np.float32)
        self._times = np.full((accounts, windows.ACCOUNT_TIMES), windows.NEVER, np.int64)
        self._keys = np.zeros(slots, np.uint64)
        self._pair_times = np.zeros(slots, np.int64)
        self._pairs = np.zeros((slots, 4), np.float32)
        self._ahead: _Columns | None = None
        self._undo = np.empty(0, windows.UNDO)
        self._turn = Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that accounts and pairs occupy now."""
        return sum(array.nbytes for array in self._arrays().values())

    @property
    def account_nbytes(self) -> int:
        """Bytes that accounts alone occupy, empty room included."""
        return self._accounts.nbytes + self._times.nbytes

    def compute(
        self,
        debtor: npt.ArrayLike,
        creditor: npt.ArrayLike,
        amount_minor: npt.ArrayLike,
        time_ns: npt.ArrayLike,
        scale: npt.ArrayLike = 2,
    ) -> FloatMatrix:
        """Return X (n, F) float32; each row also sees the rows before it, as if they had settled.

        Inputs are (n,) account rows, minor units, nanoseconds since 1970; `scale` is the decimals of
        the asset, one for all or (n,). A row of -1 or NO_ROW is an account that does not exist yet.
        The remembered state is the same afterwards. Raises: InputError for columns of unequal length.
        """
        columns = _columns(debtor, creditor, amount_minor, time_ns, scale)
        count = columns[0].size
        x = np.empty((count, len(FEATURES)), np.float32)
        with self._turn:
            self._step_back()
            self._reserve(columns)
            if len(self._undo) < count:
                self._undo = np.empty(count, windows.UNDO)
            windows.look_rows(*self._state, *columns, _BLANK, _BLANK_TIMES, self._undo, x)
            self._ahead = columns
        return x

    def learn(
        self,
        debtor: npt.ArrayLike,
        creditor: npt.ArrayLike,
        amount_minor: npt.ArrayLike,
        time_ns: npt.ArrayLike,
        settled: npt.NDArray[np.bool_] | None = None,
        scale: npt.ArrayLike = 2,
    ) -> None:
        """Remember payments in the order given, those that `settled` (n,) marks (None: all).

        Raises: InputError for columns of unequal length.
        """
        columns = _columns(debtor, creditor, amount_minor, time_ns, scale)
        mask = np.ones(columns[0].size, np.bool_) if settled is None else np.asarray(settled, np.bool_)
        if mask.shape != columns[0].shape:
            raise InputError(
                f"settled has shape {mask.shape}, the payments {columns[0].shape}", param="settled"
            )
        with self._turn:
            if self._ahead is not None and mask.all() and _alike(columns, self._ahead):
                self._ahead = None
                return
            self._step_back()
            self._reserve(columns)
            windows.learn_rows(*self._state, *columns, mask)

    def dump(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return copies of all state, for a snapshot."""
        with self._turn:
            self._step_back()
            copies: dict[str, npt.NDArray[np.generic]] = {k: v.copy() for k, v in self._arrays().items()}
        copies["layout"] = np.array([LAYOUT], np.int64)
        return copies

    @classmethod
    def load(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> FeatureState:
        """Return the state of a dump; raises InputError for another layout or shapes that do not fit."""
        state = cls(1, windows.BUCKET)
        found = {name: (a.dtype, a.shape[1:], a.ndim) for name, a in arrays.items() if name != "layout"}
        wanted = {name: (a.dtype, a.shape[1:], a.ndim) for name, a in state._arrays().items()}
        version = arrays.get("layout", np.array([-1]))
        if found != wanted or version.tolist() != [LAYOUT] or not _sizes_fit(arrays):
            raise InputError(
                f"this feature snapshot is not of layout {LAYOUT}; delete it and the state is learned again "
                "from the receipts",
                code="feature_layout",
            )
        for name in wanted:
            setattr(state, f"_{name}", np.ascontiguousarray(arrays[name]).copy())
        return state

    @property
    def _state(self) -> tuple[npt.NDArray[Any], ...]:
        return self._accounts, self._times, self._keys, self._pair_times, self._pairs

    def _step_back(self) -> None:
        """Wipe out the traces of payments that were looked at and not learned as they were."""
        if self._ahead is not None:
            windows.undo_rows(*self._state, *self._ahead[:2], self._undo)
            self._ahead = None

    def _arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The state by name, as a snapshot holds it."""
        return {
            "accounts": self._accounts,
            "times": self._times,
            "keys": self._keys,
            "pair_times": self._pair_times,
            "pairs": self._pairs,
        }

    def _reserve(self, columns: _Columns) -> None:
        """Grow until the highest row has a place."""
        rows = 1 + int(windows.highest_row(columns[0], columns[1]))
        held = self._accounts.shape[0]
        if rows <= held:
            return
        grown = max(rows, held + held // GROWTH_SHARE)
        accounts = np.zeros((grown, windows.ACCOUNT_FLOATS), np.float32)
        times = np.full((grown, windows.ACCOUNT_TIMES), windows.NEVER, np.int64)
        accounts[:held], times[:held] = self._accounts, self._times
        self._accounts, self._times = accounts, times


_Columns = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]


def _columns(
    debtor: npt.ArrayLike,
    creditor: npt.ArrayLike,
    amount_minor: npt.ArrayLike,
    time_ns: npt.ArrayLike,
    scale: npt.ArrayLike,
) -> _Columns:
    """Return the kernel's columns: account rows, amount in major units, time."""
    unit = 10.0**scale if isinstance(scale, int) else _UNITS[np.asarray(scale)]
    columns = (
        np.asarray(debtor).astype(np.int64),
        np.asarray(creditor).astype(np.int64),
        np.asarray(amount_minor).astype(np.float64) / unit,
        np.asarray(time_ns).astype(np.int64),
    )
    shape = columns[0].shape
    if len(shape) != 1 or any(column.shape != shape for column in columns):
        shapes = ", ".join(str(column.shape) for column in columns)
        raise InputError(f"debtor, creditor, amount and time must be (n,) alike, not {shapes}")
    return columns


def _alike(columns: _Columns, others: _Columns) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(columns, others, strict=True))


def _sizes_fit(arrays: dict[str, npt.NDArray[np.generic]]) -> bool:
    slots = len(arrays["keys"])
    return (
        len(arrays["accounts"]) == len(arrays["times"])
        and len(arrays["pairs"]) == len(arrays["pair_times"]) == slots
        and slots >= windows.BUCKET
        and slots & (slots - 1) == 0
    )
