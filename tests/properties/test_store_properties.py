"""Whatever the ledger does, the store's entries add up to the ledger's balances."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bezant.model.outcomes import Verdict
from bezant.model.records import Flag, Kind
from bezant.store import PaymentStatus, Store, run
from bezant.store.scratch import scratch_schema
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK

Step = tuple[str, bool, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["transfer", "hold", "review", "block", "capture", "release", "repeat", "wait"]),
        st.booleans(),
        st.integers(1, 700),
        st.integers(0, 9),
    ),
    max_size=25,
)


def take(world: BlockScribe, made: list[tuple[int, bool]], step: Step) -> None:
    """Commit one block for a step; `made` are the ids of payments and their direction."""
    what, forward, amount, pick = step
    if what == "wait":
        world.scribe.now_ns += pick * 10**9
        world.commit()
        return
    closes = what in ("capture", "release")
    if (closes or what == "repeat") and not made:
        return
    related = 0
    if closes:
        related, forward = made[pick % len(made)]
    debtor, creditor = (world.alice, world.bob) if forward else (world.bob, world.alice)
    id_ = made[pick % len(made)][0] if what == "repeat" else world.new_id()
    kind = {"hold": Kind.HOLD, "capture": Kind.CAPTURE, "release": Kind.RELEASE}.get(what, Kind.TRANSFER)
    row = world.pays(
        kind,
        debtor,
        creditor,
        amount,
        id=id_,
        related=related,
        hold_for_s=1 + pick if kind is Kind.HOLD else 0,
        flags=Flag.MAY_REVIEW if what == "review" else 0,
    )
    verdict = {"review": Verdict.REVIEW, "block": Verdict.BLOCK}.get(what, Verdict.ALLOW)
    world.commit((BANK, row), verdicts={0: verdict})
    if not closes and what != "repeat":
        made.append((id_, forward))


@pytest.fixture(autouse=True, scope="module")
def _small_eras() -> Iterator[None]:
    """Eight receipts begin a new era, so that statements go over several."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "ERA_BITS", 3)
        yield


@settings(max_examples=40, deadline=None, derandomize=True)
@given(steps, st.integers(1, 7))
def test_entries_add_up_to_the_ledgers_balances(sequence: list[Step], group: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_entries(f"sqlite:///{Path(folder) / 'store.db'}", sequence, group)


def test_they_do_so_in_postgresql(postgres: str) -> None:
    """The same, with fewer examples: each needs a schema of its own."""

    @settings(max_examples=15, deadline=None, derandomize=True)
    @given(steps, st.integers(1, 7))
    def entries_add_up(sequence: list[Step], group: int) -> None:
        with scratch_schema(postgres) as url:
            check_entries(url, sequence, group)

    entries_add_up()


def check_entries(url: str, sequence: list[Step], group: int) -> None:
    world, made = BlockScribe(funds=2_000), []
    for step in sequence:
        take(world, made, step)
    with closing(Store.open(url, key=bytes(32))) as store:
        for first in range(0, len(world.blocks), group):
            store.project(world.blocks[first : first + group])
        for account in (world.alice, world.bob, world.treasury):
            state = world.ledger.state.accounts[account]
            statement = store.queries.statement(account)  # raises unless every entry follows
            assert statement.closing == state.credits_posted - state.debits_posted
            assert statement.closing == sum(entry.signed_amount for entry in statement.entries)
            assert store.queries.account(account).balance == statement.closing
            shown = {p.id for p in store.queries.payments(account=account, limit=1000).items}
            assert {entry.payment for entry in statement.entries} <= shown
        open_now = [
            store.queries.payments(status=status, limit=1000).items
            for status in (PaymentStatus.HELD, PaymentStatus.IN_REVIEW)
        ]
        assert {p.id for page in open_now for p in page} == {h.id for h in world.ledger.state.holds.values()}
