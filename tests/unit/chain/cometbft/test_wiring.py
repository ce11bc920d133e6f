"""Who calls whom: few calls, and whoever can still decide can still talk."""

from __future__ import annotations

from itertools import combinations

import pytest

from bezant.chain.cometbft.wiring import neighbours

EQUAL = [[1] * count for count in range(1, 11)]
UNEQUAL = [[40, 5, 5, 40, 5, 5], [1, 2, 3, 4, 5, 6, 7], [100, 1, 1, 1, 1], [1, 1, 10, 10, 10, 10, 1, 1]]


def calls(powers: list[int]) -> list[tuple[int, ...]]:
    return [neighbours(powers, place) for place in range(len(powers))]


@pytest.mark.parametrize("powers", EQUAL + UNEQUAL, ids=str)
def test_members_that_can_decide_are_connected_whoever_else_fails(powers: list[int]) -> None:
    called, places, total = calls(powers), set(range(len(powers))), sum(powers)
    for failing in range(len(powers)):
        for failed in map(set, combinations(places, failing)):
            left = places - failed
            if 3 * sum(powers[one] for one in left) > 2 * total:
                assert connected(called, left), (powers, failed)


def connected(called: list[tuple[int, ...]], left: set[int]) -> bool:
    reached, new = set[int](), {min(left)}
    while new:
        reached |= new
        new = {other for one in new for other in called[one] if other in left} - reached
    return reached == left


@pytest.mark.parametrize(
    ("count", "each"), [(1, 0), (2, 1), (3, 2), (4, 2), (6, 2), (7, 4), (10, 4), (13, 6)]
)
def test_equal_members_call_no_more_than_they_must(count: int, each: int) -> None:
    assert [len(one) for one in calls([1] * count)] == [each] * count


@pytest.mark.parametrize("powers", EQUAL + UNEQUAL, ids=str)
def test_whoever_calls_is_called(powers: list[int]) -> None:
    called = calls(powers)
    assert all(place in called[other] for place, others in enumerate(called) for other in others)
    assert all(place not in others for place, others in enumerate(called))
