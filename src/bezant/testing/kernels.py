"""The types that Numba inferred, so that a test can prove that no kernel mixes them up.

Compiled code says nothing when ``int64`` meets ``uint64``: their sum is a signed number that
wraps, and a variable that is both becomes a ``float64``, which rounds above 2**53. And which kernels
Python can call: most are for kernels alone.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import operator
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from numba import njit
from numba.core import types
from numba.core.registry import CPUDispatcher

import bezant

COMPARISONS = (operator.lt, operator.le, operator.eq, operator.ne, operator.ge, operator.gt)
LAYERS = ("bezant.model", "bezant.ledger", "bezant.chain")


def kernels(layers: tuple[str, ...] = LAYERS) -> list[Any]:
    """Return every dispatcher that a module of the layers defines, in the order of their names."""
    found: dict[str, Any] = {}
    for module in pkgutil.walk_packages(bezant.__path__, "bezant."):
        if module.name.startswith(layers):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, CPUDispatcher) and value.py_func.__module__.startswith(layers):
                    found[name_of(value)] = value
    return [found[name] for name in sorted(found)]


def name_of(kernel: Any) -> str:
    return f"{kernel.py_func.__module__}.{kernel.py_func.__qualname__}"


def is_inlined(kernel: Any) -> bool:
    """Return whether the kernel's body is pasted into its callers, where its types are then seen."""
    return bool(kernel.targetoptions.get("inline") == "always")


def is_out_of_reach(value: Any) -> bool:
    """Return whether a value is a kernel without a way in from Python; calling one ends the process."""
    return isinstance(value, CPUDispatcher) and value.targetoptions.get("no_cpython_wrapper", False)


def within_reach(kernel: Any) -> Any:
    """Return a kernel that Python can call and that calls the one given, for tests of what has no way in."""

    def call(*given: Any) -> Any:
        return kernel(*given)

    return njit(call)


def out_of_reach_in(module: ModuleType) -> Iterator[str]:
    """Yield "line: name" wherever a module's Python names a kernel that only kernels can call."""
    named = vars(module)

    def walk(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef) and isinstance(named.get(node.name), CPUDispatcher):
            return
        match node:
            case ast.Name(name) if is_out_of_reach(named.get(name)):
                yield f"{node.lineno}: {name}"
            case ast.Attribute(ast.Name(of), name) if is_out_of_reach(getattr(named.get(of), name, None)):
                yield f"{node.lineno}: {of}.{name}"
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    yield from walk(ast.parse(inspect.getsource(module)))


def floats_in(kernel: Any) -> Iterator[str]:
    """Yield "variable: type" for every float or complex type in what was compiled of a kernel."""
    for signature, annotation in _annotations(kernel):
        named = {f"argument {at}": kind for at, kind in enumerate(signature)} | annotation.typemap
        for variable, kind in named.items():
            if _holds_float(kind):
                yield f"{variable}: {kind}"


def mixed_signs_in(kernel: Any) -> Iterator[str]:
    """Yield "line: operation" where a uint64 meets a signed integer in arithmetic.

    Comparisons are left out: Numba compares the two by their values.
    """
    for _, annotation in _annotations(kernel):
        for expression in annotation.calltypes:
            if getattr(expression, "op", "") not in ("binop", "inplace_binop"):
                continue
            if expression.fn in COMPARISONS:
                continue
            pair = [annotation.typemap[side.name] for side in (expression.lhs, expression.rhs)]
            integers: list[Any] = [kind for kind in pair if isinstance(kind, types.Integer)]
            if len(integers) == 2 and types.uint64 in integers and any(kind.signed for kind in integers):
                yield f"{expression.loc.line}: {expression}"


def _annotations(kernel: Any) -> Iterator[tuple[Any, Any]]:
    for signature, compiled in kernel.overloads.items():
        if isinstance(compiled.type_annotation, str):
            raise ValueError(f"{name_of(kernel)} came from a cache, which keeps no types; compile it afresh")
        yield signature, compiled.type_annotation


def _holds_float(kind: Any) -> bool:
    if isinstance(kind, types.Float | types.Complex):
        return True
    if isinstance(kind, types.BaseTuple):
        parts: Any = kind
        return any(_holds_float(part) for part in parts)
    if isinstance(kind, types.Array | types.Optional | types.UniTuple):
        return _holds_float(getattr(kind, "dtype", None) or getattr(kind, "type", None))
    if isinstance(kind, types.Record):
        return any(_holds_float(field.type) for field in kind.fields.values())
    return bool(isinstance(kind, types.NestedArray) and _holds_float(kind.dtype))
