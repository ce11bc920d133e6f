"""Where the CometBFT program is looked for, and what is said where it is missing or another one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bezant.chain.cometbft.program import FIX, RELEASE, find_program, usable_program
from bezant.errors import ConfigError
from bezant.interfaces.cli import doctor


def _program(folder: Path, says: str) -> Path:
    path = folder / "cometbft"
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    return path


def _nowhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have neither a neighbour of Python nor the path hold the program."""
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(folder / "empty"))


def test_the_one_named_goes_before_the_neighbour_and_that_before_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, on_path, named = (tmp_path / name for name in ("beside", "path", "named"))
    for folder in (beside, on_path, named):
        folder.mkdir()
        _program(folder, RELEASE)
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    monkeypatch.setenv("PATH", str(on_path))
    assert find_program(str(named / "cometbft")) == named / "cometbft"
    assert find_program() == beside / "cometbft"
    (beside / "cometbft").unlink()
    assert find_program() == on_path / "cometbft"
    (on_path / "cometbft").unlink()
    with pytest.raises(ConfigError) as refused:
        find_program()
    assert refused.value.code == "cometbft_missing"
    assert FIX in refused.value.message


def test_another_release_is_refused_by_name(tmp_path: Path) -> None:
    assert usable_program(str(_program(tmp_path, RELEASE))) == tmp_path / "cometbft"
    with pytest.raises(ConfigError, match=r"is CometBFT 1\.0\.1, and 0\.38\.25 is needed"):
        usable_program(str(_program(tmp_path, "v1.0.1+abcdef")))


def test_the_doctor_fails_only_where_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _nowhere(monkeypatch, tmp_path)
    alone = doctor.check_consensus(tmp_path)
    assert alone.result == "ok"
    assert "make cometbft" in alone.found
    monkeypatch.setenv("BEZANT_CHAIN_COMETBFT", str(tmp_path / "cometbft"))
    named = doctor.check_consensus(tmp_path)
    assert (named.result, named.fix) == ("failed", FIX)
    _program(tmp_path, RELEASE)
    assert doctor.check_consensus(tmp_path).result == "ok"
