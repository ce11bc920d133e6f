"""Checkpoints that witnesses co-signed: taken in, kept, and put under receipts.

A co-signature comes over REST, or as a note in a folder that the node looks into: a witness then needs
no access to the node but that. Only those of witnesses the node was told of count. One file for each
of the newest checkpoints is kept; older ones are in newer ones, which is what their proofs say.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bezant.chain.anchors import Witnessed
from bezant.chain.checkpoints import Note, Signature, Witness, cosigned_at, parse_note
from bezant.chain.engine import Engine
from bezant.chain.storage.disk import Disk, SystemDisk, read_span, storage_error, write_all
from bezant.chain.witness import Bundle, make_bundle
from bezant.errors import BezantError, ConflictError, InputError, JournalDamaged, ProofError

KEPT = 16
MAX_DROPPED = 256
"""Files of the drop folder that are looked at; more of them is not a witness's doing."""


class Notary:
    """Knows who may co-sign, and what they did. Methods may be called from any thread."""

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        witnesses: Sequence[Witness],
        quorum: int,
        disk: Disk | None = None,
    ) -> None:
        """Open; `folder` has the notes, and ``inbox`` in it is where witnesses drop theirs.

        Raises: JournalDamaged ``history_forked`` where witnesses co-signed what the chain does not have.
        """
        self._engine, self._folder, self._disk = engine, folder, disk or SystemDisk()
        self._witnesses, self._quorum = tuple(witnesses), quorum
        self._turn = threading.Lock()
        self._notes: dict[int, Note] = {}
        self._seen: set[str] = set()
        self.refused: dict[str, str] = {}
        """Why files of the inbox were not taken, by name."""
        for part in (folder, self.inbox):
            self._disk.make_folder(part)
        for path in self._disk.list(folder):
            if path.suffix == ".note":
                self._open(path)

    @property
    def inbox(self) -> Path:
        return self._folder / "inbox"

    @property
    def latest(self) -> Note | None:
        """The newest checkpoint that enough witnesses co-signed."""
        with self._turn:
            self._look_into_inbox()
            return self._best()

    def bundle(self, since: int) -> Bundle:
        """Return a checkpoint of all that is durable, and the proof that it goes on from `since` blocks.

        0 for a witness that has signed nothing yet. Raises: NotFound.
        """
        note = self._engine.checkpoint()
        path = self._engine.prove_consistency(since, note.checkpoint.height) if since else []
        return make_bundle(note, since, path)

    def accept(self, data: bytes) -> Note:
        """Take in the co-signatures under a note; return it with all that are known of it.

        Raises: ProofError for what is no note; ConflictError ``not_this_history`` for another node's
        text; InputError ``witness_unknown`` where nobody known has signed it.
        """
        with self._turn:
            return self._accept(parse_note(data))

    def witnessed(self, height: int) -> Witnessed | None:
        """Return the newest co-signed checkpoint at or above a block with the path to it, if there is one."""
        with self._turn:
            self._look_into_inbox()
            note = self._best()
        if note is None or note.checkpoint.height < height:
            return None
        path = self._engine.prove_block(height, note.checkpoint.height)
        return Witnessed(note.render().decode(), tuple(node.hex() for node in path))

    def _open(self, path: Path) -> None:
        """Take up a kept note. One that rotted is passed over; a sound one has to be of this chain."""
        try:
            note = parse_note(read_span(self._disk, path))
        except ProofError as error:
            self.refused[path.name] = error.message
            return
        height, durable = note.checkpoint.height, self._engine.durable_height
        if height > durable or self._engine.checkpoint(height).checkpoint != note.checkpoint:
            raise JournalDamaged(
                f"witnesses co-signed {height} blocks, not the first of the {durable} in the journal: "
                "going on would make a second history, which they will refuse. Restore the newest journal; "
                f"only if there is none, move {path} away",
                code="history_forked",
            )
        self._notes[height] = note

    def _accept(self, note: Note) -> Note:
        height = note.checkpoint.height
        own = self._notes.get(height) or self._engine.checkpoint(min(height, self._engine.durable_height))
        if own.checkpoint != note.checkpoint:
            raise ConflictError("this node made no such checkpoint", code="not_this_history")
        signed = [one for one in self._witnesses if cosigned_at(note, one) is not None]
        if not signed:
            raise InputError("no witness that this node knows has signed this", code="witness_unknown")
        lines = {one.name: one for one in own.signatures}
        lines |= {one.name: _line_of(note, one) for one in signed}
        merged = replace(own, signatures=tuple(lines.values()))
        self._keep(merged)
        return merged

    def _keep(self, note: Note) -> None:
        """Write a note durably and forget all but the newest. Raises: StorageError."""
        disk, path = self._disk, self._folder / f"{note.checkpoint.height:016d}.note"
        partial = path.with_suffix(".partial")
        try:
            file = disk.create(partial)
            try:
                write_all(disk, file, note.render(), 0)
                disk.fsync(file)
            finally:
                disk.close(file)
            disk.rename(partial, path)
            disk.sync_folder(self._folder)
            self._notes[note.checkpoint.height] = note
            for height in sorted(self._notes)[:-KEPT]:
                disk.unlink(self._folder / f"{height:016d}.note")
                del self._notes[height]
        except OSError as error:
            raise storage_error("keep a checkpoint", error) from error

    def _best(self) -> Note | None:
        """Return the newest note with enough co-signatures, else the newest with any."""
        ranked = sorted(
            self._notes.values(), key=lambda note: (self._count(note) >= self._quorum, note.checkpoint.height)
        )
        return ranked[-1] if ranked else None

    def _count(self, note: Note) -> int:
        return sum(cosigned_at(note, one) is not None for one in self._witnesses)

    def _look_into_inbox(self) -> None:
        """Take what witnesses dropped since the last look; what cannot be taken stays and is named."""
        for path in self._disk.list(self.inbox)[:MAX_DROPPED]:
            if path.suffix != ".note" or path.name in self._seen:
                continue
            self._seen.add(path.name)
            try:
                self._accept(parse_note(read_span(self._disk, path, 0, 64 * 1024)))
                self._disk.unlink(path)
                self._seen.discard(path.name)
            except BezantError as error:
                self.refused[path.name] = error.message


def _line_of(note: Note, witness: Witness) -> Signature:
    """Return the line of a witness that `cosigned_at` found."""
    only = (replace(note, signatures=(one,)) for one in note.signatures if one.name == witness.name)
    return next(one for one in only if cosigned_at(one, witness) is not None).signatures[0]
