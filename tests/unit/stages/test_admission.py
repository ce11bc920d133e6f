"""What comes in: signatures are told apart, and admission refuses what the ledger would."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bezant.errors import Overloaded
from bezant.model.identifiers import new_payment_id
from bezant.model.outcomes import Outcome
from bezant.model.records import NO_ROW, Kind, RecordArray, set_id
from bezant.pipeline.batch import PENDING, PaymentBatch, Submission, join_submissions
from bezant.stages.admit import LONGEST_WAIT_S, Admit
from bezant.stages.authenticate import Authenticate
from bezant.store import Lag
from bezant.testing.ledgers import seeded_key
from bezant.testing.nodes import SmallNode


def fresh(town: SmallNode, *submissions: Submission) -> PaymentBatch:
    return join_submissions(list(submissions), town.clock.time_ns)


def outcomes(batch: PaymentBatch) -> list[int]:
    return batch.refused.tolist()


def test_signatures_are_told_apart(town: SmallNode) -> None:
    good = town.submission(town.transfers(2), together=True)
    altered = town.submission(town.transfers(2), together=True)
    altered.records["amount"][1] += np.uint64(1)
    forged = town.submission(town.transfers(1))
    forged.authorisations["signature"][0, 5] ^= 1
    stranger = town.node.desk.sign(town.transfers(1), seeded_key("stranger"))
    scheme = town.submission(town.transfers(1))
    scheme.authorisations["scheme"] = 9
    batch = Authenticate(town.node.resources)(fresh(town, good, altered, forged, stranger, scheme))
    assert outcomes(batch) == [
        PENDING,
        PENDING,
        Outcome.BAD_SIGNATURE,
        Outcome.BAD_SIGNATURE,
        Outcome.BAD_SIGNATURE,
        Outcome.UNKNOWN_AUTHORITY,
        Outcome.BAD_SIGNATURE,
    ]
    assert batch.record_hashes.shape == (7, 32)


def test_a_signature_is_good_for_its_network_alone(town: SmallNode) -> None:
    made = town.submission(town.transfers(1))
    other = dataclasses.replace(made, authorisations=made.authorisations.copy())
    key = town.node.desk.institution_key
    other.authorisations["signature"][0] = np.frombuffer(key.sign(bytes(112)), np.uint8)
    assert outcomes(Authenticate(town.node.resources)(fresh(town, other))) == [Outcome.BAD_SIGNATURE]


def admitted(town: SmallNode, records: RecordArray) -> PaymentBatch:
    return Admit(town.node.resources)(town.batch_before("admit", records=records))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", 0),
        ("kind", 99),
        ("flags", 4),
        ("flags", 0x8000),
        ("hold_for_s", 5),
        ("id_lo", 0),
        ("id_hi", 1),
    ],
)
def test_malformed_records_are_refused_before_they_are_ordered(
    town: SmallNode, field: str, value: int
) -> None:
    records = town.transfers(2)
    records[field][0] = value
    assert outcomes(admitted(town, records)) == [Outcome.MALFORMED, PENDING]


def test_ids_are_good_from_thirty_seconds_ahead_until_they_expire(town: SmallNode) -> None:
    now_ms = max(town.clock.time_ns, town.node.engine.time_ns) // 1_000_000
    cases = {
        now_ms: PENDING,
        now_ms + 30_000: PENDING,
        now_ms + 30_001: Outcome.ID_IN_FUTURE,
        now_ms - 600_000: PENDING,
        now_ms - 600_001: Outcome.EXPIRED,
        2**48 - 1: Outcome.ID_IN_FUTURE,
        # Times whose nanoseconds wrap around to about now, and to long ago.
        now_ms + 2**64 // 1_000_000: Outcome.ID_IN_FUTURE,
        2**63 // 1_000_000 + 1: Outcome.ID_IN_FUTURE,
        0: Outcome.EXPIRED,
    }
    records = town.transfers(len(cases))
    for row, time_ms in enumerate(cases):
        set_id(records[row], "id", new_payment_id(time_ms))
    batch = admitted(town, records)
    assert dict(zip(cases, outcomes(batch), strict=True)) == cases
    # The ledger, asked alone, says the same.
    for row, expected in enumerate(cases.values()):
        answers = town.node.intake.call(town.submission(records[row : row + 1]))
        assert (answers.first is expected) if expected != PENDING else not answers.first.refused


def test_validity_may_be_shorter_than_the_window(town: SmallNode) -> None:
    records = town.transfers(2)
    for row in range(2):
        set_id(records[row], "id", new_payment_id(town.clock.time_ns // 1_000_000 - 5_000))
    records["valid_for_s"] = 5, 4
    assert outcomes(admitted(town, records)) == [PENDING, Outcome.EXPIRED]


def test_what_was_answered_is_answered_again_with_the_first_outcome(town: SmallNode) -> None:
    paid, held = town.transfers(1), town.transfers(1)
    held["kind"], held["hold_for_s"] = Kind.HOLD, 60
    unpaid = town.transfers(1, amount_minor=10**12)
    answered = [int(town.node.intake.call(town.submission(r)).first) for r in (paid, held, unpaid)]
    assert answered[2] >= 16, "a refusal is remembered too"
    other = paid.copy()
    other["amount"] += np.uint64(1)
    batch = admitted(town, np.concatenate([paid, held, unpaid, other, town.transfers(1)]))
    assert outcomes(batch) == [
        Outcome.EXISTS,
        Outcome.EXISTS,
        Outcome.EXISTS,
        Outcome.EXISTS_WITH_OTHER_CONTENT,
        PENDING,
    ]
    first = [town.node.intake.call(town.submission(r)).first_outcome[0] for r in (paid, held, unpaid)]
    assert first == batch.first_outcome[:3].tolist() == answered
    assert (batch.debtor_row != NO_ROW).all()


def test_a_store_far_behind_sheds_load(town: SmallNode) -> None:
    lag = [Lag(blocks=1, payments=501, seconds=2.0, payments_per_second=100.0)]
    resources = dataclasses.replace(town.node.resources, store_lag=lambda: lag[0], max_store_lag_payments=250)
    admit = Admit(resources)
    with pytest.raises(Overloaded, match="501 payments behind, 250 is the most") as caught:
        admit(town.batch_before("admit"))
    assert (caught.value.code, caught.value.retry_after_s) == ("store_lagging", 3)
    lag[0] = dataclasses.replace(lag[0], payments=1_000_000)
    with pytest.raises(Overloaded) as caught:
        admit(town.batch_before("admit"))
    assert caught.value.retry_after_s == LONGEST_WAIT_S
    lag[0] = dataclasses.replace(lag[0], payments=251, payments_per_second=0.0)
    with pytest.raises(Overloaded) as caught:
        admit(town.batch_before("admit"))
    assert caught.value.retry_after_s == 1
    lag[0] = dataclasses.replace(lag[0], payments=250)
    assert admit(town.batch_before("admit")).debtor_row[0] != NO_ROW, "it recovers by itself"
