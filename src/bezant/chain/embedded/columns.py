"""The columns of several Orders joined into one block's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bezant.model.orders import Order, join_authorised
from bezant.model.records import AUTHORISATION, DECISION, RECORD, RecordArray


@dataclass(frozen=True, slots=True)
class Columns:
    """`records`, `decisions` (n,); `authorisations` (m,) with `first` counted in the block."""

    records: RecordArray
    decisions: RecordArray
    authorisations: RecordArray


def join_orders(orders: Sequence[Order]) -> Columns:
    if len(orders) == 1:
        only = orders[0]
        return Columns(only.records, only.decisions, only.authorisations)
    if not orders:
        return Columns(np.zeros(0, RECORD), np.zeros(0, DECISION), np.zeros(0, AUTHORISATION))
    authorisations, records = join_authorised([(o.authorisations, o.records) for o in orders])
    return Columns(records, np.concatenate([o.decisions for o in orders]), authorisations)
