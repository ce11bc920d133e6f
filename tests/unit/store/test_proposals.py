"""Proposals in the read model: every one there was, what became of it, and who said what."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from tests.unit.store.stores import KEY

from bezant.chain.storage.base import Opening
from bezant.chain.storage.snapshots import Position
from bezant.errors import InputError, InvariantViolation, NotFound
from bezant.ledger import state as layout
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.genesis import GenesisValidator
from bezant.model.governance import NOTICE_BLOCKS, Ballot, Change, Rule
from bezant.model.identifiers import PaymentId
from bezant.model.keys import SigningKey, authority_id
from bezant.model.money import U64_MAX
from bezant.model.records import Kind, RecordArray, id_of
from bezant.store import Store, schema
from bezant.store.schema import ProposalStatus
from bezant.store.views import StoredProposal
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK, ISSUER, record

VALIDATORS = (GenesisValidator("0b" * 32, 6, 2), GenesisValidator("0c" * 32, 3, 1))
"""The Bank has two thirds of the votes and needs one more."""


@pytest.fixture
def world() -> BlockScribe:
    return BlockScribe(validators=VALIDATORS)


def contents(store: Store) -> dict[str, list[Any]]:
    tables = (schema.proposals, schema.ballots, schema.rule_changes)
    with store._database.read() as connection:
        return {table.name: sorted(map(tuple, connection.execute(sa.select(table)))) for table in tables}


def ask(
    world: BlockScribe,
    *values: int,
    rule: Rule = Rule.JAIL_S,
    by: SigningKey = BANK,
    ahead: int = 25,
    voting_s: int = 60,
    **fields: Any,
) -> RecordArray:
    """Commit a block with a proposal that is due so many blocks later."""
    given: dict[str, Any] = {"id": world.new_id(), "max_fee": len(world.blocks) + 1 + ahead, "asset": 0}
    commitment = b"".join(value.to_bytes(8, "little") for value in (*values, 0, 0, 0)[:4])
    given |= {"debtor": authority_id(by.public), "hold_for_s": voting_s, "commitment": commitment}
    row = record(Kind.PROPOSE, amount=rule, **(given | fields))
    world.commit((by, row))
    return row


def ballot_of(world: BlockScribe, asked: RecordArray, said: Ballot, by: SigningKey) -> RecordArray:
    given = {"debtor": authority_id(by.public), "related": id_of(asked[0], "id"), "asset": 0}
    return record(Kind.VOTE, id=world.new_id(), amount=said, **given)


def say(world: BlockScribe, asked: RecordArray, said: Ballot, *signers: SigningKey) -> None:
    """Commit a block for each institution that votes."""
    for by in signers:
        world.commit((by, ballot_of(world, asked, said, by)))


def idle(world: BlockScribe, height: int) -> None:
    while len(world.blocks) < height:
        world.commit()


def name(asked: RecordArray) -> PaymentId:
    return PaymentId(id_of(asked[0], "id"))


def a_history(world: BlockScribe) -> dict[ProposalStatus, RecordArray]:
    """Have one proposal of every state there is, and return them."""
    made = {ProposalStatus.IN_FORCE: ask(world, 40)}
    both = [ballot_of(world, made[ProposalStatus.IN_FORCE], said, BANK) for said in (Ballot.NO, Ballot.YES)]
    world.commit((BANK, np.concatenate(both)))
    say(world, made[ProposalStatus.IN_FORCE], Ballot.YES, ISSUER)
    made[ProposalStatus.DECLINED] = ask(world, 0, 100, 0, 9, rule=Rule.FEE, asset=1, by=ISSUER)
    say(world, made[ProposalStatus.DECLINED], Ballot.NO, ISSUER)
    made[ProposalStatus.LAPSED] = ask(world, 41, voting_s=3, max_fee=U64_MAX)
    idle(world, int(made[ProposalStatus.IN_FORCE]["max_fee"][0]))
    made[ProposalStatus.ACCEPTED] = ask(world, 42)
    say(world, made[ProposalStatus.ACCEPTED], Ballot.YES, ISSUER, BANK)
    world.commit()
    made[ProposalStatus.VOTING] = ask(world, 43)
    return made


def test_every_proposal_is_kept_with_what_became_of_it(store: Store, world: BlockScribe) -> None:
    made = a_history(world)
    store.project(world.blocks)
    listed = store.queries.proposals().items
    assert [one.id for one in listed] == [name(row) for row in sorted(made.values(), key=name, reverse=True)]
    found = {status: store.queries.proposal(name(row)) for status, row in made.items()}
    assert {status: one.status for status, one in found.items()} == {status: status for status in made}
    for status, one in found.items():
        assert store.queries.proposals(status=status).items == [one]
    first = found[ProposalStatus.IN_FORCE]
    due = int(made[ProposalStatus.IN_FORCE]["max_fee"][0])
    assert (first.proposer, first.change) == (authority_id(BANK.public), Change(Rule.JAIL_S, (40, 0, 0, 0)))
    assert (first.was, first.height, first.enacted_height) == (None, due, due)
    assert (first.created_height, first.decided_height) == (due - 25, due - 22)
    assert first.enacted_ns == world.blocks[due - 1].time_ns
    assert first.created_ns == world.blocks[due - 26].time_ns
    assert first.until_ns == world.blocks[due - 26].time_ns + 60 * 10**9
    bank, issuer = authority_id(BANK.public), authority_id(ISSUER.public)
    assert list(first.ballots) == [(bank, Ballot.YES), (issuer, Ballot.YES)], "the last word counts"
    declined = found[ProposalStatus.DECLINED]
    assert declined.change == Change(Rule.FEE, (0, 100, 0, 9), 1)
    assert (list(declined.ballots), declined.enacted_ns) == ([(issuer, Ballot.NO)], None)
    lapsed = found[ProposalStatus.LAPSED]
    assert (lapsed.height, lapsed.was, list(lapsed.ballots)) == (U64_MAX, None, [])
    began = world.blocks[(lapsed.created_height or 0) - 1]
    assert (lapsed.created_ns, lapsed.decided_height) == (began.time_ns, began.height + 4)
    for status in (ProposalStatus.ACCEPTED, ProposalStatus.VOTING):
        assert found[status].was == Change(Rule.JAIL_S, (40, 0, 0, 0)), "what is in force now"
    idle(world, int(made[ProposalStatus.ACCEPTED]["max_fee"][0]))
    say(world, made[ProposalStatus.VOTING], Ballot.NO, ISSUER)
    world.commit()
    store.project(world.blocks)
    last = store.queries.proposal(name(made[ProposalStatus.ACCEPTED]))
    assert (last.status, last.was) == (ProposalStatus.IN_FORCE, Change(Rule.JAIL_S, (40, 0, 0, 0)))
    assert store.queries.proposal(name(made[ProposalStatus.IN_FORCE])).was is None


def test_rows_are_the_same_however_blocks_are_grouped_and_after_a_rebuild(
    store: Store, world: BlockScribe
) -> None:
    a_history(world)
    for block in world.blocks:
        store.project([block])
    one_by_one = contents(store)
    assert all(one_by_one.values())
    store.rebuild(world.blocks)
    assert contents(store) == one_by_one
    assert store.project(world.blocks) == 0, "what is in is passed over"
    assert contents(store) == one_by_one


def test_too_little_notice_is_a_lapse(store: Store, world: BlockScribe) -> None:
    asked = ask(world, 7, ahead=NOTICE_BLOCKS + 3)
    idle(world, len(world.blocks) + 3)
    store.project(world.blocks)
    found = store.queries.proposal(name(asked))
    assert (found.status, found.decided_height) == (ProposalStatus.LAPSED, found.height - NOTICE_BLOCKS)


def test_an_id_that_another_institution_uses_again_names_the_last(store: Store, world: BlockScribe) -> None:
    first = ask(world, 7)
    say(world, first, Ballot.NO, ISSUER)
    world.commit()
    again = ask(world, 8, by=ISSUER, id=name(first))
    say(world, again, Ballot.YES, ISSUER, BANK)
    world.commit()
    store.project(world.blocks)
    found = store.queries.proposal(name(first))
    assert (found.change.values[0], found.status) == (8, ProposalStatus.ACCEPTED)
    assert [said for _, said in found.ballots] == [Ballot.YES] * 2
    (declined,) = store.queries.proposals(status=ProposalStatus.DECLINED).items
    assert (declined.id, declined.change.values[0]) == (found.id, 7)
    assert list(declined.ballots) == [(authority_id(ISSUER.public), Ballot.NO)]


def test_the_list_pages_and_its_cursor_is_its_own(store: Store, world: BlockScribe) -> None:
    made = a_history(world)
    store.project(world.blocks)
    seen: list[StoredProposal] = []
    cursor = None
    while True:
        page = store.queries.proposals(cursor=cursor, limit=2)
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
        with pytest.raises(InputError, match="cursor"):
            store.queries.proposals(status=ProposalStatus.VOTING, cursor=cursor)
    assert seen == store.queries.proposals().items
    assert len(seen) == len(made)
    with pytest.raises(NotFound) as unknown:
        store.queries.proposal(world.new_id())
    assert unknown.value.code == "proposal_unknown"


def test_a_store_that_begins_behind_a_block_goes_on_with_what_is_open(
    store: Store, world: BlockScribe, tmp_path: Path
) -> None:
    made = a_history(world)
    ledger = ColumnarLedger(world.ledger.founded)
    store.project(world.blocks)
    open_ = [made[ProposalStatus.ACCEPTED], made[ProposalStatus.VOTING]]
    known = [store.queries.proposal(name(row)) for row in open_]
    for batch in world.batches:
        ledger.apply(batch)
    last = world.blocks[-1]
    at = Position(last.height, last.time_ns, last.app_hash, bytes(32), store.receipts, 0, 0, None)
    with closing(Store.open(f"sqlite:///{tmp_path / 'new.db'}", key=KEY)) as new:
        new.begin(Opening(at, layout.dump(ledger.state)))
        for row, before in zip(open_, known, strict=True):
            now = new.queries.proposal(name(row))
            for told in ("id", "proposer", "change", "was", "status", "height", "until_ns"):
                assert getattr(now, told) == getattr(before, told)
            assert sorted(now.ballots) == sorted(before.ballots)
            assert (now.created_ns, now.created_height, now.decided_height) == (None, None, None)
        behind = len(world.blocks)
        say(world, made[ProposalStatus.VOTING], Ballot.NO, ISSUER)
        idle(world, int(made[ProposalStatus.ACCEPTED]["max_fee"][0]))
        new.project(world.blocks[behind:])
        assert new.queries.proposal(name(made[ProposalStatus.VOTING])).status is ProposalStatus.DECLINED
        enacted = new.queries.proposal(name(made[ProposalStatus.ACCEPTED]))
        assert (enacted.status, enacted.was) == (ProposalStatus.IN_FORCE, known[0].was)


def test_a_decision_about_nothing_that_is_open_is_refused(store: Store, world: BlockScribe) -> None:
    asked = ask(world, 7)
    say(world, asked, Ballot.NO, ISSUER)
    world.commit()
    store.project(world.blocks[:-1])
    with store._database.write() as connection:
        connection.execute(schema.proposals.delete())
    with pytest.raises(InvariantViolation, match="does not know as open"):
        store.project(world.blocks[-1:])


def test_a_store_of_before_is_filled_from_the_blocks(url: str, world: BlockScribe) -> None:
    made = a_history(world)
    with closing(Store.open(url, key=KEY)) as opened:
        opened.project(world.blocks)
        with opened._database.write() as connection:
            for table in (schema.proposals, schema.ballots, schema.rule_changes):
                table.drop(connection)
            connection.exec_driver_sql("UPDATE schema_version SET version = 5 WHERE component = 'store'")
    with closing(Store.open(url, key=KEY)) as opened:
        assert (opened.height, opened.receipts) == (0, 0)
        opened.project(world.blocks)
        assert len(opened.queries.proposals().items) == len(made)
