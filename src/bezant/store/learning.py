"""Rows of what models learn from and which decide: pure, column by column."""

from __future__ import annotations

from typing import Any

from bezant.model.records import RecordArray
from bezant.store import columns

Row = tuple[Any, ...]


def label_rows(
    records: RecordArray, authorities: RecordArray, ordinals: list[int], times: list[int]
) -> list[Row]:
    """Return the rows of `schema.labels` for LABEL records that were applied, each (n,)."""
    return list(
        zip(
            ordinals,
            columns.ids(records, "related"),
            columns.ids(records, "debtor"),
            records["amount"].tolist(),
            columns.ids(authorities, "authority"),
            times,
            strict=True,
        )
    )


def model_rows(
    records: RecordArray, authorities: RecordArray, ordinals: list[int], times: list[int]
) -> list[Row]:
    """Return the rows of `schema.model_changes` for SET_MODEL records that were applied, each (n,)."""
    return list(
        zip(
            ordinals,
            columns.ids(authorities, "authority"),
            [digest.tobytes() for digest in records["payload_commitment"]],
            records["amount"].tolist(),
            times,
            strict=True,
        )
    )
