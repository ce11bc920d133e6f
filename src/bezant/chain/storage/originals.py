"""What a reversal undoes or a label is about, looked up in the receipts of earlier, durable blocks.

The ledger keeps no payments. The engine finds the original once, when it orders the record, and the block
carries what it found, so that replaying it looks nothing up.
"""

from __future__ import annotations

import numpy as np

from bezant.chain.storage.archive import ReceiptArchive
from bezant.ledger.batch import no_originals
from bezant.model.outcomes import Outcome
from bezant.model.records import ORIGINAL, SCORED_KINDS, Kind, RecordArray, id_of, names_original

MOVED = (
    (Kind.TRANSFER, Outcome.APPLIED),
    (Kind.CAPTURE, Outcome.CAPTURED),
    (Kind.CAPTURE, Outcome.CAPTURED_IN_PART),
)
"""What can be reversed: a payment that was applied at once, or what a capture moved."""
MADE = (
    (Kind.TRANSFER, Outcome.APPLIED),
    (Kind.TRANSFER, Outcome.HELD_FOR_REVIEW),
    (Kind.HOLD, Outcome.HELD),
)
"""What can be labelled between its accounts: a payment that was applied or reserved, whatever came of it."""


def was_refused(kind: int, outcome: int) -> bool:
    """Return whether an answer refused a payment for good; it can be labelled too.

    Its receipt does not name the accounts, so neither does the LABEL: only the debtor's, which its
    institution may speak for. Whoever decided the payment knows the other from its own evidence.
    """
    return kind in SCORED_KINDS and outcome >= Outcome.BLOCKED


def find_originals(
    records: RecordArray, archive: ReceiptArchive, accounts: RecordArray, durable_height: int
) -> RecordArray:
    """Return an ORIGINAL row for every REVERSE and LABEL, in order, zeros where there is none.

    Only blocks up to `durable_height` count. Two authorities may have used one id; the payment meant is
    the one that went from the reversal's creditor to its debtor, or from the label's debtor to its creditor.
    """
    naming = names_original(records).nonzero()[0]
    if not len(naming):
        return no_originals()
    found = np.zeros(len(naming), ORIGINAL)
    for row, index in enumerate(naming.tolist()):
        record = records[index]
        parties, meant = (id_of(record, "creditor"), id_of(record, "debtor")), MOVED
        if record["kind"] == Kind.LABEL:
            parties, meant = parties[::-1], MADE
            if not parties[1]:
                found[row] = _refused(record, archive, durable_height)
                continue
        for receipt in archive.answers(id_of(record, "related"), durable_height):
            if (int(receipt["kind"]), int(receipt["outcome"])) not in meant:
                continue
            debtor, creditor = accounts[receipt["debtor_row"]], accounts[receipt["creditor_row"]]
            if (id_of(debtor, "id"), id_of(creditor, "id")) == parties:
                for side, account in (("debtor", debtor), ("creditor", creditor)):
                    found[row][f"{side}_lo"], found[row][f"{side}_hi"] = account["id_lo"], account["id_hi"]
                found[row]["amount"], found[row]["asset"] = receipt["amount"], debtor["asset"]
                break
    return found


def _refused(label: np.void, archive: ReceiptArchive, durable_height: int) -> np.void:
    """Return the ORIGINAL of a LABEL that names no creditor: what it claims, if a payment of that id was
    refused, else zeros."""
    original = np.zeros(1, ORIGINAL)[0]
    for receipt in archive.answers(id_of(label, "related"), durable_height):
        if was_refused(int(receipt["kind"]), int(receipt["outcome"])):
            for name in ("debtor_lo", "debtor_hi", "asset"):
                original[name] = label[name]
    return original
