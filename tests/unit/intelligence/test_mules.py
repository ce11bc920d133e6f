"""Mules among accounts: profiles, company without an account's own label, and what is found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bezant.errors import ModelError
from bezant.intelligence.history import History
from bezant.intelligence.metrics import area_under_roc
from bezant.intelligence.mules import COMPANY, UNKNOWN, company, score_accounts
from bezant.intelligence.profiles import MEASURES, Links, profile_accounts

DAY = 86_400 * 10**9
START = 20_454 * DAY


def history(payments: list[tuple[int, int, int, int]]) -> History:
    """(debtor, creditor, amount in minor units, day) in order of time."""
    debtor, creditor, amount, day = (np.array(column, np.int64) for column in zip(*payments, strict=True))
    return History(
        debtor, creditor, amount.astype(np.uint64), START + day * DAY, np.zeros(len(debtor), np.uint8)
    )


def quiet(step: str, share: float) -> None:
    pass


def test_a_profile_keeps_extremes_and_means_of_each_side() -> None:
    told = history([(0, 1, 10_000, 0), (0, 1, 100, 0), (0, 2, 1_000, 200), (2, 1, 5_000, 201)])
    profile = profile_accounts(told, 4, quiet)
    assert profile.shape == (4, len(MEASURES))
    assert len(set(MEASURES)) == len(MEASURES)
    payer, payee, _, stranger = (dict(zip(MEASURES, row.tolist(), strict=True)) for row in profile)
    assert payer["paying_min_amount"] == pytest.approx(math.log1p(1))
    assert payer["paying_mean_amount"] == pytest.approx(np.log1p([100.0, 1.0, 10.0]).mean(), abs=1e-6)
    assert payer["paying_max_pair_count_7d"] == 1.0, "long past, and remembered all the same"
    assert payer["paying_min_pair_new"] == 0.0
    assert payer["paid_min_amount"] == 0.0
    assert payee["paid_min_amount"] == pytest.approx(math.log1p(1))
    assert not any(stranger.values())


def test_links_are_distinct_pairs_of_two() -> None:
    links = Links.of(history([(0, 1, 5, 0), (0, 1, 5, 1), (1, 0, 5, 2), (2, 1, 5, 3), (3, 3, 5, 4)]), 4)
    weight = np.array([1.0, 10.0, 100.0, 1_000.0])
    assert links.over_payers(weight).tolist() == [10.0, 101.0, 0.0, 0.0]
    assert links.over_payees(weight).tolist() == [10.0, 1.0, 10.0, 0.0]
    assert links.mutual().over_payers(weight).tolist() == [10.0, 1.0, 0.0, 0.0]


def test_company_names_what_it_measures() -> None:
    # 0 and 1 both pay 2; 3 pays 0.
    links = Links.of(history([(0, 2, 5, 0), (1, 2, 5, 1), (3, 0, 5, 2)]), 4)
    suspicion = np.array([0.0, 1.0, 0.0, 0.5])
    found = [dict(zip(COMPANY, row.tolist(), strict=True)) for row in company(links, suspicion, 0.25)]
    assert found[2]["payers_mean"] == pytest.approx((0.75 - 0.25) / 2)
    assert found[2]["payers_most"] == 1.0
    assert found[2]["payers_two_steps"] == pytest.approx(0.25)
    assert found[0]["sharing_payees_light"] == found[0]["sharing_payees_lighter"] == pytest.approx(0.75)
    assert found[1]["sharing_payees_light"] == pytest.approx(-0.25)
    assert found[3]["payees_two_steps"] == pytest.approx(-0.25)
    assert (found[2]["payers_count"], found[0]["payees_count"], found[3]["payees_mean_fan_in"]) == (2, 1, 1)
    assert found[0]["neighbours_lighter"] == pytest.approx(-0.25 / 2 + 0.25 / 1)


EDGE = st.tuples(st.integers(0, 7), st.integers(0, 7))


@settings(max_examples=200, deadline=None)
@given(edges=st.lists(EDGE, min_size=1, max_size=40), account=st.integers(0, 7), seed=st.integers(0, 2**32))
def test_an_accounts_own_label_has_no_part_in_its_company(
    edges: list[tuple[int, int]], account: int, seed: int
) -> None:
    links = Links.of(history([(a, b, 5, 0) for a, b in edges]), 8)
    suspicion = np.random.default_rng(seed).random(8)
    other = suspicion.copy()
    other[account] = 1.0 - suspicion[account]
    one, two = (company(links, s, 0.3)[account] for s in (suspicion, other))
    np.testing.assert_allclose(one, two, atol=1e-5)


def ring_world(seed: int) -> tuple[np.ndarray, Links, np.ndarray]:
    """Five circles of 80 that behave alike and mostly pay within; those of the first are mules."""
    rng = np.random.default_rng(seed)
    label = (np.arange(400) < 80).astype(np.int8)
    payments = []
    for account in range(400):
        for _ in range(5):
            within = account // 80 * 80 + rng.integers(0, 80)
            other = within if rng.random() < 0.6 else rng.integers(0, 400)
            payments.append((account, int(other), int(rng.integers(100, 10_000)), 0))
    rng.shuffle(payments)
    told = history([(a, b, amount, day // 40) for day, (a, b, amount, _) in enumerate(payments)])
    return profile_accounts(told, 400, quiet), Links.of(told, 400), label


def test_quiet_mules_are_known_by_their_company() -> None:
    profile, links, truth = ring_world(1)
    tested = np.arange(400) % 3 == 0
    label = np.where(tested, np.int8(UNKNOWN), truth)
    found = score_accounts(profile, links, label, 1)
    assert ((found.probability > 0) & (found.probability < 1)).all()
    assert area_under_roc(truth[tested], found.probability[tested]) > 0.8
    assert area_under_roc(truth[tested], found.own[tested]) < 0.7
    assert found.probability[~tested].mean() == pytest.approx(truth[~tested].mean(), abs=0.02)
    assert score_accounts(profile, links, label, 1).probability.tobytes() == found.probability.tobytes()


def test_labels_without_meaning_teach_nothing() -> None:
    """With labels by chance there is nothing to find, unless an account's own leaks into its score."""
    profile, links, truth = ring_world(2)
    label = np.random.default_rng(3).permutation(truth)
    found = score_accounts(profile, links, label, 1)
    assert area_under_roc(label, found.probability) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize(("mules", "others"), [(24, 300), (80, 24), (0, 0)])
def test_too_few_labels_are_refused(mules: int, others: int) -> None:
    label = np.full(400, UNKNOWN, np.int8)
    label[:mules], label[400 - others :] = 1, 0
    with pytest.raises(ModelError) as refused:
        score_accounts(
            np.zeros((400, len(MEASURES)), np.float32), Links.of(history([(0, 1, 5, 0)]), 400), label, 1
        )
    assert refused.value.code == "too_few_labels"
