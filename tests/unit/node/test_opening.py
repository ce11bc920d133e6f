"""What a folder must hold before a node opens it, for one process at a time; what is wrong is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bezant.errors import BezantError, ConfigError, JournalDamaged, ModelError, StorageError
from bezant.model.outcomes import Outcome
from bezant.node import Node
from bezant.testing.nodes import SmallNode


def test_one_process_at_a_time(shared: SmallNode) -> None:
    script = "import sys, pathlib; from bezant.node import Node; Node(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(shared.path)],
        env={"PYTHONPATH": ":".join(entry for entry in sys.path if entry)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "another process has" in done.stderr
    with pytest.raises(StorageError) as caught:
        Node(shared.path, clock=shared.clock)
    assert caught.value.code == "data_folder_in_use"
    assert shared.pay()[1].first is Outcome.APPLIED, "the first one goes on"


@pytest.mark.parametrize("name", ["node", "gateway", "institution", "blinding"])
def test_a_missing_or_damaged_key_is_named(shared: SmallNode, name: str) -> None:
    shared.node.close()
    key = shared.path / "keys" / f"{name}.key"
    text = key.read_text()
    for damage in ("", "zz" * 32, text[:20]):
        key.write_text(damage)
        with pytest.raises(ConfigError, match=rf"{name}\.key") as caught:
            Node(shared.path, clock=shared.clock)
        assert caught.value.code == "key_missing"
    key.unlink()
    with pytest.raises(ConfigError, match=rf"{name}\.key"):
        Node(shared.path, clock=shared.clock)
    key.write_text(text)
    shared.restart()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ("[http]\nport = 'many'\n", "port"),
        ("[htp]\nport = 1\n", "htp"),
        ("not toml", "bezant.toml"),
        ("[policy]\nreview_ppm = 2000000\n", "thresholds"),
        ("[policy]\ncontrol_share = 0.5\n", "control_share"),
        ("[policy]\nreview = 1\n", "review"),
        ("[policy]\nreview_ppm = 900000\nblock_ppm = 5\n", "above block_ppm"),
        ("[screening]\nreview_at = 99.0\nblock_at = 90.0\n", "not in order"),
        ("[screening]\nlist = 'missing.csv'\n", "missing.csv"),
        ("[pipeline]\nscore = 'nowhere:Score'\n", "pipeline.score"),
        ("[pipeline]\nscore = 'bezant.stages.route:Route'\n", "route"),
        ("[store]\nurl = 'mysql://x/y'\n", "neither"),
    ],
)
def test_wrong_settings_are_named_and_leave_the_folder_free(
    shared: SmallNode, settings: str, word: str
) -> None:
    shared.node.close()
    (shared.path / "bezant.toml").write_text(settings)
    with pytest.raises(ConfigError, match=word):
        Node(shared.path, clock=shared.clock)
    (shared.path / "bezant.toml").write_text("")
    assert shared.restart().engine.height > 0, "what was opened before the fault is closed again"


def test_an_altered_model_is_not_put_in_use(shared: SmallNode, model_file: Path) -> None:
    shared.node.close()
    waiting, data = shared.path / "models" / "current.model", model_file.read_bytes()
    waiting.write_bytes(data[:2_000] + bytes([data[2_000] ^ 1]) + data[2_001:])
    with pytest.raises(ModelError) as caught:
        Node(shared.path, clock=shared.clock)
    assert caught.value.code == "model_altered"
    waiting.unlink()
    shared.restart()


def test_a_journal_of_other_keys_is_refused(shared: SmallNode) -> None:
    """With another blinding key the leaves differ, and so does every app hash."""
    shared.pay()
    shared.node.close()
    key = shared.path / "keys" / "blinding.key"
    text = key.read_text()
    key.write_text("ab" * 32)
    with pytest.raises(JournalDamaged) as caught:
        Node(shared.path, clock=shared.clock, with_store=False)
    assert caught.value.code == "history_differs"
    key.write_text(text)
    shared.restart()


def test_a_chain_without_its_vault_is_refused(shared: SmallNode) -> None:
    """With an empty vault the next party would get Alice's number, and Alice's accounts would be nobody's."""
    shared.node.close()
    vault, aside = shared.path / "vault", shared.path / "aside"
    vault.rename(aside)
    with pytest.raises(StorageError) as e:
        shared.restart()
    assert e.value.code == "vault_missing"
    assert not vault.exists()
    aside.rename(vault)
    assert shared.restart().accounts.of_party(shared.alice_party) == [shared.alice]


def test_closing_twice_is_as_good_as_once(shared: SmallNode) -> None:
    shared.node.close()
    shared.node.close()
    with pytest.raises(BezantError):
        shared.pay()
    shared.restart()
