"""Every aspect of a payment in one compiled call: windows, habits, places, instruments, graph.

Each aspect has its own state and its own three kernels: `look_rows` fills its columns of X and leaves the
traces that learning would, `undo_rows` wipes them out, `learn_rows` only learns. They know nothing of each
other; this page puts them side by side.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from bezant.intelligence import graph, habits, instruments, labelling, places, windows
from bezant.intelligence.graph import GRAPH_FEATURES
from bezant.intelligence.habits import HABIT_FEATURES
from bezant.intelligence.instruments import INSTRUMENT_FEATURES
from bezant.intelligence.places import PLACE_FEATURES
from bezant.intelligence.slots import exists, first_slot
from bezant.intelligence.windows import WINDOW_FEATURES, pair_key
from bezant.model.native import ENTRY, KERNEL, LINE, fetch_at

_Array = npt.NDArray[Any]

FEATURES: tuple[str, ...] = (
    *WINDOW_FEATURES,
    *HABIT_FEATURES,
    *PLACE_FEATURES,
    *INSTRUMENT_FEATURES,
    *GRAPH_FEATURES,
)

FETCHED = 64
"""Payments that are fetched ahead: some 50 KB of what is known of them, which every cache holds."""
_HABITS = len(WINDOW_FEATURES)
_PLACES = _HABITS + len(HABIT_FEATURES)
_INSTRUMENTS = _PLACES + len(PLACE_FEATURES)
_GRAPH = _INSTRUMENTS + len(INSTRUMENT_FEATURES)


class Payments(NamedTuple):
    """Columns (n,): account rows int64, amount in major units float64, nanoseconds int64, keys uint64."""

    debtor: npt.NDArray[np.int64]
    creditor: npt.NDArray[np.int64]
    amount: npt.NDArray[np.float64]
    time: npt.NDArray[np.int64]
    device: npt.NDArray[np.uint64]
    terminal: npt.NDArray[np.uint64]


class Labels(NamedTuple):
    """Columns (n,) of what payments turned out to be: account rows int64, keys uint64, `fraud` and `refused`
    bool, nanoseconds int64 when they were paid and when that became known."""

    debtor: npt.NDArray[np.int64]
    creditor: npt.NDArray[np.int64]
    terminal: npt.NDArray[np.uint64]
    payment: npt.NDArray[np.uint64]
    fraud: npt.NDArray[np.bool_]
    refused: npt.NDArray[np.bool_]
    paid: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]


class ByAccount(NamedTuple):
    """What is remembered of accounts; the first axis is the ledger's account row."""

    windows: _Array
    window_times: _Array
    habits: _Array
    standing: _Array
    graph: _Array
    graph_words: _Array


class Bounded(NamedTuple):
    """Tables of fixed sizes: keys, last use, and what is remembered (`slots`)."""

    pair_keys: _Array
    pair_times: _Array
    pairs: _Array
    place_keys: _Array
    place_times: _Array
    places: _Array
    instrument_keys: _Array
    instrument_times: _Array
    instruments: _Array
    label_keys: _Array
    label_times: _Array
    labels: _Array


class Traces(NamedTuple):
    """Room for what a batch of n found where it left its traces."""

    windows: _Array
    habits: _Array
    standing: _Array
    places: _Array
    instruments: _Array
    graph: _Array


BYTES_PER_ACCOUNT = (
    4 * windows.ACCOUNT_FLOATS
    + 8 * windows.ACCOUNT_TIMES
    + habits.HABIT.itemsize
    + places.BYTES_PER_ACCOUNT
    + graph.BYTES_PER_ACCOUNT
)


def new_accounts(count: int) -> ByAccount:
    """Return the state of accounts that have neither paid nor been paid."""
    return ByAccount(
        np.zeros((count, windows.ACCOUNT_FLOATS), np.float32),
        np.full((count, windows.ACCOUNT_TIMES), windows.NEVER, np.int64),
        np.zeros(count, habits.HABIT),
        np.zeros(count, places.STANDING),
        np.zeros((count, graph.GRAPH_FLOATS), np.float32),
        np.zeros((count, graph.GRAPH_WORDS), np.uint32),
    )


def new_tables(pairs: int, places_: int, instruments_: int, labels: int) -> Bounded:
    """Return empty tables of so many slots, each a power of two."""
    return Bounded(
        np.zeros(pairs, np.uint64),
        np.zeros(pairs, np.int64),
        np.zeros((pairs, 4), np.float32),
        np.zeros(places_, np.uint64),
        np.zeros(places_, np.int64),
        np.zeros(places_, places.PLACE),
        np.zeros(instruments_, np.uint64),
        np.zeros(instruments_, np.int64),
        np.zeros(instruments_, np.float32),
        np.zeros(labels, np.uint64),
        np.zeros(labels, np.int64),
        np.zeros(labels, np.uint8),
    )


def new_traces(rows: int) -> Traces:
    return Traces(
        np.empty(rows, windows.UNDO),
        np.empty(rows, habits.HABIT),
        np.empty(rows, places.TRACE),
        np.empty(2 * rows, places.PLACE),
        np.empty(rows, instruments.TOUCHED),
        np.empty(rows, graph.GRAPH_UNDO),
    )


@njit(**ENTRY)
def highest_row(debtor: Any, creditor: Any) -> Any:
    """Return the highest account row among two columns, -1 without any."""
    highest = np.int64(-1)
    for i in range(debtor.size):
        if exists(debtor[i]):
            highest = max(highest, debtor[i])
        if exists(creditor[i]):
            highest = max(highest, creditor[i])
    return highest


