"""Every refusal is told, in codes that exist."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bezant import errors
from bezant.interfaces.reasons import CODES, OUTCOMES, reason_of
from bezant.model.outcomes import Outcome


def test_every_refusing_outcome_is_mapped_and_no_other() -> None:
    assert set(OUTCOMES) == {outcome for outcome in Outcome if outcome.refused}


@pytest.mark.parametrize("reason", [*OUTCOMES.values(), *CODES.values()])
def test_a_reason_is_an_http_error_with_a_title(reason: object) -> None:
    assert 400 <= reason.status < 600  # type: ignore[attr-defined]
    assert reason.title  # type: ignore[attr-defined]


def test_known_iso_codes() -> None:
    assert OUTCOMES[Outcome.INSUFFICIENT_FUNDS].iso == "AM04"
    assert OUTCOMES[Outcome.DEBTOR_FROZEN].iso == "AC06"
    assert OUTCOMES[Outcome.EXPIRED].iso == "TM01"
    assert OUTCOMES[Outcome.BLOCKED].iso == "RR04"


def test_every_iso_code_is_in_the_external_code_set() -> None:
    root = Path(os.environ.get("BEZANT_DATA", Path(__file__).parents[4] / "shared" / "data"))
    path = root / "iso20022" / "samples" / "codes" / "external_status_reason_code.json"
    if not path.exists():
        pytest.skip("the external code set is not on this machine; set BEZANT_DATA to the data folder")
    known = json.loads(path.read_text())["codes"]
    used = {reason.iso for reason in (*OUTCOMES.values(), *CODES.values()) if reason.iso}
    assert used <= set(known)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.BezantError("x", code="insufficient_funds"), 422),
        (errors.AmountError("x", code="amount_negative"), 422),
        (errors.InputError("x"), 400),
        (errors.AuthError("x"), 401),
        (errors.NotFound("x", code="payment_unknown"), 404),
        (errors.ConflictError("x", code="not_held"), 409),
        (errors.Overloaded("x"), 503),
        (errors.Overloaded("x", code="rate_limited"), 429),
        (errors.UnknownOutcome("x"), 504),
        (errors.StorageError("x"), 503),
        (errors.VaultError("x", code="erased"), 410),
        (errors.BezantError("x"), 500),
    ],
)
def test_errors_go_by_code_then_outcome_then_kind(error: errors.BezantError, status: int) -> None:
    assert reason_of(error).status == status


def test_an_unknown_outcome_is_not_to_be_retried_blindly() -> None:
    assert not reason_of(errors.UnknownOutcome("x")).retryable
    assert reason_of(errors.Overloaded("x")).retryable
