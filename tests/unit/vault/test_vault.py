"""The vault: durable, torn, damaged, erased, and the two ways of sealing."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.unit.vault.vaults import SEGMENT, abandon, ids, rows, sealed_in_three_batches

from bezant.errors import NotFound, StorageError
from bezant.vault import Vault, VaultKind
from bezant.vault.frames import HEADER, parse_header
from bezant.vault.index import STRETCH_BYTES, TimeIndex
from bezant.vault.parties import SLOT
from bezant.vault.segments import Segments


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
        index = vault._catalogue._indexes[VaultKind.EVIDENCE]
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
