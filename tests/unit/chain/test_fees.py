"""Fees in a chain: in leaves and state roots, after a restart, in an audit, and in a receipt that both
verifiers accept."""

from __future__ import annotations

from pathlib import Path

from bezant.chain.auditing.audit import Audit
from bezant.chain.readings import fee_of
from bezant.chain.receipts import build_receipt, render_receipt, verify_receipt
from bezant.chain.storage.snapshot_writer import Cadence
from bezant.ledger.fees import FEE_SALT
from bezant.model.genesis import Fee
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, id_of
from bezant.testing.chains import LEDGER_SEED, ChainWorld
from bezant.testing.ledgers import ALICE, BANK, ISSUER, STAKE, record, small_genesis

from ...examples.test_verify_receipt import auditor

KEY = bytes([9]) * 32


def test_fees_and_rewards_are_proved_and_recomputed(tmp_path: Path) -> None:
    genesis = small_genesis(stake=STAKE, fees=(Fee(1, flat=5, ppm=1_000, maximum=50),), checkpoint_interval=4)
    chain = ChainWorld(tmp_path / "data", genesis=genesis, cadence=Cadence(10, 1))
    alice, bob = chain.fund()
    opened, collector = chain.scribe.open(1, ISSUER, salt=FEE_SALT)
    treasury = next(row for row in chain.engine.ledger.accounts if row["credit_limit"])
    chain.submit((ISSUER, opened))
    bond = record(
        Kind.BOND,
        id=chain.scribe.new_id(),
        debtor=bob,
        creditor=id_of(treasury, "id"),
        amount=100,
        commitment=KEY,
    )
    assert chain.submit((BANK, bond)).receipts["outcome"].tolist() == [Outcome.BONDED]
    outcomes = []
    for _ in range(14):
        paid = chain.transfer(alice, bob, 2_500, max_fee=7)
        outcomes += chain.submit((ALICE, paid)).receipts["outcome"].tolist()
    assert outcomes.count(Outcome.APPLIED) == 14
    assert outcomes.count(Outcome.REWARDED) >= 3
    chain.engine.cover_state()
    assert chain.engine.prove_account(collector).row, "what it collected is under the state root"

    data = render_receipt(build_receipt(chain.engine.prove(id_of(paid[0], "id"))))
    receipt = verify_receipt(data, genesis_hash=chain.network.hex())
    assert (receipt.summary.amount, fee_of(receipt)) == ("25.00", "0.07")
    assert auditor.verify(data, chain.network.hex())["fee_minor"] == 7

    before, app_hash = chain.engine.ledger.accounts.tobytes(), chain.engine.app_hash
    chain.reopen()
    assert (chain.engine.ledger.accounts.tobytes(), chain.engine.app_hash) == (before, app_hash)
    assert chain.submit((ALICE, chain.transfer(alice, bob, 100, max_fee=5))).receipts["fee"][-1] == 5
    chain.engine.close()
    report = Audit(chain.folder, genesis, LEDGER_SEED).run()
    assert not report.differences
