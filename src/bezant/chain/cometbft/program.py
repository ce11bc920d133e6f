"""The CometBFT program: which release, where it is looked for, what to do where it is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from bezant.errors import ConfigError

RELEASE = "0.38.25"
"""The release whose messages `wire` speaks; `make cometbft` installs it."""
NAME = "cometbft"
FIX = "make cometbft (it needs Go 1.22 or newer), or name the program in BEZANT_CHAIN_COMETBFT"
ASKING_S = 10.0


def find_program(named: str = "") -> Path:
    """Return the program: the one that is named, beside this Python, or on the path.

    Raises: ConfigError ``cometbft_missing``.
    """
    if named:
        path = Path(named)
        if not path.is_file():
            raise ConfigError(
                f"[chain] cometbft names {named}, where there is no file; mend it, or {FIX}",
                code="cometbft_missing",
                param="chain.cometbft",
            )
        return path
    beside = Path(sys.executable).parent / NAME
    if beside.is_file():
        return beside
    found = shutil.which(NAME)
    if found is None:
        raise ConfigError(f"CometBFT {RELEASE} is not installed: {FIX}", code="cometbft_missing")
    return Path(found)


def release_of(program: Path) -> str:
    """Return what release a program says it is. Raises: ConfigError ``cometbft_unusable``."""
    try:
        asked = subprocess.run(
            [str(program), "version"], capture_output=True, text=True, timeout=ASKING_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{program} does not run: {error}; {FIX}", code="cometbft_unusable") from None
    return asked.stdout.strip().removeprefix("v").partition("+")[0]


def usable_program(named: str = "") -> Path:
    """Return the program once it has said that it is the release spoken here. Raises: ConfigError."""
    program = find_program(named)
    release = release_of(program)
    if release != RELEASE:
        raise ConfigError(
            f"{program} is CometBFT {release[:40]}, and {RELEASE} is needed; {FIX}", code="cometbft_unusable"
        )
    return program
