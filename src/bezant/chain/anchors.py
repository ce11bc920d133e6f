"""What a leaf rests on: its block's app hash, and who vouches for that.

Receipts and balance proofs end here alike. Where one node orders, its seal says that it holds to this
block, and a co-signed checkpoint says that whoever asks anywhere is shown the same one, because its
witnesses sign one history only. Where validators vote, their votes are what makes the block final. The
genesis says which of the two it has to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from bezant.chain import leaves
from bezant.chain.checkpoints import Note, Witness, cosigned_at, is_signed, parse_note
from bezant.chain.finality import Finality, chain_id, check_finality, counted
from bezant.chain.history import block_leaf
from bezant.errors import ProofError
from bezant.model.digest import sha256
from bezant.model.genesis import Genesis, check_genesis, network_id
from bezant.model.keys import verify
from bezant.model.merkle import LEAF, root_from_path
from bezant.model.records import RecordArray

EMBEDDED_TRUST = (
    "embedded: tamper-evident, trusts the node key, which could sign two histories, "
    "until a checkpoint is co-signed by witnesses"
)


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    signature: str


class Witnessed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A checkpoint above the block, as its note, and the path to it from the block's history leaf."""

    note: str
    path: tuple[str, ...]


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A leaf's place in its block, the block's in the chain, and who vouches for it."""

    block: int
    time_ns: int
    leaf: str
    leaf_index: int
    leaf_count: int
    leaf_path: tuple[str, ...]
    previous_app_hash: str
    app_hash: str
    seal: Seal | None
    checkpoint: Witnessed | None
    finality: Finality | None = None


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """What an engine knows of a block: the raw material of an anchor."""

    height: int
    time_ns: int
    leaves: RecordArray
    previous_app_hash: bytes
    app_hash: bytes
    seal_key: bytes
    seal_signature: bytes
    finality: Finality | None = None
    """What stands in place of the seal where validators vote."""


def engine_of(finality: Finality | None) -> str:
    """Return the name of the engine that a proof is of."""
    return "embedded" if finality is None else "cometbft"


def seal_of(block: SealedBlock) -> Seal | None:
    """Return a block's seal, None where validators vouch for it."""
    return None if block.finality else Seal(block.seal_key.hex(), block.seal_signature.hex())


def check_trusted_genesis(genesis: Genesis, genesis_hash: str | None) -> bytes:
    """Return the network id of a genesis inside a file, if it is the trusted one. Raises: ProofError."""
    try:
        check_genesis(genesis)
    except Exception as error:
        raise ProofError(f"the genesis inside is not valid: {error}", param="genesis") from None
    network = network_id(genesis)
    if genesis_hash is not None and network.hex() != genesis_hash.lower():
        raise ProofError(
            f"this belongs to network {network.hex()}, not to the one you trust", param="genesis"
        )
    return network


def check_anchor(anchor: Anchor, genesis: Genesis, network: bytes) -> None:
    """Check the way from a leaf up to whoever vouches for its block. Raises: ProofError."""
    leaf = hex_bytes(anchor.leaf, leaves.LEAF.itemsize, "leaf")
    siblings = [hex_bytes(node, 32, "leaf_path") for node in anchor.leaf_path]
    receipts_root = root_from_path(sha256(LEAF, leaf), anchor.leaf_index, anchor.leaf_count, siblings)
    previous = hex_bytes(anchor.previous_app_hash, 32, "previous_app_hash")
    app_hash = hex_bytes(anchor.app_hash, 32, "app_hash")
    if receipts_root is None or leaves.next_app_hash(previous, receipts_root) != app_hash:
        raise ProofError(
            "the leaf is not under this app hash: leaf, path or a hash was changed", param="leaf"
        )
    numbers = anchor.block, anchor.time_ns, anchor.leaf_count
    if any(not 0 <= number < 2**64 for number in numbers):
        raise ProofError("block height or time is out of range", param="summary")
    # A validator's own seal must not do where all of them have to vote.
    if bool(genesis.validators) != (anchor.finality is not None) or (anchor.seal is None) == (
        anchor.finality is None
    ):
        raise ProofError(
            "the genesis names validators, and this is no proof of theirs"
            if genesis.validators
            else "the genesis names no validators, and this is not sealed by its node",
            param="finality",
        )
    if anchor.finality is not None:
        if anchor.checkpoint is not None:
            raise ProofError(
                "checkpoints of one node have no place where validators vote", param="checkpoint"
            )
        check_finality(
            anchor.finality,
            genesis.validators,
            chain_id(network),
            height=anchor.block,
            time_ns=anchor.time_ns,
            previous=previous,
            app_hash=app_hash,
        )
    elif anchor.seal is not None:
        _check_seal(anchor.seal, leaves.seal_message(network, *numbers, app_hash), genesis)
        if anchor.checkpoint is not None:
            leaf_hash = block_leaf(*numbers, app_hash)
            _check_checkpoint(anchor.checkpoint, leaf_hash, anchor.block, anchor.seal, network)


