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
        (package / layer / "kernel.py").write_text(f"njit, {layer} = 0, 1\n")
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
    (package / "ledger" / "kernel.py").write_text("njit, ledger = 0, 2\n")
    assert place(monkeypatch) != first


def test_what_a_kernel_imports_counts_and_what_it_cannot_see_does_not(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = package / "chain"
    (folder / "kernel.py").write_text("from bezant.model.sizes import (\n    A,\n)\nfrom numba import njit\n")
    (package / "model" / "sizes.py").write_text("from bezant.model import units\nA = units.B\n")
    (package / "model" / "units.py").write_text("import bezant.errors\nB = 1\n")
    (package / "errors.py").write_text("C = 1\n")
    (folder / "server.py").write_text("from bezant.chain import kernel\n")
    first = place(monkeypatch)
    (folder / "server.py").write_text("from bezant.chain import kernel as compiled\n")
    assert place(monkeypatch) == first
    for place_of, text in (("model/sizes.py", "A = 2\n"), ("chain/kernel.py", "njit = 1\n")):
        before = place(monkeypatch)
        (package / place_of).write_text(text)
        assert place(monkeypatch) != before
    reached = place(monkeypatch)
    (package / "model" / "units.py").write_text("B = 3\n")
    assert place(monkeypatch) == reached, "nothing imports it any more"


@pytest.mark.parametrize("changed", ["model/units.py", "errors.py"])
def test_what_is_imported_by_what_is_imported_counts_too(
    package: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    (package / "chain" / "kernel.py").write_text("from bezant.model import units\nfrom numba import njit\n")
    (package / "model" / "units.py").write_text("import bezant.errors\nB = 1\n")
    (package / "errors.py").write_text("C = 1\n")
    first = place(monkeypatch)
    with (package / changed).open("a") as file:
        file.write("D = 1\n")
    assert place(monkeypatch) != first


def test_the_layers_of_kernels_are_all_there_are() -> None:
    """In whatever layer a kernel is, it is found."""
    holding = {
        path.relative_to(kernel_cache.PACKAGE).parts[0]
        for path in kernel_cache.PACKAGE.rglob("*.py")
        if "@njit" in path.read_text()
    }
    assert holding <= set(kernel_cache.SOURCES)


def test_a_chosen_folder_is_kept_to_and_not_nested(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = place(monkeypatch, str(tmp_path / "mine"))
    assert chosen.parent == tmp_path / "mine"
    assert place(monkeypatch, str(chosen)) == chosen


def test_old_caches_go(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in range(kernel_cache.KEPT + 4):
        (package / "model" / "kernel.py").write_text(f"njit, model = 0, {version}\n")
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
