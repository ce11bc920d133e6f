"""Commands that can be asked for: about accounts and assets, mandates, and the keys that sign.

As in `kinds`, each draws from the workload and returns what somebody signs, or None.
"""

from __future__ import annotations

from bezant.model.identifiers import AuthorityId
from bezant.model.keys import authority_id
from bezant.model.money import U64_MAX
from bezant.model.outcomes import Verdict
from bezant.model.records import MAX_KEYS, RECORD, ROLES, Flag, Kind, ModelRole, RecordArray, join_rows
from bezant.testing.ledgers import ALICE, BANK, BOB, CAROL, ISSUER, MALLORY, record
from bezant.testing.simulator.workload import Part, Purse, Workload

HOLDERS = (ALICE, BOB, CAROL)


def account(workload: Workload) -> Part:
    """Another account for a customer, some of them limited; its asset's issuer has yet to approve it."""
    limit = workload.rng.choice((0, 0, 100))
    holder = workload.rng.choice((*HOLDERS, MALLORY))
    row, identity = workload.scribe().open(2, holder, salt=workload.rng.randrange(2**60), balance_limit=limit)
    if holder is not MALLORY:
        workload.purses.append(Purse(identity, holder, BANK, 1))
    return Part(workload.rng.choice((BANK, BANK, BANK, holder)), row)


def freeze(workload: Workload) -> Part:
    """A freeze or, more often, a thaw; by the account's institution or the asset's issuer."""
    purse = workload.purse()
    by = workload.rng.choice((purse.institution, purse.institution, ISSUER, purse.holder))
    return Part(by, _about(workload, Kind.SET_FROZEN, purse, amount=int(workload.rng.random() < 0.3)))


def delegate(workload: Workload) -> Part:
    """Somebody may pay for another, up to a cap, or no more."""
    purse = workload.purse()
    named = authority_id(workload.rng.choice((BOB, CAROL, MALLORY)).public)
    cap = workload.rng.choice((0, 10, 50))
    row = _about(workload, Kind.SET_DELEGATE, purse, creditor=named, amount=cap)
    return Part(workload.signer(purse), row)


def limits(workload: Workload) -> Part:
    """New limits, often at the very edge of what an account uses."""
    purse = workload.purse()
    credit = workload.rng.choice((0, 0, 40, max(-workload.spendable(purse), 0)))
    balance = workload.rng.choice((0, 100, 700, U64_MAX))
    by = workload.rng.choice((purse.institution, purse.institution, purse.holder))
    return Part(by, _about(workload, Kind.SET_LIMITS, purse, amount=credit, max_fee=balance))


def close(workload: Workload) -> Part:
    """An account is to close; an empty one if there is any."""
    purse = workload.purse()
    empty = [one for one in workload.purses[1:] if workload.spendable(one) == 0]
    if empty and workload.rng.random() < 0.8:
        purse = workload.rng.choice(empty)
    return Part(workload.signer(purse), _about(workload, Kind.CLOSE_ACCOUNT, purse))


def holder(workload: Workload) -> Part:
    """The issuer says whether an account may hold its asset; mostly yes."""
    purse = workload.rng.choice(workload.purses[-4:])
    by = ISSUER if workload.rng.random() < 0.9 else BANK
    return Part(by, _about(workload, Kind.SET_HOLDER, purse, amount=int(workload.rng.random() < 0.85)))


def pause(workload: Workload) -> Part:
    """The asset stands still or, more often, goes on."""
    stops = int(workload.rng.random() < 0.25)
    asset = workload.rng.choice((1, 1, 1, 2, 9))
    row = record(Kind.SET_PAUSED, id=workload.identity(), asset=asset, amount=stops)
    return Part(ISSUER if workload.rng.random() < 0.9 else BANK, row)


def mandate(workload: Workload) -> Part:
    """Leave to pay from a purse, with or without a payee, a period, an end."""
    purse, rng = workload.purse(), workload.rng
    period_s = rng.choice((0, 3, 20, 60))
    ends_s = rng.choice((0, 0, workload.now_s() + rng.choice((-1, 4, 20))))
    row = _about(
        workload,
        Kind.SET_MANDATE,
        purse,
        creditor=workload.purse().account if rng.random() < 0.2 else 0,
        related=authority_id(rng.choice(HOLDERS).public),
        amount=rng.choice((10, 10, 40, 40, 200, 0)),
        max_fee=rng.choice((15, 30, 100)) if period_s else 0,
        hold_for_s=period_s,
        commitment=max(ends_s, 0).to_bytes(8, "little") + bytes(24),
    )
    workload.mandates.append(row)
    return Part(workload.signer(purse), row)


def revoke(workload: Workload) -> Part | None:
    if not workload.mandates:
        return None
    given = workload.rng.choice(workload.mandates[-10:])
    purse = workload.owner(workload.of(given, "debtor"))
    row = _about(workload, Kind.REVOKE_MANDATE, purse, related=workload.of(given, "id"))
    return Part(workload.signer(purse), row)