@njit(**KERNEL)
def _fetch(of: Any, tables: Any, p: Any) -> None:
    """Ask for the memory that looking at payments reads: a dozen places for each, in no cache."""
    for i in range(p.debtor.size):
        a, b = p.debtor[i], p.creditor[i]
        if not (exists(a) and exists(b)):
            continue
        for row in (a, b):
            # An account's floats, and its words in the graph, lie in two lines each.
            fetch_at(of.windows, row, 0)
            fetch_at(of.windows, row, LINE)
            fetch_at(of.graph_words, row, 0)
            fetch_at(of.graph_words, row, LINE)
            fetch_at(of.graph, row, 0)
            fetch_at(of.window_times, row, 0)
            fetch_at(of.standing, row, 0)
            fetch_at(of.habits, row, 0)
        slot = first_slot(tables.pair_keys, pair_key(a, b))
        fetch_at(tables.pair_keys, slot, 0)
        fetch_at(tables.pair_times, slot, 0)
        fetch_at(tables.pairs, slot, 0)


@njit(**KERNEL)
def _part_of(p: Any, start: Any, end: Any) -> Any:
    return Payments(
        p.debtor[start:end], p.creditor[start:end], p.amount[start:end], p.time[start:end],
        p.device[start:end], p.terminal[start:end],
    )  # fmt: skip


@njit(**KERNEL)
def _room_for(traces: Any, start: Any, end: Any) -> Any:
    return Traces(
        traces.windows[start:end], traces.habits[start:end], traces.standing[start:end],
        traces.places[2 * start : 2 * end], traces.instruments[start:end], traces.graph[start:end],
    )  # fmt: skip


@njit(**ENTRY)
def look(of: Any, tables: Any, payments: Any, blank: Any, traces: Any, x: Any) -> None:
    """Fill x (n, F): each row sees the state and the rows before it, which leave their traces.

    `blank` is a ByAccount of one account, read where there is none.
    """
    total = payments.debtor.size
    for start in range(0, total, FETCHED):
        end = min(start + FETCHED, total)
        part = _part_of(payments, start, end)
        _fetch(of, tables, part)
        _look_at(of, tables, part, blank, _room_for(traces, start, end), x[start:end])


@njit(**KERNEL)
def _look_at(of: Any, tables: Any, p: Any, blank: Any, traces: Any, x: Any) -> None:
    """Let every aspect fill its columns of x."""
    windows.look_rows(
        of.windows, of.window_times, tables.pair_keys, tables.pair_times, tables.pairs,
        p.debtor, p.creditor, p.amount, p.time, blank.windows[0], blank.window_times[0], traces.windows, x,
    )  # fmt: skip
    habits.look_rows(
        of.habits, p.debtor, p.creditor, p.amount, p.time, blank.habits, traces.habits, x[:, _HABITS:_PLACES]
    )
    places.look_rows(
        of.standing, tables.place_keys, tables.place_times, tables.places,
        p.debtor, p.creditor, p.terminal, p.time, traces.standing, traces.places, x[:, _PLACES:_INSTRUMENTS],
    )  # fmt: skip
    instruments.look_rows(
        tables.instrument_keys, tables.instrument_times, tables.instruments,
        p.debtor, p.creditor, p.device, p.terminal, p.time, traces.instruments, x[:, _INSTRUMENTS:_GRAPH],
    )  # fmt: skip
    graph.look_rows(
        of.graph, of.graph_words, p.debtor, p.creditor, p.amount, p.time, traces.graph, x[:, _GRAPH:]
    )


@njit(**ENTRY)
def undo(of: Any, tables: Any, p: Any, traces: Any) -> None:
    """Bring back the state from before `look`."""
    windows.undo_rows(
        of.windows, of.window_times, tables.pair_keys, tables.pair_times, tables.pairs,
        p.debtor, p.creditor, traces.windows,
    )  # fmt: skip
    habits.undo_rows(of.habits, p.debtor, p.creditor, traces.habits)
    places.undo_rows(of.standing, tables.places, p.debtor, p.creditor, traces.standing, traces.places)
    instruments.undo_rows(
        tables.instrument_keys, tables.instrument_times, tables.instruments,
        p.debtor, p.creditor, traces.instruments,
    )  # fmt: skip
    graph.undo_rows(of.graph, of.graph_words, p.debtor, p.creditor, traces.graph)


@njit(**ENTRY)
def learn(of: Any, tables: Any, p: Any, settled: Any, scratch: Any) -> None:
    """Apply the settled rows (n,) in order; `scratch` are Traces of one row."""
    windows.learn_rows(
        of.windows, of.window_times, tables.pair_keys, tables.pair_times, tables.pairs,
        p.debtor, p.creditor, p.amount, p.time, settled,
    )  # fmt: skip
    habits.learn_rows(of.habits, p.debtor, p.creditor, p.amount, p.time, settled)
    places.learn_rows(
        of.standing, tables.place_keys, tables.place_times, tables.places,
        p.debtor, p.creditor, p.terminal, p.time, settled,
    )  # fmt: skip
    instruments.learn_rows(
        tables.instrument_keys, tables.instrument_times, tables.instruments,
        p.debtor, p.creditor, p.device, p.terminal, p.time, settled, scratch.instruments,
    )  # fmt: skip
    graph.learn_rows(of.graph, of.graph_words, p.debtor, p.creditor, p.amount, p.time, settled)


@njit(**ENTRY)
def label(of: Any, tables: Any, said: Any) -> None:
    """Learn Labels (n,) in the order given."""
    labelling.label_rows(
        of.standing, tables.place_keys, tables.place_times, tables.places,
        tables.label_keys, tables.label_times, tables.labels,
        said.debtor, said.creditor, said.terminal, said.payment, said.fraud, said.refused,
        said.paid, said.known,
    )  # fmt: skip
