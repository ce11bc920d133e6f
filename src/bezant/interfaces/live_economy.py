"""The simulated economy paying through a live node, at a chosen rate."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bezant.economy.traffic import Traffic
from bezant.economy.training import train_on_economy, world_of
from bezant.errors import BezantError, Overloaded
from bezant.gateway.accounts import Opening, PartyProfile
from bezant.gateway.bulk import AccountColumns, new_ids, transfers
from bezant.gateway.commands import seal_payload
from bezant.intelligence.model import Model
from bezant.model.identifiers import words
from bezant.model.money import Asset
from bezant.model.orders import MAX_AUTHORISED_RECORDS
from bezant.model.payment import Payload
from bezant.node import Node
from bezant.pipeline.intake import Answers

SEED = 7
TRAINING_SEED = 1_007
"""Another world than the one that pays, so that the model has never met these parties."""
TICK_S = 0.05
BATCH = 512
LEAST_CONSUMERS, MOST_CONSUMERS = 500, 5_000
CONSUMERS_PER_RATE = 40
"""Keeps a simulated day several minutes long at any rate."""

Progress = Callable[[int, int], None]
"""Hears (done, of)."""


def consumers_for(rate: float) -> int:
    return int(min(max(rate * CONSUMERS_PER_RATE, LEAST_CONSUMERS), MOST_CONSUMERS))


def train_first_model(path: Path, rate: float, progress: Callable[[str, float], None] | None = None) -> Model:
    """Train the model that a node with a live economy starts with, at the pace of that economy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return train_on_economy(
        TRAINING_SEED, path=path, progress=progress, consumers=consumers_for(rate), payments_per_second=rate
    )


class LiveEconomy:
    """Opens an account for every party of a world, funds it, and pays as the world does until stopped."""

    def __init__(self, node: Node, rate: float, *, seed: int = SEED, asset: str = "EUR") -> None:
        self._node, self._rate = node, rate
        self._world = world_of(seed, consumers_for(rate))
        self._asset: Asset = node.accounts.asset(asset)
        self._accounts = AccountColumns()
        self._random = np.random.default_rng()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._pay, name="economy", daemon=True)
        self.sent = 0
        """Payments handed in."""
        self.failure: BezantError | None = None

    def prepare(self, progress: Progress = lambda done, of: None) -> None:
        """Register, open and fund everybody; a few seconds for thousands."""
        parties = self._world.parties
        count = len(parties.name)
        for start in range(0, count, BATCH):
            rows = range(start, min(start + BATCH, count))
            profiles = [PartyProfile(parties.name[i], parties.country[i]) for i in rows]
            registered = self._node.accounts.register_parties(profiles)
            openings = [Opening(party.number, self._asset) for party in registered]
            self._accounts.append(self._node.accounts.open(openings, mandates=False))
            self._fund(np.arange(rows.start, rows.stop))
            progress(rows.stop, count)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop paying; what was handed in is still answered."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _fund(self, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """Issue every party's opening balance from the treasury."""
        desk = self._node.desk
        treasury = self._node.accounts.treasury(self._asset)
        low, high = words(treasury)
        count = len(rows)
        opening = np.asarray(self._world.parties.opening_minor, np.uint64)[rows]
        records = transfers(
            new_ids(np.full(count, desk.now_ms()), self._random),
            (np.full(count, low, np.uint64), np.full(count, high, np.uint64)),
            (self._accounts.lo[rows], self._accounts.hi[rows]),
            self._asset.number,
            opening,
        )
        records["flags"] = 0
        desk.order(records[opening > 0], desk.institution_key)

    def _pay(self) -> None:
        try:
            start_ns = self._node.desk.now_ns()
            for traffic in self._world.traffic(start_ns, payments_per_second=self._rate, batch=BATCH):
                self._hand_in(traffic)
                if self._stopping.is_set():
                    return
        except BezantError as error:
            self.failure = error

    def _hand_in(self, traffic: Traffic) -> None:
        """Hand payments in as their time comes, a tick's worth together."""
        done = 0
        while done < len(traffic) and not self._stopping.is_set():
            due = int(np.searchsorted(traffic.time_ns, self._node.desk.now_ns(), side="right"))
            due = min(due, done + MAX_AUTHORISED_RECORDS)
            if due > done:
                self._submit(traffic.rows(done, due))
                done = due
            else:
                wait_s = (int(traffic.time_ns[done]) - self._node.desk.now_ns()) / 1e9
                self._stopping.wait(min(max(wait_s, TICK_S), 1.0))

    def _submit(self, traffic: Traffic) -> None:
        desk = self._node.desk
        sealed = [
            seal_payload(
                Payload(
                    end_to_end_id=traffic.end_to_end_id(row),
                    remittance_information=traffic.remittance_information(row),
                )
            )
            for row in range(len(traffic))
        ]
        records = transfers(
            new_ids(np.full(len(traffic), desk.now_ms()), self._random),
            (self._accounts.lo[traffic.debtor], self._accounts.hi[traffic.debtor]),
            (self._accounts.lo[traffic.creditor], self._accounts.hi[traffic.creditor]),
            self._asset.number,
            traffic.amount_minor,
        )
        records["payload_commitment"] = np.array([np.frombuffer(c, np.uint8) for _, c in sealed])
        submission = desk.sign(records, desk.institution_key, tuple(text for text, _ in sealed))
        try:
            desk.intake.submit(submission, self._note)
        except Overloaded as error:
            # A busy node sheds load, and these consumers do not come back with the same wish.
            if error.code == "stopping":
                raise
        else:
            self.sent += len(traffic)

    def _note(self, answers: Answers | BaseException) -> None:
        if isinstance(answers, BezantError) and not answers.retryable:
            self.failure = answers
