"""Another process compiles the ledger, or none does where nothing is to be compiled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bezant.interfaces import compiling
from bezant.kernel_cache import is_compiled
from bezant.model.genesis import encode_genesis
from bezant.testing.ledgers import small_genesis


@pytest.fixture
def genesis_file(tmp_path: Path) -> Path:
    path = tmp_path / "genesis.json"
    path.write_bytes(encode_genesis(small_genesis()))
    return path


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "is_compiled", lambda kernel: False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.usefixtures("uncompiled")
def test_another_process_compiles_what_the_ledger_runs(genesis_file: Path) -> None:
    with compiling.ledger_compiled_beside(genesis_file) as wait:
        assert wait() == 0
    assert is_compiled("apply.apply_records")
    assert is_compiled("authorities.judge_groups")
    assert not is_compiled("apply.apply")


@pytest.mark.usefixtures("uncompiled")
def test_what_fails_there_fails_nothing_here(genesis_file: Path) -> None:
    genesis_file.write_bytes(b"no genesis")
    with compiling.ledger_compiled_beside(genesis_file) as wait:
        assert wait() not in (0, None)


@pytest.mark.usefixtures("uncompiled")
def test_whoever_leaves_early_leaves_no_process(genesis_file: Path) -> None:
    with compiling.ledger_compiled_beside(genesis_file) as wait:
        process = wait.__self__
    assert process.poll() is not None


@pytest.mark.parametrize(("cores", "compiled"), [(1, False), (2, True)])
def test_no_process_where_none_would_help(
    cores: int, compiled: bool, genesis_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(compiling, "is_compiled", lambda kernel: compiled)
    monkeypatch.setattr(compiling.subprocess, "Popen", None)
    with compiling.ledger_compiled_beside(genesis_file) as wait:
        assert wait() is None
