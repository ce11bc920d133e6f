"""Where compiled kernels are kept between runs.

Numba looks at the file of a cached kernel and not at the files of the kernels it calls, so after an
upgrade a kernel could go on running yesterday's rules. The cache therefore lies in a folder named
after the digest of every source that holds kernels, and is set before Numba is first imported.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).parent
SOURCES = ("model", "ledger", "chain", "intelligence", "vault")
VARIABLE = "NUMBA_CACHE_DIR"
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


def _source_digest() -> str:
    digest = hashlib.sha256()
    for layer in SOURCES:
        for path in sorted((PACKAGE / layer).rglob("*.py")):
            digest.update(path.relative_to(PACKAGE).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


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
