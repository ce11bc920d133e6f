"""Submissions joined into columns, and refusals that keep the lowest code."""

from __future__ import annotations

import numpy as np

from bezant.model.orders import authorise
from bezant.model.outcomes import Outcome
from bezant.model.records import NO_ROW, Kind
from bezant.pipeline.batch import COLUMNS, PENDING, Submission, join_submissions
from bezant.testing.ledgers import BANK, record

NETWORK = bytes(32)


def submission(first: int, count: int, payloads: tuple[bytes, ...] = ()) -> Submission:
    records = np.concatenate([record(Kind.TRANSFER, id=first + row, amount=1) for row in range(count)])
    return Submission(authorise(NETWORK, BANK, records), records, payloads)


def test_rows_stay_in_order_and_signatures_keep_their_records() -> None:
    batch = join_submissions([submission(10, 2), submission(20, 3, payloads=(b"a", b"", b"c"))], 7)
    assert len(batch) == 5
    assert batch.records["id_lo"].tolist() == [10, 11, 20, 21, 22]
    assert batch.authorisations["first"].tolist() == [0, 2]
    assert batch.authorisations["count"].tolist() == [2, 3]
    assert batch.sizes == [2, 3]
    assert batch.payloads == [b"", b"", b"a", b"", b"c"]
    assert batch.received_ns == 7


def test_new_columns_are_neutral_and_as_long_as_the_batch() -> None:
    for count in (0, 1, 4):
        batch = join_submissions([submission(1, 1) for _ in range(count)], 0)
        assert len(batch) == count
        assert (batch.refused == PENDING).all()
        assert (batch.debtor_row == NO_ROW).all()
        assert (batch.creditor_row == NO_ROW).all()
        for name in ("refused", "first_outcome", "debtor_row", "screening", "score_ppm", "reasons"):
            assert len(getattr(batch, name)) == count
        assert len(batch.decisions) == count
        assert not batch.decisions.tobytes().strip(b"\0")
    assert len(set(COLUMNS)) == len(COLUMNS)


def test_joining_one_does_not_share_its_signatures_place_with_another() -> None:
    one = submission(1, 2)
    join_submissions([one, one], 0)
    assert one.authorisations["first"].tolist() == [0], "what was handed in is not changed"


def test_the_lowest_refusal_wins_whatever_the_order() -> None:
    batch = join_submissions([submission(1, 3)], 0)
    batch.refuse(np.array([True, True, False]), Outcome.EXISTS)
    batch.refuse(np.array([True, False, False]), Outcome.MALFORMED)
    batch.refuse(np.array([False, True, False]), Outcome.ASSET_MISMATCH)
    assert batch.refused.tolist() == [Outcome.MALFORMED, Outcome.EXISTS, PENDING]
    assert batch.pays.tolist() == [False, False, True]


def test_time_is_the_one_inside_the_id() -> None:
    batch = join_submissions([submission(1_700_000_000_123 << 80, 1)], 0)
    assert batch.time_ns.tolist() == [1_700_000_000_123_000_000]
    assert not batch.commands.any()
