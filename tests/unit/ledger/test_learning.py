"""Labels of payments and roles of models, by both ledgers."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.chain.storage.state_roots import root_of
from bezant.ledger import open_items
from bezant.ledger import state as layout
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.reference import ReferenceLedger
from bezant.model.identifiers import AuthorityId
from bezant.model.keys import SigningKey, authority_id
from bezant.model.outcomes import Outcome, SigningMode, Verdict
from bezant.model.records import MAX_MODELS, NO_ROW, Flag, Kind, Label, ModelRole, RecordArray, Role
from bezant.testing.ledgers import ALICE, BANK, BOB, CAROL, ISSUER, Quorum, World

BANKS, ISSUERS = authority_id(BANK.public), authority_id(ISSUER.public)
RETIRED, REGISTERED, CHALLENGER, CHAMPION = ModelRole


def label(world: World, paid: RecordArray, amount: int = Label.FRAUD, **fields: int) -> RecordArray:
    return world.after(Kind.LABEL, paid, amount, **fields)


def paid(world: World, amount: int = 40) -> RecordArray:
    row = world.transfer(world.alice, world.bob, amount, flags=Flag.MAY_REVIEW)
    assert world.answer((ALICE, row)) == [Outcome.APPLIED]
    return row


def in_review(world: World) -> RecordArray:
    row = world.transfer(world.alice, world.bob, 40, flags=Flag.MAY_REVIEW)
    assert world.answer((ALICE, row), verdicts={0: Verdict.REVIEW}) == [Outcome.HELD_FOR_REVIEW]
    return row


def test_the_receipt_of_a_label_names_both_accounts_and_what_was_paid(world: World) -> None:
    row = paid(world)
    before = world.sides(world.alice), world.sides(world.bob)
    receipt = world.apply((BANK, label(world, row)))[0]
    assert (receipt["outcome"], receipt["amount"], receipt["mode"]) == (
        Outcome.APPLIED,
        40,
        SigningMode.INSTITUTION,
    )
    assert (receipt["debtor_row"], receipt["creditor_row"]) == (1, 2)
    assert (world.sides(world.alice), world.sides(world.bob)) == before, "a label moves nothing"
    assert int(receipt["debtor_side"]["debits_posted_lo"]) == 40


def test_a_payment_may_be_labelled_again(world: World) -> None:
    row = paid(world)
    for said in (Label.FRAUD, Label.GENUINE, Label.FRAUD):
        assert world.answer((BANK, label(world, row, said))) == [Outcome.APPLIED]


@pytest.mark.parametrize("close", [Kind.CAPTURE, Kind.RELEASE, None])
def test_a_payment_in_review_may_be_labelled_whatever_became_of_it(world: World, close: Kind | None) -> None:
    row = in_review(world)
    if close is not None:
        amount = 40 if close is Kind.CAPTURE else 0
        assert not world.answer((BANK, world.after(close, row, amount)))[0].refused
    receipt = world.apply((BANK, label(world, row)))[0]
    assert (receipt["outcome"], receipt["amount"]) == (Outcome.APPLIED, 40)


def test_a_hold_may_be_labelled_and_its_capture_not(world: World) -> None:
    held = world.hold(30)
    world.apply((ALICE, held))
    capture = world.after(Kind.CAPTURE, held, 30)
    assert world.answer((BOB, capture)) == [Outcome.CAPTURED]
    assert world.answer((BANK, label(world, held))) == [Outcome.APPLIED]
    assert world.answer((BANK, label(world, capture))) == [Outcome.ORIGINAL_UNKNOWN]


def test_what_cannot_be_labelled(world: World) -> None:
    row = paid(world)
    blocked = world.transfer(world.alice, world.bob, 40)
    world.apply((ALICE, blocked), verdicts={0: Verdict.BLOCK})
    for wrong, outcome in (
        (label(world, row, 0), Outcome.MALFORMED),
        (label(world, row, 3), Outcome.MALFORMED),
        (label(world, row, flags=Flag.LINKED), Outcome.MALFORMED),
        (label(world, row, related=0), Outcome.MALFORMED),
        (label(world, row, related=77), Outcome.ORIGINAL_UNKNOWN),
        (label(world, row, debtor=world.bob, creditor=world.alice), Outcome.ORIGINAL_UNKNOWN),
        (label(world, row, creditor=world.carol), Outcome.ORIGINAL_UNKNOWN),
        (label(world, blocked), Outcome.ORIGINAL_UNKNOWN),
        (label(world, row, asset=2), Outcome.ASSET_MISMATCH),
    ):
        assert world.answer((BANK, wrong)) == [outcome]


def refused_label(world: World, row: RecordArray, **fields: int) -> RecordArray:
    return label(world, row, **({"creditor": 0} | fields))


def test_a_payment_that_was_refused_is_labelled_under_its_debtor_alone(world: World) -> None:
    blocked = world.transfer(world.alice, world.bob, 40)
    world.apply((ALICE, blocked), verdicts={0: Verdict.BLOCK})
    too_much = world.transfer(world.alice, world.bob, 10**12)
    assert world.answer((ALICE, too_much)) == [Outcome.INSUFFICIENT_FUNDS]
    for row in (blocked, too_much):
        for said in (Label.FRAUD, Label.GENUINE):
            receipt = world.apply((BANK, refused_label(world, row, amount=said)))[0]
            assert (receipt["outcome"], receipt["amount"], receipt["mode"]) == (
                Outcome.APPLIED,
                0,
                SigningMode.INSTITUTION,
            )
            assert (receipt["debtor_row"], receipt["creditor_row"]) == (1, NO_ROW)


def test_nobody_is_accused_by_the_label_of_a_payment_that_was_refused(world: World) -> None:
    made, blocked = paid(world), world.transfer(world.alice, world.bob, 40)
    world.apply((ALICE, blocked), verdicts={0: Verdict.BLOCK})
    forged = world.transfer(world.alice, world.bob, 40)
    world.apply((ALICE, forged), authentic=False)
    for signer, wrong, outcome in (
        (BANK, label(world, blocked), Outcome.ORIGINAL_UNKNOWN),  # which names who was to be paid
        (BANK, refused_label(world, made), Outcome.ORIGINAL_UNKNOWN),  # which was not refused
        (BANK, refused_label(world, forged), Outcome.ORIGINAL_UNKNOWN),  # which nobody signed
        (BANK, refused_label(world, blocked, related=77), Outcome.ORIGINAL_UNKNOWN),
        (BANK, refused_label(world, blocked, debtor=12345), Outcome.DEBTOR_UNKNOWN),
        (ISSUER, refused_label(world, blocked), Outcome.NOT_AUTHORISED),  # another institution
        (ALICE, refused_label(world, blocked), Outcome.NOT_AUTHORISED),
        (BANK, refused_label(world, blocked, asset=2), Outcome.ASSET_MISMATCH),
    ):
        assert world.answer((signer, wrong)) == [outcome]


def test_a_label_takes_the_review_role_of_the_debtors_institution(world: World) -> None:
    row = paid(world)
    for signer in (ALICE, BOB, ISSUER):
        assert world.answer((signer, label(world, row))) == [Outcome.NOT_AUTHORISED]
    own = {"debtor": BANKS, "asset": 0}
    payer = {"related": 1, "amount": 1, "max_fee": int(Role.PAY), "commitment": CAROL.public}
    assert world.answer((BANK, world.command(Kind.SET_KEY, **own, **payer))) == [Outcome.APPLIED]
    clerk = Quorum(BANKS, {1: CAROL})
    assert world.answer((clerk, label(world, row))) == [Outcome.THRESHOLD_NOT_MET]
    assert world.answer((BANK, label(world, row))) == [Outcome.APPLIED]


def set_model(
    world: World, number: int, role: ModelRole, signer: SigningKey = BANK, of: AuthorityId | None = None
) -> Outcome:
    authority = authority_id(signer.public) if of is None else of
    fields = {"debtor": authority, "amount": role, "commitment": bytes([number]) * 32}
    return world.answer((signer, world.command(Kind.SET_MODEL, **fields)))[-1]


def models(world: World, authority: AuthorityId = BANKS) -> dict[int, tuple[ModelRole, int]]:
    """Return the first byte of each model's digest, its role and since when, by either ledger."""
    if isinstance(world.ledger, ReferenceLedger):
        known = world.ledger.state.models.items()
        return {key[1][0]: (model.role, model.since_ns) for key, model in known if key[0] == authority}
    found = [model for model in open_items.models(world.ledger) if model.authority == authority]
    return {model.digest[0]: (model.role, model.since_ns) for model in found}


