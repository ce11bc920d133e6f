"""Balance files: what one account held after a block, provable offline like a payment.

The row is opened for the account's holder alone; the blind in its leaf keeps neighbours under the same
root from guessing each other's. Canonical JSON, as receipt files are.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from bezant.chain import leaves
from bezant.chain.anchors import (
    Anchor,
    SealedBlock,
    Witnessed,
    check_anchor,
    check_trusted_genesis,
    engine_of,
    hex_bytes,
    seal_of,
)
from bezant.chain.blocks import StateRoot
from bezant.chain.state_tree import state_leaf_hash, state_root
from bezant.errors import ProofError
from bezant.ledger.state import ACCOUNT
from bezant.model.genesis import Genesis
from bezant.model.identifiers import render_id
from bezant.model.merkle import path, root_from_path
from bezant.model.money import render_minor
from bezant.model.records import id_of

FORMAT = 1
_COUNTERS = ("debits_posted", "debits_pending", "credits_posted", "credits_pending")


class Balance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people read; every field is recomputed from the row when verifying."""

    account: str
    asset: str
    balance: str
    debits_posted: str
    debits_pending: str
    credits_posted: str
    credits_pending: str
    after_block: int


class BalanceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    bezant_balance: int
    engine: str
    summary: Balance
    row: str
    blind: str
    position: int
    accounts: int
    path: tuple[str, ...]
    tables: str
    anchor: Anchor
    genesis: Genesis


@dataclass(frozen=True, slots=True)
class AccountEvidence:
    """What an engine knows of one account under a covered state root; `block` holds that root."""

    genesis: Genesis
    row: bytes
    blind: bytes
    position: int
    accounts: int
    path: tuple[bytes, ...]
    tables: bytes
    state: StateRoot
    block: SealedBlock


def build_balance(evidence: AccountEvidence, checkpoint: Witnessed | None = None) -> BalanceFile:
    """Return the balance file of an account."""
    block = evidence.block
    index = len(block.leaves) - 1
    hashed = leaves.hash_leaves(block.leaves)
    return BalanceFile(
        bezant_balance=FORMAT,
        engine=engine_of(block.finality),
        summary=_summary(evidence.genesis, evidence.row, evidence.state.height),
        row=evidence.row.hex(),
        blind=evidence.blind.hex(),
        position=evidence.position,
        accounts=evidence.accounts,
        path=tuple(node.hex() for node in evidence.path),
        tables=evidence.tables.hex(),
        anchor=Anchor(
            block=block.height,
            time_ns=block.time_ns,
            leaf=block.leaves[index].tobytes().hex(),
            leaf_index=index,
            leaf_count=len(block.leaves),
            leaf_path=tuple(node.hex() for node in path(hashed, index)),
            previous_app_hash=block.previous_app_hash.hex(),
            app_hash=block.app_hash.hex(),
            seal=seal_of(block),
            checkpoint=checkpoint,
            finality=block.finality,
        ),
        genesis=evidence.genesis,
    )


def render_balance(balance: BalanceFile) -> bytes:
    """Return the canonical bytes of a balance file."""
    return msgspec.json.format(msgspec.json.encode(balance), indent=1) + b"\n"


def verify_balance(data: bytes, *, genesis_hash: str | None = None) -> BalanceFile:
    """Return the balance if every check holds; see `verify_receipt`. Raises: ProofError."""
    found = _parse(data)
    network = check_trusted_genesis(found.genesis, genesis_hash)
    row = hex_bytes(found.row, ACCOUNT.itemsize, "row")
    siblings = [hex_bytes(node, 32, "path") for node in found.path]
    hashed = state_leaf_hash(hex_bytes(found.blind, 32, "blind"), row)
    accounts_root = root_from_path(hashed, found.position, found.accounts, siblings)
    if accounts_root is None or found.accounts >= 2**64:
        raise ProofError("the path from the account to the root has the wrong length", param="path")
    if not 0 <= found.summary.after_block < 2**64:
        raise ProofError("the block's height is out of range", param="summary")
    root = state_root(found.accounts, accounts_root, hex_bytes(found.tables, 32, "tables"))
    check_anchor(found.anchor, found.genesis, network)
    expected = leaves.state_leaf(StateRoot(found.summary.after_block, root)).tobytes().hex()
    if found.anchor.leaf != expected:
        raise ProofError("the account is not under the state root that the chain covers", param="row")
    if found.summary != _summary(found.genesis, row, found.summary.after_block):
        raise ProofError("the summary does not say what the row says", param="summary")
    return found


def _parse(data: bytes) -> BalanceFile:
    try:
        found = msgspec.json.decode(data, type=BalanceFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProofError(f"this is not a balance file: {error}", code="balance_malformed") from None
    if (found.bezant_balance, found.engine) != (FORMAT, engine_of(found.anchor.finality)):
        raise ProofError("a balance file of a format this release does not know", code="balance_version")
    if render_balance(found) != data:
        raise ProofError(
            "the file is not in canonical form: bytes were changed, added or removed",
            code="balance_not_canonical",
        )
    return found


def _summary(genesis: Genesis, row: bytes, after_block: int) -> Balance:
    account = np.frombuffer(row, ACCOUNT)[0]
    number = int(account["asset"])
    known = genesis.assets[number - 1] if 1 <= number <= len(genesis.assets) else None
    scale = known.scale if known else 0
    counters = {name: int(account[f"{name}_hi"]) << 64 | int(account[f"{name}_lo"]) for name in _COUNTERS}
    return Balance(
        account=render_id(id_of(account, "id")),
        asset=known.code if known else "",
        balance=render_minor(counters["credits_posted"] - counters["debits_posted"], scale),
        after_block=after_block,
        **{name: render_minor(value, scale) for name, value in counters.items()},
    )
