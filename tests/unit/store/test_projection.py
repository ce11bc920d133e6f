"""The projection: every kind of answer, as payments, accounts and entries."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.unit.store.stores import KEY, contents, hold, review

from bezant.errors import NotFound, StorageError
from bezant.model.identifiers import AuthorityId, PaymentId
from bezant.model.keys import authority_id
from bezant.model.money import U64_MAX
from bezant.model.outcomes import Outcome, SigningMode, Verdict
from bezant.model.records import Kind
from bezant.store import PaymentStatus, Store, schema
from bezant.store.projection import EndToEndHashes
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK, ISSUER, record

pytestmark = pytest.mark.usefixtures("small_eras")

COMMITTED = b"\x07" * 32


def test_a_transfer_settles_and_both_accounts_show_it(store: Store, world: BlockScribe) -> None:
    paid = world.transfer(world.alice, world.bob, 1250)
    block = world.commit((BANK, paid))
    assert store.project(world.blocks) == 3
    id_ = PaymentId(int(paid["id_hi"][0]) << 64 | int(paid["id_lo"][0]))
    payment = store.queries.payment(id_)
    assert (payment.debtor, payment.creditor, payment.amount) == (world.alice, world.bob, 1250)
    assert (payment.status, payment.outcome) == (PaymentStatus.SETTLED, Outcome.APPLIED)
    assert (payment.height, payment.position) == (3, 0)
    assert payment.created_ns == payment.updated_ns == payment.settled_ns == block.time_ns
    assert payment.authority == authority_id(BANK.public)
    assert (payment.mode, payment.verdict) == (SigningMode.INSTITUTION, Verdict.ALLOW)
    assert payment.settled_amount == 1250
    assert payment.asset == 1
    for account, sign in ((world.alice, -1), (world.bob, 1)):
        statement = store.queries.statement(account)
        assert [e.signed_amount for e in statement.entries] == [100_000, sign * 1250]
        assert statement.closing == 100_000 + sign * 1250 == store.queries.account(account).balance
        assert statement.entries[1].payment == id_
        assert statement.entries[1].time_ns == block.time_ns


@pytest.mark.parametrize("apart", [True, False], ids=["in two transactions", "in one"])
@pytest.mark.parametrize(("place", "settled"), [(hold, 300), (review, 500)])
def test_a_capture_settles_what_it_names_and_the_rest_returns(
    store: Store, world: BlockScribe, place: object, settled: int, apart: bool
) -> None:
    id_ = place(world)  # type: ignore[operator]
    if apart:
        store.project(world.blocks)
        waiting = PaymentStatus.HELD if place is hold else PaymentStatus.IN_REVIEW
        assert store.queries.payment(id_).status is waiting
        assert store.queries.payment(id_).settled_amount is None
        assert store.queries.account(world.alice).balance == 100_000
        assert [p.id for p in store.queries.payments(status=waiting).items] == [id_]
    closing = world.new_id()
    capture = world.pays(Kind.CAPTURE, world.alice, world.bob, settled, id=closing, related=id_)
    block = world.commit((BANK, capture))
    store.project(world.blocks)
    payment = store.queries.payment(id_)
    assert (payment.status, payment.outcome) == (PaymentStatus.CAPTURED, Outcome.CAPTURED)
    assert (payment.amount, payment.settled_amount) == (500, settled)
    assert (payment.closed_by, payment.settled_ns, payment.updated_ns) == (
        closing,
        block.time_ns,
        block.time_ns,
    )
    assert payment.created_ns < block.time_ns
    entry = store.queries.statement(world.alice).entries[-1]
    assert (entry.amount, entry.payment, entry.balance) == (settled, id_, 100_000 - settled)
    with pytest.raises(NotFound):
        store.queries.payment(closing)


def test_a_release_and_an_expiry_return_everything(store: Store, world: BlockScribe) -> None:
    released, expired = hold(world), hold(world, hold_for_s=1)
    release = world.pays(Kind.RELEASE, world.alice, world.bob, 0, related=released)
    block = world.commit((BANK, release))
    assert block.system_count == 1
    store.project(world.blocks)
    for id_, status, outcome in (
        (released, PaymentStatus.RELEASED, Outcome.RELEASED),
        (expired, PaymentStatus.EXPIRED, Outcome.HOLD_EXPIRED),
    ):
        payment = store.queries.payment(id_)
        assert (payment.status, payment.outcome, payment.settled_amount) == (status, outcome, None)
        assert (payment.updated_ns, payment.settled_ns) == (block.time_ns, None)
    assert store.queries.payment(expired).closed_by is None
    assert len(store.queries.statement(world.alice).entries) == 1
    assert store.queries.account(world.alice).balance == 100_000


def test_positions_count_system_receipts(store: Store, world: BlockScribe) -> None:
    hold(world, hold_for_s=1)
    paid = world.transfer(world.alice, world.bob, 1)
    block = world.commit((BANK, paid))
    assert block.receipts["outcome"].tolist() == [Outcome.HOLD_EXPIRED, Outcome.APPLIED]
    store.project(world.blocks)
    assert store.queries.payments(limit=1).items[0].position == 1


def test_an_expiry_closes_the_hold_of_its_own_debtor(store: Store, world: BlockScribe) -> None:
    id_ = world.new_id()
    one = world.pays(Kind.HOLD, world.alice, world.bob, 5, id=id_, hold_for_s=1)
    other = world.pays(Kind.HOLD, world.treasury, world.bob, 6, id=id_, hold_for_s=50)
    world.commit((BANK, one), (ISSUER, other))
    world.commit()
    store.project(world.blocks)
    by_bank = store.queries.payment(id_, AuthorityId(authority_id(BANK.public)))
    by_issuer = store.queries.payment(id_, AuthorityId(authority_id(ISSUER.public)))
    assert (by_bank.status, by_bank.debtor) == (PaymentStatus.EXPIRED, world.alice)
    assert (by_issuer.status, by_issuer.debtor) == (PaymentStatus.HELD, world.treasury)


def test_refusals_and_blocks_are_kept_and_move_nothing(store: Store, world: BlockScribe) -> None:
    too_much = world.transfer(world.alice, world.bob, 10**9)
    blocked = world.transfer(world.alice, world.bob, 5)
    world.commit((BANK, too_much), (BANK, blocked), verdicts={1: Verdict.BLOCK})
    store.project(world.blocks)
    found = {p.status: p for p in store.queries.payments(account=world.alice).items}
    assert found[PaymentStatus.REFUSED].outcome is Outcome.INSUFFICIENT_FUNDS
    assert found[PaymentStatus.BLOCKED].verdict is Verdict.BLOCK
    assert found[PaymentStatus.REFUSED].settled_amount is None
    assert len(store.queries.statement(world.alice).entries) == 1


def test_a_repeat_changes_nothing(store: Store, world: BlockScribe) -> None:
    paid = world.transfer(world.alice, world.bob, 10)
    world.commit((BANK, paid))
    store.project(world.blocks)
    before = contents(store)
    changed = paid.copy()
    changed["amount"] = 11
    block = world.commit((BANK, paid), (BANK, changed))
    assert block.receipts["outcome"].tolist() == [Outcome.EXISTS, Outcome.EXISTS_WITH_OTHER_CONTENT]
    store.project(world.blocks)
    after = contents(store)
    assert after["payments"] == before["payments"]
    assert after["entries"] == before["entries"]


def test_what_nobody_proved_to_have_sent_is_not_a_payment(store: Store, world: BlockScribe) -> None:
    forged = world.transfer(world.alice, world.bob, 10)
    world.commit((BANK, forged), authentic=False)
    world.commit((BANK, forged))  # the true one, with the very same id
    store.project(world.blocks[:3])
    assert store.queries.payments(status=PaymentStatus.REFUSED).items == []
    store.project(world.blocks)
    assert store.queries.payments(limit=1).items[0].status is PaymentStatus.SETTLED


def test_a_refusal_that_the_ledger_forgets_gives_way_and_no_other(store: Store, world: BlockScribe) -> None:
    early = world.new_id() + (60_000 << 80)
    paid = world.transfer(world.alice, world.bob, 10, id=early)
    world.commit((BANK, paid))
    store.project(world.blocks)
    assert store.queries.payment(PaymentId(early)).outcome is Outcome.ID_IN_FUTURE
    world.scribe.now_ns += 60 * 10**9
    world.commit((BANK, paid))
    world.scribe.now_ns += 3600 * 10**9
    late = world.commit((BANK, paid))
    assert late.receipts["outcome"].tolist() == [Outcome.EXPIRED]
    store.project(world.blocks)
    payment = store.queries.payment(PaymentId(early))
    assert (payment.status, payment.height) == (PaymentStatus.SETTLED, 4)
    assert len(store.queries.payments(account=world.alice).items) == 2


def test_strangers_attempts_stay_out_of_an_accounts_list(store: Store, world: BlockScribe) -> None:
    stolen = world.transfer(world.alice, world.treasury, 10)
    world.commit((ISSUER, stolen))
    store.project(world.blocks)
    assert len(store.queries.payments(account=world.alice).items) == 1
    refused = store.queries.payments(status=PaymentStatus.REFUSED).items
    assert [p.outcome for p in refused] == [Outcome.NOT_AUTHORISED]
    # and of two payments under one id the permitted one is the answer
    paid = world.transfer(world.alice, world.bob, 10, id=refused[0].id)
    world.commit((BANK, paid))
    store.project(world.blocks)
    assert store.queries.payment(refused[0].id).status is PaymentStatus.SETTLED
    assert store.queries.payment(refused[0].id, refused[0].authority).status is PaymentStatus.REFUSED


def test_accounts_follow_their_commands(store: Store, world: BlockScribe) -> None:
    store.project(world.blocks)
    opened = store.queries.account(world.treasury)
    assert (opened.credit_limit, opened.balance_limit, opened.balance) == (U64_MAX, 0, -200_000)
    assert (opened.authority, opened.frozen, opened.delegate, opened.party) == (
        authority_id(ISSUER.public),
        False,
        None,
        None,
    )
    delegate = AuthorityId(authority_id(ISSUER.public))
    for frozen, cap in ((1, 500), (0, 0)):
        freeze = record(Kind.SET_FROZEN, id=world.new_id(), debtor=world.alice, amount=frozen)
        name = record(Kind.SET_DELEGATE, id=world.new_id(), debtor=world.alice, creditor=delegate, amount=cap)
        world.commit((BANK, freeze), (BANK, name))
        store.project(world.blocks)
        account = store.queries.account(world.alice)
        assert (account.frozen, account.delegate_cap) == (bool(frozen), cap)
        assert account.delegate == (delegate if cap else None)
    again, _ = world.scribe.open(2, BANK, salt=1)
    assert world.commit((BANK, again)).receipts["outcome"].tolist() == [Outcome.ACCOUNT_EXISTS]
    store.project(world.blocks)
    first = store.queries.accounts(limit=2)
    rest = store.queries.accounts(limit=2, cursor=first.next_cursor)
    ids = [a.id for a in (*first.items, *rest.items)]
    assert ids == sorted([world.treasury, world.alice, world.bob])
    assert rest.next_cursor is None
    banks = store.queries.accounts(authority=AuthorityId(authority_id(BANK.public)))
    assert {a.id for a in banks.items} == {world.alice, world.bob}
    with pytest.raises(NotFound) as e:
        store.queries.account(world.alice ^ 1)  # type: ignore[arg-type]
    assert e.value.code == "account_unknown"


def test_amounts_of_64_and_balances_of_128_bits_are_exact(store: Store, world: BlockScribe) -> None:
    world.commit((BANK, world.transfer(world.alice, world.bob, 7)))
    block = world.blocks[-1]
    block.records["amount"] = block.receipts["amount"] = U64_MAX
    block.receipts["debtor_side"]["debits_posted_lo"] = 5
    block.receipts["debtor_side"]["debits_posted_hi"] = 2**63
    block.receipts["debtor_side"]["credits_posted_lo"] = 0
    block.receipts["creditor_side"]["credits_posted_lo"] = U64_MAX
    block.receipts["creditor_side"]["debits_posted_lo"] = 0
    store.project(world.blocks)
    payment = store.queries.payments(limit=1).items[0]
    assert payment.amount == payment.settled_amount == U64_MAX
    assert store.queries.account(world.alice).balance == -(2**127) - 5
    assert store.queries.account(world.bob).balance == U64_MAX
    with pytest.raises(StorageError) as e:  # these balances do not follow from the entries before
        store.queries.statement(world.alice)
    assert e.value.code == "statement_inconsistent"


def test_end_to_end_ids_are_found_by_hash_and_forgotten_with_their_party(
    url: str, world: BlockScribe
) -> None:
    texts = {}
    for number in range(4):
        id_ = world.new_id()
        texts[id_] = f"INV-{number % 2}"
        paid = world.pays(Kind.TRANSFER, world.alice, world.bob, 1 + number, id=id_, commitment=COMMITTED)
        world.commit((BANK, paid))
    first, second, third, fourth = texts
    asked: list[int] = []

    def texts_of(ids: Sequence[int]) -> dict[int, str]:
        asked.extend(ids)
        return {id_: texts[id_] for id_ in ids}

    store = Store.open(url, key=KEY, texts_of=texts_of)
    store.project(world.blocks[:4], {first: "INV-0", second: "INV-1"})
    assert asked == []
    store.project(world.blocks)  # the other two come from the vault
    assert asked == [third, fourth], "together, and those of funding have none to ask for"
    assert [p.id for p in store.queries.payments_by_end_to_end_id("INV-0")] == [third, first]
    assert [p.id for p in store.queries.payments_by_end_to_end_id("INV-1")] == [fourth, second]
    assert store.queries.payments_by_end_to_end_id("INV-2") == []
    for value in (row for rows in contents(store).values() for row in rows):
        assert "INV-" not in repr(value)

    store.bind_parties({world.alice: 3, world.treasury: 4})
    assert store.queries.account(world.alice).party == 3
    assert store.erase_party(4) == 0
    assert store.erase_party(3) == 4
    assert store.queries.payments_by_end_to_end_id("INV-0") == []
    assert store.queries.payment(first).end_to_end_hash is None
    store.bind_parties({world.alice: 5})
    assert store.queries.account(world.alice).party == 3, "an erased binding is final"
    store.close()
    store = Store.open(url, key=KEY, texts_of=texts_of)
    store.rebuild(world.blocks)
    assert store.queries.payments_by_end_to_end_id("INV-1") == []
    store.close()


def test_hashes_depend_on_the_key_and_are_16_bytes() -> None:
    one, other = EndToEndHashes(KEY).digest("A"), EndToEndHashes(KEY[::-1]).digest("A")
    assert one != other
    assert len(one) == schema.HASH_BYTES == 16
