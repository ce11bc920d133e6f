"""Names: every module imports on its own, and what one exports it has."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import bezant
from bezant import errors

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(bezant.__path__, "bezant.")
    if module.name.split(".")[1] in ("model", "ledger", "chain", "errors")
)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_says_what_it_is_and_has_what_it_exports(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for exported in getattr(module, "__all__", ()):
        assert hasattr(module, exported), f"{name} exports {exported}, which it has not"


@pytest.mark.parametrize("name", MODULES)
def test_no_import_hides_in_a_function_of_the_project(name: str) -> None:
    """Imports inside functions hide cycles; foreign libraries that are slow to load may."""
    module = importlib.import_module(name)
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text())
    inner = [node for part in ast.walk(tree) if isinstance(part, ast.FunctionDef) for node in ast.walk(part)]
    hidden = [
        n.module for n in inner if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("bezant")
    ]
    assert hidden == []


def test_every_error_is_drawn_in_the_tree_and_has_a_code_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in kinds if kind.__name__ not in drawn] == []
    codes = [kind.code for kind in kinds if issubclass(kind, errors.BezantError)]
    assert len(set(codes)) == len(codes)
    assert not issubclass(errors.InvariantViolation, errors.BezantError), "nothing may catch it by accident"
