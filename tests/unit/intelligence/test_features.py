"""Streaming features: what each says, purity, parity, bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bezant.errors import InputError
from bezant.intelligence import aspects, instruments, labelling, places
from bezant.intelligence.features import (
    BYTES_PER_ACCOUNT,
    COLUMN,
    FEATURES,
    FeatureState,
    FloatMatrix,
)
from bezant.model.records import NO_ROW

S = 1_000_000_000
NOON = 1_767_268_800 * S  # Thursday 2026-01-01 12:00 UTC
HOUR, DAY = 3_600 * S, 86_400 * S


def one(state: FeatureState, debtor: int, creditor: int, amount: int, at: int) -> dict[str, float]:
    x = state.compute([debtor], [creditor], [amount], [at])
    return dict(zip(FEATURES, x[0].tolist(), strict=True))


def pay(state: FeatureState, debtor: int, creditor: int, amount: int, at: int) -> None:
    state.learn([debtor], [creditor], [amount], [at])


Columns = dict[str, np.ndarray]


def stream(seed: int, n: int, accounts: int = 40) -> Columns:
    """Return random payments, some of which name a device or a terminal, and some clocks step back."""
    rng = np.random.default_rng(seed)
    debtor, creditor = rng.integers(0, accounts, (2, n))
    times = NOON + np.cumsum(rng.integers(-2 * S, HOUR // 4, n))
    amount = rng.integers(1, 10**6, n).astype(np.uint64)
    device, terminal = rng.integers(0, 12, (2, n)).astype(np.uint64)
    named = {"device": device * (rng.random(n) < 0.5), "terminal": terminal * (rng.random(n) < 0.5)}
    return {"debtor": debtor, "creditor": creditor, "amount_minor": amount, "time_ns": times, **named}


def rows(columns: Columns, start: int, stop: int) -> Columns:
    return {name: c[start:stop] for name, c in columns.items()}


def label(state: FeatureState, columns: Columns, every: int) -> None:
    """Label each so-manieth payment as fraud, known some days after the last of all; take some back."""
    chosen = {name: c[::every] for name, c in columns.items() if name not in ("amount_minor", "device")}
    known = columns["time_ns"].max() + np.arange(len(chosen["debtor"])) * HOUR
    where = (chosen["debtor"], chosen["creditor"], chosen["time_ns"])
    payment, terminal = np.arange(1, len(known) + 1), chosen["terminal"]
    state.label(*where, known, terminal=terminal, payment=payment)
    state.label(*where, known + HOUR, terminal=terminal, payment=payment, fraud=payment % 3 > 0)


def same_state(a: FeatureState, b: FeatureState) -> bool:
    left, right = a.dump(), b.dump()
    return all(left[k].tobytes() == right[k].tobytes() for k in left)


def test_names_are_distinct_and_cover_the_kernel() -> None:
    assert len(set(FEATURES)) == len(FEATURES) == 89
    x = np.full((1, len(FEATURES)), np.nan, np.float32)
    row, key = np.zeros(1, np.int64), np.zeros(1, np.uint64)
    payment = aspects.Payments(row, row + 1, np.array([5.0]), row + NOON, key, key)
    accounts, tables, blank = aspects.new_accounts(2), aspects.new_tables(8, 8, 8, 8), aspects.new_accounts(1)
    aspects.look(accounts, tables, payment, blank, aspects.new_traces(1), x)
    assert np.isfinite(x).all()


def test_a_first_payment_knows_nothing() -> None:
    f = one(FeatureState(), 1, 2, 12_345, NOON)
    assert f["amount"] == pytest.approx(math.log1p(123.45), rel=1e-6)
    assert f["pair_new"] == 1.0
    assert (f["debtor_gap"], f["pair_gap"], f["creditor_gap"], f["debtor_age"]) == (-1.0, -1.0, -1.0, -1.0)
    assert all(f[f"sent_count_{w}"] == 0.0 for w in ("1h", "1d", "7d", "30d"))
    assert f["amount_over_mean"] == 0.0


@pytest.mark.parametrize(
    ("at", "night", "weekend", "sin", "cos"),
    [
        (NOON, 0.0, 0.0, 0.0, -1.0),
        (NOON + 6 * HOUR, 0.0, 0.0, -1.0, 0.0),
        (NOON + 15 * HOUR, 1.0, 0.0, math.sin(math.pi / 4), math.cos(math.pi / 4)),
        (NOON + 2 * DAY, 0.0, 1.0, 0.0, -1.0),
        (NOON + 3 * DAY, 0.0, 1.0, 0.0, -1.0),
        (NOON + 4 * DAY, 0.0, 0.0, 0.0, -1.0),
    ],
)
def test_time_of_day_and_week(at: int, night: float, weekend: float, sin: float, cos: float) -> None:
    f = one(FeatureState(), 1, 2, 100, at)
    assert (f["night"], f["weekend"]) == (night, weekend)
    assert (f["hour_sin"], f["hour_cos"]) == (pytest.approx(sin, abs=1e-6), pytest.approx(cos, abs=1e-6))


@pytest.mark.parametrize(
    ("span", "seconds"), [("1h", 3_600), ("1d", 86_400), ("7d", 604_800), ("30d", 2_592_000)]
)
def test_windows_decay_exponentially(span: str, seconds: int) -> None:
    state = FeatureState()
    pay(state, 1, 2, 10_000, NOON)
    pay(state, 1, 2, 10_000, NOON + HOUR // 2)
    f = one(state, 1, 2, 10_000, NOON + 2 * HOUR)
    kept = math.exp(-7_200 / seconds) + math.exp(-5_400 / seconds)
    for name in ("sent_count", "received_count", "pair_count"):
        assert f[f"{name}_{span}"] == pytest.approx(kept, rel=1e-5)
    for name in ("sent_amount", "received_amount"):
        assert f[f"{name}_{span}"] == pytest.approx(math.log1p(100 * kept), rel=1e-5)
    assert f["debtor_gap"] == pytest.approx(math.log1p(5_400), rel=1e-6)
    assert f["pair_gap"] == f["debtor_gap"] == f["creditor_gap"]
    assert f["debtor_age"] == pytest.approx(math.log1p(7_200), rel=1e-6)


def test_amount_is_held_against_the_debtors_own_habit() -> None:
    state = FeatureState()
    for day in range(30):
        pay(state, 1, 2, 900 + 200 * (day % 2), NOON + day * DAY)
        pay(state, 3, 2, 90_000 + 20_000 * (day % 2), NOON + day * DAY)
    at = NOON + 30 * DAY
    small, large = one(state, 1, 2, 50_000, at), one(state, 3, 2, 50_000, at)
    assert small["amount_over_mean"] == pytest.approx(math.log1p(500) - math.log1p(10), abs=0.05)
    assert small["amount_deviation"] > 5.0
    assert large["amount_deviation"] < 0.0


def test_novelty_of_pair_payees_and_payers() -> None:
    state = FeatureState()
    for k in range(5):
        pay(state, 1, 10 + k, 1_000, NOON + k * S)
        pay(state, 20 + k, 2, 1_000, NOON + k * S)
    spread = one(state, 1, 30, 1_000, NOON + 6 * S)
    assert spread["new_payees_1d"] == pytest.approx(5.0, abs=0.01)
    assert spread["pair_new"] == 1.0
    gathered = one(state, 30, 2, 1_000, NOON + 6 * S)
    assert gathered["new_payers_1d"] == pytest.approx(5.0, abs=0.01)
    assert gathered["new_payer_share_7d"] == pytest.approx(5 / 6, abs=0.01)
    assert one(state, 1, 10, 1_000, NOON + 6 * S)["pair_new"] == 0.0


def test_pass_through_shows_money_that_leaves_as_it_came() -> None:
    state = FeatureState()
    pay(state, 1, 2, 100_000, NOON)
    passing = one(state, 2, 3, 95_000, NOON + 60 * S)
    assert passing["debtor_received_1h"] == pytest.approx(math.log1p(1_000), abs=0.03)
    assert passing["pass_through_1h"] > 0.5
    assert passing["pass_through_1d"] > 0.94
    assert one(state, 3, 4, 95_000, NOON + 60 * S)["pass_through_1h"] == 0.0
    pay(state, 2, 3, 95_000, NOON + 60 * S)
    assert one(state, 9, 2, 100, NOON + 120 * S)["creditor_sent_1d"] == pytest.approx(
        math.log1p(950), abs=0.01
    )


def test_compute_sees_the_batch_and_leaves_no_trace() -> None:
    state, columns = FeatureState(8), stream(1, 500)
    state.learn(**rows(columns, 0, 200))
    label(state, rows(columns, 0, 200), 5)
    before = FeatureState.load(state.dump())
    x = state.compute(**rows(columns, 200, 500))
    assert same_state(state, before)
    assert x.tobytes() == state.compute(**rows(columns, 200, 500)).tobytes()
    burst = state.compute([5] * 4, [6] * 4, [1_000] * 4, [NOON + 300 * DAY] * 4)
    counts = burst[:, COLUMN["sent_count_1h"]]
    assert np.diff(counts).tolist() == [1.0, 1.0, 1.0]


def test_compute_leaves_no_trace_where_pairs_were_evicted() -> None:
    state = FeatureState(pairs=8)
    columns = stream(2, 300)
    state.learn(**rows(columns, 0, 150))
    before = FeatureState.load(state.dump())
    state.compute(**rows(columns, 150, 300))
    assert same_state(state, before)


@pytest.mark.parametrize("pairs", [16, 1 << 12])
def test_one_batch_equals_many_batches_bit_for_bit(pairs: int) -> None:
    columns = stream(3, 400)
    together, apart = FeatureState(2, pairs), FeatureState(2, pairs)
    x = together.compute(**columns)
    together.learn(**columns)
    single: list[FloatMatrix] = []
    for i in range(400):
        single.append(apart.compute(**rows(columns, i, i + 1)))
        apart.learn(**rows(columns, i, i + 1))
    assert np.concatenate(single).tobytes() == x.tobytes()
    # The two grew differently, so compare what they hold, not how much room they have.
    a, b = together.dump(), apart.dump()
    for name in a:
        held = min(len(a[name]), len(b[name]))
        assert a[name][:held].tobytes() == b[name][:held].tobytes()


def test_only_settled_payments_are_learned() -> None:
    columns = stream(4, 60)
    mask = np.arange(60) % 3 == 0
    some, chosen = FeatureState(64), FeatureState(64)
    some.learn(**columns, settled=mask)
    chosen.learn(**{name: c[mask] for name, c in columns.items()})
    assert same_state(some, chosen)


def test_a_clock_that_steps_back_counts_as_no_time() -> None:
    state = FeatureState()
    pay(state, 1, 2, 1_000, NOON)
    f = one(state, 1, 2, 1_000, NOON - 5 * S)
    assert f["debtor_gap"] == f["pair_gap"] == 0.0
    assert f["sent_count_1h"] == 1.0
    pay(state, 1, 2, 1_000, NOON - 5 * S)
    after = one(state, 1, 2, 1_000, NOON)
    assert [after[f"{who}_gap"] for who in ("debtor", "pair", "creditor")] == [0.0] * 3


@pytest.mark.parametrize("absent", [-1, NO_ROW])
def test_accounts_that_do_not_exist_are_blank_and_untouched(absent: int) -> None:
    state = FeatureState()
    pay(state, 1, 2, 1_000, NOON)
    before = FeatureState.load(state.dump())
    x = state.compute([absent, absent, 1], [2, 2, absent], [500] * 3, [NOON + S] * 3)
    assert x[0].tobytes() == x[1].tobytes()
    assert x[0, COLUMN["debtor_age"]] == -1.0
    assert x[0, COLUMN["received_count_1h"]] == pytest.approx(1.0, abs=0.001)
    assert x[2, COLUMN["sent_count_1h"]] == pytest.approx(1.0, abs=0.001)
    state.learn([absent], [2], [500], [NOON + S])
    assert same_state(state, before)
    assert np.isfinite(x).all()


def test_scale_makes_assets_comparable() -> None:
    state = FeatureState()
    x = state.compute([1, 3, 5], [2, 4, 6], [1_000, 10, 10_000_000], [NOON] * 3, scale=[2, 0, 6])
    assert x[0].tobytes() == x[1].tobytes() == x[2].tobytes()
    assert state.compute([1], [2], [10], [NOON], scale=0).tobytes() == x[0].tobytes()


def test_largest_amounts_stay_finite() -> None:
    state = FeatureState()
    columns = ([1] * 50, [2] * 50, np.full(50, 2**64 - 1, np.uint64), [NOON] * 50)
    assert np.isfinite(state.compute(*columns, scale=0)).all()


def test_pairs_are_bounded_and_the_oldest_of_a_bucket_goes() -> None:
    state = FeatureState(pairs=8)
    for k in range(8):
        pay(state, 1, 10 + k, 100, NOON + k * S)
    pay(state, 1, 10, 100, NOON + 20 * S)  # used again: the second is now the oldest
    pay(state, 1, 30, 100, NOON + 21 * S)
    new = {k: one(state, 1, 10 + k, 100, NOON + 30 * S)["pair_new"] for k in range(8)}
    assert new == {0: 0.0, 1: 1.0, 2: 0.0, 3: 0.0, 4: 0.0, 5: 0.0, 6: 0.0, 7: 0.0}


def test_memory_is_as_stated() -> None:
    assert BYTES_PER_ACCOUNT == 296
    assert (places.BYTES_PER_PLACE, instruments.BYTES_PER_SLOT, labelling.BYTES_PER_LABEL) == (88, 20, 17)
    tables = 1_024 * 32 + 16 * 88 + 64 * 20 + 8 * 17
    state = FeatureState(1_000, 1 << 10, 16, 64, 8)
    assert state.nbytes == 1_000 * 296 + tables
    pay(state, 3, 50_000, 1, NOON)
    assert state.nbytes == 50_001 * 296 + tables


def test_dump_and_load_continue_the_same() -> None:
    columns = stream(5, 200)
    state = FeatureState()
    state.learn(**rows(columns, 0, 100))
    label(state, rows(columns, 0, 100), 4)
    loaded = FeatureState.load(state.dump())
    for s in (state, loaded):
        s.learn(**rows(columns, 100, 150))
        label(s, rows(columns, 100, 150), 2)
        s.learn(**rows(columns, 150, 200))
    assert same_state(state, loaded)


def test_foreign_snapshots_are_refused() -> None:
    dump = FeatureState(4, 8).dump()
    for change in (
        {"layout": np.array([99])},
        {"pairs": dump["pairs"].astype(np.float64)},
        {"window_times": dump["window_times"][:2]},
        {"place_keys": dump["place_keys"][:4]},
        {"extra": np.zeros(1)},
    ):
        with pytest.raises(InputError) as caught:
            FeatureState.load({**dump, **change})
        assert caught.value.code == "feature_layout"
    with pytest.raises(InputError):
        FeatureState.load({k: v for k, v in dump.items() if k != "pair_keys"})


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(InputError):
        FeatureState().compute([1, 2], [2], [1], [NOON])
    with pytest.raises(InputError):
        FeatureState().learn([1], [2], [1], [NOON], settled=np.ones(2, np.bool_))


def test_an_empty_batch_is_an_empty_answer() -> None:
    assert FeatureState().compute([], [], [], []).shape == (0, len(FEATURES))


@pytest.mark.parametrize("looked", ["the same", "more", "others", "the same, some unsettled", "twice"])
@pytest.mark.parametrize("pairs", [8, 4_096])
def test_learning_is_the_same_whatever_was_looked_at_before(looked: str, pairs: int) -> None:
    past, batch, other = stream(11, 300), stream(12, 200), stream(13, 250)
    settled = np.ones(200, np.bool_)
    settled[::7] = looked != "the same, some unsettled"
    plain, ahead = FeatureState(8, pairs), FeatureState(8, pairs)
    for state in (plain, ahead):
        state.learn(**past)
        label(state, past, 3)
    if looked in ("more", "others"):
        ahead.compute(**(other if looked == "others" else stream(12, 201)))
    else:
        first = ahead.compute(**batch)
    if looked == "twice":
        assert ahead.compute(**batch).tobytes() == first.tobytes()
    for state in (plain, ahead):
        state.learn(**batch, settled=settled)
    assert same_state(plain, ahead)
    assert plain.compute(**other).tobytes() == ahead.compute(**other).tobytes()
