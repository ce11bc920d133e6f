"""Receipt files: one payment, provable offline by anyone who has the genesis hash.

A receipt file is canonical JSON: rendering what it says again gives the very same bytes, so a
change anywhere shows. What the chain of checks rests on is printed by `verify`.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from bezant.chain import leaves
from bezant.chain.anchors import (
    Anchor,
    Seal,
    Witnessed,
    check_anchor,
    check_trusted_genesis,
    engine_of,
    hex_bytes,
)
from bezant.chain.finality import Finality
from bezant.errors import ProofError
from bezant.model.digest import as_rows, sha256
from bezant.model.genesis import Genesis
from bezant.model.identifiers import AuthorityId, render_id, render_payment_id
from bezant.model.keys import authority_id, verify
from bezant.model.merkle import LEAF, leaf_hashes, path, root_from_path
from bezant.model.money import render_minor
from bezant.model.orders import MAX_AUTHORISED_RECORDS, authorisation_message, cosigned
from bezant.model.outcomes import Outcome, SigningMode
from bezant.model.records import DECISION, MAX_KEYS, RECORD, SIDE, RecordArray, id_of

FORMAT = 1


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people read; every field is recomputed from the signed bytes when verifying."""

    payment: str
    outcome: str
    amount: str
    asset: str
    debtor: str
    creditor: str
    signed_by: str
    block: int
    time_ns: int


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One signature; scheme 1 is Ed25519, 2 BIP-340 over the SHA-256 of the same text."""

    scheme: int
    key: str
    signature: str


class SignedRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payer's side: the record, and every signature over the root it is under."""

    record: str
    authority: str
    signatures: tuple[Signature, ...]
    index: int
    count: int
    path: tuple[str, ...]


