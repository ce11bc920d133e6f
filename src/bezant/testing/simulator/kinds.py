"""What can be asked for, one small function each; a new kind is a function and a line in KINDS.

A function draws from the workload and returns the part that somebody signs, or None where there is
nothing yet to ask for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bezant.model.keys import authority_id
from bezant.model.money import U64_MAX
from bezant.model.outcomes import Verdict
from bezant.model.records import Flag, Kind, RecordArray, id_of
from bezant.testing.ledgers import ALICE, BANK, BOB, CAROL, MALLORY, record
from bezant.testing.simulator.workload import Part, Purse, Workload

MAX_TOGETHER = 3


def transfers(workload: Workload) -> Part:
    """A few payments from one purse under one signature."""
    debtor = workload.purse()
    rows = []
    for _ in range(workload.rng.randint(1, MAX_TOGETHER)):
        creditor = workload.purse()
        rows.append(workload.record(Kind.TRANSFER, debtor, creditor, workload.amount(debtor, creditor)))
    return Part(workload.signer(debtor), np.concatenate(rows))


def chain(workload: Workload) -> Part:
    """Payments that succeed or fail together; now and then the signature ends inside the chain."""
    debtor = workload.purse()
    rows: list[RecordArray] = []
    length = workload.rng.randint(2, 4)
    for _ in range(length):
        creditor = workload.purse()
        amount = workload.amount(debtor, creditor)
        rows.append(workload.record(Kind.TRANSFER, debtor, creditor, amount, flags=int(Flag.LINKED)))
    if workload.rng.random() < 0.9:
        rows[-1]["flags"] = 0
    return Part(workload.signer(debtor), np.concatenate(rows))


def hold(workload: Workload) -> Part:
    """A reserve of a few seconds."""
    debtor, creditor = workload.purse(), workload.purse()
    amount, lasts_s = workload.amount(debtor, creditor), workload.rng.randint(1, 30)
    row = workload.record(Kind.HOLD, debtor, creditor, amount, hold_for_s=lasts_s)
    workload.holds.append(row)
    return Part(workload.signer(debtor), row)


def reviewed(workload: Workload) -> Part:
    """A payment that a person is to look at; some payers have not agreed to that."""
    debtor, creditor = workload.purse(), workload.purse()
    flags = int(Flag.MAY_REVIEW) if workload.rng.random() < 0.85 else 0
    row = workload.record(Kind.TRANSFER, debtor, creditor, workload.amount(debtor, creditor), flags=flags)
    workload.holds.append(row)
    return Part(workload.signer(debtor), row, Verdict.REVIEW)


def blocked(workload: Workload) -> Part:
    """A payment that the gateway refuses."""
    debtor, creditor = workload.purse(), workload.purse()
    row = workload.record(Kind.TRANSFER, debtor, creditor, 1 + workload.rng.randrange(9))
    return Part(workload.signer(debtor), row, Verdict.BLOCK)


def capture(workload: Workload) -> Part | None:
    """All of a hold, a part, or more than there is."""
    held = workload.held()
    if held is None:
        return None
    amount = int(held["amount"][0]) + workload.rng.choice((0, 0, 0, -1, 1, -5))
    return _close(workload, held, Kind.CAPTURE, min(max(amount, 0), U64_MAX))


def release(workload: Workload) -> Part | None:
    held = workload.held()
    return None if held is None else _close(workload, held, Kind.RELEASE, 0)


def _close(workload: Workload, held: RecordArray, kind: Kind, amount: int) -> Part:
    debtor, creditor = (workload.owner(id_of(held[0], side)) for side in ("debtor", "creditor"))
    row = workload.record(kind, debtor, creditor, amount, related=id_of(held[0], "id"))
    by = workload.rng.choice((debtor.institution, creditor.holder, creditor.holder, debtor.holder))
    return Part(by, row)


def freeze(workload: Workload) -> Part:
    """A freeze or, more often, a thaw."""
    purse = workload.purse()
    row = record(
        Kind.SET_FROZEN,
        id=workload.identity(),
        debtor=purse.account,
        amount=int(workload.rng.random() < 0.3),
        asset=purse.asset,
    )
    return Part(workload.rng.choice((purse.institution, purse.institution, purse.holder)), row)


def delegate(workload: Workload) -> Part:
    """Somebody may pay for another, up to a cap, or no more."""
    purse = workload.purse()
    row = record(
        Kind.SET_DELEGATE,
        id=workload.identity(),
        debtor=purse.account,
        creditor=authority_id(workload.rng.choice((BOB, CAROL, MALLORY)).public),
        amount=workload.rng.choice((0, 10, 50)),
        asset=purse.asset,
    )
    return Part(workload.signer(purse), row)


def account(workload: Workload) -> Part:
    """Another account for a customer, some of them limited."""
    limit = workload.rng.choice((0, 0, 100))
    holder = workload.rng.choice((ALICE, BOB, CAROL, MALLORY))
    row, identity = workload.scribe().open(2, holder, salt=workload.rng.randrange(2**60), balance_limit=limit)
    if holder is not MALLORY:
        workload.purses.append(Purse(identity, holder, BANK, 1))
    return Part(workload.rng.choice((BANK, BANK, BANK, holder)), row)


KINDS: tuple[tuple[int, Callable[[Workload], Part | None]], ...] = (
    (40, transfers),
    (12, chain),
    (12, hold),
    (8, capture),
    (5, release),
    (5, reviewed),
    (2, blocked),
    (3, freeze),
    (3, delegate),
    (2, account),
)
"""Weight and function of every kind."""


def draw(workload: Workload) -> Part | None:
    """Return a part of a kind drawn by weight."""
    weights, makers = zip(*KINDS, strict=True)
    return workload.rng.choices(makers, weights)[0](workload)
