"""What has to happen for each outcome: records ready to be signed, and worlds in which one is due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from bezant.ledger.batch import NS_PER_S, account_id
from bezant.model.digest import sha256
from bezant.model.genesis import MAX_VALIDATORS, Fee, GenesisValidator
from bezant.model.governance import MAX_OWN_PROPOSALS, Ballot, Rule
from bezant.model.keys import SigningKey, authority_id
from bezant.model.outcomes import Outcome
from bezant.model.records import (
    MAX_MODELS,
    Fault,
    Flag,
    Kind,
    ModelRole,
    RecordArray,
    Role,
    id_of,
)
from bezant.testing.ledgers import (
    ALICE,
    BANK,
    BOB,
    CAROL,
    ISSUER,
    STAKE,
    Quorum,
    World,
    ballot,
    fault,
    proposal,
    record,
    seeded_key,
)

TOP = 2**128 - 1 - 2**64


def hold(world: World, amount: int = 100, **fields: Any) -> RecordArray:
    given = {"id": world.scribe.new_id(), "debtor": world.alice, "creditor": world.bob, "hold_for_s": 3600}
    return record(Kind.HOLD, amount=amount, **(given | fields))


def close(world: World, kind: Kind, held: RecordArray, amount: int = 100, **fields: Any) -> RecordArray:
    related = int(held["id_hi"][0]) << 64 | int(held["id_lo"][0])
    given = {"id": world.scribe.new_id(), "debtor": world.alice, "creditor": world.bob, "related": related}
    return record(kind, amount=amount, **(given | fields))


def pay(world: World, **fields: Any) -> RecordArray:
    debtor, creditor = fields.pop("debtor", world.alice), fields.pop("creditor", world.bob)
    return world.transfer(debtor, creditor, fields.pop("amount", 100), **fields)


def opening(world: World, *, asset: int = 1, holder: SigningKey = ALICE, **fields: Any) -> RecordArray:
    """Return an opening record of a new account at the Bank; `fields` spoil it afterwards."""
    authority = authority_id(holder.public)
    identity = account_id(2, authority, asset, 5)
    given = {"id": world.scribe.new_id(), "debtor": identity, "creditor": authority, "related": 5}
    return record(Kind.OPEN_ACCOUNT, asset=asset, **(given | fields))


def one(signer: SigningKey, make: Callable[[World], RecordArray], **known: Any) -> Callable[[World], Outcome]:
    return lambda world: world.answer((signer, make(world)), **known)[-1]


def again(**changed: Any) -> Callable[[World], Outcome]:
    def case(world: World) -> Outcome:
        row = pay(world)
        world.apply((ALICE, row))
        for name, value in changed.items():
            row[name] = value
        return world.answer((ALICE, row))[-1]

    return case


def closed(signer: SigningKey, kind: Kind, amount: int = 100, **fields: Any) -> Callable[[World], Outcome]:
    def case(world: World) -> Outcome:
        held = hold(world)
        assert world.answer((ALICE, held)) == [Outcome.HELD]
        return world.answer((signer, close(world, kind, held, amount, **fields)))[-1]

    return case


def expired_hold(world: World) -> Outcome:
    world.apply((ALICE, hold(world, hold_for_s=10)))
    return world.answer((ALICE, pay(world)), after_s=10)[0]


def full(world: World) -> Outcome:
    small = World(type(world.ledger), max_live_ids=20)
    for _ in range(20):
        small.apply((ALICE, pay(small)))
    return small.answer((ALICE, pay(small)))[-1]


def held_by_the_bank(world: World) -> Outcome:
    row = hold(world)
    assert world.answer((BANK, row)) == [Outcome.HELD]
    return world.answer((ALICE, row))[-1]


def frozen(side: str) -> Callable[[World], Outcome]:
    def case(world: World) -> Outcome:
        freeze = record(Kind.SET_FROZEN, id=world.scribe.new_id(), debtor=getattr(world, side), amount=1)
        assert world.answer((BANK, freeze)) == [Outcome.APPLIED]
        return world.answer((ALICE, pay(world)))[-1]

    return case


def overflowing(world: World) -> Outcome:
    world.set_sides(world.bob, credits_posted=TOP)
    return world.answer((ALICE, pay(world)))[-1]


def linked_failed(world: World) -> Outcome:
    rows = np.concatenate([pay(world, flags=Flag.LINKED), pay(world, creditor=8)])
    return world.answer((ALICE, rows))[0]


def locked(world: World, opened_with: bytes) -> list[Outcome]:
    held = world.hold(flags=Flag.LINKED)
    lock = world.after(Kind.LOCK, held, commitment=sha256(b"s" * 32))
    first = world.answer((ALICE, np.concatenate([held, lock])))
    return first + world.answer((BOB, world.after(Kind.CAPTURE, held, 100, commitment=opened_with)))


def reversed_payment(world: World, amount: int, **fields: Any) -> Outcome:
    paid = pay(world)
    world.apply((ALICE, paid))
    return world.answer((BOB, world.after(Kind.REVERSE, paid, amount, **fields)))[-1]


def window_closed(world: World) -> Outcome:
    short = World(type(world.ledger), {"refund_window_s": 3})
    paid = pay(short)
    short.apply((ALICE, paid))
    return short.answer((BOB, short.after(Kind.REVERSE, paid, 1)), after_s=5)[-1]


def under_mandate(world: World, amount: int, after_s: int = 0, **fields: Any) -> Outcome:
    """BOB pays himself from alice's account under a mandate of 60 a payment and 100 a day."""
    grant = mandate(world, **fields)
    assert world.answer((ALICE, grant)) == [Outcome.APPLIED]
    named = {"related": id_of(grant[0], "id"), "flags": Flag.UNDER_MANDATE}
    rows = [pay(world, amount=amount, **named) for _ in range(2)]
    return world.answer((BOB, np.concatenate(rows)), after_s=after_s)[-1]


