"""Witnesses sign one history; receipts under it say so; a second history shows."""

from __future__ import annotations

import fcntl
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bezant.chain.anchors import trust_statement, vouched_for
from bezant.chain.checkpoints import Note, cosigned_at, parse_note, sign_checkpoint
from bezant.chain.notary import KEPT, Notary
from bezant.chain.receipts import build_receipt, render_receipt, verify_receipt
from bezant.chain.witness import WitnessFolder, parse_bundle
from bezant.errors import ConfigError, ConflictError, InputError, JournalDamaged, ProofError
from bezant.model.records import id_of
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE, NODE, seeded_key

NOW_S = 1_767_225_600


class Watched:
    """A chain with a notary and a witness that it knows."""

    def __init__(self, folder: Path) -> None:
        self.chain = ChainWorld(folder / "data", segment_bytes=64 * 1024)
        self.witness = WitnessFolder.create(folder / "witness", "witness.example", self.chain.genesis)
        self.notary = self.open_notary()
        self.parties = self.chain.fund()

    def open_notary(self, quorum: int = 1) -> Notary:
        folder = self.chain.folder / "checkpoints"
        return Notary(self.chain.engine, folder, [self.witness.identity], quorum)

    def pay(self, amount: int = 5) -> int:
        block = self.chain.submit((ALICE, self.chain.transfer(*self.parties, amount)))
        return id_of(block.records[0], "id")

    def bundle(self) -> tuple[Note, int, list[bytes]]:
        last = self.witness.last
        made = self.notary.bundle(last.checkpoint.height if last else 0)
        return parse_bundle(msgspec.json.encode(made))

    def cosign(self) -> Note:
        note, since, path = self.bundle()
        line = self.witness.sign(note, since, path, NOW_S)
        return replace(note, signatures=(*note.signatures, line))

    def receipt(self, payment: int) -> bytes:
        evidence = self.chain.engine.prove(payment)
        return render_receipt(build_receipt(evidence, checkpoint=self.notary.witnessed(evidence.height)))


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_receipt_carries_the_checkpoint_above_it(watched: Watched) -> None:
    payment = watched.pay()
    bare = verify_receipt(watched.receipt(payment))
    assert bare.checkpoint is None
    watched.notary.accept(watched.cosign().render())
    later = watched.pay()
    data = watched.receipt(payment)
    receipt = verify_receipt(data, genesis_hash=watched.chain.network.hex())
    assert receipt.checkpoint is not None
    note = parse_note(receipt.checkpoint.note.encode())
    found = vouched_for(note, [watched.witness.identity], 1)
    assert found == [("witness.example", NOW_S)]
    told = trust_statement("hash", note, found)
    assert "co-signed by witness.example" in told
    assert "could sign two histories" not in told
    assert verify_receipt(watched.receipt(later)).checkpoint is None, "it is above the co-signed history"


def test_a_changed_bit_in_a_witnessed_receipt_is_noticed(watched: Watched) -> None:
    payment = watched.pay()
    watched.notary.accept(watched.cosign().render())
    data = watched.receipt(payment)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 7
        try:
            receipt = verify_receipt(bytes(changed), genesis_hash=watched.chain.network.hex())
        except ProofError:
            continue
        note = parse_note(receipt.checkpoint.note.encode()) if receipt.checkpoint else None
        with pytest.raises(ProofError):
            vouched_for(note, [watched.witness.identity], 1)


def test_a_stranger_vouches_for_nothing(watched: Watched, tmp_path: Path) -> None:
    payment = watched.pay()
    watched.notary.accept(watched.cosign().render())
    receipt = verify_receipt(watched.receipt(payment))
    assert receipt.checkpoint is not None
    note = parse_note(receipt.checkpoint.note.encode())
    stranger = WitnessFolder.create(tmp_path / "stranger", "witness.example", watched.chain.genesis)
    assert vouched_for(note, [stranger.identity], 0) == []
    with pytest.raises(ProofError) as refused:
        vouched_for(note, [stranger.identity, stranger.identity], 1)
    assert refused.value.code == "too_few_witnesses"
    with pytest.raises(ProofError):
        vouched_for(note, [watched.witness.identity, watched.witness.identity], 2)
    assert "whose keys you name" in trust_statement(None, note)


