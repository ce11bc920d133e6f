"""Features, scores and evidence hold for any payments."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bezant.economy import World, join_traffic
from bezant.intelligence.evidence import EVIDENCE, commitments, decode_evidence, encode_evidence
from bezant.intelligence.features import FEATURES, FeatureState
from bezant.intelligence.replay import replay
from bezant.intelligence.rules import score_rules
from bezant.intelligence.verdict import Circumstance, Grounds, conclude
from bezant.model.records import NO_ROW

PAYMENT = st.tuples(
    st.one_of(st.integers(0, 6), st.just(NO_ROW), st.just(-1)),
    st.one_of(st.integers(0, 6), st.just(NO_ROW)),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**62),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
)
Payment = tuple[int, int, int, int, int, int, bool]
NAMES = ("debtor", "creditor", "amount_minor", "time_ns", "device", "terminal", "settled")


def columns(payments: list[Payment]) -> dict[str, np.ndarray]:
    types = (np.int64, np.int64, np.uint64, np.int64, np.uint64, np.uint64, np.bool_)
    return {
        name: np.array(c, t) for name, c, t in zip(NAMES, zip(*payments, strict=True), types, strict=True)
    }


def small_state() -> FeatureState:
    return FeatureState(8, pairs=8, places=8, instruments=8)


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(PAYMENT, min_size=1, max_size=12),
    batch=st.lists(PAYMENT, min_size=1, max_size=12),
    known_ns=st.integers(0, 2**62),
)
def test_compute_is_pure_finite_and_repeatable(
    before: list[Payment], batch: list[Payment], known_ns: int
) -> None:
    state = small_state()
    past = columns(before)
    state.learn(**past)
    where = (past["debtor"], past["creditor"], past["time_ns"])
    state.label(*where, np.full(len(before), known_ns), terminal=past["terminal"])
    held = state.dump()
    asked = columns(batch)
    asked.pop("settled")
    x = state.compute(**asked)
    assert np.isfinite(x).all()
    assert x.tobytes() == state.compute(**asked).tobytes()
    after = state.dump()
    assert all(held[name].tobytes() == after[name].tobytes() for name in held)


@settings(max_examples=60, deadline=None)
@given(payments=st.lists(PAYMENT, min_size=1, max_size=20), cut=st.integers(0, 20))
def test_the_cut_into_batches_does_not_matter(payments: list[Payment], cut: int) -> None:
    asked = columns(payments)
    asked.pop("settled")
    whole, parts = small_state(), small_state()
    x = whole.compute(**asked)
    first = parts.compute(**{name: c[:cut] for name, c in asked.items()})
    parts.learn(**{name: c[:cut] for name, c in asked.items()})
    second = parts.compute(**{name: c[cut:] for name, c in asked.items()})
    assert np.concatenate([first, second]).tobytes() == x.tobytes()


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.floats(width=32), min_size=len(FEATURES), max_size=len(FEATURES)),
    generation=st.integers(0, 2**32 - 1),
)
@example(values=[3e38 if name == "creditor_sent_1d" else -3e38 for name in FEATURES], generation=1)
def test_evidence_of_any_features_round_trips_and_replays(values: list[float], generation: int) -> None:
    x = np.array([values], np.float32)
    score, reasons = score_rules(x)
    none, one = np.zeros(1, np.uint8), np.ones(1, np.uint32)
    grounds = Grounds(
        x, score, one, one, 0 * one, none, none, none + np.uint8(Circumstance.BY_RULES), reasons
    )
    verdict, why = conclude(grounds, grounds.by_score)
    rows = encode_evidence(grounds, verdict, why, model=bytes(32), generation=generation, fallback=1)
    back = decode_evidence(rows)
    assert back["x"].tobytes() == x.tobytes()
    assert int(back["generation"][0]) == generation
    assert replay(rows[0], None).equal
    assert commitments(rows).shape == (1, 32)
    assert rows.shape == (1, EVIDENCE.itemsize)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**63),
    start=st.integers(0, 2_000_000_000),
    rate=st.one_of(st.none(), st.floats(0.01, 1e5)),
    batch=st.integers(1, 400),
)
def test_any_world_emits_ordered_traffic(seed: int, start: int, rate: float | None, batch: int) -> None:
    world = World(seed, 10, 5, 2)
    parts = list(world.traffic(start * 10**9, count=150, payments_per_second=rate, batch=batch))
    traffic = join_traffic(parts)
    assert len(traffic) == 150
    assert all(len(p) == batch for p in parts[:-1])
    assert (np.diff(traffic.time_ns) >= 0).all()
    assert traffic.time_ns[0] >= start * 10**9
    assert (traffic.debtor != traffic.creditor).all()
    assert (traffic.amount_minor > 0).all()
    assert [traffic.remittance_information(i) for i in range(150)]
