"""What a reversal undoes, looked up in the receipts of earlier, durable blocks.

The ledger keeps no payments. The engine finds the original once, when it orders the reversal, and the
block carries what it found, so that replaying it looks nothing up.
"""

from __future__ import annotations

import numpy as np

from bezant.chain.embedded.archive import ReceiptArchive
from bezant.ledger.batch import no_originals
from bezant.model.outcomes import Outcome
from bezant.model.records import ORIGINAL, Kind, RecordArray, id_of

MOVED = (
    (Kind.TRANSFER, Outcome.APPLIED),
    (Kind.CAPTURE, Outcome.CAPTURED),
    (Kind.CAPTURE, Outcome.CAPTURED_IN_PART),
)
"""What can be reversed: a payment that was applied at once, or what a capture moved."""


def find_originals(
    records: RecordArray, archive: ReceiptArchive, accounts: RecordArray, durable_height: int
) -> RecordArray:
    """Return an ORIGINAL row for every REVERSE among the records, in order, zeros where there is none.

    Only blocks up to `durable_height` count. Two authorities may have used one id; the payment meant is
    the one that went from the reversal's creditor to its debtor.
    """
    reversing = np.flatnonzero(records["kind"] == Kind.REVERSE)
    if not len(reversing):
        return no_originals()
    found = np.zeros(len(reversing), ORIGINAL)
    for row, index in enumerate(reversing.tolist()):
        record = records[index]
        parties = id_of(record, "creditor"), id_of(record, "debtor")
        for receipt in archive.answers(id_of(record, "related"), durable_height):
            if (int(receipt["kind"]), int(receipt["outcome"])) not in MOVED:
                continue
            debtor, creditor = accounts[receipt["debtor_row"]], accounts[receipt["creditor_row"]]
            if (id_of(debtor, "id"), id_of(creditor, "id")) == parties:
                for side, account in (("debtor", debtor), ("creditor", creditor)):
                    found[row][f"{side}_lo"], found[row][f"{side}_hi"] = account["id_lo"], account["id_hi"]
                found[row]["amount"], found[row]["asset"] = receipt["amount"], debtor["asset"]
                break
    return found
