"""A witness: somebody else's key that signs one history of a network, and never two.

It keeps the last checkpoint it signed. A newer one is signed only with the proof that it begins with
everything in that; what it is going to sign is on its disk before it signs. So whoever is shown a
checkpoint with its signature sees the history that everybody else sees, or the witness colludes.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bezant.chain.checkpoints import Note, Signature, Witness, cosign, is_name, is_signed, parse_note
from bezant.chain.history import is_consistent
from bezant.errors import ConfigError, ConflictError, ProofError
from bezant.model.genesis import Genesis, decode_genesis, encode_genesis, network_id
from bezant.model.keys import SigningKey

BUNDLE_FORMAT = 1


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A checkpoint as a witness is given it, with the proof that it goes on from `since` blocks."""

    bezant_checkpoint: int
    note: str
    since: int
    path: tuple[str, ...]


def make_bundle(note: Note, since: int, path: list[bytes]) -> Bundle:
    encoded = tuple(base64.b64encode(node).decode() for node in path)
    return Bundle(BUNDLE_FORMAT, note.render().decode(), since, encoded)


def parse_bundle(data: bytes) -> tuple[Note, int, list[bytes]]:
    """Return (note, since, consistency path). Raises: ProofError ``checkpoint_malformed``."""
    try:
        bundle = msgspec.json.decode(data, type=Bundle)
        path = [base64.b64decode(node, validate=True) for node in bundle.path]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, binascii.Error, ValueError) as error:
        raise ProofError(f"this is no checkpoint bundle: {error}", code="checkpoint_malformed") from None
    if bundle.bezant_checkpoint != BUNDLE_FORMAT or len(path) > 128 or any(len(n) != 32 for n in path):
        raise ProofError("this is no checkpoint bundle of a known form", code="checkpoint_malformed")
    return parse_note(bundle.note.encode()), bundle.since, path


class WitnessFolder:
    """A witness's key, whom it watches, and the last checkpoint it signed. Two processes sign in turn."""

    def __init__(self, folder: Path) -> None:
        """Open. Raises: ConfigError ``no_witness`` where none was made there."""
        self._folder = folder
        try:
            self.name = (folder / "name").read_text("utf-8").strip()
            self._key = SigningKey(bytes.fromhex((folder / "witness.key").read_text("ascii").strip()))
            self.genesis = decode_genesis((folder / "genesis.json").read_bytes())
        except (OSError, ValueError):
            raise ConfigError(
                f"{folder} holds no witness; make one with: bezant witness new {folder}", code="no_witness"
            ) from None

    @staticmethod
    def create(folder: Path, name: str, genesis: Genesis) -> WitnessFolder:
        """Make a witness of a network with a fresh key. Raises: ConfigError."""
        if not is_name(name):
            raise ConfigError(
                f"{name[:40]!r} cannot name a witness: no spaces, no plus sign, at most 128 characters",
                code="witness_name",
            )
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty; name another folder", code="folder_not_empty")
        _write(folder / "genesis.json", encode_genesis(genesis))
        _write(folder / "name", name.encode() + b"\n")
        _write(folder / "witness.key", secrets.token_bytes(32).hex().encode() + b"\n")
        return WitnessFolder(folder)

    @property
    def identity(self) -> Witness:
        """What others verify with."""
        return Witness(self.name, self._key.public)

    @property
    def last(self) -> Note | None:
        """The checkpoint signed last. Raises: ProofError where its file was damaged."""
        path = self._folder / "last.checkpoint"
        return parse_note(path.read_bytes()) if path.exists() else None

    def sign(self, note: Note, since: int, path: list[bytes], time_s: int) -> Signature:
        """Return this witness's line under a checkpoint of its network.

        The first is taken on trust; from then on every one must go on from the last. Raises: ProofError
        ``not_the_node`` for a note the genesis's sealers did not sign; ConflictError
        ``checkpoint_older`` for one of fewer blocks, and ``history_forked``, the one that matters, where
        the node has signed two histories.
        """
        with self._alone():
            return self._sign(note, since, path, time_s)

    def _sign(self, note: Note, since: int, path: list[bytes], time_s: int) -> Signature:
        made = note.checkpoint
        sealers = [bytes.fromhex(key) for key in self.genesis.sealers]
        if made.network != network_id(self.genesis) or not any(is_signed(note, key) for key in sealers):
            raise ProofError("no sealer of this network signed the checkpoint", code="not_the_node")
        last = self.last
        if last is not None and made.height < last.checkpoint.height:
            raise ConflictError(
                f"a checkpoint of {last.checkpoint.height} blocks was signed already; this one has "
                f"{made.height}",
                code="checkpoint_older",
            )
        if last is not None and last.checkpoint != made:
            kept = last.checkpoint
            goes_on = since == kept.height < made.height
            if not goes_on or not is_consistent(since, made.height, kept.root, made.root, path):
                raise ConflictError(
                    f"this checkpoint of {made.height} blocks does not go on from the one of {kept.height} "
                    "that was signed before: the node shows two histories, or sent the wrong proof. "
                    "Keep both",
                    code="history_forked",
                )
        _write(self._folder / "last.checkpoint", note.render())
        return cosign(note, self.name, self._key, time_s)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep every other signer of this folder waiting: between what was signed last being read and
        written, a second one would sign a second history."""
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _write(path: Path, data: bytes) -> None:
    """Write a file durably, whole or not at all, readable by the owner alone."""
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
