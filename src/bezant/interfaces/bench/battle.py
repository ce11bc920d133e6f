"""One world and its attackers against one node: what was stopped, what was missed, who was insulted.

Honest payments come in simulated time, a quarter of an hour together once the attacks have begun; attackers
are answered in between. Thefts become known a week later, where a layer is told of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bezant.chain.clock import SetClock
from bezant.economy.adversary import Answer, Attempt, Plan
from bezant.economy.traffic import Traffic, join_traffic
from bezant.economy.training import START_NS
from bezant.economy.world import World
from bezant.gateway.accounts import Opening, PartyProfile
from bezant.gateway.bulk import AccountColumns, new_ids, transfers
from bezant.interfaces.bench.defences import Told
from bezant.interfaces.replay.complaints import Complaints
from bezant.model.identifiers import words
from bezant.model.outcomes import Outcome
from bezant.model.records import RecordArray
from bezant.node import Node

DAY_NS, QUARTER_NS = 86_400 * 10**9, 900 * 10**9
MOST_ROWS = 512
ATTACK_DAYS = 21
ID_WINDOW_S = 86_400
"""Of the networks that are defended: simulated payments lie further apart than live ones."""


@dataclass
class Count:
    """What became of one layer's payments, minor units."""

    honest: int = 0
    insulted: int = 0
    attempts: int = 0
    stopped_attempts: int = 0
    goal: dict[str, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        def of(kinds: list[str]) -> dict[str, Any]:
            goal, missed = sum(self.goal[k] for k in kinds), sum(self.missed.get(k, 0) for k in kinds)
            return {
                "value_sought": f"{goal / 100:.2f}",
                "value_missed": f"{missed / 100:.2f}",
                "share_stopped": round(1 - missed / goal, 4),
            }

        return {
            "all": of(list(self.goal)),
            "by_attack": {kind: of([kind]) for kind in self.goal},
            "attempts": self.attempts,
            "attempts_stopped": self.stopped_attempts,
            "honest_payments": self.honest,
            "customers_insulted": self.insulted,
            "insult_rate": round(self.insulted / max(self.honest, 1), 5),
        }


class Battle:
    """One world and its attackers against one node."""

    def __init__(self, node: Node, clock: SetClock, world: World, plans: list[Plan], told: Told = "") -> None:
        self._node, self._clock, self._world, self._plans, self._told = node, clock, world, plans, told
        self._asset = node.accounts.asset("EUR")
        self._accounts = AccountColumns()
        self._random = np.random.default_rng(world.seed)
        self._complaints = Complaints(np.random.default_rng([world.seed, 1]), ID_WINDOW_S)
        self._count = Count()
        for plan in plans:
            self._count.goal[plan.kind] = self._count.goal.get(plan.kind, 0) + plan.goal_minor

    def run(self, days: int, progress: Callable[[float], None]) -> Count:
        """Open accounts, let honest days pass, then let the attackers loose among more of them."""
        self._open()
        total = days + ATTACK_DAYS
        traffic = join_traffic(self._world.traffic(START_NS, duration_s=total * 86_400.0))
        honest = traffic.label == 0
        traffic = Traffic(*(getattr(traffic, name)[honest] for name in Traffic.__slots__))
        begin = int(np.searchsorted(traffic.time_ns, START_NS + days * DAY_NS))
        for start in range(0, begin, MOST_ROWS):
            rows = traffic.rows(start, min(start + MOST_ROWS, begin))
            self._pay(rows.debtor, rows.creditor, rows.amount_minor, int(rows.time_ns[-1]))
            progress(0.5 * start / begin)
        waiting: list[tuple[int, int, Attempt]] = []
        now_ns = START_NS + days * DAY_NS
        for number, plan in enumerate(self._plans):
            first = next(plan.attacker)
            heapq.heappush(waiting, (now_ns + int(first.after_s * 1e9), number, first))
        start = begin
        while start < len(traffic):
            until_ns = int(traffic.time_ns[start]) + QUARTER_NS
            end = min(int(np.searchsorted(traffic.time_ns, until_ns)), start + MOST_ROWS)
            rows = traffic.rows(start, end)
            while waiting and waiting[0][0] <= int(rows.time_ns[-1]):
                self._attack(waiting)
            self._complain(int(rows.time_ns[0]))
            outcomes = self._pay(rows.debtor, rows.creditor, rows.amount_minor, int(rows.time_ns[-1]))
            self._count.honest += len(rows)
            self._count.insulted += int(np.isin(outcomes, _STOPPED).sum())
            start = end
            progress(0.5 + 0.5 * (start - begin) / (len(traffic) - begin))
        return self._count

    def _attack(self, waiting: list[tuple[int, int, Attempt]]) -> None:
        """Make the next attempt, tell its attacker, and queue what that thinks of next."""
        due_ns, number, attempt = heapq.heappop(waiting)
        debtor, creditor = np.array([attempt.debtor]), np.array([attempt.creditor])
        records, outcomes = self._order(debtor, creditor, np.array([attempt.amount_minor]), due_ns)
        outcome = int(outcomes[0])
        answer = _answer(outcome)
        if attempt.theft and (self._told == "all" or (self._told and answer is Answer.SETTLED)):
            self._complaints.note(records, np.array([self._clock.time_ns]), np.ones(1, np.uint8), outcomes)
        plan = self._plans[number]
        self._count.attempts += 1
        self._count.stopped_attempts += outcome in _STOPPED
        if attempt.theft and answer is Answer.SETTLED:
            self._count.missed[plan.kind] = self._count.missed.get(plan.kind, 0) + attempt.amount_minor
        try:
            following = plan.attacker.send(answer)
        except StopIteration:
            return
        heapq.heappush(waiting, (due_ns + int(following.after_s * 1e9), number, following))

    def _complain(self, now_ns: int) -> None:
        """Label the thefts that have become known."""
        known = self._complaints.due(now_ns, MOST_ROWS)
        if len(known):
            self._clock.time_ns = max(self._clock.time_ns, now_ns)
            desk = self._node.desk
            desk.intake.call(desk.sign(known, desk.institution_key))

    def _pay(self, debtor: Any, creditor: Any, amount: Any, time_ns: int) -> Any:
        """Pay (n,) at one time, never before the last; return the outcomes (n,)."""
        return self._order(debtor, creditor, amount, time_ns)[1]

    def _order(self, debtor: Any, creditor: Any, amount: Any, time_ns: int) -> tuple[RecordArray, Any]:
        """Pay as `_pay` does; return the records too."""
        self._clock.time_ns = max(self._clock.time_ns, time_ns)
        records = transfers(
            new_ids(np.full(len(debtor), self._clock.time_ns // 1_000_000), self._random),
            (self._accounts.lo[debtor], self._accounts.hi[debtor]),
            (self._accounts.lo[creditor], self._accounts.hi[creditor]),
            self._asset.number,
            np.asarray(amount).astype(np.uint64),
        )
        desk = self._node.desk
        return records, desk.intake.call(desk.sign(records, desk.institution_key)).outcome

    def _open(self) -> None:
        parties, accounts = self._world.parties, self._node.accounts
        for start in range(0, len(parties), MOST_ROWS):
            rows = np.arange(start, min(start + MOST_ROWS, len(parties)))
            profiles = [PartyProfile(parties.name[i], parties.country[i]) for i in rows]
            openings = [Opening(p.number, self._asset) for p in accounts.register_parties(profiles)]
            self._accounts.append(accounts.open(openings, mandates=False))
            opening = parties.opening_minor[rows]
            low, high = words(accounts.treasury(self._asset))
            records = transfers(
                new_ids(np.full(len(rows), self._clock.time_ns // 1_000_000), self._random),
                (np.full(len(rows), low, np.uint64), np.full(len(rows), high, np.uint64)),
                (self._accounts.lo[rows], self._accounts.hi[rows]),
                self._asset.number,
                opening,
            )
            records["flags"] = 0
            self._node.desk.order(records[opening > 0], self._node.desk.institution_key)


_STOPPED = np.array([Outcome.HELD_FOR_REVIEW, Outcome.BLOCKED], np.uint8)


def _answer(outcome: int) -> Answer:
    if outcome == Outcome.APPLIED:
        return Answer.SETTLED
    return Answer.HELD if outcome == Outcome.HELD_FOR_REVIEW else Answer.REFUSED
