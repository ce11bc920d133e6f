"""The projection: every kind of answer, exactly once, and the same again from the blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from bezant.chain.blocks import AppHash
from bezant.errors import ConfigError, InputError, InvariantViolation, NotFound, StorageError
from bezant.model.identifiers import AuthorityId, PaymentId
from bezant.model.keys import authority_id
from bezant.model.money import U64_MAX
from bezant.model.outcomes import Outcome, SigningMode, Verdict
from bezant.model.records import Flag, Kind
from bezant.store import PaymentStatus, Store, projection, schema
from bezant.store.outbox import Event
from bezant.store.projection import EndToEndHashes, project_rows
from bezant.store.store import in_groups
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK, ISSUER, record

KEY = bytes(range(32))
COMMITTED = b"\x07" * 32


@pytest.fixture(autouse=True)
def small_eras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four receipts begin a new era, so that every list and statement here goes over several."""
    monkeypatch.setattr(projection, "ERA_BITS", 2)


@pytest.fixture
def world() -> BlockScribe:
    return BlockScribe()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url, key=KEY)
    yield opened
    opened.close()


def contents(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with store._database.read() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
            for table in schema.PROJECTED
        }


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


def hold(world: BlockScribe, amount: int = 500, hold_for_s: int = 100) -> PaymentId:
    id_ = world.new_id()
    held = world.pays(Kind.HOLD, world.alice, world.bob, amount, id=id_, hold_for_s=hold_for_s)
    world.commit((BANK, held))
    return id_


def review(world: BlockScribe, amount: int = 500) -> PaymentId:
    id_ = world.new_id()
    asked = world.transfer(world.alice, world.bob, amount, id=id_, flags=Flag.MAY_REVIEW)
    world.commit((BANK, asked), verdicts={0: Verdict.REVIEW})
    return id_


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


def test_known_blocks_are_passed_over_and_gaps_refused(store: Store, world: BlockScribe) -> None:
    world.commit((BANK, world.transfer(world.alice, world.bob, 1)))
    assert store.project(world.blocks[:2]) == 2
    before = contents(store)
    assert store.project(world.blocks[:2]) == 0
    assert contents(store) == before
    with pytest.raises(InvariantViolation, match="must follow one by one"):
        store.project([replace(world.blocks[2], height=4)])
    with pytest.raises(InvariantViolation, match="another chain"):
        store.project([replace(world.blocks[1], app=AppHash.known(bytes(32)))])
    assert store.project(world.blocks) == 1
    assert store.height == 3


def test_a_block_that_its_receipts_do_not_answer_is_refused_whole(store: Store, world: BlockScribe) -> None:
    world.commit((BANK, world.transfer(world.alice, world.bob, 1)))
    broken = replace(world.blocks[2], receipts=world.blocks[2].receipts.copy())
    broken.receipts["id_lo"] += np.uint64(1)
    store.project(world.blocks[:2])
    before = contents(store)
    with pytest.raises(InvariantViolation, match="block 3"):
        store.project([broken])
    closes_nothing = world.blocks[2].receipts.copy()
    closes_nothing["outcome"] = Outcome.RELEASED
    with pytest.raises(InvariantViolation, match="closes a hold"):
        store.project([replace(world.blocks[2], receipts=closes_nothing)])
    assert contents(store) == before
    assert store.height == 2


