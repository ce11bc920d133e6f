"""Holds, refunds, mandates, limits and an issuer's controls on the command line, against a running node."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bezant.interfaces.cli.app import app

SETTINGS = '[pipeline]\nscore = "bezant.testing.scores:ScoreByAmount"\n[policy]\ncontrol_share = 0.0\n'


def bezant(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, (result.output, result.stderr, result.exception)
    return result


class Shop:
    """A running node; a payer with 500 EUR and a payee with nothing."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.payer, self.payee = (self.open(name, fund) for name, fund in (("Ada", "500"), ("Bo", "")))

    def open(self, name: str, fund: str) -> str:
        party = self.tell("parties", "register", name)["party"]
        funded = ("--fund", fund) if fund else ()
        return str(self.tell("accounts", "open", "--party", str(party), *funded)["account"])

    def tell(self, *arguments: str) -> Any:
        """Run one command with --json and return what it says."""
        return json.loads(bezant(*arguments, "--data", str(self.data), "--json").stdout)

    def show(self, *arguments: str) -> str:
        return str(bezant(*arguments, "--data", str(self.data)).stdout)

    def fail(self, *arguments: str) -> str:
        return str(bezant(*arguments, "--data", str(self.data), code=1).stderr)

    def pay(self, amount: str, *more: str) -> str:
        return str(self.tell("pay", self.payer, self.payee, amount, *more)["id"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    data = tmp_path_factory.mktemp("shop") / "data"
    bezant("init", "--data", str(data), "--policy", "EUR:pausable,clawback")
    (data / "bezant.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "bezant", "run", "--data", str(data), "--port", "0", "--no-model"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
        try:
            assert node.stdout is not None
            while "Ctrl-C" not in node.stdout.readline():
                assert node.poll() is None
            yield Shop(data)
        finally:
            node.send_signal(signal.SIGTERM)
            node.communicate(timeout=30)


def test_a_hold_is_captured_in_parts(shop: Shop) -> None:
    shown = shop.show("pay", shop.payer, shop.payee, "80", "--hold", "3600")
    held = shown.split("bezant holds capture ")[1].strip()
    assert held in shop.show("holds", "list")
    part = shop.tell("holds", "capture", held, "25", "--keep-rest")
    assert part["outcome"] == "captured_in_part"
    (listed,) = shop.tell("holds", "list", "--account", shop.payer)["payments"]
    assert listed["held"]["amount"]["amount"] == "55.00"
    assert "25.00 EUR" in shop.show("holds", "captures", held)
    assert shop.tell("holds", "release", held)["amount"]["amount"] == "55.00"
    assert "error [not_held]" in shop.fail("holds", "capture", held)


def test_a_secret_opens_a_hold(shop: Shop) -> None:
    made = json.loads(bezant("holds", "secret", "--json").stdout)
    held = shop.pay("10", "--hold", "60", "--lock", made["hashlock"])
    assert "error [preimage_mismatch]" in shop.fail("holds", "capture", held)
    opened = shop.tell("holds", "capture", held, "--preimage", made["preimage"])
    assert opened["outcome"] == "captured"


def test_a_payment_is_paid_back(shop: Shop) -> None:
    paid = shop.pay("12.50")
    part = shop.tell("refunds", "make", paid, "2.50", "--text", "one item")
    assert (part["refund_of"], part["remittance_information"]) == (paid, "one item")
    assert "10.00 EUR" in shop.show("refunds", "make", paid)
    assert part["id"] in shop.show("refunds", "list", paid)
    assert "error [nothing_left]" in shop.fail("refunds", "make", paid)


def test_a_mandate_is_set_used_and_revoked(shop: Shop) -> None:
    bounds = ("--payee", shop.payee, "--period-cap", "60", "--period", "86400")
    mandate = shop.tell("mandates", "set", shop.payer, "50", *bounds)["id"]
    shop.pay("50", "--mandate", mandate)
    over = shop.fail("pay", shop.payer, shop.payee, "11", "--mandate", mandate)
    assert "error [above_mandate_period]" in over
    assert mandate in shop.show("mandates", "list", shop.payer)
    assert "50.00 EUR" in shop.show("mandates", "show", mandate)
    assert shop.tell("mandates", "revoke", mandate)["status"] == "revoked"
    assert mandate not in shop.show("mandates", "list", shop.payer)


def test_an_account_is_bounded_shown_with_its_keys_and_closed(shop: Shop) -> None:
    empty = shop.open("Cleo", "")
    limited = shop.tell("accounts", "limits", empty, "--credit", "5", "--balance", "100")
    assert (limited["credit_limit"], limited["balance_limit"]) == ("5.00", "100.00")
    assert "1 to pay" in shop.show("accounts", "keys", empty)
    assert "administer" in shop.tell("accounts", "keys", empty)["thresholds"]
    assert shop.tell("accounts", "close", empty, "--yes")["closed"]
    assert "error [account_not_empty]" in shop.fail("accounts", "close", shop.payer, "--yes")
    assert "error [policy_forbids]" in shop.fail("accounts", "approve", shop.payer)
    assert "error [policy_forbids]" in shop.fail("accounts", "disapprove", shop.payer)


def test_an_issuer_pauses_and_claws_back(shop: Shop) -> None:
    assert "pausable clawback" in shop.show("assets", "list")
    assert shop.tell("assets", "pause", "EUR")["paused"]
    assert "error [asset_paused]" in shop.fail("pay", shop.payer, shop.payee, "1")
    taken = shop.tell("assets", "claw-back", shop.payer, "5")
    assert (taken["type"], taken["settled_amount"]["amount"]) == ("clawback", "5.00")
    assert "paused" not in shop.tell("assets", "resume", "EUR")
    shop.pay("1")


@pytest.mark.parametrize("policy", ["EUR:stoppable", "EUR", "XYZ:pausable"])
def test_a_policy_that_there_is_not_makes_no_folder(tmp_path: Path, policy: str) -> None:
    folder = tmp_path / "data"
    result = bezant("init", "--data", str(folder), "--policy", policy, code=1)
    assert "error [input_invalid] (policy)" in result.stderr
    assert not folder.exists()


def test_help_shows_commands_in_use() -> None:
    for group in ("holds", "refunds", "mandates", "assets"):
        assert "Commands" in bezant(group, "--help").stdout
    for command in (("holds", "capture"), ("refunds", "make"), ("mandates", "set"), ("accounts", "limits")):
        assert "bezant " + " ".join(command) in bezant(*command, "--help").stdout
