"""Which of CometBFT's blocks may be forgotten: none that somebody may still need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.chain.cometbft.joining.members import EVERY, Member, Writer, busy

from bezant.chain.cometbft import retention
from bezant.chain.cometbft.retention import EvidenceAge, Retention, evidence_age
from bezant.chain.cometbft.trail import Trail
from bezant.chain.finality import chain_id
from bezant.errors import StorageError
from bezant.ledger.batch import NS_PER_S
from bezant.testing.validators import Validators

YOUNG = EvidenceAge(0, 0)


@pytest.fixture(autouse=True)
def at_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "EVERY", 1)


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Member]:
    """A member at block 23; blocks are two seconds apart and snapshots of 8 and 16 are offered."""
    author, made = Writer(tmp_path / "author"), Member(tmp_path / "member")
    for block in [*author.funding(), *busy(author, 20)]:
        made.decide(block)
    made.chain.offers.close()
    yield made
    made.chain.close()
    author.engine.close()


def trail_at(folder: Path, height: int) -> Trail:
    trail = Trail(folder)
    trail.keep(height, ())
    return trail


def test_everything_is_kept_unless_it_was_asked_for(member: Member, tmp_path: Path) -> None:
    assert Retention(0, YOUNG, trail_at(tmp_path, 1_000)).after(member.chain) == 0


@pytest.mark.parametrize(
    ("keep_blocks", "age", "trail", "expected"),
    [
        (20, YOUNG, 1_000, 4),
        (23, YOUNG, 1_000, 1),
        (10, YOUNG, 1_000, EVERY),
        (1, YOUNG, 5, 5),
        (1, YOUNG, 0, 0),
        (1, EvidenceAge(20, 0), 1_000, 3),
        (1, EvidenceAge(1_000, 0), 1_000, 0),
        (1, EvidenceAge(0, 10**6 * NS_PER_S), 1_000, 0),
    ],
)
def test_what_is_kept_is_what_was_asked_for_and_what_others_need(
    member: Member, tmp_path: Path, keep_blocks: int, age: EvidenceAge, trail: int, expected: int
) -> None:
    assert member.chain.height == 23
    assert [one.height for one in member.chain.offers.all()] == [16, 8]
    assert Retention(keep_blocks, age, trail_at(tmp_path, trail)).after(member.chain) == expected


def test_the_age_of_evidence_is_also_a_time(member: Member, tmp_path: Path) -> None:
    chain = member.chain
    sixth = next(iter(chain.blocks_from(6))).time_ns
    kept = Retention(1, EvidenceAge(0, chain.time_ns - sixth), trail_at(tmp_path, 1_000))
    assert kept.after(chain) == 6
    assert chain.height_at(sixth - 1) == 5
    assert chain.height_at(0) == 0


def test_what_was_given_up_is_not_asked_for_again(member: Member, tmp_path: Path) -> None:
    trail = trail_at(tmp_path, 7)
    kept = Retention(1, YOUNG, trail)
    assert kept.after(member.chain) == 7
    trail.keep(3, ())
    assert kept.after(member.chain) == 7


def test_evidence_is_as_old_as_the_engines_genesis_says(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    told = '{"consensus_params": {"evidence": {"max_age_num_blocks": "7", "max_age_duration": "900"}}}'
    (tmp_path / "config" / "genesis.json").write_text(told)
    assert evidence_age(tmp_path) == EvidenceAge(7, 900)


def test_a_trail_is_read_back_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    change = Validators().hand_over(chain_id(bytes(32)), 9, Validators((2, 2), "other"))
    Trail(tmp_path).keep(12, [change])
    again = Trail(tmp_path)
    assert (again.height, again.changes) == (12, (change,))
    (tmp_path / "trail.json").write_bytes(b"{")
    with pytest.raises(StorageError) as refused:
        Trail(tmp_path)
    assert refused.value.code == "trail_damaged"
