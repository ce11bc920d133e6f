"""``bezant audit``: what it prints, and its exit code, on a sound folder and on a changed one."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from bezant.folder import DataFolder
from bezant.interfaces.cli.app import app
from bezant.testing.nodes import SmallNode


def run(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.stdout


def test_a_node_is_audited(tmp_path: Path) -> None:
    with SmallNode(tmp_path / "data") as small:
        data, note = small.path, tmp_path / "kept.note"
        small.pay("12.50")
        note.write_bytes(small.node.engine.checkpoint().render())
        kept = small.node.engine.height
        for _ in range(3):
            small.pay()
        height = small.node.engine.height
        small.node.close()
        told = json.loads(run("audit", "--data", data, "--since", note, "--json"))
        assert told["intact"] is True
        assert told["last"] == height
        assert told["consistent_since"] == kept
        assert told["differences"] == []
        assert told["signatures"] >= told["checkpoints"] == 1
        assert "intact" in run("audit", "2", str(kept), "--data", data)
        bounded = json.loads(run("audit", note, "--data", data, "--json"))
        assert (bounded["first"], bounded["checkpoints"]) == (kept, 1)

        blocks = data / "chain" / "history.tree"
        changed = bytearray(blocks.read_bytes())
        changed[0] ^= 1
        blocks.write_bytes(changed)
        told = json.loads(run("audit", "--data", data, "--json", code=1))
        assert told["intact"] is False
        assert [(one["block"], one["file"]) for one in told["differences"]] == [(1, "history.tree")]
        assert "history.tree" in run("audit", "--data", data, code=1)
        run("audit", "2", "--data", data)


def test_what_cannot_be_audited_is_said(tmp_path: Path) -> None:
    run("audit", "--data", tmp_path / "nowhere", code=1)
    with SmallNode(tmp_path / "data") as small:
        small.node.close()
        run("audit", "no-such-file", "--data", small.path, code=1)
        run("audit", "--since", tmp_path / "absent.note", "--data", small.path, code=1)
        run("audit", "--since", small.path / "genesis.json", "--data", small.path, code=1)
        held = DataFolder(small.path)
        run("audit", "--data", small.path, code=1)
        held.close()
        run("audit", "--data", small.path)