def test_a_witness_follows_a_history_that_grows(watched: Watched) -> None:
    for _ in range(4):
        watched.pay()
        note = watched.cosign()
        assert cosigned_at(note, watched.witness.identity) == NOW_S
        assert WitnessFolder(watched.witness._folder).last == watched.bundle()[0]
    again = watched.cosign()
    assert cosigned_at(again, watched.witness.identity) == NOW_S, "the same checkpoint may be signed twice"


def test_a_forked_history_is_refused_and_its_receipts_tell(watched: Watched, tmp_path: Path) -> None:
    """The node goes back to its first blocks and makes other ones, with all its keys in order."""
    watched.chain.engine.close()
    shutil.copytree(watched.chain.folder, tmp_path / "fork")
    watched.chain.open()
    watched.notary = watched.open_notary()
    honest = watched.pay(5)
    watched.notary.accept(watched.cosign().render())
    signed = watched.witness.last
    forked = Watched.__new__(Watched)
    forked.chain, forked.witness, forked.parties = watched.chain, watched.witness, watched.parties
    watched.chain.engine.close()
    watched.chain.folder = tmp_path / "fork"
    watched.chain.open()
    forked.notary = forked.open_notary()
    payment = forked.pay(6_000)
    forked.pay(7_000)
    note, since, path = forked.bundle()
    for proof in (path, path[::-1], []):
        with pytest.raises(ConflictError) as refused:
            forked.witness.sign(note, since, proof, NOW_S)
        assert refused.value.code == "history_forked"
    assert forked.witness.last == signed, "it keeps what it signed"
    # The fork's receipts are in order but for the witness, whom the old co-signature does not help.
    receipt = verify_receipt(forked.receipt(payment), genesis_hash=forked.chain.network.hex())
    with pytest.raises(ProofError) as told:
        vouched_for(None, [forked.witness.identity], 1)
    assert told.value.code == "too_few_witnesses"
    assert receipt.checkpoint is None
    assert signed is not None
    with pytest.raises(ConflictError) as other:
        forked.notary.accept(replace(signed, signatures=watched_signatures(watched, signed)).render())
    assert other.value.code == "not_this_history"
    assert honest != payment
    forked.chain.engine.close()


def watched_signatures(watched: Watched, note: Note) -> tuple[object, ...]:
    return (*note.signatures, watched.witness.sign(note, note.checkpoint.height, [], NOW_S))


def test_the_same_height_with_other_words_is_a_fork(watched: Watched) -> None:
    watched.cosign()
    note, _, _ = watched.bundle()
    other = sign_checkpoint(replace(note.checkpoint, state_root=b"x" * 32), NODE)
    with pytest.raises(ConflictError) as refused:
        watched.witness.sign(other, note.checkpoint.height, [], NOW_S)
    assert refused.value.code == "history_forked"


def test_two_processes_that_sign_at_once_sign_one_history(watched: Watched) -> None:
    """Shown two histories at the same moment, the second finds what the first has signed meanwhile."""
    watched.cosign()
    watched.pay()
    note, since, path = watched.bundle()
    other = sign_checkpoint(replace(note.checkpoint, state_root=b"x" * 32), NODE)
    folder = watched.witness._folder
    refused: list[str] = []

    def sign_the_other() -> None:
        try:
            WitnessFolder(folder).sign(other, since, path, NOW_S)
        except ConflictError as error:
            refused.append(error.code)

    second = threading.Thread(target=sign_the_other)
    with (folder / "lock").open("rb") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second.start()
        second.join(0.3)
        assert second.is_alive(), "it waits for whoever signs"
        (folder / "last.checkpoint").write_bytes(note.render())
    second.join()
    assert refused == ["history_forked"]


def test_an_older_checkpoint_and_a_strangers_are_refused(watched: Watched) -> None:
    first, _, _ = watched.bundle()
    watched.pay()
    watched.cosign()
    with pytest.raises(ConflictError) as older:
        watched.witness.sign(first, first.checkpoint.height, [], NOW_S)
    assert older.value.code == "checkpoint_older"
    note, _, _ = watched.bundle()
    forged = sign_checkpoint(note.checkpoint, seeded_key("a stranger"))
    with pytest.raises(ProofError) as stranger:
        watched.witness.sign(forged, note.checkpoint.height, [], NOW_S)
    assert stranger.value.code == "not_the_node"


