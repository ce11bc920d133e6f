"""An audit finds nothing in a sound folder, and names the block in which a changed file begins to differ."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bezant.chain.auditing.audit import Audit
from bezant.chain.auditing.differences import Difference, Report
from bezant.chain.checkpoints import Note, sign_checkpoint
from bezant.chain.notary import Notary
from bezant.chain.storage import frames
from bezant.chain.storage.archive import ENTRY
from bezant.chain.storage.disk import SystemDisk
from bezant.chain.storage.journal import PLACE
from bezant.chain.storage.snapshot_writer import Cadence
from bezant.chain.storage.snapshots import Snapshots
from bezant.chain.storage.tree_file import place
from bezant.chain.witness import WitnessFolder
from bezant.errors import StorageError
from bezant.model.records import RECEIPT, Kind, id_of
from bezant.testing.chains import LEDGER_SEED, ChainWorld
from bezant.testing.ledgers import ALICE, BOB, NODE, record, small_genesis

INTERVAL, BLOCKS = 4, 14


class Audited:
    """A stopped chain with every kind of file, to be copied and damaged."""

    def __init__(self, folder: Path) -> None:
        genesis = small_genesis(checkpoint_interval=INTERVAL)
        self.chain = ChainWorld(
            folder / "data", genesis=genesis, segment_bytes=16 * 1024, cadence=Cadence(20, 1)
        )
        witness = WitnessFolder.create(folder / "witness", "witness.example", genesis)
        notary = Notary(self.chain.engine, self.folder / "checkpoints", [witness.identity], 1)
        alice, bob = self.chain.fund()
        for n in range(BLOCKS):
            given = {"debtor": alice, "creditor": bob, "amount": 5, "hold_for_s": 1 + n % 4}
            hold = record(Kind.HOLD, id=self.chain.scribe.new_id(), **given)
            paid = self.chain.transfer(alice, bob, 10 + n)
            block = self.chain.submit((ALICE, paid), (ALICE, hold), (BOB, self.chain.transfer(bob, alice, 1)))
            if n == 5:
                self.kept = self.chain.engine.checkpoint()
                line = witness.sign(self.kept, 0, [], 1_700_000_000)
                notary.accept(replace(self.kept, signatures=(*self.kept.signatures, line)).render())
        back = record(
            Kind.REVERSE,
            id=self.chain.scribe.new_id(),
            debtor=bob,
            creditor=alice,
            amount=3,
            related=id_of(block.records[0], "id"),
        )
        self.reversed_in = self.chain.submit((BOB, back)).height
        self.height = self.chain.engine.height
        self.records = sum(len(block.records) for block in self.chain.engine.blocks_from(1))
        self.chain.engine.close()

    @property
    def folder(self) -> Path:
        return self.chain.folder


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return Audited(tmp_path_factory.mktemp("audited"))


@pytest.fixture
def copy(audited: Audited, tmp_path: Path) -> Path:
    return Path(shutil.copytree(audited.folder, tmp_path / "chain"))


def audit(
    audited: Audited, folder: Path, *, first: int = 1, last: int | None = None, known: tuple[Note, ...] = ()
) -> Report:
    return Audit(folder, audited.chain.genesis, LEDGER_SEED, first=first, last=last, known=known).run()


def only(report: Report) -> Difference:
    assert len(report.differences) == 1, report.differences
    return report.differences[0]


def change(path: Path, at: int, mask: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= mask
    path.write_bytes(data)


def test_a_sound_folder_is_intact_and_left_alone(audited: Audited, copy: Path) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    for path in before:
        path.chmod(0o400)
    report = audit(audited, copy)
    assert report.differences == []
    assert (report.first, report.last) == (1, audited.height)
    assert report.records == audited.records
    assert report.snapshots == len(list((copy / "snapshots").iterdir())) >= 1
    assert report.state_roots >= 3
    assert report.checkpoints == 1
    assert report.app_hash == audited.chain.engine.app_hash.hex()
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_progress_is_told(audited: Audited, copy: Path) -> None:
    heard: list[tuple[int, int]] = []
    Audit(copy, audited.chain.genesis, LEDGER_SEED).run(lambda done, total: heard.append((done, total)))
    assert heard == [(height, audited.height) for height in range(1, audited.height + 1)]


@pytest.mark.parametrize("block", [1, 5, 9])
@pytest.mark.parametrize("column", ["amount", "outcome", "debtor_side", "creditor_row"])
def test_a_changed_receipt_is_named(audited: Audited, copy: Path, block: int, column: str) -> None:
    entries = np.fromfile(copy / "blocks.log", ENTRY)
    row = int(entries[block - 1]["first"]) + int(entries[block - 1]["count"]) - 1
    change(copy / "receipts.log", row * RECEIPT.itemsize + RECEIPT.fields[column][1])
    found = audit(audited, copy).differences[0]
    assert (found.block, found.file) == (block, "receipts.log")
    assert found.field.partition(".")[0] == column
    assert found.found != found.expected
    records = len(audit_records(copy, audited, block))
    assert found.record == records - 1


def audit_records(folder: Path, audited: Audited, block: int) -> np.ndarray:
    """Return the records of a block as the journal has them."""
    where = np.fromfile(folder / "places.log", PLACE)[block - 1]
    data = (folder / "journal" / f"{int(where['segment']):08d}.segment").read_bytes()
    frame = frames.read_frame(memoryview(data), int(where["offset"]))
    assert frame is not None
    orders = frames.decode_block(frame.body, audited.chain.network).orders
    return np.concatenate([order.records for order in orders])


@pytest.mark.parametrize("block", [2, 11])
@pytest.mark.parametrize("column", ["time_ns", "app_hash", "count", "state_root"])
def test_a_changed_block_entry_is_named(audited: Audited, copy: Path, block: int, column: str) -> None:
    change(copy / "blocks.log", (block - 1) * ENTRY.itemsize + ENTRY.fields[column][1])
    assert ("blocks.log", block, column) in {
        (one.file, one.block, one.field) for one in audit(audited, copy).differences
    }


@pytest.mark.parametrize("block", [1, 8, 12])
def test_a_changed_tree_is_named(audited: Audited, copy: Path, block: int) -> None:
    change(copy / "history.tree", place(block - 1) * 32 + 7)
    found = only(audit(audited, copy))
    assert (found.block, found.file, found.field) == (block, "history.tree", "hash")


def test_a_changed_place_is_named(audited: Audited, copy: Path) -> None:
    change(copy / "places.log", 6 * PLACE.itemsize + PLACE.fields["offset"][1])
    found = only(audit(audited, copy))
    assert (found.block, found.file, found.field) == (7, "places.log", "offset")


def test_a_changed_snapshot_is_named(audited: Audited, copy: Path) -> None:
    for path in sorted((copy / "snapshots").iterdir()):
        accounts = Snapshots(path.parent, audited.chain.network, SystemDisk()).read(path).tables["accounts"]
        change(path, path.read_bytes().index(accounts.tobytes()) + 30)
        report = audit(audited, copy)
        found = report.differences[0]
        assert (found.block, found.file, found.field) == (int(path.stem), path.name, "checksum")
        shutil.copy(audited.folder / "snapshots" / path.name, path)


def test_a_snapshot_of_other_balances_is_named(audited: Audited, copy: Path) -> None:
    """One with its checksums in order: of a node that was told a lie, say."""
    snapshots = Snapshots(copy / "snapshots", audited.chain.network, SystemDisk())
    made = snapshots.read(snapshots.paths()[0])
    accounts = made.tables["accounts"].copy()
    accounts["credits_posted_lo"][1] += 1
    snapshots.write(replace(made, tables=dict(made.tables) | {"accounts": accounts}))
    found = only(audit(audited, copy))
    assert (found.block, found.field) == (made.position.height, "accounts[1].credits_posted_lo")
    assert int(found.found) == int(found.expected) + 1


def test_a_snapshot_of_another_release_is_passed_over(
    audited: Audited, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bezant.chain.storage.snapshots.layout_id", lambda: "another")
    report = audit(audited, copy)
    assert (report.differences, report.snapshots) == ([], 0)


Edit = Callable[[frames.JournaledBlock], frames.JournaledBlock]


def rewrite(folder: Path, audited: Audited, block: int, edit: Edit) -> None:
    """Change a block in the journal and give its frame a checksum that is right."""
    where = np.fromfile(folder / "places.log", PLACE)[block - 1]
    path = folder / "journal" / f"{int(where['segment']):08d}.segment"
    data, at = bytearray(path.read_bytes()), int(where["offset"])
    frame = frames.read_frame(memoryview(bytes(data)), at)
    assert frame is not None
    journaled = edit(frames.decode_block(frame.body, audited.chain.network))
    body = frames.encode_block(audited.chain.network, journaled)
    assert len(body) == len(frame.body)
    encoded = frames.encode_frame(block, frame.durable, body)
    data[at : at + len(encoded)] = encoded
    path.write_bytes(data)


def with_amount(journaled: frames.JournaledBlock) -> frames.JournaledBlock:
    order = journaled.orders[0]
    records = order.records.copy()
    records["amount"][1] += 1
    return replace(journaled, orders=(replace(order, records=records),))


def with_decision(journaled: frames.JournaledBlock) -> frames.JournaledBlock:
    order = journaled.orders[0]
    decisions = order.decisions.copy()
    decisions["score_ppm"][0] += 1
    return replace(journaled, orders=(replace(order, decisions=decisions),))


@pytest.mark.parametrize("block", [4, 10])
def test_a_changed_record_is_named(audited: Audited, copy: Path, block: int) -> None:
    rewrite(copy, audited, block, with_amount)
    report = audit(audited, copy)
    found = report.differences[0]
    assert (found.block, found.file, found.field) == (block, "journal", "authentic")
    assert (found.record, found.found, found.expected) == (1, "1", "0")
    # What it led to is named too, in the same block and none before.
    assert {one.block for one in report.differences} <= {block, block + 1}
    assert ("receipts.log", block) in {(one.file, one.block) for one in report.differences}


def test_a_changed_decision_is_named(audited: Audited, copy: Path) -> None:
    rewrite(copy, audited, 9, with_decision)
    found = audit(audited, copy).differences[0]
    assert (found.block, found.file, found.field) == (9, "journal", "accepted")


def test_a_forged_signature_check_is_named(audited: Audited, copy: Path) -> None:
    rewrite(copy, audited, 6, lambda made: replace(made, authentic=np.zeros_like(made.authentic)))
    found = audit(audited, copy).differences[0]
    assert (found.block, found.field, found.found, found.expected) == (6, "authentic", "0", "1")


def test_a_changed_original_is_named(audited: Audited, copy: Path) -> None:
    def edit(journaled: frames.JournaledBlock) -> frames.JournaledBlock:
        originals = journaled.originals.copy()
        originals["amount"] += 100
        return replace(journaled, originals=originals)

    rewrite(copy, audited, audited.reversed_in, edit)
    found = audit(audited, copy).differences[0]
    assert (found.block, found.file, found.field) == (audited.reversed_in, "journal", "original.amount")
    assert found.record == 0


def test_a_changed_time_and_a_torn_frame_are_named(audited: Audited, copy: Path) -> None:
    rewrite(copy, audited, 7, lambda made: replace(made, time_ns=made.time_ns + 1))
    report = audit(audited, copy)
    assert report.differences[0].block == 7
    assert {one.file for one in report.differences if one.block == 7} >= {"blocks.log", "history.tree"}
    where = np.fromfile(copy / "places.log", PLACE)[2]
    change(copy / "journal" / f"{int(where['segment']):08d}.segment", int(where["offset"]) + 100)
    report = audit(audited, copy)
    found = report.differences[0]
    assert (found.block, found.file, found.field) == (3, "journal", "frame")
    assert f"byte {int(where['offset'])}" in found.found


def test_a_file_that_ends_early_is_named(audited: Audited, copy: Path) -> None:
    for name, dtype in (("blocks.log", ENTRY), ("places.log", PLACE)):
        path = copy / name
        path.write_bytes(path.read_bytes()[: 8 * dtype.itemsize])
        found = next(one for one in audit(audited, copy).differences if one.file == name)
        assert (found.block, found.field) == (9, "rows")
        shutil.copy(audited.folder / name, path)
    (copy / "receipts.log").unlink()
    assert audit(audited, copy).differences[0].block == 1


def test_only_what_is_asked_for_is_compared(audited: Audited, copy: Path) -> None:
    change(copy / "history.tree", place(4) * 32)
    assert only(audit(audited, copy, first=1, last=5)).block == 5
    assert audit(audited, copy, first=6).differences == []
    assert audit(audited, copy, last=4).differences == []
    beyond = audit(audited, copy, first=6, last=audited.height + 3)
    assert (only(beyond).block, only(beyond).field) == (audited.height + 1, "height")


def test_an_old_checkpoint_binds_what_was_before_it(audited: Audited, copy: Path) -> None:
    report = audit(audited, copy, known=(audited.kept,))
    assert report.differences == []
    assert report.consistent_since == audited.kept.checkpoint.height
    other = sign_checkpoint(replace(audited.kept.checkpoint, root=b"x" * 32), NODE)
    report = audit(audited, copy, known=(other,))
    found = only(report)
    assert (found.block, found.file, found.field) == (other.checkpoint.height, "checkpoint given", "root")
    assert report.consistent_since is None
    assert only(audit(audited, copy, first=12, known=(other,))).field == "root", "wherever comparing begins"
    change(copy / "history.tree", place(audited.kept.checkpoint.height - 1) * 32)
    assert audit(audited, copy, first=12).differences == []
    found = only(audit(audited, copy, first=12, known=(audited.kept,)))
    assert (found.file, found.field) == ("history.tree", "consistency")
    shutil.copy(audited.folder / "history.tree", copy / "history.tree")
    later = sign_checkpoint(replace(audited.kept.checkpoint, height=audited.height + 1), NODE)
    assert only(audit(audited, copy, known=(later,))).field == "height"


def test_a_changed_checkpoint_in_the_folder_is_named(audited: Audited, copy: Path) -> None:
    (path,) = (copy / "checkpoints").glob("*.note")
    path.write_bytes(sign_checkpoint(replace(audited.kept.checkpoint, state_root=b"x" * 32), NODE).render())
    found = only(audit(audited, copy))
    assert (found.block, found.file, found.field) == (audited.kept.checkpoint.height, path.name, "state_root")
    path.write_bytes(b"nonsense")
    assert only(audit(audited, copy)).field == "note"
    stranger = replace(audited.kept, signatures=())
    path.write_bytes(stranger.render())
    assert only(audit(audited, copy)).field == "signature"


def test_another_secret_or_network_is_noticed(audited: Audited, copy: Path, tmp_path: Path) -> None:
    report = Audit(copy, audited.chain.genesis, bytes(32)).run()
    assert report.differences[0].block == 1
    other = msgspec.structs.replace(audited.chain.genesis, network="another")
    with pytest.raises(StorageError) as refused:
        Audit(copy, other, LEDGER_SEED).run()
    assert refused.value.code == "other_network"
    with pytest.raises(StorageError) as nothing:
        Audit(tmp_path / "nowhere", audited.chain.genesis, LEDGER_SEED).run()
    assert nothing.value.code == "nothing_to_audit"


def test_a_checkpoint_of_blocks_that_were_cut_off_is_a_difference(audited: Audited, copy: Path) -> None:
    """Whether it was kept elsewhere, beside an older one that still fits, or is in the folder."""
    cut = sign_checkpoint(replace(audited.kept.checkpoint, height=audited.height + 3), NODE)
    expected = (audited.height + 1, "height", f"block {audited.height + 3}")
    found = only(audit(audited, copy, known=(audited.kept, cut)))
    assert (found.block, found.field, found.expected) == expected
    (copy / "checkpoints" / f"{audited.height + 3:016d}.note").write_bytes(cut.render())
    found = only(audit(audited, copy))
    assert (found.block, found.field, found.expected) == expected
    assert audit(audited, copy, last=audited.height).differences == [], "nothing beyond was asked for"
