"""``bezant doctor``: is everything well, and if not, what exactly mends it."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bezant.errors import BezantError, InvariantViolation
from bezant.interfaces.cli.output import DEFAULT_DATA, AsJson, Data, show

PACKAGES = (
    "numpy",
    "numba",
    "msgspec",
    "pynacl",
    "lightgbm",
    "polars",
    "rapidfuzz",
    "lxml",
    "sqlalchemy",
    "litestar",
    "uvicorn",
    "uvloop",
    "httptools",
    "httpx",
    "prometheus-client",
    "typer",
    "rich",
)
OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 1 << 30
_OLDEST_CLOCK_S = 1_767_225_600
"""2026-01-01: an earlier clock is wrong, and would refuse every payment id."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; `fix` says what to do unless it is well."""

    check: str
    result: Literal["ok", "warning", "failed"]
    found: str
    fix: str = ""


def doctor(
    data: Data = DEFAULT_DATA,
    self_test: Annotated[bool, typer.Option(help="Make a real payment in a temporary folder.")] = True,
    as_json: AsJson = False,
) -> None:
    """Check Python, packages, disk, data, read model, fraud model, drift, engine, clock; make a test payment.

    Exit code 1 when something failed, with the exact fix.

    \b
    bezant doctor --data data
    """
    checks = list(_checks(data))
    if self_test:
        checks.append(check_payment())
    failed = any(check.result == "failed" for check in checks)
    rows = [asdict(check) for check in checks]
    show({"well": not failed, "checks": rows}, as_json, "check", "result", "found", "fix", rows=rows)
    if failed:
        raise typer.Exit(1)


def _checks(data: Path) -> Iterator[Check]:
    yield check_python()
    yield check_packages()
    yield check_disk(data)
    yield check_folder(data)
    yield check_secrets(data)
    yield check_store(data)
    yield check_model(data)
    yield check_drift(data)
    yield check_port(data)
    yield check_consensus(data)
    yield check_clock()


def check_python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Check("python", "failed", found, "install Python 3.11 or newer and make the environment again")
    return Check("python", "ok", found)


def check_packages() -> Check:
    missing = [name for name in PACKAGES if _version(name) is None]
    if missing:
        return Check(
            "packages", "failed", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}"
        )
    return Check("packages", "ok", f"{len(PACKAGES)} installed, numpy {_version('numpy')}")


def check_disk(data: Path) -> Check:
    free = shutil.disk_usage(_existing(data)).free
    found = f"{free / (1 << 30):.1f} GiB free"
    if free < LEAST_FREE_BYTES:
        return Check(
            "disk", "failed", found, f"free at least 1 GiB where {data} lies, or name another --data"
        )
    return Check("disk", "ok", found)


def check_folder(data: Path) -> Check:
    from bezant.interfaces.cli.client import running_at

    if not os.access(_existing(data), os.W_OK):
        return Check("data folder", "failed", f"{data} is not writable", f"chown -R $USER {_existing(data)}")
    if not (data / "genesis.json").exists():
        return Check("data folder", "warning", f"{data} is not made yet", f"bezant init --data {data}")
    url = running_at(data)
    if url is not None:
        return Check("data folder", "ok", f"a node runs on it at {url}")
    from bezant.folder import DataFolder

    try:
        DataFolder(data).close()
    except BezantError as error:
        return Check("data folder", "failed", error.message, "stop that process, or restore what is missing")
    return Check("data folder", "ok", f"{data}, no node runs on it")


def check_store(data: Path) -> Check:
    """Say how far the read model of a running node is behind, and how soon it will not be."""
    from bezant.interfaces.cli.client import health_at

    health = health_at(data)
    if health is None:
        return Check("read model", "ok", "no node runs, so nothing is behind")
    return judge_lag(health)


