"""Keys of parties: sealed under them, noise without them, and never the same bytes twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.unit.vault.vaults import SEGMENT, abandon, all_bytes, ids, rows

from bezant.errors import InputError, VaultError
from bezant.vault import Vault, VaultKind, sealing
from bezant.vault.parties import SLOT, load_master_key


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
