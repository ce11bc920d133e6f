"""What commands print for people."""

from __future__ import annotations

import pytest

from bezant.interfaces.cli.output import show


def test_nested_answers_are_written_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {
        "fee": {"amount": "0.10", "asset": "EUR"},
        "recomputed": {"verdict": "review", "equal": True, "reasons": ["first", "second"]},
    }
    show(answer, False)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "fee         0.10 EUR"
    assert lines[1:] == [
        "recomputed  verdict: review",
        "            equal: yes",
        "            reasons: first",
        "            second",
    ]