def test_a_crash_before_the_commit_leaves_nothing_and_replays(
    url: str, world: BlockScribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(world)
    store = Store.open(url, key=KEY)
    store.project(world.blocks[:2])
    before = contents(store)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_append_events", dies)  # after the rows, before checkpoint and commit
    with pytest.raises(KeyboardInterrupt):
        store.project(world.blocks)
    assert contents(store) == before
    store.close()
    store = Store.open(url, key=KEY)
    assert store.height == 2
    assert store.project(world.blocks) == 1
    assert contents(store)["payments"] != before["payments"]
    store.close()


def test_a_rebuild_gives_the_same_rows_and_repeats_no_event(url: str, world: BlockScribe) -> None:
    def settled(block: object) -> list[Event]:
        height = block.height  # type: ignore[attr-defined]
        return [Event(f"evt-{height}", height, "block", "https://receiver.example/hook", "{}")]

    captured = hold(world)
    hold(world, hold_for_s=1)
    world.commit((BANK, world.pays(Kind.CAPTURE, world.alice, world.bob, 20, related=captured)))
    review(world)
    store = Store.open(url, key=KEY, events=settled)
    for block in world.blocks:
        store.project([block])
    before = contents(store)
    assert [due.event.id for due in store.outbox.due(2**62)] == [f"evt-{b.height}" for b in world.blocks]
    for due in store.outbox.due(2**62):
        store.outbox.mark_delivered(due.event.id, 1)
    store.outbox.prune(2**62)
    store.rebuild(iter(world.blocks))
    assert contents(store) == before
    assert store.outbox.due(2**62) == []
    store.close()


def test_rows_are_the_same_however_blocks_are_grouped(world: BlockScribe) -> None:
    hold(world, hold_for_s=2)
    review(world)
    world.commit((BANK, world.transfer(world.alice, world.bob, 3)))
    hashes = EndToEndHashes(KEY)
    whole = project_rows(world.blocks, hashes)
    parts, before = [], 0
    for group in in_groups(world.blocks, 2):
        parts.append(project_rows(group, hashes, receipts_before=before))
        before += parts[-1].receipts
    assert before == whole.receipts
    assert len(parts) > 2
    for name in ("payments", "captures", "releases", "expiries", "accounts"):
        assert getattr(whole, name) == [row for part in parts for row in getattr(part, name)]
    assert sorted(whole.entries) == sorted(row for part in parts for row in part.entries)


def test_lists_by_account_time_and_status_page_stably(store: Store, world: BlockScribe) -> None:
    for amount in range(1, 8):
        debtor, creditor = (world.alice, world.bob) if amount % 2 else (world.bob, world.alice)
        world.commit((BANK, world.transfer(debtor, creditor, amount)))
    store.project(world.blocks[:8])
    first = store.queries.payments(account=world.alice, limit=3)
    store.project(world.blocks)  # rows arrive between two pages
    seen = [p.amount for p in first.items]
    cursor = first.next_cursor
    while cursor:
        page = store.queries.payments(account=world.alice, limit=3, cursor=cursor)
        seen += [p.amount for p in page.items]
        cursor = page.next_cursor
    assert seen == [6, 5, 4, 3, 2, 1, 100_000]

    times = [block.time_ns for block in world.blocks]
    ranged = store.queries.payments(from_ns=times[3], to_ns=times[6])
    assert [p.created_ns for p in ranged.items] == times[5:2:-1]
    assert store.queries.payments(from_ns=times[-1] + 1).items == []
    assert store.queries.payments(to_ns=times[0]).items == []
    settled = store.queries.payments(status=PaymentStatus.SETTLED, account=world.bob, limit=2)
    assert [p.amount for p in settled.items] == [7, 6]


def test_no_question_walks_through_all_payments(tmp_path: Path, world: BlockScribe) -> None:
    """SQLite says how it would answer: by an index, an era at a time, and without sorting."""
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}", key=KEY)
    store.project(world.blocks)
    plans: list[str] = []
    asked: list[tuple[str, object]] = []
    reader = store._database._reader
    sa.event.listen(
        reader, "before_cursor_execute", lambda c, cursor, sql, values, *_: asked.append((sql, values))
    )
    store.queries.payments(account=world.alice, from_ns=world.blocks[1].time_ns)
    store.queries.payments_by_end_to_end_id("E2E-1")
    store.queries.account(world.alice)
    store.queries.statement(world.alice, from_ns=world.blocks[1].time_ns)
    with reader.connect() as connection:
        for sql, values in [ask for ask in asked if ask[0].startswith("SELECT")]:
            explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
            plans += [row[3] for row in explained]
    store.close()
    walked = [plan for plan in plans if plan.startswith(("SCAN payments", "SCAN entries", "SCAN accounts"))]
    assert walked == []
    for index in ("payments_debtor (era=? AND debtor=?", "payments_creditor (era=? AND creditor=?"):
        assert any(index in plan for plan in plans), index
    for lookup in ("payments_end_to_end (era=? AND end_to_end_hash=?", "PRIMARY KEY (era=? AND account=?"):
        assert any(lookup in plan for plan in plans), lookup