def under_mandate(workload: Workload) -> Part | None:
    """Payments under a mandate, mostly by whom it names and about its bounds."""
    if not workload.mandates:
        return None
    rng, given = workload.rng, workload.rng.choice(workload.mandates[-3:])
    debtor = workload.owner(workload.of(given, "debtor"))
    payee = workload.of(given, "creditor")
    by = {authority_id(key.public): key for key in HOLDERS}[AuthorityId(workload.of(given, "related"))]
    rows: list[RecordArray] = []
    for _ in range(rng.randint(1, 3)):
        creditor = workload.owner(payee) if payee and rng.random() < 0.9 else workload.purse()
        cap = int(given["amount"][0])
        held = rng.random() < 0.2
        row = workload.record(
            Kind.HOLD if held else Kind.TRANSFER,
            debtor,
            creditor,
            rng.choice((1, cap // 2, cap, cap + 1)),
            related=workload.of(given, "id"),
            hold_for_s=5 if held else 0,
            flags=int(Flag.UNDER_MANDATE | Flag.MAY_REVIEW),
        )
        if held:
            workload.holds.append(row)
        rows.append(row)
    if len(rows) > 1 and rng.random() < 0.5:
        rows[0]["flags"] |= int(Flag.LINKED)
    verdict = Verdict.REVIEW if rng.random() < 0.1 else Verdict.ALLOW
    return Part(by if rng.random() < 0.92 else rng.choice(HOLDERS), join_rows(rows, RECORD), verdict)


def model(workload: Workload) -> Part:
    """A model of an institution gets a role, of few, so that they take one another's."""
    rng, by = workload.rng, workload.rng.choice((BANK, BANK, BANK, ISSUER, ALICE))
    role = rng.choice((ModelRole.REGISTERED, ModelRole.REGISTERED, *ModelRole))
    digest = bytes([rng.randint(1, 6)]) * 32
    return Part(by, of_authority(workload, Kind.SET_MODEL, by.public, amount=role, commitment=digest))


# Keys.


def register(workload: Workload) -> Part:
    """A key of either scheme becomes an authority of its own, or tries to under another's id."""
    key = workload.new_key()
    named = key if workload.rng.random() < 0.9 else workload.any_key()
    row = record(
        Kind.REGISTER_AUTHORITY,
        id=workload.identity(),
        debtor=authority_id(named.public, named.scheme),
        amount=key.scheme,
        asset=0,
        commitment=key.public,
    )
    return Part(workload.rng.choice((BANK, ISSUER, ALICE)), row)


def rotate(workload: Workload) -> Part:
    """A key comes into a slot, with roles or without, or the slot is emptied."""
    rng, by = workload.rng, workload.rng.choice(HOLDERS)
    key = workload.any_key() if rng.random() < 0.15 else workload.new_key()
    roles = rng.choice((0, 1, 5, 7, 7, 15, 15, 16))
    row = of_authority(
        workload,
        Kind.SET_KEY,
        by.public,
        related=rng.choice((0, 0, 1, 1, 2, 3, MAX_KEYS)),
        amount=key.scheme if rng.random() < 0.95 else 3,
        max_fee=roles,
        commitment=key.public,
    )
    return Part(by, row)


def thresholds(workload: Workload) -> Part:
    """How many keys it takes is said anew; sometimes more than there are."""
    rng, by = workload.rng, workload.rng.choice(HOLDERS)
    wanted = (rng.choice((1, 1, 2, 3)), rng.choice((0, 1)), rng.choice((0, 1, 1, 2)), rng.choice((0, 1, 1)))
    amount = int.from_bytes(bytes(wanted), "little")
    return Part(by, of_authority(workload, Kind.SET_THRESHOLDS, by.public, amount=amount))


def recover(workload: Workload) -> Part:
    """Every key is to be replaced by one; asked for again with the same key, it may come true. Who has
    no key for that is given one first."""
    rng, by = workload.rng, workload.rng.choice(HOLDERS)
    authority = authority_id(by.public)
    ring = workload.sight.keys(authority)
    if ring is not None and not ring.thresholds[-1]:
        spare, roles = workload.new_key(), int(sum(ROLES))
        fields = {"related": 3, "amount": spare.scheme, "max_fee": roles, "commitment": spare.public}
        enough = int.from_bytes(bytes((1, 1, 1, 1)), "little")
        rows = [
            of_authority(workload, Kind.SET_KEY, by.public, **fields),
            of_authority(workload, Kind.SET_THRESHOLDS, by.public, amount=enough),
        ]
        return Part(by, join_rows(rows, RECORD))
    key = workload.recoveries.get(authority)
    if key is None or rng.random() < 0.3:
        key = workload.recoveries[authority] = workload.new_key()
    row = of_authority(workload, Kind.RECOVER, by.public, amount=key.scheme, commitment=key.public)
    return Part(by, row)


def _about(workload: Workload, kind: Kind, purse: Purse, **fields: object) -> RecordArray:
    """Return a command about an account."""
    given: dict[str, object] = {"id": workload.identity(), "debtor": purse.account, "asset": purse.asset}
    return record(kind, **(given | fields))  # type: ignore[arg-type]


def of_authority(workload: Workload, kind: Kind, registered: bytes, **fields: object) -> RecordArray:
    """Return a command about the authority that was registered with a key."""
    given: dict[str, object] = {
        "id": workload.identity(),
        "debtor": authority_id(registered),
        "asset": 0,
    }
    return record(kind, **(given | fields))  # type: ignore[arg-type]


COMMANDS = (
    (2, account),
    (3, freeze),
    (3, delegate),
    (3, limits),
    (3, close),
    (3, holder),
    (2, pause),
    (5, mandate),
    (1, revoke),
    (10, under_mandate),
    (4, model),
    (1, register),
    (4, rotate),
    (3, thresholds),
    (5, recover),
)
"""Weight and function of each."""