def roles(world: World, authority: AuthorityId = BANKS) -> dict[int, ModelRole]:
    return {number: role for number, (role, _) in models(world, authority).items()}


def test_a_model_is_registered_before_it_is_anything_else(world: World) -> None:
    for role in (CHALLENGER, CHAMPION, RETIRED):
        assert set_model(world, 1, role) is Outcome.MODEL_UNKNOWN
    assert set_model(world, 1, REGISTERED) is Outcome.APPLIED
    assert set_model(world, 1, CHAMPION) is Outcome.APPLIED
    assert roles(world) == {1: CHAMPION}


def test_promoting_takes_the_role_from_who_had_it(world: World) -> None:
    for number in (1, 2, 3):
        set_model(world, number, REGISTERED)
    set_model(world, 1, CHAMPION)
    set_model(world, 2, CHALLENGER)
    set_model(world, 3, CHALLENGER)
    assert roles(world) == {1: CHAMPION, 2: REGISTERED, 3: CHALLENGER}
    set_model(world, 3, CHAMPION)
    assert roles(world) == {1: REGISTERED, 2: REGISTERED, 3: CHAMPION}, "and it is no challenger any more"
    assert {since for _, since in list(models(world).values())[::2]} == {world.scribe.now_ns}
    set_model(world, 1, CHAMPION)
    assert roles(world) == {1: CHAMPION, 2: REGISTERED, 3: REGISTERED}, "back again"