def test_statements_page_and_add_up(store: Store, world: BlockScribe) -> None:
    for amount in range(1, 6):
        world.commit((BANK, world.transfer(world.alice, world.bob, amount)))
    store.project(world.blocks)
    times = [block.time_ns for block in world.blocks]
    whole = store.queries.statement(world.alice, from_ns=times[3], to_ns=times[6])
    assert [e.amount for e in whole.entries] == [2, 3, 4]
    assert (whole.opening, whole.closing) == (99_999, 99_990)
    assert (whole.period_opening, whole.period_closing) == (99_999, 99_990)
    balance, cursor, amounts = 99_999, None, []
    while True:
        page = store.queries.statement(world.alice, from_ns=times[3], to_ns=times[6], cursor=cursor, limit=1)
        assert (page.opening, page.period_closing) == (balance, 99_990)
        balance, cursor = page.closing, page.next_cursor
        amounts += [e.amount for e in page.entries]
        if cursor is None:
            break
    assert (balance, amounts) == (99_990, [2, 3, 4])
    empty = store.queries.statement(world.alice, from_ns=times[-1] + 1)
    assert (empty.opening, empty.closing, list(empty.entries)) == (99_985, 99_985, [])


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "é", "A" * 34, "?" * 40, "A" * 10_000])
def test_a_malformed_cursor_is_refused(store: Store, world: BlockScribe, cursor: str) -> None:
    store.project(world.blocks)
    asks = (
        lambda: store.queries.payments(cursor=cursor),
        lambda: store.queries.accounts(cursor=cursor),
        lambda: store.queries.statement(world.alice, cursor=cursor),
    )
    for ask in asks:
        with pytest.raises(InputError) as e:
            ask()
        assert e.value.code == "cursor_invalid"


def test_a_cursor_of_another_list_is_refused(store: Store, world: BlockScribe) -> None:
    store.project(world.blocks)
    cursor = store.queries.payments(limit=1).next_cursor
    assert cursor is not None
    with pytest.raises(InputError, match="with these filters"):
        store.queries.payments(limit=1, account=world.alice, cursor=cursor)
    with pytest.raises(InputError) as e:
        store.queries.payments(limit=0)
    assert e.value.code == "limit_invalid"


def test_a_newer_schema_is_refused(url: str) -> None:
    store = Store.open(url, key=KEY)
    with store._database.write() as connection:
        connection.execute(sa.text("UPDATE schema_version SET version = 99"))
    store.close()
    with pytest.raises(StorageError, match="of version 99") as e:
        Store.open(url, key=KEY)
    assert e.value.code == "schema_newer"


@pytest.mark.parametrize("bad", ["nonsense", "sqlite://", "sqlite:///:memory:", "mysql://x/y"])
def test_only_a_sqlite_file_or_postgresql_will_do(bad: str) -> None:
    with pytest.raises(ConfigError):
        Store.open(bad, key=KEY)
    with pytest.raises(ConfigError, match="32 bytes"):
        Store.open("sqlite:///x.db", key=b"short")


def test_an_unusable_file_is_a_storage_error(tmp_path: object) -> None:
    with pytest.raises(StorageError, match="unable to open"):
        Store.open(f"sqlite:///{tmp_path}/missing/store.db", key=KEY)
