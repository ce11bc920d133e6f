"""Where compiled kernels are kept between runs.

Numba looks at the file of a cached kernel and not at the files of the kernels it calls, so after an
upgrade a kernel could go on running yesterday's rules. The cache therefore lies in a folder named
after the digest of every source that holds kernels, and of all that those import, from the constants of the
model on; it is set before Numba is first imported. What no kernel can see may change without compiling anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).parent
SOURCES = ("model", "ledger", "chain", "intelligence", "vault")
MARK = "njit"
"""A source that holds kernels has this word in it."""
VARIABLE = "NUMBA_CACHE_DIR"
_IMPORT = re.compile(r"^\s*from bezant\.([\w.]+) import (\([^)]*\)|[^\n]*)|^\s*import bezant\.([\w.]+)", re.M)
PREFIX = "bezant-kernels-"
KEPT = 3
"""Caches of other versions that may stay; a checkout goes back and forth."""


def place_kernel_cache() -> None:
    """Point Numba at the cache of these very sources, beside the package or wherever one can write."""
    name = PREFIX + _source_digest()
    chosen = os.environ.get(VARIABLE)
    if chosen and Path(chosen).name == name:
        return
    places = [Path(chosen)] if chosen else [PACKAGE / "__pycache__", Path.home() / ".cache" / "bezant"]
    for place in [*places, Path(tempfile.gettempdir())]:
        folder = place / name
        if _can_write(folder):
            os.environ[VARIABLE] = str(folder)
            _drop_old(place, name)
            return


def is_compiled(kernel: str) -> bool:
    """Return whether compiled code is kept of a kernel, by module and name as in "apply.apply_records"."""
    folder = os.environ.get(VARIABLE)
    return folder is not None and any(Path(folder).rglob(f"{kernel}-*.nbi"))


def _source_digest() -> str:
    digest = hashlib.sha256()
    for path, text in sorted(_kernel_sources().items()):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(text.encode())
    return digest.hexdigest()[:16]


def _kernel_sources() -> dict[Path, str]:
    """Return the text of every source that holds kernels or is imported by one that is here."""
    layers = [path for layer in SOURCES for path in (PACKAGE / layer).rglob("*.py")]
    texts = {path: path.read_text() for path in layers}
    found: dict[Path, str] = {}
    open_paths = [path for path, text in texts.items() if MARK in text]
    while open_paths:
        path = open_paths.pop()
        if path not in found:
            found[path] = texts.get(path) or path.read_text()
            open_paths += _imported(found[path])
    return found


def _imported(text: str) -> list[Path]:
    """Return the sources of this package that one imports, whole or names of them."""
    names: list[str] = []
    for module, imported, whole in _IMPORT.findall(text):
        names += [module or whole, *(f"{module}.{name}" for name in re.findall(r"\w+", imported) if module)]
    places = [PACKAGE.joinpath(*name.split(".")) for name in names]
    candidates = [path for place in places for path in (place.with_suffix(".py"), place / "__init__.py")]
    return [path for path in candidates if path.is_file()]


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _drop_old(place: Path, name: str) -> None:
    others = [folder for folder in place.glob(f"{PREFIX}*") if folder.name != name]
    others.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in others[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)