def test_a_note_dropped_into_the_inbox_counts(watched: Watched) -> None:
    payment = watched.pay()
    (watched.notary.inbox / "one.note").write_bytes(watched.cosign().render())
    (watched.notary.inbox / "nonsense.note").write_bytes(b"nonsense")
    assert verify_receipt(watched.receipt(payment)).checkpoint is not None
    assert [path.name for path in watched.notary.inbox.iterdir()] == ["nonsense.note"]
    assert "nonsense.note" in watched.notary.refused
    again = watched.open_notary()
    assert again.latest == watched.notary.latest is not None


def test_only_witnesses_the_node_knows_are_taken_in(watched: Watched, tmp_path: Path) -> None:
    note, _, _ = watched.bundle()
    with pytest.raises(InputError) as unknown:
        watched.notary.accept(note.render())
    assert unknown.value.code == "witness_unknown"
    stranger = WitnessFolder.create(tmp_path / "stranger", "stranger.example", watched.chain.genesis)
    line = stranger.sign(note, 0, [], NOW_S)
    with pytest.raises(InputError):
        watched.notary.accept(replace(note, signatures=(*note.signatures, line)).render())
    assert watched.notary.latest is None


def test_a_journal_without_what_witnesses_signed_is_refused(watched: Watched, tmp_path: Path) -> None:
    """Restored from a backup, it would go on with a second history, and prove no payment meanwhile."""
    watched.chain.engine.close()
    shutil.copytree(watched.chain.folder, tmp_path / "backup")
    watched.chain.open()
    watched.notary = watched.open_notary()
    watched.pay()
    watched.notary.accept(watched.cosign().render())
    watched.chain.engine.close()
    shutil.copytree(
        watched.chain.folder / "checkpoints", tmp_path / "backup" / "checkpoints", dirs_exist_ok=True
    )
    watched.chain.folder = tmp_path / "backup"
    watched.chain.open()
    for payments in (0, 3):
        for amount in range(payments):
            watched.pay(1_000 + amount)
        with pytest.raises(JournalDamaged) as forked:
            watched.open_notary()
        assert forked.value.code == "history_forked"
    watched.chain.engine.close()


def test_a_note_that_rotted_is_passed_over(watched: Watched) -> None:
    payment = watched.pay()
    watched.notary.accept(watched.cosign().render())
    (path,) = (watched.chain.folder / "checkpoints").glob("*.note")
    path.write_bytes(path.read_bytes()[:-9])
    again = watched.open_notary()
    assert path.name in again.refused
    assert again.witnessed(watched.chain.engine.prove(payment).height) is None


def test_the_newest_notes_are_kept(watched: Watched) -> None:
    for _ in range(KEPT + 3):
        watched.pay()
        watched.notary.accept(watched.cosign().render())
    kept = [path for path in (watched.chain.folder / "checkpoints").iterdir() if path.suffix == ".note"]
    assert len(kept) == KEPT
    latest = watched.notary.latest
    assert latest is not None
    assert latest.checkpoint.height == watched.chain.engine.height


def test_a_witness_needs_a_name_and_an_empty_folder(watched: Watched, tmp_path: Path) -> None:
    for name in ("", "two words", "a+b", "x" * 200):
        with pytest.raises(ConfigError):
            WitnessFolder.create(tmp_path / "another", name, watched.chain.genesis)
    with pytest.raises(ConfigError) as full:
        WitnessFolder.create(watched.witness._folder, "again", watched.chain.genesis)
    assert full.value.code == "folder_not_empty"
    with pytest.raises(ConfigError):
        WitnessFolder(tmp_path / "nowhere")
    assert (watched.witness._folder / "witness.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[" * 100_000, b"\xff", b'{"bezant_checkpoint":1,"note":"","since":0,"path":["!"]}']
)
def test_bundles_that_are_none_are_refused(data: bytes) -> None:
    with pytest.raises(ProofError):
        parse_bundle(data)
