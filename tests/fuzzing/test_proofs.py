"""Receipts, balance files, checkpoints and bundles that somebody tampered with: refused by name, soon."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.chain.balances import build_balance, render_balance, verify_balance
from bezant.chain.checkpoints import cosign, parse_note
from bezant.chain.receipts import build_receipt, render_receipt, verify_receipt
from bezant.chain.witness import make_bundle, parse_bundle
from bezant.errors import ProofError
from bezant.model.genesis import Genesis, decode_genesis, encode_genesis
from bezant.model.keys import authority_id
from bezant.model.records import Kind, Role, id_of
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE, BANK, Quorum, record, seeded_key
from bezant.testing.mutations import MANY, NUMBERS, bounded, changed_bytes, changed_json, small_memory

SECOND = seeded_key("second of alice")
Verifier = Callable[[bytes], object]


@cache
def proofs() -> dict[str, tuple[Verifier, tuple[bytes, ...]]]:
    """Return each verifier with files that it accepts: plain, of a batch, by two keys, opened."""
    with tempfile.TemporaryDirectory() as folder:
        chain = ChainWorld(Path(folder) / "data", segment_bytes=256 * 1024)
        alice, bob = chain.fund()
        paid = np.concatenate([chain.transfer(alice, bob, 5 + n) for n in range(3)])
        chain.submit((ALICE, paid))
        own = authority_id(ALICE.public)
        key = record(
            Kind.SET_KEY,
            id=chain.scribe.new_id(),
            debtor=own,
            related=1,
            amount=1,
            max_fee=int(Role.PAY),
            commitment=SECOND.public,
        )
        chain.submit((ALICE, key))
        jointly = chain.transfer(alice, bob, 9)
        chain.submit((Quorum(own, {0: ALICE, 1: SECOND}), jointly), (BANK, chain.transfer(bob, alice, 1)))
        evidence = [chain.engine.prove(id_of(row, "id")) for row in (paid[1], key[0], jointly[0])]
        receipts = [render_receipt(build_receipt(one, open_debtor=True)) for one in evidence]
        balance = render_balance(build_balance(chain.engine.prove_account(alice)))
        note = chain.engine.checkpoint()
        line = cosign(note, "witness", SECOND, 1_700_000_000)
        cosigned = type(note)(note.checkpoint, (*note.signatures, line))
        bundle = make_bundle(cosigned, 2, chain.engine.prove_consistency(2, chain.engine.durable_height))
        genesis = encode_genesis(chain.genesis)
        chain.engine.close()
    return {
        "receipt": (verify_receipt, tuple(receipts)),
        "balance": (verify_balance, (balance,)),
        "note": (parse_note, (note.render(), cosigned.render())),
        "bundle": (parse_bundle, (msgspec.json.encode(bundle),)),
        "genesis": (read_genesis, (genesis,)),
    }


def read_genesis(data: bytes) -> Genesis:
    """Decode a genesis; its errors are of another kind than a proof's."""
    try:
        return decode_genesis(data)
    except Exception as error:
        if type(error).__name__ != "DecodeError":
            raise
        raise ProofError(str(error)) from None


def refused(verify: Verifier, data: bytes) -> bool:
    with small_memory():
        try:
            verify(data)
        except ProofError:
            return True
    return False


