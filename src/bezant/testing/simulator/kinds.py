"""What can be asked for about value, one small function each; a new kind is a function and a line in KINDS.

A function draws from the workload and returns the part that somebody signs, or None where there is
nothing yet to ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import accumulate
from typing import Any

from bezant.model.digest import sha256
from bezant.model.money import U64_MAX
from bezant.model.outcomes import Verdict
from bezant.model.records import RECORD, Flag, Kind, Label, RecordArray, join_rows
from bezant.testing.ledgers import BANK, ISSUER
from bezant.testing.simulator.commands import COMMANDS
from bezant.testing.simulator.votes import CHARGES, GOVERNMENT, VOTES
from bezant.testing.simulator.workload import Part, Workload

MAX_TOGETHER = 3
Maker = Callable[[Workload], Part | None]


def transfers(workload: Workload) -> Part:
    """A few payments from one purse under one signature."""
    debtor = workload.purse()
    rows = []
    for _ in range(workload.rng.randint(1, MAX_TOGETHER)):
        creditor = workload.purse()
        rows.append(workload.record(Kind.TRANSFER, debtor, creditor, workload.amount(debtor, creditor)))
    workload.moved += rows
    return Part(workload.signer(debtor), join_rows(rows, RECORD))


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
    return Part(workload.signer(debtor), join_rows(rows, RECORD))


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
    workload.stopped.append(row)
    return Part(workload.signer(debtor), row, Verdict.BLOCK)


def capture(workload: Workload) -> Part | None:
    """All of a hold, a part or more than there is; what is left stays held or returns."""
    held = workload.held()
    if held is None:
        return None
    rng, whole = workload.rng, int(held["amount"][0])
    amount = rng.choice((whole, whole - 1, whole + 1, whole // 2, whole // 2, whole // 3))
    secret = workload.secrets.get(workload.of(held, "id"), bytes(32))
    if rng.random() < 0.1:
        secret = rng.randbytes(32)
    flags = int(Flag.KEEP_REST) if rng.random() < 0.6 else 0
    part = _close(workload, held, Kind.CAPTURE, min(max(amount, 0), U64_MAX), flags=flags, commitment=secret)
    workload.moved.append(part.records)
    return part


def release(workload: Workload) -> Part | None:
    held = workload.held()
    return None if held is None else _close(workload, held, Kind.RELEASE, 0)


def _close(workload: Workload, held: RecordArray, kind: Kind, amount: int, **fields: Any) -> Part:
    debtor, creditor = (workload.owner(workload.of(held, side)) for side in ("debtor", "creditor"))
    row = workload.record(kind, debtor, creditor, amount, related=workload.of(held, "id"), **fields)
    by = workload.rng.choice((debtor.institution, creditor.holder, creditor.holder, debtor.holder))
    return Part(by, row)


def locked(workload: Workload) -> Part:
    """A hold that a secret opens; now and then the lock stands alone, or names another hold."""
    rng, debtor, creditor = workload.rng, workload.purse(), workload.purse()
    secret = rng.randbytes(32)
    lasts_s = rng.randint(1, 30)
    amount = workload.amount(debtor, creditor)
    row = workload.record(Kind.HOLD, debtor, creditor, amount, hold_for_s=lasts_s, flags=int(Flag.LINKED))
    hold = workload.of(row, "id")
    if rng.random() < 0.1 and workload.holds:
        hold = workload.of(rng.choice(workload.holds[-12:]), "id")
    lock = workload.record(Kind.LOCK, debtor, creditor, 0, related=hold, commitment=sha256(secret))
    workload.holds.append(row)
    workload.secrets[workload.of(row, "id")] = secret
    rows = [lock] if rng.random() < 0.1 else [row, lock]
    return Part(workload.signer(debtor), join_rows(rows, RECORD))


def refund(workload: Workload) -> Part | None:
    """All or part of a payment or capture back, or a little more; mostly by who got it."""
    if not workload.moved:
        return None
    rng, paid = workload.rng, workload.rng.choice(workload.moved[-12:])
    back, to = (workload.owner(workload.of(paid, side)) for side in ("creditor", "debtor"))
    if rng.random() < 0.05:
        back, to = to, back
    amount = int(paid["amount"][0])
    wanted = rng.choice((amount, amount, amount // 2, amount // 3, amount + 1, 0))
    row = workload.record(Kind.REVERSE, back, to, min(wanted, U64_MAX), related=workload.of(paid, "id"))
    verdict = rng.choices((Verdict.ALLOW, Verdict.BLOCK, Verdict.REVIEW), (94, 3, 3))[0]
    return Part(workload.signer(back), row, verdict)


def clawback(workload: Workload) -> Part:
    """The issuer takes back what is available, or a little more."""
    issued, purse = workload.issuer, workload.purse()
    amount = max(workload.spendable(purse) + workload.rng.choice((-100, 0, 1)), 0)
    row = workload.record(Kind.CLAWBACK, purse, issued, min(amount, U64_MAX))
    return Part(ISSUER if workload.rng.random() < 0.9 else BANK, row)


def label(workload: Workload) -> Part | None:
    """What a payment or hold turned out to be; mostly by who may say so."""
    asked = [*workload.moved[-8:], *workload.holds[-8:], *workload.stopped[-8:]]
    if not asked:
        return None
    rng, said = workload.rng, workload.rng.choice(asked)
    debtor, creditor = (workload.owner(workload.of(said, side)) for side in ("debtor", "creditor"))
    named = workload.of(said, "id")
    row = workload.record(Kind.LABEL, debtor, creditor, int(rng.choice(list(Label))), related=named)
    if rng.random() < 0.3:
        # Of one that was refused; of one that was not, history knows nothing under the debtor alone.
        row["creditor_lo"], row["creditor_hi"] = 0, 0
    return Part(debtor.institution if rng.random() < 0.85 else debtor.holder, row)


KINDS: tuple[tuple[int, Maker], ...] = (
    (40, transfers),
    (12, chain),
    (12, hold),
    (7, locked),
    (16, capture),
    (5, release),
    (5, reviewed),
    (2, blocked),
    (11, refund),
    (2, clawback),
    (4, label),
    *COMMANDS,
    *VOTES,
)
"""Weight and function of every kind."""


def draw(workload: Workload) -> Part | None:
    """Return a part of a kind drawn by weight, of those that the network is about."""
    genesis = workload.genesis
    weights, makers = _drawn(bool(genesis.fees), bool(genesis.validators))
    return workload.rng.choices(makers, cum_weights=weights)[0](workload)


@cache
def _drawn(charged: bool, governed: bool) -> tuple[list[int], list[Maker]]:
    """Return the kinds that a network is about, and up to each of them the sum of the weights."""
    drawn = KINDS + (CHARGES if charged else ()) + (GOVERNMENT if governed else ())
    return list(accumulate(weight for weight, _ in drawn)), [maker for _, maker in drawn]
