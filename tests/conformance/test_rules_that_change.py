"""A rule that was voted on is in force from its height on in a real CometBFT chain, and stays so when the
node starts again from its journal; an audit recomputes the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bezant.chain.auditing.audit import Audit
from bezant.chain.cometbft.program import usable_program
from bezant.chain.receipts import build_receipt, render_receipt, verify_receipt
from bezant.errors import ConfigError
from bezant.gateway import commands
from bezant.ledger import open_items
from bezant.model.genesis import Stake
from bezant.model.governance import NOTICE_BLOCKS, Ballot, Change, Rule
from bezant.model.keys import authority_id
from bezant.model.outcomes import Outcome
from bezant.testing.ledgers import ALICE, ISSUER, small_genesis

from ..examples.test_verify_receipt import auditor_says
from .test_engines import LEDGER_SEED, CometWorld

CHANGE = Change(Rule.REVIEW_FOR_S, (90, 0, 0, 0))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CometWorld]:
    try:
        usable_program()
    except ConfigError as error:
        pytest.skip(error.message)
    made = CometWorld(tmp_path, small_genesis(stake=Stake(1, 10), checkpoint_interval=8))
    yield made
    made.close()


def test_a_rule_is_in_force_from_its_height_on(world: CometWorld) -> None:
    alice, bob = world.fund()
    own, engine = authority_id(ISSUER.public), world.engine
    due = engine.height + NOTICE_BLOCKS + 12
    asked = world.scribe.new_id()
    row = commands.propose(asked, own, CHANGE, due, 3600)
    assert world.submit(world.order((ISSUER, row))).receipts["outcome"].tolist() == [Outcome.APPLIED]
    said = commands.vote(world.scribe.new_id(), own, asked, Ballot.YES)
    assert world.submit(world.order((ISSUER, said))).receipts["outcome"].tolist() == [Outcome.APPLIED]
    while engine.height < due:
        world.submit(world.order((ALICE, world.transfer(alice, bob, 1))))
    told = {
        Outcome(int(receipt["outcome"])): block.height
        for block in engine.blocks_from(1)
        for receipt in block.receipts[: block.system_count]
    }
    assert told[Outcome.APPLIED] == due, "the block of the change says so"
    assert told[Outcome.ACCEPTED] < due - NOTICE_BLOCKS + 1
    assert open_items.changed_rules(engine.ledger) == [open_items.RuleInForce(CHANGE, due)]

    # What was proposed is proved like any other record, by votes that the genesis leads to.
    data = render_receipt(build_receipt(engine.prove(asked)))
    assert auditor_says(data, engine.network.hex())
    assert verify_receipt(data, genesis_hash=engine.network.hex()).finality is not None

    app_hash, height = engine.app_hash_at(due), engine.height
    world.close()
    report = Audit(world.folder, world.genesis, LEDGER_SEED).run()
    assert not report.differences
    assert report.last >= due
    world.open()
    assert world.engine.height >= height
    assert world.engine.app_hash_at(due) == app_hash
    assert world.engine.ledger.in_force.rules.review_for_s == 90
