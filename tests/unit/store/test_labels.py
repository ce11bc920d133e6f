"""Labels and the roles of models in the read model."""

from __future__ import annotations

from bezant.model.identifiers import AuthorityId, PaymentId
from bezant.model.keys import authority_id
from bezant.model.records import Kind, Label, ModelRole, RecordArray, id_of
from bezant.store import Store
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK, ISSUER, record

BANKS = authority_id(BANK.public)


def identity(row: RecordArray) -> PaymentId:
    return PaymentId(id_of(row[0], "id"))


def label(world: BlockScribe, paid: RecordArray, said: Label) -> RecordArray:
    return world.pays(Kind.LABEL, world.alice, world.bob, said, related=identity(paid))


def set_model(world: BlockScribe, of: AuthorityId, number: int, role: ModelRole) -> RecordArray:
    digest = bytes([number]) * 32
    return record(Kind.SET_MODEL, id=world.new_id(), debtor=of, amount=role, asset=0, commitment=digest)


def test_labels_of_a_payment_oldest_first(store: Store, world: BlockScribe) -> None:
    first, second = (world.transfer(world.alice, world.bob, amount) for amount in (10, 20))
    world.commit((BANK, first), (BANK, second))
    world.commit((BANK, label(world, first, Label.FRAUD)), (BANK, label(world, second, Label.GENUINE)))
    world.commit((BANK, label(world, first, Label.GENUINE)), (ISSUER, label(world, first, Label.FRAUD)))
    store.project(world.blocks)
    labels = store.queries.labels(store.queries.payment(identity(first)))
    assert [(one.label, one.height, one.authority) for one in labels] == [
        (Label.FRAUD, 4, BANKS),
        (Label.GENUINE, 5, BANKS),
    ], "the issuer's was refused"
    assert labels[0].created_ns == world.blocks[3].time_ns
    page = store.queries.labelled(limit=2)
    assert [(one.payment, one.label) for one in page.items] == [
        (identity(first), Label.GENUINE),
        (identity(second), Label.GENUINE),
    ]
    assert page.next_cursor is not None
    rest = store.queries.labelled(limit=2, cursor=page.next_cursor)
    assert [one.label for one in rest.items] == [Label.FRAUD]
    recent = store.queries.labelled(from_ns=world.blocks[4].time_ns)
    assert [one.label for one in recent.items] == [Label.GENUINE]


def test_who_decided_since_when(store: Store, world: BlockScribe) -> None:
    for number, role in ((1, ModelRole.REGISTERED), (1, ModelRole.CHAMPION), (2, ModelRole.CHAMPION)):
        world.commit((BANK, set_model(world, BANKS, number, role)))
    store.project(world.blocks)
    changes = store.queries.model_changes(BANKS)
    assert [(one.digest[0], one.role, one.height) for one in changes] == [
        (1, ModelRole.REGISTERED, 3),
        (1, ModelRole.CHAMPION, 4),
    ], "a model that was never registered got no role"
    assert store.queries.model_changes(authority_id(ISSUER.public)) == []


def test_a_rebuilt_store_has_the_same_labels(store: Store, world: BlockScribe) -> None:
    paid = world.transfer(world.alice, world.bob, 10)
    world.commit((BANK, paid))
    world.commit(
        (BANK, label(world, paid, Label.FRAUD)), (BANK, set_model(world, BANKS, 1, ModelRole.REGISTERED))
    )
    store.project(world.blocks)
    before = store.queries.labelled().items, store.queries.model_changes(BANKS)
    store.rebuild(world.blocks)
    assert (store.queries.labelled().items, store.queries.model_changes(BANKS)) == before
    assert len(before[0]) == len(before[1]) == 1
