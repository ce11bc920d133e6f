"""A history written down from committed blocks: what features learned from, and when it became known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.chain.blocks import CommittedBlock
from bezant.intelligence.history import History
from bezant.intelligence.learning import NamedBy, Said, paid_rows, said_of, said_rows
from bezant.model.genesis import GenesisAsset
from bezant.model.identifiers import payment_time_ms
from bezant.model.money import U64_MAX
from bezant.model.records import Label, RecordArray, id_of

_PAYMENT = np.dtype(
    [
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        ("debtor", "<i8"),
        ("creditor", "<i8"),
        ("amount_minor", "<u8"),
        ("time_ns", "<i8"),
        ("scale", "<i8"),
        ("asset", "<u4"),
        ("device", "<u8"),
        ("terminal", "<u8"),
        ("judged", "?"),
    ]
)
_Named = tuple[int, int, int]
"""An id's words and its debtor's row: ids are chosen by who pays."""


class Chronicle:
    """Takes blocks from the first on, and tells the history they make."""

    def __init__(self, assets: Sequence[GenesisAsset], names: NamedBy) -> None:
        """`assets` are those of the network; `names` knows devices and terminals."""
        self._scales = np.array([0, *(asset.scale for asset in assets)], np.int64)
        self._codes = np.array([b"", *(asset.code.encode() for asset in assets)], "S12")
        self._names = names
        self._parts: list[RecordArray] = []
        self._refused: dict[_Named, RecordArray] = {}
        self._fraud_since: dict[_Named, int] = {}
        self._cleared: dict[_Named, tuple[int, int]] = {}
        self._last_ns = 0

    def take(self, block: CommittedBlock, accounts: RecordArray) -> None:
        """Write down the payments and labels of the next block; `accounts` are the ledger's after it."""
        self._last_ns = block.time_ns
        paid, said = paid_rows(block), said_rows(block)
        if len(paid):
            self._parts.append(self._payments(block, paid, accounts))
        if len(said):
            self._hear(said_of(block, said, self._names), block.time_ns)

    @property
    def labels(self) -> int:
        """How many payments are called fraud now."""
        return len(self._fraud_since)

    def history(self, delay_ns: int) -> History:
        """Return what was written down.

        A model is not to learn from payments of the last `delay_ns`, whose frauds are not known yet, nor
        from what brings money in from an issuer; both are part of what happened all the same.
        """
        history = self._history(np.concatenate([np.zeros(0, _PAYMENT), *self._parts]), delay_ns)
        if not self._refused:
            return history
        return replace(history, refused=self._history(np.concatenate(list(self._refused.values())), delay_ns))

    def _history(self, rows: RecordArray, delay_ns: int) -> History:
        label = np.zeros(len(rows), np.uint8)
        known_ns, cleared_ns = np.zeros((2, len(rows)), np.int64)
        for row, payment in self._labelled(rows):
            known_ns[row], cleared_ns[row] = self._cleared.get(payment, (0, 0))
            if payment in self._fraud_since:
                label[row], known_ns[row] = 1, self._fraud_since[payment]
        return History(
            debtor=_column(rows, "debtor"),
            creditor=_column(rows, "creditor"),
            amount_minor=_column(rows, "amount_minor"),
            time_ns=_column(rows, "time_ns"),
            label=label,
            scale=_column(rows, "scale"),
            known_ns=known_ns,
            cleared_ns=cleared_ns if cleared_ns.any() else cleared_ns[:0],
            judged=rows["judged"] & (rows["time_ns"] <= self._last_ns - delay_ns),
            device=_or_nothing(_column(rows, "device")),
            terminal=_or_nothing(_column(rows, "terminal")),
            asset=self._codes[rows["asset"]],
        )

    def _payments(
        self, block: CommittedBlock, paid: npt.NDArray[np.intp], accounts: RecordArray
    ) -> RecordArray:
        own = block.receipts[block.system_count :][paid]
        rows = np.zeros(len(paid), _PAYMENT)
        for name, source in (("id_lo", "id_lo"), ("id_hi", "id_hi"), ("amount_minor", "amount")):
            rows[name] = own[source]
        rows["debtor"], rows["creditor"] = own["debtor_row"], own["creditor_row"]
        rows["time_ns"] = (own["id_hi"] >> np.uint64(16)).astype(np.int64) * 1_000_000
        rows["asset"] = block.records["asset"][paid]
        rows["scale"] = self._scales[rows["asset"]]
        rows["judged"] = accounts["credit_limit"][own["debtor_row"]] != U64_MAX
        named = self._names.settled(own["id_lo"], own["id_hi"])
        if named is not None:
            rows["device"], rows["terminal"] = named
        return rows

    def _hear(self, said: Said, now_ns: int) -> None:
        """Keep since when payments have been called fraud, or from when until when they last were; of those
        that were refused also when they were first called genuine."""
        for row, (record, debtor) in enumerate(zip(said.records, said.debtor.tolist(), strict=True)):
            payment = int(record["related_lo"]), int(record["related_hi"]), debtor
            if said.refused[row] and payment not in self._refused:
                self._refused[payment] = self._tried(record, debtor, int(said.creditor[row]))
            if record["amount"] == Label.FRAUD:
                self._fraud_since.setdefault(payment, now_ns)
            elif payment in self._fraud_since:
                self._cleared[payment] = self._fraud_since.pop(payment), now_ns
            elif said.refused[row]:
                self._cleared.setdefault(payment, (0, now_ns))

    def _tried(self, label: np.void, debtor: int, creditor: int) -> RecordArray:
        """Return the row (1,) of a payment that was refused, as far as anything is learned of it."""
        row = np.zeros(1, _PAYMENT)
        row["id_lo"], row["id_hi"] = label["related_lo"], label["related_hi"]
        row["debtor"], row["creditor"] = debtor, creditor
        row["time_ns"] = payment_time_ms(id_of(label, "related")) * 1_000_000
        named = self._names.sealed(row["id_lo"], row["id_hi"])
        if named is not None:
            row["device"], row["terminal"] = named
        return row

    def _labelled(self, rows: RecordArray) -> list[tuple[int, _Named]]:
        """Return the rows of payments of which something was said, with how it was named."""
        said = self._fraud_since.keys() | self._cleared.keys()
        maybe = np.flatnonzero(np.isin(rows["id_lo"], np.array([lo for lo, _, _ in said], np.uint64)))
        named = zip(
            maybe.tolist(),
            zip(*(rows[name][maybe].tolist() for name in ("id_lo", "id_hi", "debtor")), strict=True),
            strict=True,
        )
        return [(row, payment) for row, payment in named if payment in said]


def _column(rows: RecordArray, name: str) -> Any:
    return np.ascontiguousarray(rows[name])


def _or_nothing(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return keys (n,), none where no payment named anything."""
    return keys if keys.any() else keys[:0]