def test_without_a_champion_there_is_none(world: World) -> None:
    set_model(world, 1, REGISTERED)
    set_model(world, 1, CHAMPION)
    assert set_model(world, 1, RETIRED) is Outcome.APPLIED
    assert roles(world) == {}
    assert set_model(world, 1, CHAMPION) is Outcome.MODEL_UNKNOWN, "it has to be registered again"
    set_model(world, 1, REGISTERED)
    set_model(world, 1, CHAMPION)
    assert set_model(world, 1, REGISTERED) is Outcome.APPLIED
    assert roles(world) == {1: REGISTERED}, "a champion can step down"


def test_the_same_role_again_keeps_its_time(world: World) -> None:
    set_model(world, 1, REGISTERED)
    before = models(world)
    assert set_model(world, 1, REGISTERED) is Outcome.APPLIED
    assert models(world) == before


def test_each_institution_has_models_of_its_own_and_nobody_else_any(world: World) -> None:
    for signer in (BANK, ISSUER):
        set_model(world, 1, REGISTERED, signer)
        set_model(world, 1, CHAMPION, signer)
    assert roles(world) == roles(world, ISSUERS) == {1: CHAMPION}
    assert set_model(world, 1, RETIRED, ISSUER, of=BANKS) is Outcome.NOT_AUTHORISED
    assert set_model(world, 1, REGISTERED, ALICE) is Outcome.NOT_AUTHORISED, "no institution"


def test_a_model_that_names_nothing_or_no_role_is_malformed(world: World) -> None:
    own = {"debtor": BANKS, "asset": 0}
    for fields in ({"amount": 1}, {"amount": 4, "commitment": b"m" * 32}, {"amount": 1, "related": 1}):
        row = world.command(Kind.SET_MODEL, **own, **fields)
        assert world.answer((BANK, row)) == [Outcome.MALFORMED]


def test_a_retired_model_makes_room(world: World) -> None:
    for number in range(1, MAX_MODELS + 1):
        set_model(world, number, REGISTERED, BANK if number % 2 else ISSUER)
    assert set_model(world, 99, REGISTERED) is Outcome.MODELS_FULL
    assert set_model(world, 3, REGISTERED) is Outcome.APPLIED, "one that is known needs no room"
    assert set_model(world, 3, RETIRED) is Outcome.APPLIED
    assert set_model(world, 99, REGISTERED) is Outcome.APPLIED
    numbers = set(range(1, MAX_MODELS + 1)) - {3} | {99}
    assert roles(world).keys() | roles(world, ISSUERS).keys() == numbers


def test_models_are_restored_from_what_is_dumped() -> None:
    world = World(ColumnarLedger)
    for number in (1, 2):
        set_model(world, number, REGISTERED)
    set_model(world, 2, CHAMPION)
    again = ColumnarLedger(world.genesis)
    again.restore(layout.dump(world.ledger.state), 1)
    assert open_items.models(again) == open_items.models(world.ledger) != []
    world.ledger = again
    assert set_model(world, 3, REGISTERED) is Outcome.APPLIED


def test_models_are_in_the_root_of_the_state_and_their_absence_is_not() -> None:
    """So that a chain from before there were models still has the roots it had."""
    world = World(ColumnarLedger)

    def digest(**spoiled: RecordArray) -> bytes:
        return root_of(layout.tables(world.ledger.state) | spoiled, bytes(32))

    without = layout.tables(world.ledger.state)
    del without["models"]
    assert digest() == root_of(without, bytes(32))
    set_model(world, 1, REGISTERED)
    held = layout.tables(world.ledger.state)["models"]
    assert digest() != digest(models=np.zeros(0, layout.MODEL))
    other = held.copy()
    other["role"] = CHAMPION
    assert digest() != digest(models=other)
