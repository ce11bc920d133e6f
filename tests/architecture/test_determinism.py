"""What may not appear below the determinism line, found in the syntax tree of every file there.

No float, no true division, no clock, no randomness, no `hash()`, no iteration over a set: each of
them can give another result on another machine, or on the same one tomorrow.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "bezant"
LAYERS = ("model", "ledger", "terms", "contracts")
IMPORTS = frozenset(
    ("asyncio", "datetime", "io", "os", "pathlib", "random", "secrets", "shutil")
) | frozenset(("socket", "sqlite3", "subprocess", "tempfile", "threading", "time"))
CALLS = frozenset(("float", "hash", "complex", "open", "input"))
SET_CALLS = frozenset(("set", "frozenset"))

EXCEPTIONS = {
    ("model/identifiers.py", "imports secrets"): "payers make ids with it; no ledger rule reads a random bit",
}
"""Named one by one, each with the reason; an entry that is no longer needed fails the test."""


def findings(source: str) -> Iterator[str]:
    """Yield what a file holds that it may not, each as a short stable phrase."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=float() | complex()):
                yield f"float literal {node.value}"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield "true division"
            case ast.Import(names=names):
                yield from (f"imports {n.name}" for n in names if n.name.split(".")[0] in IMPORTS)
            case ast.ImportFrom(module=str(module), level=0) if module.split(".")[0] in IMPORTS:
                yield f"imports {module}"
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                yield f"calls {name}()"
            case ast.Attribute(attr="random" | "float16" | "float32" | "float64" | "float_" | "true_divide"):
                yield f"uses .{node.attr}"
            case ast.For(iter=iterated) | ast.comprehension(iter=iterated) if _is_set(iterated):
                yield "iterates over a set"
            case ast.Call(func=ast.Name(id="list" | "tuple" | "enumerate" | "zip" | "map"), args=args):
                yield from ("iterates over a set" for given in args if _is_set(given))
            case ast.Starred(value=starred) if _is_set(starred):
                yield "iterates over a set"


def _is_set(node: ast.expr) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in SET_CALLS
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return _is_set(left) or _is_set(right)
    return False


def files() -> list[Path]:
    return [path for layer in LAYERS for path in sorted((SOURCE / layer).rglob("*.py"))]


def test_the_deterministic_layers_are_free_of_what_varies() -> None:
    found = {
        (path.relative_to(SOURCE).as_posix(), finding)
        for path in files()
        for finding in findings(path.read_text())
    }
    assert sorted(found - EXCEPTIONS.keys()) == []
    assert sorted(EXCEPTIONS.keys() - found) == [], "an exception that nothing needs any more"


def test_there_is_something_to_check() -> None:
    names = {path.relative_to(SOURCE).as_posix() for path in files()}
    assert {"model/money.py", "ledger/reference/ledger.py", "ledger/kernel/payments.py"} <= names


@pytest.mark.parametrize(
    ("source", "finding"),
    [
        ("fee = amount * 0.01", "float literal 0.01"),
        ("limit = 1e9", "float literal 1000000000.0"),
        ("half = amount / 2", "true division"),
        ("amount /= 2", "true division"),
        ("import time", "imports time"),
        ("import os.path", "imports os.path"),
        ("from random import choice", "imports random"),
        ("from datetime import datetime", "imports datetime"),
        ("def f():\n    from time import time_ns", "imports time"),
        ("x = float(amount)", "calls float()"),
        ("x = hash(key)", "calls hash()"),
        ("x = np.random.default_rng()", "uses .random"),
        ("x = np.float64(1)", "uses .float64"),
        ("for x in {1, 2}: pass", "iterates over a set"),
        ("for x in set(names): pass", "iterates over a set"),
        ("x = [y for y in frozenset(names)]", "iterates over a set"),
        ("x = list({y for y in names})", "iterates over a set"),
        ("x = [*{1, 2}]", "iterates over a set"),
        ("for x in set(a) - set(b): pass", "iterates over a set"),
    ],
)
def test_planted_sources_are_caught(source: str, finding: str) -> None:
    assert finding in list(findings(source))


@pytest.mark.parametrize(
    "source",
    [
        "half = amount // 2",
        "for x in sorted(set(names)): pass",
        "n = len({1, 2})",
        "for x in [1, 2]: pass",
        "from bezant.model.outcomes import Outcome",
        "x = 'a float of 0.5 in a text'",
        "x = y in {1, 2}",
    ],
)
def test_what_is_harmless_is_not_caught(source: str) -> None:
    assert list(findings(source)) == []