class OpenedSide(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Balances of one account after the payment, opened for its holder."""

    account: str
    blind: str
    counters: str


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole file."""

    bezant_receipt: int
    engine: str
    summary: Summary
    signed: SignedRecord
    leaf: str
    leaf_index: int
    leaf_count: int
    leaf_path: tuple[str, ...]
    previous_app_hash: str
    app_hash: str
    seal: Seal | None
    checkpoint: Witnessed | None
    debtor_side: OpenedSide | None
    creditor_side: OpenedSide | None
    genesis: Genesis
    finality: Finality | None = None
    """The votes that stand in place of the seal where validators vote."""
    decision: str = ""
    """The whole DECISION, opened for whoever audits: it shows the score too."""

    @property
    def anchor(self) -> Anchor:
        return Anchor(
            block=self.summary.block,
            time_ns=self.summary.time_ns,
            leaf=self.leaf,
            leaf_index=self.leaf_index,
            leaf_count=self.leaf_count,
            leaf_path=self.leaf_path,
            previous_app_hash=self.previous_app_hash,
            app_hash=self.app_hash,
            seal=self.seal,
            checkpoint=self.checkpoint,
            finality=self.finality,
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an engine knows of one payment and its block; the raw material of a receipt."""

    genesis: Genesis
    height: int
    time_ns: int
    position: int
    record_index: int
    records: RecordArray
    authorisations: RecordArray
    receipts: RecordArray
    leaves: RecordArray
    signer_keys: tuple[bytes, ...]
    """The key of the covering signature and of each co-signature behind it, as of the block."""
    previous_app_hash: bytes
    app_hash: bytes
    seal_key: bytes
    seal_signature: bytes
    debtor_seed: bytes
    creditor_seed: bytes
    finality: Finality | None = None
    """What stands in place of the seal where validators vote."""
    decision: bytes = b""
    """The DECISION that was ordered beside the record."""


def build_receipt(
    evidence: Evidence,
    *,
    open_debtor: bool = False,
    open_creditor: bool = False,
    open_decision: bool = False,
    checkpoint: Witnessed | None = None,
) -> Receipt:
    """Return the receipt of one payment; balances and the decision are shown only where asked for.

    `checkpoint` is one above the payment's block, if witnesses co-signed any.
    """
    record, leaf = evidence.records[evidence.record_index], evidence.leaves[evidence.position]
    covering, index, record_path = _signed_part(evidence)
    hashed = leaves.hash_leaves(evidence.leaves)
    receipt = evidence.receipts[evidence.position]
    return Receipt(
        bezant_receipt=FORMAT,
        engine=engine_of(evidence.finality),
        summary=_summary(evidence.genesis, record, leaf, evidence.height, evidence.time_ns),
        signed=SignedRecord(
            record=record.tobytes().hex(),
            authority=render_id(id_of(covering[0], "authority")),
            signatures=tuple(
                Signature(int(row["scheme"]), key.hex(), row["signature"].tobytes().hex())
                for row, key in zip(covering, evidence.signer_keys, strict=True)
            ),
            index=index,
            count=int(covering[0]["count"]),
            path=record_path,
        ),
        leaf=leaf.tobytes().hex(),
        leaf_index=evidence.position,
        leaf_count=len(evidence.leaves),
        leaf_path=tuple(node.hex() for node in path(hashed, evidence.position)),
        previous_app_hash=evidence.previous_app_hash.hex(),
        app_hash=evidence.app_hash.hex(),
        seal=None if evidence.finality else Seal(evidence.seal_key.hex(), evidence.seal_signature.hex()),
        checkpoint=checkpoint,
        debtor_side=_open("debtor", evidence.debtor_seed, record, leaf, receipt) if open_debtor else None,
        creditor_side=_open("creditor", evidence.creditor_seed, record, leaf, receipt)
        if open_creditor
        else None,
        genesis=evidence.genesis,
        finality=evidence.finality,
        decision=evidence.decision.hex() if open_decision else "",
    )


def render_receipt(receipt: Receipt) -> bytes:
    """Return the canonical bytes of a receipt file."""
    return msgspec.json.format(msgspec.json.encode(receipt), indent=1) + b"\n"


def verify_receipt(data: bytes, *, genesis_hash: str | None = None) -> Receipt:
    """Return the receipt if every check holds.

    `genesis_hash` is what the verifier trusts, 64 hexadecimal digits; without it the receipt is
    only consistent with the genesis it carries. Raises: ProofError saying which check failed.
    """
    receipt = _parse(data)
    network = check_trusted_genesis(receipt.genesis, genesis_hash)
    record = np.frombuffer(hex_bytes(receipt.signed.record, RECORD.itemsize, "signed.record"), RECORD)[0]
    leaf = np.frombuffer(hex_bytes(receipt.leaf, leaves.LEAF.itemsize, "leaf"), leaves.LEAF)[0]
    if leaf["version"] != leaves.LEAF_VERSION or leaf["reserved"].any():
        raise ProofError("the leaf is of a version this release does not know", param="leaf")
    _check_signature(receipt, record, network)
    if leaf["record_hash"].tobytes() != sha256(LEAF, record.tobytes()):
        raise ProofError("the leaf answers another record than the one signed", param="leaf")
    if leaf["mode"] == SigningMode.INSTITUTION and not _is_institution(receipt):
        raise ProofError("no institution that the genesis names signed this", param="signed.authority")
    if id_of(leaf, "id") != id_of(record, "id") or leaf["kind"] != record["kind"]:
        raise ProofError("the leaf's id or kind is not the record's", param="leaf")
    if receipt.decision and sha256(_decision_of(receipt)) != leaf["decision_hash"].tobytes():
        raise ProofError("the opened decision is not the one committed to", param="decision")
    check_anchor(receipt.anchor, receipt.genesis, network)
    for name, side, account in (
        ("debtor_side", receipt.debtor_side, id_of(record, "debtor")),
        ("creditor_side", receipt.creditor_side, id_of(record, "creditor")),
    ):
        if side is not None:
            _check_side(name, side, account, leaf[name].tobytes())
    if receipt.summary != _summary(
        receipt.genesis, record, leaf, receipt.summary.block, receipt.summary.time_ns
    ):
        raise ProofError("the summary does not say what the signed bytes say", param="summary")
    return receipt


# Building.


def _signed_part(evidence: Evidence) -> tuple[RecordArray, int, tuple[str, ...]]:
    """Return the covering Authorisation with its co-signatures, the record's index under it, and its path."""
    firsts = evidence.authorisations["first"].astype(np.int64)
    row = int(np.searchsorted(firsts, evidence.record_index, side="right")) - 1
    covering = cosigned(evidence.authorisations, row)
    first, count = int(covering[0]["first"]), int(covering[0]["count"])
    own = leaf_hashes(as_rows(evidence.records[first : first + count]))
    index = evidence.record_index - first
    return covering, index, tuple(node.hex() for node in path(own, index))


def _open(side: str, seed: bytes, record: np.void, leaf: np.void, receipt: np.void) -> OpenedSide | None:
    if not leaf[f"{side}_side"].any():
        return None
    blind = leaves.blind_of(seed, id_of(leaf, "id"))
    return OpenedSide(render_id(id_of(record, side)), blind.hex(), receipt[f"{side}_side"].tobytes().hex())


def _summary(genesis: Genesis, record: np.void, leaf: np.void, height: int, time_ns: int) -> Summary:
    number = int(record["asset"])
    known = 1 <= number <= len(genesis.assets)
    asset = genesis.assets[number - 1] if known else None
    amount = int(leaf["amount"]) or int(record["amount"])
    try:
        outcome, mode = Outcome(int(leaf["outcome"])).label, SigningMode(int(leaf["mode"])).name.lower()
    except ValueError:
        raise ProofError(
            "the leaf holds an outcome or mode this release does not know", param="leaf"
        ) from None
    return Summary(
        payment=render_payment_id(id_of(record, "id")),
        outcome=outcome,
        amount=render_minor(amount, asset.scale if asset else 0),
        asset=asset.code if asset else "",
        debtor=render_id(id_of(record, "debtor")),
        creditor=render_id(id_of(record, "creditor")),
        signed_by=mode,
        block=height,
        time_ns=time_ns,
    )


# Verifying.


def _parse(data: bytes) -> Receipt:
    try:
        receipt = msgspec.json.decode(data, type=Receipt)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProofError(f"this is not a receipt file: {error}", code="receipt_malformed") from None
    except RecursionError:
        raise ProofError("this is not a receipt file: nested too deeply", code="receipt_malformed") from None
    if receipt.bezant_receipt != FORMAT or receipt.engine != engine_of(receipt.finality):
        raise ProofError(
            f"receipt format {receipt.bezant_receipt} of engine {receipt.engine[:32]!r} is not known to this "
            "release; verify it with a newer one",
            code="receipt_version",
        )
    if render_receipt(receipt) != data:
        raise ProofError(
            "the file is not in canonical form: bytes were changed, added or removed",
            code="receipt_not_canonical",
        )
    return receipt


def _check_signature(receipt: Receipt, record: np.void, network: bytes) -> None:
    signed = receipt.signed
    siblings = [hex_bytes(node, 32, "signed.path") for node in signed.path]
    own_root = root_from_path(sha256(LEAF, record.tobytes()), signed.index, signed.count, siblings)
    if own_root is None or not 1 <= signed.count <= MAX_AUTHORISED_RECORDS:
        raise ProofError("the path from the record to the signed root has the wrong length", param="signed")
    authority = AuthorityId(int(hex_bytes(signed.authority, 16, "signed.authority").hex(), 16))
    message = authorisation_message(network, authority, signed.count, own_root)
    if not 1 <= len({one.key for one in signed.signatures}) == len(signed.signatures) <= MAX_KEYS:
        raise ProofError("the signatures are not by one key or more, each once", param="signed.signatures")
    for one in signed.signatures:
        key = hex_bytes(one.key, 32, "signed.signatures.key")
        given = hex_bytes(one.signature, 64, "signed.signatures.signature")
        if not verify(key, message, given, one.scheme):
            raise ProofError(
                "the signature does not cover this record: record, path, key or signature was changed",
                param="signed",
            )


def _decision_of(receipt: Receipt) -> bytes:
    return hex_bytes(receipt.decision, DECISION.itemsize, "decision")


def _is_institution(receipt: Receipt) -> bool:
    """Return whether the signing authority is an institution's; its id stays when its keys change."""
    authority = AuthorityId(int(receipt.signed.authority, 16))
    return any(authority == authority_id(bytes.fromhex(one.key)) for one in receipt.genesis.institutions)


def _check_side(name: str, side: OpenedSide, account: int, commitment: bytes) -> None:
    blind, counters = hex_bytes(side.blind, 32, name), hex_bytes(side.counters, SIDE.itemsize, name)
    if side.account != render_id(account):
        raise ProofError("the opened side is another account's", param=name)
    if leaves.side_commitment(blind, account, counters) != commitment:
        raise ProofError("the opened balances are not the ones committed to", param=name)
