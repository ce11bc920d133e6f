"""A rule that was voted on is in force from its height on in a real CometBFT chain, and stays so when the
node starts again from its journal; an audit recomputes the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bezant.chain.auditing.audit import Audit
from bezant.chain.cometbft.program import usable_program
from bezant.chain.receipts import build_receipt, render_receipt, verify_receipt
from bezant.errors import ConfigError
from bezant.gateway import commands
from bezant.ledger import open_items
from bezant.ledger.fees import FEE_SALT
from bezant.model.genesis import Stake
from bezant.model.governance import NOTICE_BLOCKS, Ballot, Change, Rule
from bezant.model.keys import authority_id
from bezant.model.outcomes import Outcome
from bezant.model.records import id_of
from bezant.testing.ledgers import ALICE, ISSUER, small_genesis

from ..examples.test_verify_receipt import auditor_says
from .test_engines import LEDGER_SEED, CometWorld

FEE = Change(Rule.FEE, (2, 0, 0, 2), 1)
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
    asked, fee = world.scribe.new_id(), world.scribe.new_id()
    opened, collector = world.scribe.open(1, ISSUER, salt=FEE_SALT)
    penalties, to = world.scribe.open(1, ISSUER, salt=5)
    rows = [
        opened,
        penalties,
        commands.propose(asked, own, CHANGE, due, 3600),
        commands.propose(fee, own, FEE, due, 3600),
    ]
    assert set(world.submit(world.order((ISSUER, np.concatenate(rows)))).receipts["outcome"]) == {0}
    said = [commands.vote(world.scribe.new_id(), own, one, Ballot.YES) for one in (asked, fee)]
    assert set(world.submit(world.order((ISSUER, np.concatenate(said)))).receipts["outcome"]) == {0}
    treasury = next(row for row in engine.ledger.accounts if row["credit_limit"])
    (voter,) = world.genesis.validators
    bond = commands.bond(world.scribe.new_id(), id_of(treasury, "id"), to, 1, 50, bytes.fromhex(voter.key))
    assert world.submit(world.order((ISSUER, bond))).receipts["outcome"].tolist() == [Outcome.BONDED]
    charged = {}
    while engine.height < due + 20:
        paid = world.submit(world.order((ALICE, world.transfer(alice, bob, 10, max_fee=2))))
        charged[int(paid.height[0])] = int(paid.receipts["fee"][0])
    assert {height: 2 * (height >= due) for height in charged} == charged
    told = [
        (Outcome(int(receipt["outcome"])), block.height, int(receipt["amount"]))
        for block in engine.blocks_from(1)
        for receipt in block.receipts[: block.system_count]
    ]
    assert [height for outcome, height, _ in told if outcome is Outcome.APPLIED] == [due, due]
    assert all(height <= due - NOTICE_BLOCKS for outcome, height, _ in told if outcome is Outcome.ACCEPTED)
    rewards = sum(amount for outcome, _, amount in told if outcome is Outcome.REWARDED)
    assert rewards > 0
    assert rewards + world.balance(collector) == sum(charged.values()), "to the last unit"
    changed = [open_items.RuleInForce(change, due) for change in (CHANGE, FEE)]
    assert open_items.changed_rules(engine.ledger) == changed

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
