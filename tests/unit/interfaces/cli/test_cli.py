"""The command line: in process where it can be, as processes where that is the point."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bezant.errors import StorageError
from bezant.folder import DataFolder, create_folder
from bezant.interfaces.cli import doctor
from bezant.interfaces.cli.app import app
from bezant.interfaces.network.ports import free_ports
from bezant.model.genesis import Fee
from bezant.model.governance import Rule
from bezant.node import Node
from bezant.store import schema

SETTINGS = '[pipeline]\nscore = "bezant.testing.scores:ScoreByAmount"\n[policy]\ncontrol_share = 0.0\n'
START_S = 60.0


def bezant(*arguments: str, code: int = 0, stdin: bytes | None = None) -> Any:
    """Run one command in this process; returns the result."""
    result = CliRunner().invoke(app, arguments, input=stdin)
    assert result.exit_code == code, (result.output, result.stderr, result.exception)
    return result


def told(*arguments: str, data: Path) -> Any:
    """Run one command with --json and return what it says."""
    return json.loads(bezant(*arguments, "--data", str(data), "--json").stdout)


def process(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bezant", *arguments]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    bezant("init", "--data", str(folder))
    # A node of whoever runs the tests may have the usual port.
    (folder / "bezant.toml").write_text(f"{SETTINGS}[http]\nport = {free_ports(1)[0]}\n")
    return folder


def accounts_of(data: Path) -> tuple[str, str]:
    opened = []
    for name, fund in (("Ada", ("--fund", "100")), ("Grace", ())):
        party = told("parties", "register", name, data=data)["party"]
        opened.append(told("accounts", "open", "--party", str(party), *fund, data=data)["account"])
    return opened[0], opened[1]


def test_from_init_to_a_verified_receipt_without_a_running_node(data: Path, tmp_path: Path) -> None:
    payer, payee = accounts_of(data)
    paid = told("pay", payer, payee, "12.50", "--reference", "INV-7", data=data)
    assert (paid["status"], paid["end_to_end_id"]) == ("settled", "INV-7")
    receipt = bezant("receipt", paid["id"], "--data", str(data), "--open", "creditor").stdout_bytes
    file = tmp_path / "receipt.json"
    file.write_bytes(receipt)
    checked = json.loads(bezant("verify", str(file), "--json").stdout)
    assert (checked["payment"], checked["verified"]) == (paid["id"], True)
    assert "embedded" in checked["rests_on"]
    bezant("verify", "-", "--trust", checked["genesis_hash"], stdin=receipt)
    wrong = bezant("verify", str(file), "--trust", "0" * 64, code=1)
    assert "error [proof_invalid] (genesis)" in wrong.stderr
    file.write_bytes(receipt.replace(b'"amount": "12.50"', b'"amount": "92.50"'))
    assert "error [proof_invalid] (summary)" in bezant("verify", str(file), code=1).stderr
    file.write_bytes(receipt + b" ")
    assert "receipt_not_canonical" in bezant("verify", str(file), code=1).stderr


def test_what_a_payment_was_charged_is_shown_whenever_it_is_looked_up(tmp_path: Path) -> None:
    data = tmp_path / "data"
    create_folder(data, fees=(Fee(1, flat=5, ppm=10_000, maximum=100),))
    (data / "bezant.toml").write_text(SETTINGS)
    told("governance", "open-fees", "EUR", data=data)
    payer, payee = accounts_of(data)
    paid = told("pay", payer, payee, "12.50", data=data)
    assert paid["fee"] == {"amount": "0.17", "asset": "EUR"}
    shown = told("payments", "show", paid["id"], data=data)
    assert (shown["fee"], shown["settled_amount"]["amount"]) == (paid["fee"], "12.50")
    held = told("pay", payer, payee, "10", "--hold", "600", data=data)
    assert "fee" not in told("payments", "show", held["id"], data=data)
    for amount in ("4", "1"):
        told("holds", "capture", held["id"], amount, "--keep-rest", data=data)
    shown = told("payments", "show", held["id"], data=data)
    assert (shown["status"], shown["fee"]["amount"]) == ("held", "0.15")
    listed = told("payments", "list", "--account", payer, data=data)["payments"]
    fees = {one["id"]: one.get("fee", {}).get("amount") for one in listed}
    assert (fees[paid["id"]], fees[held["id"]]) == ("0.17", "0.15")
    assert "0.17 EUR" in bezant("payments", "show", paid["id"], "--data", str(data)).stdout
    assert told("payments", "list", "--status", "settled", "--limit", "1", data=data)["next_cursor"]


def test_the_history_of_proposals_says_from_what_to_what(data: Path) -> None:
    proposed = (
        7 << 24,
        bytes.fromhex("018bcfe5680070008000000000000001"),
        bytes(16),
        Rule.FEE,
        1,
        5,
        100,
        5,
        250,
        60,
        0,
    )
    declined = ("declined", 1, 9 << 24, 2, None, None)
    with Node(data) as node:
        assert node.read_model is not None
        store = node.read_model.store
        with store._database.write() as connection:
            store._database.insert_many(connection, schema.proposals, [(*proposed, *declined)])
    (listed,) = told("governance", "history", data=data)["proposals"]
    assert (listed["status"], listed["decided_height"]) == ("declined", 9)
    assert told("governance", "history", "--status", "lapsed", data=data)["proposals"] == []
    for arguments in (("history",), ("show", listed["id"])):
        shown = bezant("governance", *arguments, "--data", str(data)).stdout
        assert listed["id"] in shown
        assert "nothing in EUR" in shown
        assert "0.05 + 100 ppm, 0.05 to 2.50 EUR" in shown


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("governance", "show", "018bcfe5-6800-7000-8000-000000000001"), "proposal_unknown"),
        (("pay", "x", "y", "1"), "input_invalid"),
        (("accounts", "show", "0" * 32), "account_unknown"),
        (("accounts", "open", "--party", "99"), "party_unusable"),
        (("decisions", "show", "018bcfe5-6800-7000-8000-000000000001"), "decision_unknown"),
        (("models", "show"), "model"),
    ],
)
def test_errors_are_one_line_with_their_code(data: Path, arguments: tuple[str, ...], code: str) -> None:
    result = bezant(*arguments, "--data", str(data), code=1)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert f"error [{code}" in line


def test_a_folder_that_was_never_made_says_how_to_make_it(tmp_path: Path) -> None:
    result = bezant("accounts", "list", "--data", str(tmp_path / "none"), code=1)
    assert "error [not_initialised]" in result.stderr
    assert "bezant init" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("init", "--data", "{file}"), "not_a_folder"),
        (("init", "--data", "{file}/inside"), "file_unusable"),
        (("init", "--data", "/proc/nowhere"), "file_unusable"),
        (("verify", "-", "--witness", "{file}"), "file_unreadable"),
        (
            ("witness", "new", "{file}/witness", "--name", "w", "--genesis", "{data}/genesis.json"),
            "file_unusable",
        ),
    ],
)
def test_files_that_cannot_be_used_are_one_line_too(
    data: Path, tmp_path: Path, arguments: tuple[str, ...], code: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\xff\xfe")
    result = CliRunner().invoke(app, [one.format(file=file, data=data) for one in arguments], input="")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error [{code}]"), result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_keys_and_genesis_are_on_the_disk_before_a_node_uses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    create_folder(tmp_path / "data")
    kept = [tmp_path, *(path for path in (tmp_path / "data").rglob("*") if path.name != "models")]
    assert {path.name for path in kept} >= {"genesis.json", "blinding.key", "node.key", "operator.token"}
    assert [path for path in kept if path.stat().st_ino not in synced] == []


def test_init_changes_nothing_that_is_there(data: Path) -> None:
    before = (data / "genesis.json").read_bytes()
    assert "already_initialised" in bezant("init", "--data", str(data), code=1).stderr
    assert (data / "genesis.json").read_bytes() == before


def test_every_command_has_help_with_what_it_does() -> None:
    for command in ("init", "run", "pay", "receipt", "verify", "doctor", "replay", "bench"):
        assert f"bezant {command}" in bezant(command, "--help").stdout
    for group in ("parties", "accounts", "reviews", "decisions", "models", "bench"):
        assert "Commands" in bezant(group, "--help").stdout


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from bezant.interfaces.cli import app; print([m for m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'typer'" in loaded
    for heavy in ("numba", "numpy", "litestar", "sqlalchemy", "lightgbm", "httpx"):
        assert f"'{heavy}'" not in loaded


# The doctor.


def test_the_doctor_makes_a_payment(data: Path) -> None:
    report = told("doctor", data=data)
    results = {one["check"]: one["result"] for one in report["checks"]}
    assert results.pop("port") in ("ok", "failed")
    parts = ("read model", "fraud model", "drift", "consensus")
    assert results == dict.fromkeys(
        ("python", "packages", "disk", "data folder", "secrets", *parts, "clock", "test payment"), "ok"
    )


@pytest.mark.parametrize(("behind", "result"), [(0, "ok"), (50, "ok"), (51, "warning"), (101, "failed")])
def test_the_doctor_says_how_far_the_read_model_is_behind(behind: int, result: str) -> None:
    health = {
        "store_lag_payments": behind,
        "store_max_lag_payments": 100,
        "store_lag_seconds": 1.5,
        "store_drain_seconds": 0.25,
        "store_payments_per_second": 20_000.0,
    }
    check = doctor.judge_lag(health)
    assert check.result == result
    assert f"{behind} payments behind" in check.found
    assert ("up to date in 0.25 s at 20,000/s" in check.found) == (behind > 0)
    assert (check.fix != "") == (result != "ok")


def test_the_doctor_names_the_fix(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "keys" / "node.key").chmod(0o644)
    assert doctor.check_secrets(data).fix == f"chmod -R go-rwx {data / 'keys'}"
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 1 << 62)
    assert doctor.check_disk(data).result == "failed"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("BEZANT_HTTP_PORT", str(taken.getsockname()[1]))
        assert "bezant run --port" in doctor.check_port(data).fix
    assert doctor.check_folder(data / "not" / "there").fix.startswith("bezant init")
    (data / "keys" / "node.key").unlink()
    assert doctor.check_folder(data).result == "failed"
    result = bezant("doctor", "--no-self-test", "--data", str(data), code=1)
    assert "failed" in result.stdout


# Processes.


def test_a_port_in_use_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = bezant("run", "--data", str(tmp_path / "data"), "--port", port, code=1)
    assert "error [port_in_use]" in result.stderr
    assert not (tmp_path / "data").exists()


def test_commands_use_the_running_node_and_a_second_one_is_refused(data: Path) -> None:
    command = process("run", "--data", str(data), "--port", "0", "--no-model")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as node:
        try:
            said = _until_said(node, "Ctrl-C")
            assert re.search(r"Bezant is at http://127\.0\.0\.1:\d+", said)
            assert json.loads((data / "node.json").read_text())["pid"] == node.pid
            payer, payee = accounts_of(data)
            checks = {one["check"]: one for one in told("doctor", "--no-self-test", data=data)["checks"]}
            assert re.search(r"\d+ payments behind", checks["read model"]["found"])
            paid = told("pay", payer, payee, "1", data=data)
            assert paid["status"] == "settled"
            waiting = told("pay", payer, payee, "77.77", data=data)
            assert waiting["status"] == "in_review"
            assert [one["payment"]["id"] for one in told("reviews", "list", data=data)["reviews"]] == [
                waiting["id"]
            ]
            told("reviews", "escalate", waiting["id"], "--to", "compliance", "--note", "odd", data=data)
            escalated = told("reviews", "list", "--escalated", "--expiring", "73", data=data)["reviews"]
            assert [one["payment"]["id"] for one in escalated] == [waiting["id"]]
            assert told("reviews", "list", "--older", "1", data=data)["reviews"] == []
            told("reviews", "approve", waiting["id"], "--by", "Ada", data=data)
            case = bezant("reviews", "show", waiting["id"], "--data", str(data)).stdout
            for said in ("it is decided", "to compliance, odd", "approved", "Ada", "EUR 77.77"):
                assert said in case
            statement = told("accounts", "statement", payee, data=data)
            assert [line["amount"] for line in statement["entries"]] == ["1.00", "77.77"]
            assert told("decisions", "show", waiting["id"], data=data)["verdict"] == "review"
            # The rules give another score than this test's scorer did, and replay says so.
            replayed = bezant("decisions", "replay", paid["id"], "--data", str(data), "--json", code=1)
            assert not json.loads(replayed.stdout)["equal"]
            listed = bezant("accounts", "list", "--data", str(data)).stdout
            assert payer in listed
            assert "21.23" in listed
            with pytest.raises(StorageError) as in_use:
                DataFolder(data)
            assert in_use.value.code == "data_folder_in_use"
            second = bezant("run", "--data", str(data), "--port", "0", "--no-model", code=1)
            assert "error [data_folder_in_use]" in second.stderr
        finally:
            node.send_signal(signal.SIGTERM)
            rest, errors = node.communicate(timeout=30)
    assert (node.returncode, errors) == (0, "")
    assert "everything accepted is on disk" in rest
    assert not (data / "node.json").exists()
    assert told("accounts", "show", payee, data=data)["balance"] == "78.77"


def test_a_token_is_never_said(data: Path) -> None:
    token = (data / "keys" / "operator.token").read_text().strip()
    create_folder(data.parent / "other")
    for arguments in (("accounts", "list"), ("doctor", "--no-self-test")):
        result = CliRunner().invoke(app, [*arguments, "--data", str(data)])
        assert token not in result.output + result.stderr


def _until_said(node: subprocess.Popen[str], word: str) -> str:
    """Return what a process printed up to a line with that word."""
    assert node.stdout is not None
    said, deadline_s = "", time.monotonic() + START_S
    while word not in said and time.monotonic() < deadline_s:
        line = node.stdout.readline()
        assert line, node.stderr.read() if node.stderr else ""
        said += line
    return said
