"""What commands print for people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bezant.interfaces.cli.app import app
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


@pytest.mark.parametrize(
    "text", ["Smith [VIP] & [red]sons", "[/x]", "[link=https://a.example]pay", ":smile:"]
)
def test_what_somebody_wrote_is_text_and_no_style(capsys: pytest.CaptureFixture[str], text: str) -> None:
    show({"name": text}, False)
    show({}, False, "id", "name", rows=[{"id": "1", "name": text}])
    assert [line.split(maxsplit=1)[1].strip() for line in capsys.readouterr().out.splitlines()] == [
        text,
        "name",
        text,
    ]


def commands(of: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, of
    for name, command in getattr(of, "commands", {}).items():
        yield from commands(command, (*path, name))


def test_help_shows_what_stands_in_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich takes an unescaped bracket for a style, and shows nothing of it."""
    monkeypatch.setenv("COLUMNS", "400")
    bracketed = 0
    for path, command in commands(typer.main.get_command(app)):
        shown = " ".join(CliRunner().invoke(app, [*path, "--help"]).output.split())
        for text in (command.help, *(getattr(param, "help", None) for param in command.params)):
            for inside in re.findall(r"\[[a-z].*?\]", text or ""):
                assert inside in shown, f"bezant {' '.join(path)} --help does not show {inside}"
                bracketed += 1
    assert bracketed > 10
