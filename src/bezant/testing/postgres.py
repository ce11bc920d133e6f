"""A PostgreSQL of its own for a test run: made in a temporary folder, gone afterwards.

It listens on a Unix socket in that folder and nowhere else. PostgreSQL refuses to be run by root;
root hands the folder to the account that Debian's package made for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bezant.errors import StorageError

SERVER_ACCOUNT: Final = "postgres"
START_S: Final = 60.0
_DEBIAN: Final = Path("/usr/lib/postgresql")
_PAUSE_S: Final = 0.05


def server_programs() -> Path | None:
    """Return the folder of `initdb` and `postgres`, of the newest version found, or None."""
    versions = [path for path in _DEBIAN.glob("*/bin") if (path / "initdb").exists()]
    if versions:
        return max(versions, key=lambda path: float(path.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@contextmanager
def private_postgres(programs: Path, *, synced: bool = False) -> Iterator[str]:
    """Yield the URL of an empty server's database, and remove the server on leaving.

    Without `synced` it never syncs a file: right for tests that kill its clients, and never it.
    Raises: StorageError with the server's last words if it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="bezant-pg-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, SERVER_ACCOUNT, SERVER_ACCOUNT)
        data, log = folder / "data", folder / "log"
        made = _as_server(
            [programs / "initdb", "-D", data, "-U", SERVER_ACCOUNT, "-A", "trust", "-E", "UTF8", "--no-sync"],
            folder,
        )
        if made.wait() != 0:
            raise StorageError(f"initdb failed: {log.read_text(errors='replace')[-500:]}")
        unsynced = [] if synced else ["-F"]
        server = _as_server([programs / "postgres", "-D", data, "-k", folder, "-h", "", *unsynced], folder)
        try:
            _await_ready(server, programs, folder)
            yield f"postgresql://{SERVER_ACCOUNT}@/postgres?host={folder}"
        finally:
            # SIGINT ends it at once and cleanly, with whoever is still connected.
            server.send_signal(signal.SIGINT)
            server.wait()


def _as_server(command: list[str | Path], folder: Path) -> subprocess.Popen[bytes]:
    account = SERVER_ACCOUNT if os.geteuid() == 0 else None
    groups: list[str] | None = [] if account else None
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            user=account,
            group=account,
            extra_groups=groups,
            # A Ctrl-C in the terminal is for the tests; they end the server themselves.
            start_new_session=True,
        )


def _await_ready(server: subprocess.Popen[bytes], programs: Path, folder: Path) -> None:
    deadline = time.monotonic() + START_S
    ask = [str(programs / "pg_isready"), "-q", "-h", str(folder), "-U", SERVER_ACCOUNT]
    while subprocess.run(ask, check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            words = (folder / "log").read_text(errors="replace")[-500:]
            raise StorageError(f"PostgreSQL did not start: {words}")
        time.sleep(_PAUSE_S)
