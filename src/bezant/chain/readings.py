"""What a verified receipt says beside its summary: its fee, the decision if it is opened, and who signed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bezant.chain import leaves
from bezant.chain.receipts import Receipt, SignedRecord
from bezant.errors import ProofError
from bezant.model.identifiers import AuthorityId
from bezant.model.keys import authority_id
from bezant.model.money import render_minor
from bezant.model.outcomes import SigningMode, Verdict
from bezant.model.records import DECISION, RECORD


class Decided(NamedTuple):
    """What an opened DECISION says: the model by the first half of its digest, in hexadecimal, or ``rules``;
    score and threshold in parts per million; the hash of the evidence."""

    model: str
    generation: int
    verdict: str
    score_ppm: int
    threshold_ppm: int
    evidence: str


def fee_of(receipt: Receipt) -> str:
    """Return what a verified receipt's payment was charged beside its amount, in decimals; empty: nothing."""
    leaf = np.frombuffer(bytes.fromhex(receipt.leaf), leaves.LEAF)[0]
    record = np.frombuffer(bytes.fromhex(receipt.signed.record), RECORD)[0]
    scale = receipt.genesis.assets[int(record["asset"]) - 1].scale
    return render_minor(int(leaf["fee"]), scale) if leaf["fee"] else ""


def decided(receipt: Receipt) -> Decided | None:
    """Return what the opened decision of a verified receipt says, None where it is not opened.

    Raises: ProofError for a verdict that this release does not know.
    """
    if not receipt.decision:
        return None
    row = np.frombuffer(bytes.fromhex(receipt.decision), DECISION)[0]
    model = row["model"].tobytes()
    if row["verdict"] not in set(Verdict):
        raise ProofError("the decision holds a verdict this release does not know", param="decision")
    return Decided(
        model=model.hex() if any(model) else "rules",
        generation=int(row["generation"]),
        verdict=Verdict(int(row["verdict"])).name.lower(),
        score_ppm=int(row["score_ppm"]),
        threshold_ppm=int(row["threshold_ppm"]),
        evidence=row["commitment"].tobytes().hex(),
    )


def signing_statement(receipt: Receipt) -> str:
    """Return, in words, how many keys signed, and what says that they are the authority's, and the account
    is. An institution's authority is in the genesis; whose an account is, a receipt alone does not prove."""
    held = {SigningMode.SELF.name.lower(), SigningMode.DELEGATE.name.lower()}
    word = (
        "; that it may pay from this account is the node's word" if receipt.summary.signed_by in held else ""
    )
    return _key_statement(receipt.signed) + word


def _key_statement(signed: SignedRecord) -> str:
    count = len(signed.signatures)
    keys = "one key" if count == 1 else f"{count} keys"
    authority = AuthorityId(int(signed.authority, 16))
    strangers = [
        one for one in signed.signatures if authority_id(bytes.fromhex(one.key), one.scheme) != authority
    ]
    if not strangers:
        return f"signed by {keys}: the one that the authority's id is the hash of"
    added = "it was" if count == 1 else f"{len(strangers)} of them were"
    return (
        f"signed by {keys}; the authority's id is not the hash of every key shown: {added} put there by an "
        "ordered command, which this file does not prove"
    )
