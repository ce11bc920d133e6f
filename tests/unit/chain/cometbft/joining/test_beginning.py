"""A chain that begins at a snapshot: the same from there on as one that has every block."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.chain.cometbft.joining.members import EVERY, GENESIS, Member, Writer, busy, join

from bezant.chain.auditing.audit import Audit
from bezant.chain.auditing.rerun import Rerun
from bezant.chain.history import is_consistent
from bezant.chain.storage.snapshot_writer import Cadence
from bezant.errors import NotFound
from bezant.model.identifiers import PaymentId
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, id_of
from bezant.testing.chains import LEDGER_SEED
from bezant.testing.ledgers import BANK, record


def test_a_member_that_begins_at_a_snapshot_is_the_same_from_there_on(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    behind = member.offered()[0]
    assert behind.chunks > 3, "the snapshot is not cut"
    for block in busy(author, 2):
        member.decide(block)
    new = join(member, tmp_path / "new")
    assert new.chain.begins_behind == behind.height
    assert new.chain.first_height == behind.height + 1
    # What was decided since comes from the other members' blocks.
    for height in range(behind.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    assert new.told() == member.told()
    for place, block in enumerate(busy(author, 2 * EVERY)):
        assert new.decide(block) == member.decide(block)
        if place % 5 == 0:
            new.restart()
    assert new.told() == member.told()
    assert [one.digest for one in new.offered()[:2]] == [one.digest for one in member.offered()[:2]]
    new.chain.close()


def test_the_same_bytes_are_offered_by_whoever_began_at_a_snapshot_and_others_begin_there(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    new = join(member, tmp_path / "new")
    for height in range(new.chain.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    for block in busy(author, EVERY):
        new.decide(block)
        member.decide(block)
    offer = new.offered()[0]
    assert new.chunks(offer) == member.chunks(offer)
    third = join(new, tmp_path / "third")
    for height in range(third.chain.height + 1, new.chain.height + 1):
        third.decide(author.decided[height - 1])
    assert third.told() == member.told()
    for one in (new, third):
        one.chain.close()


def test_a_snapshot_behind_a_block_of_nothing_is_as_good_as_any(author: Writer, tmp_path: Path) -> None:
    made = Member(tmp_path / "member")
    for block in [*author.funding(), *(author.block() for _ in range(EVERY - 3))]:
        made.decide(block)
    assert made.chain.height == EVERY
    new = join(made, tmp_path / "new")
    for block in busy(author, EVERY):
        assert new.decide(block) == made.decide(block)
    assert new.told() == made.told()
    for one in (new, made):
        one.chain.close()


def test_payments_from_before_the_beginning_are_paid_back_and_named_but_not_shown(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    new = join(member, tmp_path / "new")
    for height in range(new.chain.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    early = next(row for row in member.chain._reader.load(5).records if row["kind"] == Kind.TRANSFER)
    with pytest.raises(NotFound) as refused:
        new.chain.find(id_of(early, "id"))
    assert refused.value.code == "before_beginning"
    with pytest.raises(NotFound) as unknown:
        new.chain.find(PaymentId(int(author.scribe.new_id())))
    assert unknown.value.code == "payment_unknown"
    reversal = record(
        Kind.REVERSE, id=author.scribe.new_id(), debtor=author.bob, creditor=author.alice, amount=3,
        related=id_of(early, "id"),
    )  # fmt: skip
    block = author.block(author.order((BANK, reversal)))
    assert new.decide(block) == member.decide(block)
    last = next(iter(new.chain.blocks_from(new.chain.height)))
    assert last.receipts["outcome"].tolist() == [Outcome.APPLIED]
    assert next(one.height for one in new.chain.blocks_from(1)) == new.chain.first_height
    new.chain.close()


def test_history_is_proved_across_the_beginning(author: Writer, member: Member, tmp_path: Path) -> None:
    new = join(member, tmp_path / "new")
    for height in range(new.chain.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    top = new.chain.height
    for old in (1, 5, new.chain.begins_behind, new.chain.begins_behind + 1):
        earlier = member.chain.checkpoint(old).checkpoint.root
        path = new.chain.prove_consistency(old, top)
        assert is_consistent(old, top, earlier, new.chain.checkpoint().checkpoint.root, path)
    new.chain.close()


def test_a_based_chain_comes_back_from_snapshot_and_from_its_beginning(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    new = join(member, tmp_path / "new")
    new.options = {"cadence": Cadence(1, 1), "segment_bytes": 16 * 1024}
    new.restart()
    for height in range(new.chain.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    for block in busy(author, 7):
        new.decide(block)
        member.decide(block)
    replayed: list[int] = []
    new.options["progress"] = replayed.append
    new.chain.close()
    new.open()
    assert replayed == [], "it was closed with a snapshot"
    assert new.told() == member.told()
    new.chain.close()
    shutil.rmtree(new.folder / "snapshots")
    new.open()
    assert replayed == list(range(new.chain.begins_behind + 1, member.chain.height + 1))
    assert new.told() == member.told()
    new.chain.close()


def test_an_audit_and_a_rerun_begin_where_the_chain_does(
    author: Writer, member: Member, tmp_path: Path
) -> None:
    new = join(member, tmp_path / "new")
    for height in range(new.chain.height + 1, member.chain.height + 1):
        new.decide(author.decided[height - 1])
    for block in busy(author, EVERY + 1):
        new.decide(block)
    behind, top = new.chain.begins_behind, new.chain.height
    known = [member.chain.checkpoint(height) for height in (3, behind, behind + 1)]
    new.chain.close()
    report = Audit(new.folder, GENESIS, LEDGER_SEED, known=known).run()
    assert report.differences == []
    assert (report.begins_behind, report.first, report.last) == (behind, behind + 1, top)
    assert (report.checkpoints, report.consistent_since) == (3, 3)
    forged = replace(known[0], checkpoint=replace(known[0].checkpoint, root=bytes(32)))
    (difference,) = Audit(new.folder, GENESIS, LEDGER_SEED, known=[forged]).run().differences
    assert (difference.block, difference.field) == (3, "root")
    assert [block.height for block in Rerun(new.folder, GENESIS)] == list(range(behind + 1, top + 1))
    # A receipt that was given before the beginning is not recomputed, but nobody can change it unseen either.
    with (new.folder / "receipts.log").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 8)
    (new.folder / "snapshots").rename(tmp_path / "away") if (new.folder / "snapshots").exists() else None
    assert Audit(new.folder, GENESIS, LEDGER_SEED).run().differences == []
    shutil.rmtree(new.folder.parent / "chain")
