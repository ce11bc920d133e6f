"""Torn tails are cut off, damage is refused by file and byte, and a disk that fails loses nothing."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.unit.vault.vaults import SEGMENT, abandon, flip, ids, rows, sealed_in_three_batches

from bezant.errors import StorageError, VaultError
from bezant.vault import Vault, VaultKind
from bezant.vault.frames import HEADER
from bezant.vault.parties import SLOT


@pytest.mark.parametrize("cut", [1, 64, 127, 128, 300, 2000])
def test_a_torn_tail_is_cut_off_and_the_rest_stays(tmp_path: Path, cut: int) -> None:
    values, places = sealed_in_three_batches(tmp_path)
    with (tmp_path / SEGMENT).open("r+b") as file:
        file.truncate(places[2] + cut)
    vault = Vault.open(tmp_path)
    assert [e.id for e in vault.entries(VaultKind.EVIDENCE)] == values[:20]
    vault.seal_text(VaultKind.RAW_MESSAGE, values[29], 0, b"after the crash")
    vault.close()
    vault = Vault.open(tmp_path)
    assert vault.read(VaultKind.RAW_MESSAGE, values[29]) == b"after the crash"
    assert vault.verify() == 21
    vault.close()


def test_a_torn_tail_followed_by_a_whole_unsynced_batch_is_cut_off_too(tmp_path: Path) -> None:
    low, high, values = ids(30)
    vault = Vault.open(tmp_path)
    vault.seal_rows(VaultKind.EVIDENCE, low[:10], high[:10], 0, rows(10))
    vault.sync()
    for first in (10, 20):  # neither is synced, so the disk may hold the second and not the first
        part = slice(first, first + 10)
        vault.seal_rows(VaultKind.EVIDENCE, low[part], high[part], 0, rows(10))
    places = [place.offset for place in vault.places(VaultKind.EVIDENCE)]
    abandon(vault)
    flip(tmp_path / SEGMENT, places[1] + 200)
    vault = Vault.open(tmp_path)
    assert [e.id for e in vault.entries(VaultKind.EVIDENCE)] == values[:10]
    vault.close()


@pytest.mark.parametrize("at", [3, 20, 140, 400, 1500])
def test_a_flipped_byte_in_the_middle_is_refused_by_name_and_offset(tmp_path: Path, at: int) -> None:
    _, places = sealed_in_three_batches(tmp_path)
    flip(tmp_path / SEGMENT, places[1] + at)
    with pytest.raises(StorageError, match=rf"segment-00000001\.log is damaged at offset {places[1]}\b") as e:
        Vault.open(tmp_path)
    assert e.value.code == "vault_damaged"


def test_after_a_clean_close_even_the_last_batch_is_known_durable(tmp_path: Path) -> None:
    low, high, _ = ids(10)
    vault = Vault.open(tmp_path)
    vault.seal_rows(VaultKind.EVIDENCE, low, high, 0, rows(10))
    vault.close()
    flip(tmp_path / SEGMENT, 700)
    with pytest.raises(StorageError, match="damaged at offset 0"):
        Vault.open(tmp_path)


def test_damage_in_an_older_segment_shows_when_it_is_read(tmp_path: Path) -> None:
    low, high, values = ids(4)
    vault = Vault.open(tmp_path, segment_bytes=64)
    for i in range(4):
        vault.seal_rows(VaultKind.EVIDENCE, low[i : i + 1], high[i : i + 1], 0, rows(1, seed=i))
    vault.close()
    flip(tmp_path / SEGMENT, HEADER.itemsize + 20 + 50)
    vault = Vault.open(tmp_path)
    with pytest.raises(VaultError, match="was altered"):
        vault.read(VaultKind.EVIDENCE, values[0])
    with pytest.raises(StorageError, match=r"segment-00000001\.log is damaged at offset 0"):
        vault.verify()
    vault.close()


def test_a_damaged_key_slot_is_named_and_a_growing_tail_passed_over(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path)
    vault.new_parties(4)
    vault.close()
    path = tmp_path / "vault/parties.keys"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])  # the crash came while party 4 was being written
    vault = Vault.open(tmp_path)
    assert vault.parties.tolist() == [0, 1, 2, 3]
    assert vault.new_party() == 4
    vault.close()
    flip(path, 3 * SLOT.itemsize + 50)
    with pytest.raises(StorageError, match=f"damaged at offset {3 * SLOT.itemsize}: party 2"):
        Vault.open(tmp_path)


def test_without_its_key_table_a_vault_is_not_begun_anew(tmp_path: Path) -> None:
    Vault.open(tmp_path).close()
    (tmp_path / "vault/parties.keys").unlink()
    with pytest.raises(StorageError, match=r"parties\.keys is missing"):
        Vault.open(tmp_path)


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Let no file grow above a size: what a full disk looks like to a process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("reserving", [True, False])
def test_a_full_disk_keeps_what_was_and_nothing_of_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserving: bool
) -> None:
    if not reserving:  # as on systems without posix_fallocate: the write itself meets the limit
        monkeypatch.setattr("bezant.vault.segments._RESERVE", None)
    low, high, values = ids(200)
    vault = Vault.open(tmp_path)

    def seal_ten(first: int) -> None:
        part = slice(first, first + 10)
        vault.seal_rows(VaultKind.EVIDENCE, low[part], high[part], 0, rows(10))

    with file_limit(22_000):  # eight batches of 2,624 bytes fit
        for first in range(0, 80, 10):
            seal_ten(first)
        with pytest.raises(StorageError) as e:
            seal_ten(80)
        assert e.value.code == "disk_full"
        vault.sync()
    seal_ten(80)  # there is room again
    vault.close()
    vault = Vault.open(tmp_path)
    assert [e.id for e in vault.entries(VaultKind.EVIDENCE)] == values[:90]
    vault.close()


def test_small_and_large_batches_in_turn_are_all_there_after_a_kill(tmp_path: Path) -> None:
    sizes = [1, 30, 200, 2, 900, 1, 1, 5, 400, 3]  # rows of 200 bytes: below and above what is filled up to
    low, high, values = ids(sum(sizes))
    vault = Vault.open(tmp_path)
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        vault.seal_rows(VaultKind.EVIDENCE, low[part], high[part], 0, rows(size))
        vault.sync()
        start += size
    behind = list(vault.places(VaultKind.EVIDENCE))[-1].offset
    abandon(vault)
    with (tmp_path / SEGMENT).open("rb") as file:
        file.seek(behind + 2_000)
        assert not any(file.read()), "behind the last batch there is nothing but zeros"
    vault = Vault.open(tmp_path)
    assert [e.id for e in vault.entries(VaultKind.EVIDENCE)] == values
    assert vault.verify() == sum(sizes)
    vault.close()


def test_a_failed_sync_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    vault = Vault.open(tmp_path)
    vault.seal_text(VaultKind.PAYLOAD, 1 << 64, 0, b"x")
    monkeypatch.setattr("bezant.vault.segments._sync_data", fails)
    with pytest.raises(StorageError, match="Input/output"):
        vault.sync()
    monkeypatch.undo()
    for attempt in (vault.sync, lambda: vault.seal_text(VaultKind.PAYLOAD, 1 << 64, 0, b"y")):
        with pytest.raises(StorageError, match="takes no more writes"):
            attempt()
    vault.close()


def test_damage_between_the_batches_of_a_stretch_is_named(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path)
    low, high, values = ids(4)
    for i in range(4):
        vault.seal_rows(VaultKind.EVIDENCE, low[i : i + 1], high[i : i + 1], 0, rows(1, seed=i))
    vault.sync()
    second = list(vault.places(VaultKind.EVIDENCE))[1].offset
    with (tmp_path / SEGMENT).open("r+b") as file:
        file.seek(second + 20)
        file.write(b"!")
    with pytest.raises(StorageError, match=f"offset {second}") as damaged:
        vault.read(VaultKind.EVIDENCE, values[3])
    assert damaged.value.code == "vault_damaged"
    abandon(vault)
