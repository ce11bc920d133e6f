"""Attackers played against an imagined network, so that a model can learn from thefts before it meets any.

A real network's answers depend on its model; what a thief tries next depends on those answers. So each
attacker meets a limit drawn for it alone: some are never stopped, others find everything above a sum held.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from bezant.economy.adversary import DAY_S, KINDS, Answer, Plan, plan_attacks
from bezant.economy.traffic import Scenario, Traffic, join_traffic, reference_of
from bezant.economy.world import Pace, World

UNSTOPPED = 0.5
"""Share of attackers who are never stopped: a network without a model stops nobody."""
LEAST_LIMIT_MINOR = 5_000
PEOPLE_PER_ATTACKERS = 50
"""Consumers for each attacker of a kind: with four kinds, about as many frauds as the world has without."""
_SERIALS_FROM = np.uint64(1 << 63)

_Row = tuple[int, int, int, int]
"""Debtor, creditor, minor units, simulated nanoseconds."""


def add_attackers(
    world: World, traffic: Traffic, pace: Pace, seed: int, kinds: Collection[str] = KINDS
) -> Traffic:
    """Return traffic with attackers of this seed and these kinds among it, who begin at any time of it.

    What they did is fraud, whether it settled or was held; what passes mules on is too.
    """
    start_ns, end_ns = int(traffic.simulated_ns[0]), int(traffic.simulated_ns[-1])
    each = max(1, world.parties.consumers // PEOPLE_PER_ATTACKERS)
    within_s = max((end_ns - start_ns) / 1e9, DAY_S)
    rng = np.random.default_rng([seed, 78])
    rows = [
        row
        for plan in plan_attacks(world, seed, each, within_s=within_s, varied=True)
        if plan.kind in kinds
        for row in _play(plan, start_ns, rng)
        if row[3] <= end_ns
    ]
    joined = join_traffic([traffic, _as_traffic(rows, pace)])
    order = np.argsort(joined.simulated_ns, kind="stable")
    return Traffic(*(getattr(joined, name)[order] for name in Traffic.__slots__))


def _play(plan: Plan, start_ns: int, rng: np.random.Generator) -> list[_Row]:
    """Return what one attacker pays against a limit of its own."""
    limit = plan.goal_minor
    if rng.random() >= UNSTOPPED:
        limit = int(np.exp(rng.uniform(np.log(LEAST_LIMIT_MINOR), np.log(plan.goal_minor))))
    rows: list[_Row] = []
    attempt, now_ns = next(plan.attacker), start_ns
    while True:
        now_ns += int(attempt.after_s * 1e9)
        rows.append((attempt.debtor, attempt.creditor, attempt.amount_minor, now_ns))
        answer = Answer.SETTLED if attempt.amount_minor <= limit else Answer.HELD
        try:
            attempt = plan.attacker.send(answer)
        except StopIteration:
            return rows


def _as_traffic(rows: list[_Row], pace: Pace) -> Traffic:
    debtor, creditor, amount, simulated = np.array(rows, np.int64).reshape(-1, 4).T
    serial = _SERIALS_FROM + np.arange(len(rows), dtype=np.uint64)
    return Traffic(
        debtor=debtor.astype(np.int32),
        creditor=creditor.astype(np.int32),
        amount_minor=np.maximum(amount, 1).astype(np.uint64),
        time_ns=pace.time_ns(simulated),
        simulated_ns=simulated,
        label=np.ones(len(rows), np.uint8),
        scenario=np.full(len(rows), Scenario.ATTACK, np.uint8),
        serial=serial,
        reference=reference_of(serial),
    )
