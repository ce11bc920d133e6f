"""A kernel cache belongs to the very sources it was compiled from."""

from __future__ import annotations

from pathlib import Path

import pytest

from bezant import kernel_cache


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "package"
    for layer in kernel_cache.SOURCES:
        (package / layer).mkdir(parents=True)
        (package / layer / "kernel.py").write_text(f"{layer} = 1\n")
    monkeypatch.setattr(kernel_cache, "PACKAGE", package)
    monkeypatch.delenv(kernel_cache.VARIABLE, raising=False)
    return package


def place(monkeypatch: pytest.MonkeyPatch, chosen: str = "") -> Path:
    monkeypatch.delenv(kernel_cache.VARIABLE, raising=False)
    if chosen:
        monkeypatch.setenv(kernel_cache.VARIABLE, chosen)
    kernel_cache.place_kernel_cache()
    return Path(kernel_cache.os.environ[kernel_cache.VARIABLE])


def test_another_source_gets_another_cache(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = place(monkeypatch)
    assert first.is_dir()
    assert first.parent == package / "__pycache__"
    assert place(monkeypatch) == first
    (package / "ledger" / "kernel.py").write_text("ledger = 2\n")
    assert place(monkeypatch) != first


def test_a_chosen_folder_is_kept_to_and_not_nested(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = place(monkeypatch, str(tmp_path / "mine"))
    assert chosen.parent == tmp_path / "mine"
    assert place(monkeypatch, str(chosen)) == chosen


def test_old_caches_go(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in range(kernel_cache.KEPT + 4):
        (package / "model" / "kernel.py").write_text(f"model = {version}\n")
        newest = place(monkeypatch, str(tmp_path / "mine"))
        monkeypatch.delenv(kernel_cache.VARIABLE)
    left = list((tmp_path / "mine").iterdir())
    assert newest in left
    assert len(left) == kernel_cache.KEPT + 1


def test_a_package_nobody_may_write_to_uses_the_users_folder(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "__pycache__").write_text("a file where a folder should be")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert place(monkeypatch).parent == tmp_path / "home" / ".cache" / "bezant"