def _check_seal(seal: Seal, message: bytes, genesis: Genesis) -> None:
    if seal.key not in genesis.sealers:
        raise ProofError("the seal's key is not one that the genesis names", param="seal.key")
    if not verify(bytes.fromhex(seal.key), message, hex_bytes(seal.signature, 64, "seal.signature")):
        raise ProofError("the node's seal does not cover this block, height and time", param="seal")


def _check_checkpoint(witnessed: Witnessed, leaf: bytes, block: int, seal: Seal, network: bytes) -> None:
    note = parse_note(witnessed.note.encode())
    if note.checkpoint.network != network:
        raise ProofError("the checkpoint is another network's", param="checkpoint")
    if not is_signed(note, bytes.fromhex(seal.key)):
        raise ProofError("the node's key did not sign this checkpoint", param="checkpoint")
    siblings = [hex_bytes(node, 32, "checkpoint.path") for node in witnessed.path]
    if root_from_path(leaf, block - 1, note.checkpoint.height, siblings) != note.checkpoint.root:
        raise ProofError("the block is not in the history that this checkpoint is of", param="checkpoint")


def vouched_for(note: Note | None, witnesses: Sequence[Witness], quorum: int) -> list[tuple[str, int]]:
    """Return the known witnesses that co-signed a checkpoint, with their Unix times.

    Raises: ProofError ``too_few_witnesses`` where they are fewer than `quorum`.
    """
    found = []
    for witness in dict.fromkeys(witnesses):
        time_s = None if note is None else cosigned_at(note, witness)
        if time_s is not None:
            found.append((witness.name, time_s))
    if len(found) < quorum:
        raise ProofError(
            f"{len(found)} of the witnesses you named co-signed the history above this, and you ask for "
            f"{quorum}",
            code="too_few_witnesses",
            param="checkpoint",
        )
    return found


def trust_statement(
    genesis_hash: str | None,
    note: Note | None = None,
    vouching: Sequence[tuple[str, int]] = (),
    finality: Finality | None = None,
) -> str:
    """Return, in words, what a proof rests on that was verified against this hash, or none."""
    anchor = (
        "the genesis you named"
        if genesis_hash
        else "the genesis inside the file (name the hash you trust with --trust to pin it)"
    )
    if finality is not None:
        signed = counted(finality)
        times = "a change" if signed.changes == 1 else f"{signed.changes} changes"
        changes = f", followed through {times} of validators" if signed.changes else ""
        return (
            f"BFT: {signed.power} of {signed.total} votes of {signed.validators} validators signed{changes}; "
            "trusts that no more than a third of the voting power was ever dishonest at one time; anchored "
            f"in {anchor}"
        )
    if note is not None and vouching:
        names = ", ".join(name for name, _ in vouching)
        return (
            f"embedded, under a checkpoint of {note.checkpoint.height} blocks co-signed by {names}: showing "
            f"somebody another history would need the node's key and {_many(len(vouching))} to collude; "
            f"anchored in {anchor}"
        )
    if note is not None and len(note.signatures) > 1:
        return f"{EMBEDDED_TRUST} whose keys you name (--witness); anchored in {anchor}"
    return f"{EMBEDDED_TRUST}; anchored in {anchor}"


def hex_bytes(text: str, length: int, param: str) -> bytes:
    """Return bytes from lower-case hexadecimal of an exact length. Raises: ProofError."""
    if len(text) != 2 * length or any(c not in "0123456789abcdef" for c in text):
        raise ProofError(f"{param} is not {length} bytes in lower-case hexadecimal", param=param)
    return bytes.fromhex(text)


def _many(count: int) -> str:
    return "that witness" if count == 1 else f"all {count} witnesses"