def ends_at(world: World, seconds: int) -> bytes:
    """Return the commitment of a mandate that ends this long from now."""
    return (world.scribe.now_ns // NS_PER_S + seconds).to_bytes(8, "little") + bytes(24)


def mandate(world: World, **fields: Any) -> RecordArray:
    given = {
        "debtor": world.alice,
        "creditor": world.bob,
        "related": authority_id(BOB.public),
        "amount": 60,
        "max_fee": 100,
        "hold_for_s": 86_400,
    }
    return world.command(Kind.SET_MANDATE, **(given | fields))


def mandate_of_the_bank(world: World) -> Outcome:
    row = mandate(world)
    assert world.answer((BANK, row)) == [Outcome.APPLIED]
    return world.answer((ALICE, row))[-1]


def paused(world: World) -> Outcome:
    pausable = World(type(world.ledger), {"pausable": True})
    assert pausable.answer((ISSUER, pausable.command(Kind.SET_PAUSED, amount=1))) == [Outcome.APPLIED]
    return pausable.answer((ALICE, pay(pausable)))[-1]


def account_closed(side: str) -> Callable[[World], Outcome]:
    """Pay out of, or into, an account of ALICE's that was closed before."""

    def case(world: World) -> Outcome:
        opened, account = world.scribe.open(2, ALICE, salt=7)
        world.apply((BANK, opened))
        assert world.answer((ALICE, world.command(Kind.CLOSE_ACCOUNT, debtor=account))) == [Outcome.APPLIED]
        return world.answer((ALICE, pay(world, **{side: account})))[-1]

    return case


def not_approved(side: str) -> Callable[[World], Outcome]:
    def case(world: World) -> Outcome:
        strict = World(type(world.ledger), {"approve_holders": True})
        opened, account = strict.scribe.open(2, ALICE, salt=7)
        strict.apply((BANK, opened))
        return strict.answer((ALICE, pay(strict, **{side: account})))[-1]

    return case


def key_command(kind: Kind, **fields: Any) -> Callable[[World], Outcome]:
    return one(ALICE, lambda world: world.command(kind, debtor=authority_id(ALICE.public), **fields))


def recovery(world: World, again_after_s: int) -> list[Outcome]:
    """ALICE lets CAROL recover her authority, and CAROL asks twice for a new key."""
    alice, spare = authority_id(ALICE.public), seeded_key("spare")
    helper = {"related": 1, "amount": 1, "max_fee": int(Role.RECOVER), "commitment": CAROL.public}
    may = world.command(Kind.SET_THRESHOLDS, debtor=alice, amount=0x01_01_01_01)
    world.apply((ALICE, np.concatenate([world.command(Kind.SET_KEY, debtor=alice, **helper), may])))
    helper_alone = Quorum(alice, {1: CAROL})
    asked = world.command(Kind.RECOVER, debtor=alice, amount=1, commitment=spare.public)
    first = world.answer((helper_alone, asked))
    world.scribe.now_ns += again_after_s * NS_PER_S
    later = world.command(Kind.RECOVER, debtor=alice, amount=1, commitment=spare.public)
    return first + world.answer((helper_alone, later))


def model(world: World, role: ModelRole, number: int = 1, signer: SigningKey = BANK) -> Outcome:
    fields = {"debtor": authority_id(signer.public), "amount": role, "commitment": bytes([number]) * 32}
    return world.answer((signer, world.command(Kind.SET_MODEL, **fields)))[-1]


def models_full(world: World) -> Outcome:
    answers = {model(world, ModelRole.REGISTERED, number) for number in range(1, MAX_MODELS + 1)}
    assert answers == {Outcome.APPLIED}
    return model(world, ModelRole.REGISTERED, MAX_MODELS + 1)


def bond(world: World, amount: int = 100, key: int = 9, **fields: Any) -> RecordArray:
    given = {"debtor": world.alice, "creditor": world.treasury, "amount": amount}
    return world.command(Kind.BOND, **(given | fields), commitment=key.to_bytes(32, "big"))


def unbonded(world: World, *others: RecordArray) -> Outcome:
    row = bond(world)
    world.apply((BANK, np.concatenate([row, *others])))
    return world.answer((BANK, world.after(Kind.UNBOND, row)))[-1]


def faulty(world: World, kind: Fault) -> list[Outcome]:
    """Bond for two validators and report a fault of one."""
    world.apply((BANK, np.concatenate([bond(world), bond(world, key=8)])))
    return world.answer(faults=fault((9).to_bytes(32, "big"), kind))


def rejoin(world: World) -> Outcome:
    bank = authority_id(BANK.public)
    key = (9).to_bytes(32, "big")
    return world.answer((BANK, world.command(Kind.REJOIN, debtor=bank, commitment=key)))[0]


def jailed(world: World) -> Outcome:
    faulty(world, Fault.ABSENT)
    return rejoin(world)


def bonded_too_little(world: World) -> Outcome:
    raised = World(type(world.ledger), stake=msgspec.structs.replace(STAKE, least_bond=101))
    return raised.answer((BANK, bond(raised)))[0]


def validators_full(world: World) -> Outcome:
    """The issuer bonds its own money, so that no balance changes."""
    opened, paid_for_faults = world.scribe.open(1, ISSUER, salt=5)
    world.apply((ISSUER, opened))
    accounts = {"debtor": world.treasury, "creditor": paid_for_faults}
    rows = [bond(world, 1, key, **accounts) for key in range(1, MAX_VALIDATORS + 2)]
    for half in (rows[:500], rows[500:-1]):
        assert set(world.answer((ISSUER, np.concatenate(half)))) == {Outcome.BONDED}
    return world.answer((ISSUER, rows[-1]))[0]


def governed(world: World) -> World:
    """Return a world in which the Bank has the only votes."""
    return World(type(world.ledger), validators=(GenesisValidator("ab" * 32, 1, 2),))


def proposed(world: World, said: Ballot | None = None, **fields: Any) -> list[Outcome]:
    """Propose that reviews may last a minute, and vote on it."""
    asked = proposal(world, Rule.REVIEW_FOR_S, **({"value": 60, "by": BANK, "height": 999} | fields))
    answers = world.answer((BANK, asked))
    if said is not None:
        world.apply((BANK, ballot(world, asked, said, BANK)))
        answers += world.answer()
    return answers


def vote_for_nothing(world: World) -> Outcome:
    own = authority_id(BANK.public)
    return world.answer((BANK, world.command(Kind.VOTE, debtor=own, related=7, amount=1)))[0]


def proposed_by_others(world: World) -> Outcome:
    both = (GenesisValidator("ab" * 32, 1, 2), GenesisValidator("cd" * 32, 1, 1))
    ours = World(type(world.ledger), validators=both)
    asked = proposal(ours, Rule.REVIEW_FOR_S, 60, by=ISSUER, height=999)
    assert ours.answer((ISSUER, asked)) == [Outcome.APPLIED]
    return proposed(ours, id=id_of(asked[0], "id"))[0]


def proposals_full(world: World) -> Outcome:
    ours = governed(world)
    answers = [proposed(ours)[0] for _ in range(MAX_OWN_PROPOSALS + 1)]
    assert set(answers[:-1]) == {Outcome.APPLIED}
    return answers[-1]


def charged(world: World) -> World:
    """Return a world in which payments cost a cent, and what comes in goes to bonds at every block."""
    return World(type(world.ledger), stake=STAKE, fees=(Fee(1, flat=1, maximum=1),), checkpoint_interval=1)


def rewarded(world: World) -> Outcome:
    ours = charged(world)
    ours.apply((BANK, bond(ours)))
    assert ours.answer((ALICE, pay(ours, max_fee=1))) == [Outcome.APPLIED]
    return ours.answer()[-1]
