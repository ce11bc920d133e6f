"""The vault: durable, torn, damaged, erased, and the two ways of sealing."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bezant.errors import InputError, NotFound, StorageError, VaultError
from bezant.model.identifiers import new_payment_id
from bezant.vault import Vault, VaultKind, sealing
from bezant.vault.frames import HEADER, parse_header
from bezant.vault.index import STRETCH_BYTES, TimeIndex
from bezant.vault.parties import SLOT, load_master_key
from bezant.vault.segments import Segments

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


def test_rows_and_texts_are_there_after_reopening(tmp_path: Path) -> None:
    low, high, values = ids(50)
    evidence = rows(50)
    texts = [f"Zoë pays {i}".encode() * (i % 5) for i in range(50)]
    vault = Vault.open(tmp_path)
    parties = vault.new_parties(3)
    party = parties[np.arange(50) % 3]
    vault.seal_rows(VaultKind.EVIDENCE, low, high, party, evidence)
    ticket = vault.seal_texts(VaultKind.PAYLOAD, low, high, party, texts)
    vault.sync(ticket)
    abandon(vault)

    vault = Vault.open(tmp_path)
    assert vault.parties.tolist() == [0, 1, 2, 3]
    for i in (0, 17, 49):
        assert vault.read(VaultKind.EVIDENCE, values[i]) == evidence[i].tobytes()
        assert vault.read(VaultKind.PAYLOAD, values[i]) == texts[i]
        assert vault.party_of(VaultKind.PAYLOAD, values[i]) == i % 3 + 1
    assert [(e.id, e.text) for e in vault.entries(VaultKind.PAYLOAD)] == list(zip(values, texts, strict=True))
    assert vault.verify() == 100
    with pytest.raises(NotFound):
        vault.read(VaultKind.RAW_MESSAGE, values[0])
    vault.close()


def test_the_last_sealed_under_an_id_wins_before_and_after_reopening(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path)
    party = vault.new_party()
    for text in (b"first", b"second"):
        vault.seal_text(VaultKind.PARTY_PROFILE, party, party, text)
    assert vault.read(VaultKind.PARTY_PROFILE, party) == b"second"
    vault.close()
    vault = Vault.open(tmp_path)
    assert vault.read(VaultKind.PARTY_PROFILE, party) == b"second"
    vault.close()


def test_ids_in_no_order_are_found_through_the_merged_index(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    low = rng.integers(0, 2**63, 9000, dtype=np.uint64)
    high = rng.integers(0, 2**63, 9000, dtype=np.uint64)
    low[3] = 0  # an id that ends in zero bytes
    vault = Vault.open(tmp_path)
    for first in range(0, 9000, 1500):
        part = slice(first, first + 1500)
        vault.seal_texts(
            VaultKind.ACCOUNT_PARTY, low[part], high[part], 0, [str(i).encode() for i in range(9000)[part]]
        )
    for i in (0, 3, 1499, 1500, 8999):
        assert vault.read(VaultKind.ACCOUNT_PARTY, int(high[i]) << 64 | int(low[i])) == str(i).encode()
    with pytest.raises(NotFound):
        vault.read(VaultKind.ACCOUNT_PARTY, 12345)
    vault.close()


def test_segments_follow_one_another(tmp_path: Path) -> None:
    low, high, values = ids(40)
    vault = Vault.open(tmp_path, segment_bytes=2000)
    for i in range(40):
        vault.seal_rows(VaultKind.EVIDENCE, low[i : i + 1], high[i : i + 1], 0, rows(1, seed=i))
    vault.close()
    assert len(list((tmp_path / "vault").glob("segment-*.log"))) > 5
    vault = Vault.open(tmp_path, segment_bytes=2000)
    assert [e.id for e in vault.entries(VaultKind.EVIDENCE)] == values
    assert vault.read(VaultKind.EVIDENCE, values[11]) == rows(1, seed=11).tobytes()
    vault.close()
    (tmp_path / "vault" / "segment-00000003.log").unlink()
    with pytest.raises(StorageError, match="must hold segments"):
        Vault.open(tmp_path)


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


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


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


def test_an_erased_party_is_noise_everywhere(tmp_path: Path) -> None:
    low, high, values = ids(20)
    secret = b"Ottilie Nachname, 12 Any Street"
    vault = Vault.open(tmp_path)
    gone, stays = vault.new_party(), vault.new_party()
    party = np.array([gone, stays] * 10, np.uint32)
    vault.seal_texts(VaultKind.PAYLOAD, low, high, party, [secret + str(i).encode() for i in range(20)])
    vault.seal_text(VaultKind.PARTY_PROFILE, gone, gone, secret)
    vault.sync()
    key = vault._keys.key(gone)
    assert secret not in all_bytes(tmp_path)
    vault.erase(gone)
    vault.erase(gone)
    table = np.frombuffer((tmp_path / "vault/parties.keys").read_bytes(), SLOT, offset=SLOT.itemsize)
    for opened in (vault, None):
        if opened is None:
            vault.close()
            vault = Vault.open(tmp_path)
        assert vault.parties.tolist() == [0, stays]
        assert key not in vault._keys.keys.tobytes()
        with pytest.raises(VaultError) as e:
            vault.read(VaultKind.PAYLOAD, values[0])
        assert e.value.code == "erased"
        with pytest.raises(VaultError, match="was erased"):
            vault.seal_text(VaultKind.RAW_MESSAGE, values[0], gone, b"too late")
        assert vault.read(VaultKind.PAYLOAD, values[1]) == secret + b"1"
        assert [e.id for e in vault.entries(VaultKind.PAYLOAD)] == values[1::2]
        assert list(vault.entries(VaultKind.PARTY_PROFILE)) == []
        assert vault.party_of(VaultKind.PAYLOAD, values[0]) == gone
    assert not table["wrapped"][gone].any()
    assert not table["nonce"][gone].any()
    assert table["wrapped"][stays].any()
    assert vault.new_party() == stays + 1, "a number is never given twice"
    vault.close()


def test_the_node_and_strangers_are_not_erased(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path)
    for party, code in ((0, "party_permanent"), (7, "party_unknown"), (-1, "party_unknown")):
        with pytest.raises(VaultError) as e:
            vault.erase(party)
        assert e.value.code == code
    with pytest.raises(VaultError) as e:
        vault.seal_text(VaultKind.PAYLOAD, 1, 7, b"x")
    assert e.value.code == "party_unknown"
    low, high, _ = ids(3)
    with pytest.raises(InputError, match="do not match"):
        vault.seal_texts(VaultKind.PAYLOAD, low, high, 0, [b"one"])
    vault.close()


def test_the_master_key_must_be_there_private_and_right(tmp_path: Path) -> None:
    Vault.open(tmp_path).close()
    path = tmp_path / "keys" / "vault.key"
    assert path.stat().st_mode & 0o777 == 0o600
    right = path.read_bytes()
    assert load_master_key(path) == right

    path.chmod(0o644)
    with pytest.raises(VaultError) as e:
        Vault.open(tmp_path)
    assert e.value.code == "master_key_exposed"
    path.chmod(0o600)
    for wrong in (bytes(32), right[:-1]):
        path.write_bytes(wrong)
        with pytest.raises(VaultError) as e:
            Vault.open(tmp_path)
        assert e.value.code == "master_key_wrong"
    path.unlink()
    with pytest.raises(VaultError, match="is missing") as e:
        Vault.open(tmp_path)
    assert e.value.code == "master_key_missing"
    assert not path.exists(), "a vault that has data is never given a new master key"


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


def test_both_ways_of_sealing_give_the_same_bytes() -> None:
    rng = np.random.default_rng(3)
    low, high, _ = ids(40)
    keys = rng.integers(0, 256, (5, 32), dtype=np.uint8)
    party = rng.integers(0, 5, 40).astype(np.uint32)
    lengths = rng.integers(0, 300, 40)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    plain = rng.integers(0, 256, int(offsets[-1]), dtype=np.uint8)
    prefix = bytes(range(16))
    fast = sealing.seal(3, low, high, party, plain, offsets, keys, prefix)
    slow = sealing.seal(3, low, high, party, plain, offsets, keys, prefix, native=False)
    assert fast.tobytes() == slow.tobytes()
    assert len(fast) == len(plain) + 40 * sealing.TAG_BYTES

    chosen = np.array([39, 0, 7], np.int64)
    expected = b"".join(plain[offsets[r] : offsets[r + 1]].tobytes() for r in chosen)
    for native in (True, False):
        args = (low, high, party, fast, offsets, keys, prefix, chosen)
        opened, bad = sealing.unseal(3, *args, native=native)
        assert (opened.tobytes(), bad) == (expected, -1)
        assert sealing.unseal(2, *args, native=native)[1] == 39, "the tag binds the kind"
        keys_of_others = keys[::-1].copy()
        _, bad = sealing.unseal(
            3, low, high, party, fast, offsets, keys_of_others, prefix, chosen, native=native
        )
        assert bad >= 0


def test_a_vault_without_the_address_reads_and_writes_the_same_files(tmp_path: Path) -> None:
    low, high, values = ids(6)
    for native, first in ((True, 0), (False, 3)):
        vault = Vault.open(tmp_path, native=native)
        part = slice(first, first + 3)
        vault.seal_rows(VaultKind.EVIDENCE, low[part], high[part], 0, rows(6)[part])
        vault.close()
    for native in (True, False):
        vault = Vault.open(tmp_path, native=native)
        assert [e.text for e in vault.entries(VaultKind.EVIDENCE)] == [r.tobytes() for r in rows(6)]
        assert vault.read(VaultKind.EVIDENCE, values[4]) == rows(6)[4].tobytes()
        vault.close()


def test_no_nonce_repeats_across_batches_crashes_and_reopening(tmp_path: Path) -> None:
    low, high, _ = ids(8)
    seen: list[bytes] = []
    for _ in range(5):
        vault = Vault.open(tmp_path)
        for _ in range(20):
            vault.seal_rows(VaultKind.EVIDENCE, low, high, 0, rows(8))
        for place in list(vault.places(VaultKind.EVIDENCE))[-20:]:
            prefix = vault._segments.read_header(place)["nonce"].tobytes()
            seen += [sealing.row_nonce(prefix, row) for row in range(8)]
        abandon(vault)
        with (tmp_path / SEGMENT).open("r+b") as file:
            file.truncate(0)  # as if nothing had reached the disk: the same place is written again
    assert len(seen) == 800
    assert len(set(seen)) == 800
    assert {len(nonce) for nonce in seen} == {sealing.NONCE_BYTES}


def test_the_same_text_twice_gives_other_bytes(tmp_path: Path) -> None:
    low, high, _ = ids(1)
    vault = Vault.open(tmp_path)
    for _ in range(2):
        vault.seal_texts(VaultKind.PAYLOAD, low, high, 0, [b"the same text"])
    sealed = [vault._segments.read_body(place)[2].tobytes() for place in vault.places(VaultKind.PAYLOAD)]
    assert sealed[0] != sealed[1]
    vault.close()


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


def test_many_threads_share_syncs_and_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    low, high, values = ids(400)
    syncs = []
    monkeypatch.setattr("bezant.vault.segments._sync_data", lambda fd: (syncs.append(fd), os.fdatasync(fd)))
    vault = Vault.open(tmp_path, segment_bytes=20_000)
    parties = vault.new_parties(4)

    def seal(worker: int) -> None:
        for i in range(worker, 400, 4):
            ticket = vault.seal_rows(
                VaultKind.EVIDENCE, low[i : i + 1], high[i : i + 1], int(parties[worker]), rows(1, seed=i)
            )
            vault.sync(ticket)
            if i % 40 == 0:
                vault.new_parties(20)  # makes the key table grow under the others' feet

    threads = [threading.Thread(target=seal, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < len(syncs) <= 400
    abandon(vault)
    vault = Vault.open(tmp_path)
    assert {e.id: e.text for e in vault.entries(VaultKind.EVIDENCE)} == {
        value: rows(1, seed=i).tobytes() for i, value in enumerate(values)
    }
    vault.close()


def test_a_ticket_already_on_disk_costs_no_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault.open(tmp_path)
    first = vault.seal_text(VaultKind.PAYLOAD, 1 << 64, 0, b"x")
    second = vault.seal_text(VaultKind.PAYLOAD, 2 << 64, 0, b"y")
    vault.sync(second)
    syncs: list[int] = []
    monkeypatch.setattr("bezant.vault.segments._sync_data", syncs.append)
    vault.sync(first)
    assert syncs == []
    vault.sync()
    assert len(syncs) == 1
    vault.close()


def test_a_key_that_goes_while_rows_are_sealed_never_leaves_them_under_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    low, high, values = ids(5)
    vault = Vault.open(tmp_path)
    gone, stays = vault.new_party(), vault.new_party()
    kernel, calls = sealing.seal, []

    def erased_meanwhile(*args: object, **options: object) -> np.ndarray:
        calls.append(args)
        if len(calls) == 1:
            vault.erase(gone)
        return kernel(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sealing, "seal", erased_meanwhile)
    with pytest.raises(VaultError) as e:
        vault.seal_rows(VaultKind.EVIDENCE, low, high, gone, rows(5))
    assert e.value.code == "erased"
    calls.append(())
    vault.seal_rows(VaultKind.EVIDENCE, low, high, stays, rows(5))
    assert [e.id for e in vault.entries(VaultKind.EVIDENCE)] == values
    vault.close()


def test_the_header_is_128_bytes_and_refuses_a_later_version(tmp_path: Path) -> None:
    assert (HEADER.itemsize, SLOT.itemsize) == (128, 128)
    sealed_in_three_batches(tmp_path)
    raw = (tmp_path / SEGMENT).read_bytes()[:128]
    assert parse_header(raw) is not None
    header = np.frombuffer(raw, HEADER).copy()
    header["version"] = 2
    assert parse_header(header.tobytes()) is None


def test_an_empty_folder_has_an_empty_log(tmp_path: Path) -> None:
    log = Segments(tmp_path)
    assert log.take_recovered() == []
    log.close()
    log.close()


def test_batches_without_a_higher_id_are_passed_over(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path)
    for start in (1, 4, 7):
        low = np.arange(start, start + 3, dtype=np.uint64)
        vault.seal_texts(VaultKind.PARTY_PROFILE, low, np.zeros(3, np.uint64), 0, [b"x"] * 3)
    found = {
        above: [e.id for e in vault.entries(VaultKind.PARTY_PROFILE, above=above)] for above in (0, 3, 5, 9)
    }
    assert found == {0: [*range(1, 10)], 3: [*range(4, 10)], 5: [*range(4, 10)], 9: []}
    vault.close()


def test_keys_of_many_parties_come_back_and_the_erased_do_not(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path)
    parties = vault.new_parties(1000)
    for party in (3, 500, 1000):
        vault.erase(party)
    keys = vault._keys.keys[: vault._keys.count].copy()
    vault.close()
    vault = Vault.open(tmp_path)
    assert (vault._keys.keys == keys).all()
    assert len(np.unique(keys, axis=0)) == 998 + 1, "each its own, zeros for the erased"
    assert set(range(1001)) - set(vault.parties.tolist()) == {3, 500, 1000}
    assert len(parties) == 1000
    vault.close()


def test_many_small_batches_take_few_places_in_the_index(tmp_path: Path) -> None:
    """What the index has in memory follows from the log's length, not from how many batches are in it."""
    vault = Vault.open(tmp_path)
    low, high, values = ids(3_000)
    for i in range(3_000):
        kind = VaultKind.EVIDENCE if i % 3 else VaultKind.PAYLOAD
        vault.seal_rows(kind, low[i : i + 1], high[i : i + 1], 0, rows(1, seed=i))
    large = rows(2_000)
    more_low, more_high, more = ids(2_000, start_ms=1_800_000_000_000)
    vault.seal_rows(VaultKind.EVIDENCE, more_low, more_high, 0, large)

    def told(vault: Vault) -> list[object]:
        index = vault._index[VaultKind.EVIDENCE]
        assert isinstance(index, TimeIndex)
        for i in (0, 1, 2, 1_499, 2_998, 2_999):
            kind = VaultKind.EVIDENCE if i % 3 else VaultKind.PAYLOAD
            assert vault.read(kind, values[i]) == rows(1, seed=i).tobytes()
            with pytest.raises(NotFound):
                vault.read(VaultKind.RAW_MESSAGE, values[i])
        assert vault.read(VaultKind.EVIDENCE, more[7]) == large[7].tobytes()
        evidence = [e.id for e in vault.entries(VaultKind.EVIDENCE)]
        assert evidence == [v for i, v in enumerate(values) if i % 3] + more
        return index.stretches()

    stretches = told(vault)
    size = (tmp_path / SEGMENT).stat().st_size
    assert len(stretches) <= size // (STRETCH_BYTES // 2)
    vault.close()
    vault = Vault.open(tmp_path)
    assert told(vault) == stretches, "the same index is found again on opening"
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


def test_many_are_read_as_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed twice, in batches that overlap, for parties of which one is erased, with few kept open."""
    monkeypatch.setattr("bezant.vault.vault._OPENED_BATCHES", 2)
    low, high, values = ids(60)
    vault = Vault.open(tmp_path)
    parties = vault.new_parties(3)
    owner = parties[np.arange(60) % 3]
    for turn, order in enumerate(([*range(0, 60, 2)], [*range(1, 60, 2)], [*range(10, 20)], [5, 55])):
        texts = [f"text {row} of turn {turn}".encode() for row in order]
        vault.seal_texts(VaultKind.PAYLOAD, low[order], high[order], owner[order], texts)
    vault.erase(int(parties[1]))
    wanted = [*values, *ids(3, start_ms=1_800_000_000_000)[2]]
    found = vault.read_many(VaultKind.PAYLOAD, wanted)
    for row, value in enumerate(values):
        if row % 3 == 1:
            assert value not in found
        else:
            assert found[value] == vault.read(VaultKind.PAYLOAD, value)
    assert found[values[12]] == b"text 12 of turn 2", "what was sealed last"
    assert len(found) == 40
    assert vault.read_many(VaultKind.PAYLOAD, []) == {}
    vault.close()
