"""Random batches in a world small on purpose, and the two ledgers that play them side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bezant.ledger.batch import NS_PER_S, Batch
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.reference import ReferenceLedger
from bezant.model.digest import sha256
from bezant.model.genesis import Fee, GenesisValidator, Stake
from bezant.model.governance import RANGES, Rule
from bezant.model.identifiers import new_payment_id
from bezant.model.keys import SigningKey, authority_id
from bezant.model.outcomes import Verdict
from bezant.model.records import Fault, Flag, Kind, RecordArray, id_of
from bezant.testing.ledgers import ALICE, BANK, BOB, CAROL, ISSUER, MALLORY, Quorum, World, fault, record
from bezant.testing.simulator.checks import Violation, check_books

IDS = {key: authority_id(key.public) for key in (ALICE, BOB, CAROL, BANK, ISSUER, MALLORY)}
SIGNERS = (
    *(ALICE, BOB, CAROL, BANK, BANK, BANK, ISSUER, MALLORY),
    *(Quorum(IDS[ALICE], {0: ALICE, 1: BOB}), Quorum(IDS[ALICE], {1: BOB})),
    *(Quorum(IDS[ALICE], {1: BOB, 2: CAROL}), Quorum(IDS[BANK], {0: BANK, 1: CAROL, 2: BOB})),
)
VOTERS = [bytes([n]) * 32 for n in (21, 22, 23, 24)]
RULES = {
    "stake": Stake(asset=1, unit=10, unbonding_s=4, slash_ppm=300_000, jail_s=3, away_blocks=2, least_bond=9),
    "validators": (GenesisValidator(VOTERS[0].hex(), 2, 2), GenesisValidator(VOTERS[1].hex(), 1, 1)),
    "fees": (Fee(1, ppm=300_000, maximum=3),),
    "id_window_s": 40,
    "id_future_s": 5,
    "review_for_s": 6,
    "checkpoint_interval": 1,
    "max_live_ids": 150,
    "recovery_delay_s": 3,
}
POLICY = {
    **dict.fromkeys(("approve_holders", "freezable", "pausable", "clawback", "member_credit"), True),
    "refund_window_s": 12,
}
LOCKED, MANDATED = 102, 101
"""Kinds of steps that are not kinds of records: a hold with its lock, and a payment under a mandate."""
PLAIN = [1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 16, 17, 18, 19, 99]
VOTING = [9, 10, 30, 31, 32]
FOCUS = {
    "plain": PLAIN,
    "holds": [2, 2, 3, 3, 3, 4, LOCKED, LOCKED, 6, 1],
    "refunds": [1, 1, 5, 5, 5, 2, 3],
    "mandates": [23, 23, 24, MANDATED, MANDATED, MANDATED, MANDATED, 26],
    "keys": [20, 20, 20, 21, 21, 22, 22, 1, 1, 3, 23],
    "stake": [9, 9, 9, 9, 10, 10, 30, 30, 1, 3, 4, 27],
    "governance": [31, 31, 31, 32, 32, 32, 32, 32, 32, 9, 10],
    "fees": [1, 1, 1, 1, 2, 2, 3, 3, 5, 9, 9, 9, 10],
    "learning": [1, 1, 1, 2, 8, 8, 8, 29, 29, 29, 29, 29],
    "policy": [18, 25, 26, 27, 28, 7, 7, 1, 1, 5, 2, 3],
    "every": [*PLAIN, 5, 5, 7, 20, 21, 22, 23, 24, 25, 26, 27, 28, MANDATED, LOCKED, 6, 8, 29, *VOTING],
}
"""Kinds of steps that are drawn together, so that what they do to one another comes up."""

Step = tuple[int, ...]
FLAGS = {"plain": [0, 0, 0, 2, 2, 1, 1, 3, 4, 64], "holds": [0, 0, 0, 4, 4, 5], "refunds": [0, 0, 0, 1]}
AMOUNTS = {
    "holds": [-100, -5, -5, -1, 0, 1, 5, 9, 300],
    "refunds": [4, 9, 9, 10, 10, 11],
    "learning": range(12),
}
AGES = {"plain": range(12), "keys": range(12), "policy": range(12)}


def steps_of(focus: str) -> st.SearchStrategy[Step]:
    """Return steps: kind, debtor (0: the signer's own account), creditor, amount (of a capture: beyond what
    is held), which earlier record, flags, verdict, how the id is made."""
    wild = focus not in ("holds", "refunds", "mandates", "learning", "stake", "governance", "fees")
    return st.tuples(
        st.sampled_from(FOCUS[focus]),
        st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4] if wild else [0, 0, 0, 1]),
        st.integers(0, 4) if wild else st.integers(0, 1),
        st.sampled_from(AMOUNTS.get(focus, [-5, -1, 0, 0, 1, 5, 9, 10, 11, 300, 990, 1000, 1001])),
        st.integers(0, 3),
        st.sampled_from(FLAGS.get(focus, [0, 0, 0, 1, 1, 2, 64])),
        st.sampled_from([0, 0, 0, 0, 0, 1, 2] if wild else [0]),
        st.sampled_from(AGES.get(focus, [0] * 10 + [8, 11])),
    )


def blocks_of(focus: str, blocks: int = 1) -> st.SearchStrategy[Any]:
    """Return at least so many blocks of the steps of a focus: seconds before each, what each signer asks
    for, which signatures are good, a bit for each in turn, and the faults of validators."""
    signers = range(len(SIGNERS)) if focus in ("keys", "every", "plain") else (0, 1, 2, 3, 6)
    signers = (0, 1, 3, 3, 3, 3, 6) if focus in ("learning", "stake", "fees") else signers
    signers = (0, 3, 3, 3, 6, 6) if focus == "governance" else signers
    part = st.tuples(st.sampled_from(signers), st.lists(steps_of(focus), min_size=1, max_size=6))
    good = st.sampled_from([255] * 9 + [0, 1, 2, 253])
    faults = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 2, 2])), max_size=2)
    block = st.tuples(
        st.sampled_from([0, 0, 0, 1, 3, 11]),
        st.lists(part, min_size=blocks > 1, max_size=3),
        good,
        st.one_of(st.just([]), faults) if focus in ("stake", "governance", "every") else st.just([]),
    )
    return st.lists(block, min_size=blocks, max_size=max(8, blocks))


BLOCKS = st.one_of([blocks_of(focus) for focus in FOCUS])
WITHOUT_KEYS = st.one_of([blocks_of(focus) for focus in FOCUS if focus not in ("keys", "every")])


class Play:
    """Turns drawn numbers into batches; the same draws give the same bytes."""

    def __init__(self, make: Callable[[Any], Any] = ReferenceLedger) -> None:
        self.world = World(make, POLICY, **RULES)
        self.earlier: list[RecordArray] = []
        self.holds: list[RecordArray] = []
        self.mandates: list[RecordArray] = []
        self.paid: list[RecordArray] = []
        self.bonds: list[RecordArray] = []
        self.proposals: list[RecordArray] = []

    def batches(self, drawn: Any) -> Iterator[Batch]:
        """Yield the block that was drawn. Where much time passes and something was proposed, many blocks
        pass before it: changes wait for their height."""
        quiet = 12 if drawn[0] == 11 and self.proposals else 0
        for _ in range(quiet):
            yield self.world.batch()
        yield self.batch(drawn)

    @property
    def height(self) -> int:
        ledger = self.world.ledger
        return ledger.state.blocks if isinstance(ledger, ReferenceLedger) else ledger._blocks

    def batch(self, drawn: Any) -> Batch:
        after_s, parts, good, faults = drawn
        self.world.scribe.now_ns += after_s * NS_PER_S
        signed: list[tuple[SigningKey | Quorum, RecordArray]] = []
        verdicts: list[int] = []
        for signer, steps in parts:
            rows = [self.record(signer, step) for step in steps]
            signed.append((SIGNERS[signer], np.concatenate(rows)))
            for step, made in zip(steps, rows, strict=True):
                verdicts += [step[6] if kind in (1, 2, 5) else 0 for kind in made["kind"]]
        known = {row: Verdict(verdict) for row, verdict in enumerate(verdicts)}
        many = sum(len(key.keys) if isinstance(key, Quorum) else 1 for key, _ in signed)
        authentic = [good >> row % 8 & 1 for row in range(many)]
        reported = [fault(VOTERS[voter], Fault(kind)) for voter, kind in faults]
        rows = np.concatenate(reported) if reported else None
        return self.world.batch(*signed, verdicts=known, authentic=authentic, faults=rows)

    def apply(self, batch: Batch) -> RecordArray:
        receipts = self.world.ledger.apply(batch)
        self.world.history.note(batch.records, receipts)
        return receipts

    def record(self, signer: int, step: Step) -> RecordArray:
        kind, debtor, creditor, amount, which, flags, _, age = step
        world = self.world
        other = self.earlier[-1 - which % len(self.earlier)] if self.earlier else None
        if age == 11 and other is not None:
            return other
        made_ms = world.scribe.now_ns // 10**6 + {10: 60_000, 9: -60_000}.get(age, 0)
        fields: dict[str, Any] = {
            "id": new_payment_id(made_ms, world.scribe.new_id()),
            "amount": max(amount, 0),
        }
        accounts = (world.alice, world.bob, world.carol, world.yen, 7)
        own = accounts[signer if debtor == 0 and signer < 3 else debtor]
        to = accounts[creditor]
        if to == own and age < 8:
            to = accounts[1 - min(creditor, 1)]
        fields |= {"debtor": own, "creditor": to, "flags": flags}
        fields["asset"] = 2 if own == world.yen else 1
        if kind == Kind.HOLD or kind == LOCKED:
            fields["hold_for_s"] = 1 + which
        if kind >= Kind.REGISTER_AUTHORITY and which:
            fields["flags"] = 0
        if age == 8 and other is not None:
            fields["id"] = id_of(other[0], "id")
        if kind in (Kind.TRANSFER, Kind.HOLD, MANDATED, LOCKED):
            fields["max_fee"] = (3, 3, 3, 1)[which]
        if kind == LOCKED:
            return self.locked(fields, which)
        fields |= self.special(signer, step, other)
        made = record(Kind.TRANSFER if kind == MANDATED else kind, **fields)
        self.earlier.append(made)
        if kind == Kind.HOLD or flags & Flag.MAY_REVIEW:
            self.holds.append(made)
        if kind == Kind.SET_MANDATE:
            self.mandates.append(made)
        if kind == Kind.BOND:
            self.bonds.append(made)
            self.holds.append(made)
        if kind == Kind.PROPOSE:
            self.proposals.append(made)
        if kind in (Kind.TRANSFER, Kind.CAPTURE):
            self.paid.append(made)
        return made

    def locked(self, fields: dict[str, Any], which: int) -> RecordArray:
        """Return a hold and, in the same chain, its lock."""
        placed = record(Kind.HOLD, **(fields | {"flags": Flag.LINKED}))
        lock = sha256(bytes([which % 2]) * 32)
        self.holds.append(placed)
        return np.concatenate([placed, self.world.after(Kind.LOCK, placed, commitment=lock)])

    def special(self, signer: int, step: Step, other: RecordArray | None) -> dict[str, Any]:
        """Return the fields that a kind of step uses in its own way."""
        kind, _, creditor, amount, which, flags, _, _ = step
        key = SIGNERS[signer]
        own = key.authority if isinstance(key, Quorum) else IDS[key]
        keys = (BOB, CAROL, ALICE, MALLORY)
        if kind in (Kind.CAPTURE, Kind.RELEASE, Kind.LOCK) and self.holds:
            held = self.holds[-1 - which % len(self.holds)][0]
            named = {side: id_of(held, side) for side in ("debtor", "creditor")}
            named |= {"related": id_of(held, "id"), "amount": max(int(held["amount"]) + amount, 0)}
            return named | {"commitment": bytes([creditor % 2]) * 32}
        if kind == Kind.REVERSE and (self.paid or other is not None):
            row = self.paid[-1 - which % 2 % len(self.paid)][0] if self.paid else other[0]
            back = {"debtor": id_of(row, "creditor"), "creditor": id_of(row, "debtor")}
            return back | {"related": id_of(row, "id"), "flags": flags & 1}
        if kind == Kind.LABEL and self.earlier:
            made = [*self.holds[-2:], *self.paid[-4:]] or self.earlier
            row = made[-1 - which % len(made)][0]
            named = {side: id_of(row, side) for side in ("debtor", "creditor")}
            said = {"amount": 1 + max(amount, 0) % 2 + (creditor == 4), "flags": flags & 1 if which else 0}
            if creditor == 3:  # as of one that was refused
                row = self.earlier[-1 - which % len(self.earlier)][0]
                named = {"debtor": id_of(row, "debtor"), "creditor": 0}
            return named | said | {"related": id_of(row, "id"), "asset": int(row["asset"])}
        if kind in (Kind.BOND, Kind.REJOIN):
            way = {"debtor": own} if kind == Kind.REJOIN else {"creditor": self.world.treasury}
            return way | {"commitment": VOTERS[which], "flags": 0}
        if kind == Kind.UNBOND and self.bonds:
            bonded = self.bonds[-1 - which % len(self.bonds)][0]
            named = {side: id_of(bonded, side) for side in ("debtor", "creditor")}
            return named | {"related": id_of(bonded, "id"), "amount": 0, "flags": 0}
        if kind == Kind.PROPOSE:
            rule = Rule(1 + (max(amount, 0) + which) % len(Rule))
            low, high = RANGES.get(rule, (0, 0))
            value = (low, high, low + 1, high + 1, max(low - 1, 0))[(flags + creditor) % 5]
            asset, values = 0, (value, 0, 0, 0)
            if rule is Rule.FEE:
                asset = (1, 1, 1, 2, 9)[(flags + creditor) % 5]
                values = ((0, 200_000, 1, 2), (1, 0, 0, 1), (0, 0, 0, 0), (0, 0, 2, 1))[which]
            due = self.height + 20 + (1, 2, 5, 14)[which]
            when = {"max_fee": due, "hold_for_s": (2, 9, 60)[creditor % 3]}
            encoded = b"".join(number.to_bytes(8, "little") for number in values)
            said = {"amount": int(rule), "commitment": encoded, "asset": asset}
            return {"debtor": own, "creditor": 0, "flags": 0} | when | said
        if kind == Kind.VOTE and self.proposals:
            asked = self.proposals[-1 - which % 2 % len(self.proposals)][0]
            said = {"amount": 1 if amount % 5 else 2, "related": id_of(asked, "id")}
            return {"debtor": own, "flags": 0} | said
        if kind == Kind.SET_MODEL:
            model = {"debtor": own, "amount": (1, 1, 2, 3, 3, 0)[amount % 6], "flags": 0}
            return model | {"commitment": bytes([which % 2 + 1]) * 32}
        if kind == Kind.CLAWBACK:
            return {"creditor": self.world.treasury, "flags": flags & 1}
        if kind == MANDATED and self.mandates:
            mandate = self.mandates[-1 - which % len(self.mandates)][0]
            named = {"debtor": id_of(mandate, "debtor"), "related": id_of(mandate, "id")}
            return named | {"flags": flags | Flag.UNDER_MANDATE}
        if kind == Kind.SET_MANDATE:
            payee = {} if which else {"creditor": 0}
            period = {"max_fee": 12, "hold_for_s": 4} if which != 2 else {}
            ends = (self.world.scribe.now_ns // NS_PER_S + 9) * (which == 3)
            given = {"related": tuple(IDS.values())[creditor], "flags": 0}
            return given | payee | period | {"commitment": ends.to_bytes(8, "little") + bytes(24)}
        if kind == Kind.REVOKE_MANDATE and self.mandates:
            mandate = self.mandates[-1 - which % len(self.mandates)][0]
            return {"debtor": id_of(mandate, "debtor"), "related": id_of(mandate, "id")}
        if kind == Kind.SET_DELEGATE:
            return {"creditor": authority_id(keys[creditor % 4].public)}
        if kind in (Kind.SET_KEY, Kind.RECOVER):
            given = {"debtor": own, "amount": 1 + (amount == 9), "commitment": keys[creditor % 4].public}
            slot = {"related": which % 3, "max_fee": (15, 1, 0, 8, 16)[creditor]}
            return given | (slot if kind == Kind.SET_KEY else {})
        if kind == Kind.SET_THRESHOLDS:
            return {
                "debtor": own,
                "amount": (0x01010101, 0x00010102, 0x01010001, 0x010000, 0x00010101)[creditor],
            }
        if kind == Kind.SET_LIMITS:
            return {"max_fee": (0, 0, 20, 1100, 9)[creditor]}
        if kind in (Kind.SET_HOLDER, Kind.SET_PAUSED):
            return {"amount": int(which != 3)} if kind == Kind.SET_HOLDER else {"amount": int(which == 3)}
        return {}


def differ(blocks: Any, reference: Callable[[Any], Any] = ReferenceLedger) -> str:
    """Return where the two ledgers part, or an empty text."""
    play, twin = Play(reference), World(ColumnarLedger, POLICY, **RULES)
    for height, batch in enumerate(batch for drawn in blocks for batch in play.batches(drawn)):
        ours, theirs = play.apply(batch), twin.ledger.apply(batch)
        if ours.tobytes() != theirs.tobytes():
            at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), -1)
            return f"block {height} receipt {at}: {ours[at]} and {theirs[at]}"
        try:
            check_books(play.world.ledger.state, twin.ledger)
        except Violation as violation:
            return f"block {height}: {violation}"
    return ""
