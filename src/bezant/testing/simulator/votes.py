"""What institutions can ask for that stand behind validators: bonds, their end, and other rules.

As in `kinds`, each draws from the workload and returns what somebody signs, or None.
"""

from __future__ import annotations

import numpy as np

from bezant.ledger.fees import FEE_SALT
from bezant.model.governance import NOTICE_BLOCKS, Ballot, Rule
from bezant.model.money import U64_MAX
from bezant.model.records import RECORD, Kind, join_rows
from bezant.testing.ledgers import ALICE, BANK, ISSUER
from bezant.testing.simulator.commands import of_authority
from bezant.testing.simulator.networks import VOTERS
from bezant.testing.simulator.workload import Part, Workload

VALUES: dict[Rule, tuple[tuple[int, ...], ...]] = {
    Rule.REVIEW_FOR_S: ((3,), (20,), (0,)),
    Rule.RECOVERY_DELAY_S: ((0,), (9,)),
    Rule.SCHEMES: ((3,), (1,), (4,)),
    Rule.UNBONDING_S: ((172_800,), (5,)),
    Rule.SLASH_PPM: ((0,), (500_000,), (1_000_000,), (1_000_001,)),
    Rule.JAIL_S: ((0,), (20,)),
    Rule.AWAY_BLOCKS: ((10,), (9,)),
    Rule.LEAST_BOND: ((0,), (10,), (30,), (2**53,)),
    Rule.FEE: ((0, 0, 0, 0), (2, 0, 0, 2), (0, 300_000, 1, 9), (0, 0, 3, 2)),
}
"""What each rule may be asked to become; some of it is out of bounds."""


def bond(workload: Workload) -> Part:
    """An institution bonds for one of few validators, of its own money or of a customer's."""
    rng, purse = workload.rng, workload.purse()
    amount = rng.choice((1, 9, 10, 25, workload.spendable(purse), workload.spendable(purse) + 1))
    row = workload.record(Kind.BOND, purse, workload.issuer, min(max(amount, 0), U64_MAX))
    row["payload_commitment"][:] = np.frombuffer(rng.choice(VOTERS), np.uint8)
    workload.bonds.append(row)
    workload.holds.append(row)
    return Part(purse.institution if rng.random() < 0.9 else purse.holder, row)


def unbond(workload: Workload) -> Part | None:
    """A bond ends; some have ended before, or were never made."""
    if not workload.bonds:
        return None
    bonded = workload.rng.choice(workload.bonds[-12:])
    debtor, creditor = (workload.owner(workload.of(bonded, side)) for side in ("debtor", "creditor"))
    row = workload.record(Kind.UNBOND, debtor, creditor, 0, related=workload.of(bonded, "id"))
    return Part(debtor.institution if workload.rng.random() < 0.95 else debtor.holder, row)


def rejoin(workload: Workload) -> Part:
    """A validator that was away is to vote again."""
    by = workload.rng.choice((BANK, ISSUER))
    return Part(by, of_authority(workload, Kind.REJOIN, by.public, commitment=workload.rng.choice(VOTERS)))


def propose(workload: Workload) -> Part:
    """A rule is to change, mostly about as soon as it may; who proposes says yes at once, or later."""
    rng, by = workload.rng, workload.rng.choice((BANK, ISSUER, BANK, ISSUER, ALICE))
    rule = rng.choice([*VALUES, Rule.FEE])
    values = rng.choice(VALUES[rule])
    padded = b"".join(number.to_bytes(8, "little") for number in (*values, 0, 0, 0)[:4])
    due = workload.sight.height + NOTICE_BLOCKS + rng.choice((1, 3, 6, 9, 12, 10**6))
    asset = rng.choice((1, 1, 2)) if rule is Rule.FEE else 0
    fields = {"amount": rule, "max_fee": due, "hold_for_s": rng.choice((1, 60, 600)), "asset": asset}
    asked = of_authority(workload, Kind.PROPOSE, by.public, commitment=padded, **fields)
    if rng.random() < 0.5:
        return Part(by, asked)
    said = of_authority(
        workload, Kind.VOTE, by.public, related=workload.of(asked, "id"), amount=int(Ballot.YES)
    )
    return Part(by, join_rows([asked, said], RECORD))


def vote(workload: Workload) -> Part:
    """Institutions say what they think of something that is voted on, or was never asked for."""
    rng, by = workload.rng, workload.rng.choice((BANK, ISSUER))
    asked = [one.id for one in workload.sight.proposals()]
    if not asked or rng.random() < 0.05:
        asked = [workload.identity()]
    said = rng.choices((Ballot.YES, Ballot.NO), (85, 15))[0]
    rows = [of_authority(workload, Kind.VOTE, by.public, related=one, amount=int(said)) for one in asked[-4:]]
    return Part(by, join_rows(rows, RECORD))


def collect(workload: Workload) -> Part:
    """The issuer opens what collects the fees, again and again."""
    row, _ = workload.scribe().open(1, ISSUER, salt=FEE_SALT)
    return Part(ISSUER, row)


VOTES = ((4, bond), (3, unbond), (1, rejoin), (1, propose), (1, vote))
"""Weight and function of each, where nobody votes on rules."""
CHARGES = ((4, collect), (8, bond))
"""What comes to it where payments are charged."""
GOVERNMENT = ((12, propose), (40, vote), (6, rejoin))
"""And where validators vote."""
