"""Every example runs, and every command that the README shows exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bezant.chain.receipts import verify_receipt
from bezant.interfaces.cli.app import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
# Every other piece between fences is a block; its first line names the language, if any.
BLOCKS = "\n".join(README.split("```")[1::2])
COMMANDS = sorted(set(re.findall(r"^bezant ((?:[a-z]+ ?){1,2})(?=[^a-z]|$)", BLOCKS, re.MULTILINE)))
OPTIONS = sorted(set(re.findall(r"^bezant ([a-z]+)(.*)$", BLOCKS, re.MULTILINE)))


def test_the_first_payment_is_proved(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("first_payment", ROOT / "examples" / "first_payment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert verify_receipt(module.main(tmp_path / "node")).summary.amount == "12.50"


def test_the_readme_shows_commands() -> None:
    assert {words.split()[0] for words in COMMANDS} >= {"accounts", "reviews", "receipt", "verify", "replay"}


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_of_the_readme_exists(words: str) -> None:
    first, *more = words.split()
    for command in ([first], [first, *more]):
        result = CliRunner().invoke(app, [*command, "--help"])
        assert result.exit_code == 0, result.output
        if "COMMAND" not in result.output:
            break


@pytest.mark.parametrize(("command", "rest"), OPTIONS)
def test_an_option_of_the_readme_exists(command: str, rest: str) -> None:
    runner = CliRunner(env={"COLUMNS": "200"})
    shown = runner.invoke(app, [command, "--help"]).output
    if "COMMAND" in shown:
        shown = runner.invoke(app, [command, rest.split()[0], "--help"]).output
    for option in re.findall(r"--[a-z-]+", rest.partition("#")[0]):
        assert option in shown, f"bezant {command} has no {option}"
