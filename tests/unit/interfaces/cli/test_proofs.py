"""Balance proofs, checkpoints and co-signatures from a witness on the command line to a receipt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bezant.chain.balances import verify_balance
from bezant.chain.witness import WitnessFolder
from bezant.folder import create_folder
from bezant.interfaces.cli.app import app


def run(*arguments: str, stdin: bytes | None = None, code: int = 0) -> bytes:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    assert done.exit_code == code, done.output
    return done.stdout_bytes


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    create_folder(path)
    run(
        "witness",
        "new",
        tmp_path / "witness",
        "--name",
        "witness.example",
        "--genesis",
        path / "genesis.json",
    )
    return path


def test_from_payment_to_a_receipt_that_a_witness_vouches_for(data: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    key = json.loads(
        run(
            "witness",
            "new",
            tmp_path / "other",
            "--name",
            "other",
            "--genesis",
            data / "genesis.json",
            "--json",
        )
    )["verifier_key"]
    own = WitnessFolder(witness).identity.render()
    (data / "bezant.toml").write_text(f'[witnesses]\nkeys = ["{own}"]\n')
    run("parties", "register", "Alice Arden", "--data", data)
    opened = json.loads(run("accounts", "open", "--party", "1", "--fund", "500", "--data", data, "--json"))
    balance = run("accounts", "proof", opened["account"], "--data", data)
    assert verify_balance(balance).summary.balance == "500.00"
    told = json.loads(run("verify", "-", "--json", stdin=balance))
    assert told["balance"] == {"amount": "500.00", "asset": "EUR"}
    assert "could sign two histories" in told["rests_on"]

    run("witness", "sign", witness, "--data", data)
    witnessed = run("accounts", "proof", opened["account"], "--data", data)
    trusted = ("--witness", own, "--quorum", "1", "--json")
    told = json.loads(run("verify", "-", *trusted, stdin=witnessed))
    assert told["co_signed_by"] == ["witness.example"]
    assert "co-signed by witness.example" in told["rests_on"]
    run("verify", "-", "--witness", key, "--quorum", "1", stdin=witnessed, code=1)
    run("verify", "-", *trusted, stdin=balance, code=1)

    bundle = run("checkpoint", "--since", str(WitnessFolder(witness).last.checkpoint.height), "--data", data)  # type: ignore[union-attr]
    (tmp_path / "bundle.json").write_bytes(bundle)
    inbox = data / "chain" / "checkpoints" / "inbox"
    run("witness", "sign", witness, "--bundle", tmp_path / "bundle.json", "--to", inbox)
    assert [path.suffix for path in inbox.iterdir()] == [".note"]
    assert run("witness", "sign", witness, "--bundle", tmp_path / "bundle.json").startswith(b"bezant/")
    run("witness", "sign", witness, code=1)
    run("witness", "sign", tmp_path / "nowhere", "--data", data, code=1)


def test_a_co_signature_of_nobody_known_is_refused(data: Path, tmp_path: Path) -> None:
    run("parties", "register", "Alice Arden", "--data", data)
    run("witness", "sign", tmp_path / "witness", "--data", data, code=1)
