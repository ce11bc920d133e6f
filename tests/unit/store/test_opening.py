"""A read model that begins behind a block: balances are brought forward, what is held can be closed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bezant.chain.storage.base import Opening
from bezant.chain.storage.snapshots import Position
from bezant.ledger import state as layout
from bezant.model.outcomes import Verdict
from bezant.model.records import Flag, Kind, id_of
from bezant.store import Store
from bezant.store.opening import opening_rows
from bezant.store.schema import PaymentStatus, unsigned_amount
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE, BANK, record

KEY = bytes(32)


def opening_of(chain: ChainWorld) -> Opening:
    engine = chain.engine
    rows = engine.receipts_until(engine.height)
    at = Position(engine.height, engine.time_ns, engine.app_hash, bytes(32), rows, 0, 0, None)
    return Opening(at, layout.dump(engine.ledger.state))


def test_a_store_that_begins_behind_a_block_goes_on_as_one_that_has_them_all(tmp_path: Path) -> None:
    chain = ChainWorld(tmp_path / "data")
    alice, bob = chain.fund()
    held, reviewed = chain.scribe.new_id(), chain.scribe.new_id()
    hold = record(Kind.HOLD, id=held, debtor=alice, creditor=bob, amount=40, hold_for_s=3_600)
    short = record(Kind.HOLD, id=chain.scribe.new_id(), debtor=alice, creditor=bob, amount=2, hold_for_s=9)
    doubtful = chain.transfer(alice, bob, 70, id=reviewed, flags=Flag.MAY_REVIEW)
    paid = chain.transfer(alice, bob, 25)
    chain.submit((ALICE, np.concatenate([hold, short, doubtful, paid])), verdicts={2: Verdict.REVIEW})
    opening = opening_of(chain)
    old, new = (Store.open(f"sqlite:///{tmp_path / name}", key=KEY) for name in ("old.sqlite", "new.sqlite"))
    old.rebuild(chain.engine.blocks_from(1))
    new.begin(opening)
    assert (new.height, new.receipts, new.app_hash) == (old.height, old.receipts, old.app_hash)
    waiting = new.queries.payments(status=PaymentStatus.IN_REVIEW).items
    assert [(one.id, one.amount) for one in waiting] == [(reviewed, 70)]
    # Both follow the same blocks: a capture, an approval, an expiry, a payment back.
    closing = [
        record(Kind.CAPTURE, id=chain.scribe.new_id(), debtor=alice, creditor=bob, amount=amount, related=one)
        for one, amount in ((held, 40), (reviewed, 70))
    ]
    chain.submit((BANK, np.concatenate(closing)))
    original = id_of(paid[0], "id")
    back = record(
        Kind.REVERSE, id=chain.scribe.new_id(), debtor=bob, creditor=alice, amount=5, related=original
    )
    chain.skip(20)
    chain.submit((BANK, back))
    for store in (old, new):
        store.project(list(chain.engine.blocks_from(opening.position.height + 1)))
    for account in (alice, bob):
        assert new.queries.account(account).balance == old.queries.account(account).balance
        shown = new.queries.statement(account)
        assert shown.entries[0].is_brought_forward
        assert not any(entry.is_brought_forward for entry in shown.entries[1:])
        known = old.queries.statement(account)
        assert shown.closing == known.closing
        assert [one.amount for one in shown.entries[1:]] == [
            one.amount for one in known.entries if one.height > opening.position.height
        ]
    assert {one.status for one in new.queries.payments().items} >= {
        PaymentStatus.CAPTURED,
        PaymentStatus.EXPIRED,
    }
    new.rebuild(chain.engine.blocks_from(opening.position.height + 1), opening)
    assert new.queries.account(bob).balance == old.queries.account(bob).balance
    for store in (old, new):
        store.close()
    chain.engine.close()


@pytest.mark.parametrize("balance", [0, 5, -5, 2**63, -(2**64), 2**64 + 3])
def test_balances_of_any_size_are_brought_forward(tmp_path: Path, balance: int) -> None:
    chain = ChainWorld(tmp_path / "data")
    alice, _ = chain.fund()
    opening = opening_of(chain)
    chain.engine.close()
    accounts = opening.tables["accounts"]
    at = chain.engine.ledger.account_row(alice)
    for name, value in (("credits", max(balance, 0)), ("debits", max(-balance, 0))):
        accounts[f"{name}_posted_lo"][at], accounts[f"{name}_posted_hi"][at] = value % 2**64, value >> 64
    entries = [row for row in opening_rows(opening).entries if row[1] == alice.to_bytes(16, "big")]
    signs = {"credit": 1, "debit": -1}
    total = 0
    for _, _, _, side, amount, _, _, after in entries:
        total += signs[side] * unsigned_amount(amount)
        assert after == str(total)
    assert total == balance
    assert len({row[2] for row in entries}) == len(entries)