def compact(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def canonical(document: Any) -> bytes:
    """Return a document as receipts and balance files are written."""
    return msgspec.json.format(compact(document), indent=1) + b"\n"


def proves_less(document: Any, originals: tuple[bytes, ...]) -> bool:
    """Return whether a receipt is one of the originals with a side closed again, or a signature left out:
    whoever passes it on may show less, and what is left is true all the same."""
    for original in map(json.loads, originals):
        closed = {side: None for side in ("debtor_side", "creditor_side") if document[side] is None}
        kept = [one for one in original["signed"]["signatures"] if one in document["signed"]["signatures"]]
        less = original | closed | {"signed": original["signed"] | {"signatures": kept}}
        if kept and canonical(less) == canonical(document):
            return True
    return False


JSON = ("receipt", "balance", "bundle", "genesis")


@pytest.mark.parametrize("name", ["receipt", "balance", "note", "bundle", "genesis"])
def test_the_originals_are_accepted(name: str) -> None:
    verify, files = proofs()[name]
    assert not any(refused(verify, data) for data in files)
    if name in ("receipt", "balance"):
        assert all(canonical(json.loads(data)) == data for data in files)


@pytest.mark.parametrize("name", ["receipt", "balance", "note", "bundle", "genesis"])
def test_changed_bytes_prove_nothing_else(name: str) -> None:
    verify, files = proofs()[name]

    @bounded(200)
    @given(changed_bytes(files))
    def check(data: bytes) -> None:
        if name in ("receipt", "balance"):
            assert refused(verify, data) or data in files
        else:
            refused(verify, data)

    check()


@pytest.mark.parametrize("name", JSON)
def test_changed_values_in_canonical_form_prove_nothing_else(name: str) -> None:
    """Values of other kinds and sizes, rendered as the format wants it, so that every check is reached."""
    verify, files = proofs()[name]

    @bounded(250)
    @given(changed_json(files))
    def check(document: Any) -> None:
        data = canonical(document) if name in ("receipt", "balance") else compact(document)
        accepted = not refused(verify, data)
        if name in ("receipt", "balance") and accepted:
            assert data in files or (name == "receipt" and proves_less(document, files))

    check()


def test_a_receipt_may_show_less_and_never_nothing() -> None:
    verify, files = proofs()["receipt"]
    document = json.loads(files[-1])
    assert document["debtor_side"]
    assert len(document["signed"]["signatures"]) == 2
    document["debtor_side"] = None
    assert not refused(verify, canonical(document))
    for _ in range(2):
        assert proves_less(document, files)
        assert not refused(verify, canonical(document))
        del document["signed"]["signatures"][0]
    assert not proves_less(document, files)
    assert refused(verify, canonical(document))


@bounded(150)
@given(st.data())
def test_a_note_with_other_numbers_is_read_or_refused_by_name(data: st.DataObject) -> None:
    note = data.draw(st.sampled_from(proofs()["note"][1])).decode()
    lines = note.split("\n")
    at = data.draw(st.integers(0, len(lines) - 1))
    number = data.draw(st.sampled_from((*map(str, NUMBERS), "9" * 5_000, "-1", "०", " 1", "1 ", "+1")))
    words = lines[at].split(" ")
    words[data.draw(st.integers(0, len(words) - 1))] = number
    lines[at] = " ".join(words)
    refused(parse_note, "\n".join(lines).encode())


@pytest.mark.parametrize("name", ["receipt", "balance", "note", "bundle", "genesis"])
def test_hostile_sizes_take_no_room(name: str) -> None:
    verify, files = proofs()[name]
    for data in (
        b"",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'"' + b"\\u0000" * 10_000,
        b"1" * 100_000,
        b"\n" * 100_000,
        files[0][:-2] + b"9" * 50_000,
        files[0] + b"\0" * 100_000,
        b"\xff\xfe" * 50_000,
    ):
        assert refused(verify, data)


@pytest.mark.parametrize("number", NUMBERS)
def test_counts_and_places_in_proofs_take_no_time(number: int) -> None:
    """A path of a few hashes that claims to lie in a tree of 2**64 leaves."""
    for name, places in (
        ("receipt", ("leaf_index", "leaf_count", "signed.index", "signed.count", "summary.block")),
        ("balance", ("position", "accounts", "anchor.leaf_count", "summary.after_block")),
    ):
        verify, files = proofs()[name]
        for place in places:
            document = json.loads(files[0])
            *way, last = place.split(".")
            inner = document
            for step in way:
                inner = inner[step]
            if inner[last] == number:
                continue
            inner[last] = number
            data = canonical(document)
            with small_memory(MANY // 4), pytest.raises(ProofError):
                verify(data)
