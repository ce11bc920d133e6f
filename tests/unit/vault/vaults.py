"""What the tests of the vault seal, and ways to leave or spoil it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bezant.model.identifiers import new_payment_id
from bezant.vault import Vault, VaultKind

WIDTH = 190
SEGMENT = "vault/segment-00000001.log"


def ids(count: int, start_ms: int = 1_700_000_000_000) -> tuple[np.ndarray, np.ndarray, list[int]]:
    values = [new_payment_id(start_ms + i, randomness=i * 7919) for i in range(count)]
    low = np.array([v & 2**64 - 1 for v in values], np.uint64)
    return low, np.array([v >> 64 for v in values], np.uint64), values


def rows(count: int, seed: int = 1, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, width), dtype=np.uint8)


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def abandon(vault: Vault) -> None:
    """End like a killed process: no sync, no closing mark, reserved room not given back."""
    os.close(vault._segments._tail.file)
    vault._segments._tail.file = -1
    vault._keys.close()


def sealed_in_three_batches(folder: Path) -> tuple[list[int], list[int]]:
    """Seal three synced batches of ten and return (ids, offsets of the batches)."""
    low, high, values = ids(30)
    vault = Vault.open(folder)
    for first in (0, 10, 20):
        part = slice(first, first + 10)
        vault.seal_rows(VaultKind.EVIDENCE, low[part], high[part], 0, rows(10))
        vault.sync()
    places = [place.offset for place in vault.places(VaultKind.EVIDENCE)]
    abandon(vault)
    return values, places


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))