def judge_lag(health: dict[str, Any]) -> Check:
    """Return what the health of a node says of its read model: a warning from half of the bound on."""
    behind, most = int(health["store_lag_payments"]), int(health["store_max_lag_payments"])
    found = f"{behind:,} payments behind"
    if behind:
        found += (
            f", the oldest by {health['store_lag_seconds']} s; up to date in "
            f"{health['store_drain_seconds']} s at {health['store_payments_per_second']:,.0f}/s"
        )
    fix = "wait, give the node's disk and processors less else to do, or put the store on a PostgreSQL"
    if behind > most:
        return Check("read model", "failed", f"{found}; above {most:,} payments are refused", fix)
    if behind > most // 2:
        return Check("read model", "warning", f"{found}; above {most:,} payments are refused", fix)
    return Check("read model", "ok", found)


def check_model(data: Path) -> Check:
    """Say which model decides in a running node, and why the one that the ledger names does not."""
    from bezant.interfaces.cli.client import health_at

    health = health_at(data)
    if health is None:
        return Check("fraud model", "ok", "no node runs, so nothing is scored")
    if health.get("model_problem"):
        fix = "restore the file and promote it again, or promote another"
        return Check("fraud model", "failed", health["model_problem"], fix)
    if health.get("model", "rules") == "rules":
        found, fix = "rules decide, no model is champion", "bezant models list, then bezant models promote"
        return Check("fraud model", "warning", found, fix)
    return Check("fraud model", "ok", f"model {health['model']} decides")


def check_drift(data: Path) -> Check:
    """Say what is no longer as it was where the model was trained, or as fast as it was."""
    from bezant.interfaces.cli.client import health_at

    health = health_at(data) or {}
    found = health.get("drift", ())
    if found:
        fix = "bezant models drift shows when; train on newer payments, or see what slows the stage"
        return Check("drift", "warning", "; ".join(found), fix)
    return Check("drift", "ok", "nothing drifted" if health else "no node runs, so nothing drifts")


def check_secrets(data: Path) -> Check:
    keys = data / "keys"
    if not keys.exists():
        return Check("secrets", "ok", "none yet")
    shared = [path for path in (keys, *keys.iterdir()) if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if shared:
        found = f"others may read {', '.join(path.name for path in shared)}"
        return Check("secrets", "failed", found, f"chmod -R go-rwx {keys}")
    return Check("secrets", "ok", "readable by their owner alone")


def check_port(data: Path) -> Check:
    from bezant.config import load_config
    from bezant.interfaces.cli.client import running_at
    from bezant.interfaces.rest.server import listen

    try:
        http = load_config(data).http
        listen(http.host, http.port).close()
    except BezantError as error:
        if running_at(data) is not None:
            return Check("port", "ok", "taken by this data folder's own node")
        return Check("port", "failed", error.message, "bezant run --port 0, or stop what listens there")
    return Check("port", "ok", f"{http.host} port {http.port} is free")


def check_consensus(data: Path) -> Check:
    """Say whether CometBFT is there, which only a node of a network needs."""
    from bezant.chain.cometbft.program import FIX, RELEASE, usable_program
    from bezant.config import load_config

    try:
        chain = load_config(data).chain
    except BezantError as error:
        return Check("consensus", "failed", error.message, f"mend {data / 'bezant.toml'}")
    try:
        program = usable_program(chain.cometbft)
    except BezantError as error:
        if error.code == "cometbft_missing" and chain.engine == "embedded" and not chain.cometbft:
            return Check("consensus", "ok", f"no CometBFT, which only a network needs: {FIX}")
        return Check("consensus", "failed", error.message, FIX)
    return Check("consensus", "ok", f"CometBFT {RELEASE} at {program}")


def check_clock() -> Check:
    now_s = time.time()
    found = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s))
    if now_s < _OLDEST_CLOCK_S:
        return Check(
            "clock", "failed", f"{found} is in the past", "set the clock, e.g. timedatectl set-ntp true"
        )
    return Check("clock", "ok", found)


def check_payment() -> Check:
    """Pay through a node in a temporary folder, and verify the receipt of that payment."""
    from bezant.interfaces.self_test import run_self_test

    try:
        done = run_self_test()
    except (BezantError, InvariantViolation, OSError) as error:
        return Check(
            "test payment", "failed", str(error), "report this with the output of bezant doctor --json"
        )
    found = f"{done.payment} paid, proved and verified in {done.total_seconds:.1f} s, start included"
    return Check("test payment", "ok", found)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path if path.exists() else Path()
