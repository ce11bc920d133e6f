"""Which members call which: a ring with as many chords as it takes, because every connection costs.

A mempool sends every Order to each of its peers that has not sent it first. Where everybody is
everybody's peer, most of what arrives has arrived already: that took a third of what four validators
had of one machine. So members stand in a ring, and each calls those up to a few steps away. That graph
holds together whatever members fail, as long as the others can decide (Harary, The maximum connectivity of a
graph, 1962: with calls up to k steps away it takes 2k failures to part it).
"""

from __future__ import annotations

from collections.abc import Sequence


def neighbours(powers: Sequence[int], place: int) -> tuple[int, ...]:
    """Return the places of those that the member at `place` calls; it is called by the same.

    `powers` are the members' votes at the founding. Where they are unequal, more members can fail at once
    while the rest decide, and there are more calls; a member that comes later calls everybody.
    """
    count = len(powers)
    farthest = -(-(_may_fail(powers) + 1) // 2)
    steps = range(1, farthest + 1)
    return tuple(sorted({(place + way * step) % count for step in steps for way in (1, -1)} - {place}))


def _may_fail(powers: Sequence[int]) -> int:
    """Return how many members can fail at most, while the others have over two thirds of the votes."""
    total, lost, failed = sum(powers), 0, 0
    for power in sorted(powers):
        lost += power
        if 3 * lost >= total:
            break
        failed += 1
    return failed
