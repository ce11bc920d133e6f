"""Checkpoints: what a node says its history is, in a text that witnesses can co-sign.

The form is C2SP's signed note with a tlog-checkpoint body, so that existing witnesses can read it::

    bezant/<network id>          origin
    1000                         blocks
    <base64 root>                of the history tree over them
    time 1767225600000000000     of the last block, nanoseconds since 1970
    app <base64 app hash>        after the last block
    state 500 <base64 root>      the last state root that the chain covers, and its height

    — bezant/<network id> <base64 key hash ‖ signature>
    — witness.example <base64 key hash ‖ time u64 ‖ signature>

A node signs with Ed25519 over the text; a witness co-signs the text with its time, so that its
word is a dated one. Sources: C2SP signed-note, tlog-checkpoint, tlog-cosignature.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from bezant.errors import ProofError
from bezant.model.digest import sha256
from bezant.model.keys import SigningKey, verify

ALGORITHM_ED25519, ALGORITHM_COSIGNATURE = 1, 4
MAX_NOTE_BYTES = 64 * 1024
_MARK = "— "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A history of `height` blocks."""

    network: bytes
    height: int
    root: bytes
    time_ns: int
    app_hash: bytes
    state_height: int
    """0 where no state root is under the app hash yet; `state_root` is then 32 zeros."""
    state_root: bytes

    @property
    def text(self) -> bytes:
        """The bytes that are signed."""
        lines = (
            origin(self.network),
            str(self.height),
            _base64(self.root),
            f"time {self.time_ns}",
            f"app {_base64(self.app_hash)}",
            f"state {self.state_height} {_base64(self.state_root)}",
        )
        return "".join(line + "\n" for line in lines).encode()


@dataclass(frozen=True, slots=True)
class Signature:
    """One line under a note: who, and key hash with signature (and time) as they stand there."""

    name: str
    blob: bytes

    @property
    def line(self) -> str:
        return f"{_MARK}{self.name} {_base64(self.blob)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint with the signatures under it."""

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]

    def render(self) -> bytes:
        return self.checkpoint.text + b"\n" + "".join(one.line for one in self.signatures).encode()


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness one knows: its name and public key (32 bytes)."""

    name: str
    public: bytes

    def render(self) -> str:
        """Return the verifier key as C2SP writes it: name, key hash, base64 of algorithm and key."""
        blob = bytes([ALGORITHM_COSIGNATURE]) + self.public
        return f"{self.name}+{_key_hash(self.name, ALGORITHM_COSIGNATURE, self.public).hex()}+{_base64(blob)}"


def parse_witness(text: str) -> Witness:
    """Return the witness that a verifier key names. Raises: ProofError ``witness_key_malformed``."""
    name, _, rest = text.strip().partition("+")
    _, _, encoded = rest.partition("+")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    witness = Witness(name, blob[1:])
    if len(blob) != 33 or not is_name(name) or witness.render() != text.strip():
        raise ProofError(
            f"{text[:80]!r} is not a witness's verifier key like name+0a1b2c3d+BASE64",
            code="witness_key_malformed",
        )
    return witness


def origin(network: bytes) -> str:
    """Return the name of a network's history, and of the key that signs it."""
    return f"bezant/{network.hex()}"


def is_name(text: str) -> bool:
    """Return whether a text can name a key: visible characters, no plus sign, not too long."""
    return 0 < len(text) <= 128 and text.isprintable() and not any(c.isspace() or c == "+" for c in text)


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> Note:
    """Return the note that the node's key signs."""
    name = origin(checkpoint.network)
    blob = _key_hash(name, ALGORITHM_ED25519, key.public) + key.sign(checkpoint.text)
    return Note(checkpoint, (Signature(name, blob),))


def is_signed(note: Note, public: bytes) -> bool:
    """Return whether the node's key signed a note."""
    name = origin(note.checkpoint.network)
    prefix = _key_hash(name, ALGORITHM_ED25519, public)
    return any(
        one.name == name and one.blob[:4] == prefix and verify(public, note.checkpoint.text, one.blob[4:])
        for one in note.signatures
    )


def cosign(note: Note, name: str, key: SigningKey, time_s: int) -> Signature:
    """Return a witness's line under a note; what may be co-signed is the witness's to check."""
    stamp = time_s.to_bytes(8, "big")
    blob = _key_hash(name, ALGORITHM_COSIGNATURE, key.public) + stamp
    return Signature(name, blob + key.sign(_cosigned(note.checkpoint, time_s)))


def cosigned_at(note: Note, witness: Witness) -> int | None:
    """Return the Unix time at which a witness co-signed a note, or None where it did not."""
    prefix = _key_hash(witness.name, ALGORITHM_COSIGNATURE, witness.public)
    for one in note.signatures:
        if one.name == witness.name and len(one.blob) == 76 and one.blob[:4] == prefix:
            time_s = int.from_bytes(one.blob[4:12], "big")
            if verify(witness.public, _cosigned(note.checkpoint, time_s), one.blob[12:]):
                return time_s
    return None


def parse_note(data: bytes) -> Note:
    """Return the note in some bytes, signatures unchecked. Raises: ProofError ``checkpoint_malformed``.

    Only the canonical form is read: rendering the note again gives the very same bytes.
    """
    try:
        if len(data) > MAX_NOTE_BYTES:
            raise ValueError
        text, _, under = data.decode().partition("\n\n")
        name, height, root, time_line, app_line, state_line = text.split("\n")
        state_word, state_height, state_root = state_line.split(" ")
        (time_word, time_ns), (app_word, app_hash) = time_line.split(" "), app_line.split(" ")
        if (time_word, app_word, state_word) != ("time", "app", "state"):
            raise ValueError
        note = Note(
            Checkpoint(
                bytes.fromhex(name.removeprefix("bezant/")),
                int(height),
                base64.b64decode(root),
                int(time_ns),
                base64.b64decode(app_hash),
                int(state_height),
                base64.b64decode(state_root),
            ),
            tuple(_parse_signature(line) for line in under.splitlines()),
        )
        made = note.checkpoint
        numbers = (made.height, made.time_ns, made.state_height)
        hashes = (made.network, made.root, made.app_hash, made.state_root)
        if any(not 0 <= n < 2**64 for n in numbers) or any(len(h) != 32 for h in hashes):
            raise ValueError
        if note.render() != data:
            raise ValueError
    except (ValueError, UnicodeDecodeError):
        raise ProofError(
            "this is not a checkpoint of a Bezant network in its canonical form", code="checkpoint_malformed"
        ) from None
    return note


def _parse_signature(line: str) -> Signature:
    name, _, blob = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or not is_name(name):
        raise ValueError
    return Signature(name, base64.b64decode(blob, validate=True))


def _cosigned(checkpoint: Checkpoint, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n".encode() + checkpoint.text


def _key_hash(name: str, algorithm: int, public: bytes) -> bytes:
    return sha256(name.encode(), b"\n", bytes([algorithm]), public)[:4]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
