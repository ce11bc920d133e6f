"""What was measured on, and what that machine can do at most."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bezant import __version__
from bezant.intelligence.model import Model
from bezant.model.keys import SCHEME_ED25519, SigningKey, verify_rows

MESSAGE_BYTES = 112
SAMPLE = 2_000


def describe_machine() -> dict[str, object]:
    """Return hardware and versions; never a host name or a place."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "bezant": __version__,
        "commit": _commit(),
    }


def describe_model(model: Model) -> dict[str, int]:
    return {"trees": model.card.trees, "leaves": model.card.leaves, "features": len(model.card.features)}


def signature_limit(scheme: int = SCHEME_ED25519, threads: int = 2, seconds: float = 1.5) -> float:
    """Return verifications a second with nothing else going on, all threads together."""
    key = SigningKey(bytes(range(1, 33)), scheme)
    messages = np.random.default_rng(0).integers(0, 256, (SAMPLE, MESSAGE_BYTES), np.uint8)
    signatures = np.array([np.frombuffer(key.sign(m.tobytes()), np.uint8) for m in messages])
    keys = np.tile(np.frombuffer(key.public, np.uint8), (SAMPLE, 1))

    def work(until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            done += int(verify_rows(signatures, messages, keys, scheme).sum())
        return done

    with ThreadPoolExecutor(threads) as executor:
        started = time.perf_counter()
        counts = executor.map(work, [started + seconds] * threads)
        return sum(counts) / (time.perf_counter() - started)


def sync_latency(folder: Path, rounds: int = 60) -> dict[str, float]:
    """Return what one 128 KB append with `fdatasync` to a preallocated file takes, milliseconds."""
    path, block = folder / "sync-probe", bytes(128 * 1024)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, bytes(len(block) * rounds), 0)
        os.fsync(descriptor)
        taken = []
        for turn in range(rounds):
            started = time.perf_counter()
            os.pwrite(descriptor, block, turn * len(block))
            os.fdatasync(descriptor)
            taken.append((time.perf_counter() - started) * 1000)
    finally:
        os.close(descriptor)
        path.unlink()
    return {"p50_ms": round(statistics.median(taken), 3), "p99_ms": round(sorted(taken)[-1], 3)}


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
