"""Checkpoint notes: canonical text, the node's signature, witnesses' dated ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bezant.chain.checkpoints import (
    Checkpoint,
    Note,
    Witness,
    cosign,
    cosigned_at,
    is_signed,
    parse_note,
    parse_witness,
    sign_checkpoint,
)
from bezant.errors import ProofError
from bezant.testing.ledgers import seeded_key

NODE, WITNESS = seeded_key("checkpoint node"), seeded_key("witness")
MADE = Checkpoint(bytes(range(32)), 1000, b"r" * 32, 1_767_225_600_000_000_000, b"a" * 32, 500, b"s" * 32)
KNOWN = Witness("witness.example", WITNESS.public)


def signed() -> Note:
    note = sign_checkpoint(MADE, NODE)
    return replace(note, signatures=(*note.signatures, cosign(note, KNOWN.name, WITNESS, 1_767_225_700)))


def test_a_note_comes_back_as_it_was() -> None:
    note = signed()
    assert parse_note(note.render()) == note
    assert is_signed(note, NODE.public)
    assert cosigned_at(note, KNOWN) == 1_767_225_700
    assert note.render().decode().splitlines()[:3] == [
        "bezant/000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "1000",
        "cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=",
    ]


def test_no_other_key_passes_for_node_or_witness() -> None:
    note = signed()
    assert not is_signed(note, WITNESS.public)
    assert cosigned_at(note, Witness(KNOWN.name, NODE.public)) is None
    assert cosigned_at(note, Witness("another.example", WITNESS.public)) is None


def test_a_changed_byte_anywhere_breaks_the_note_or_a_signature() -> None:
    data = signed().render()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        try:
            note = parse_note(bytes(changed))
        except ProofError:
            continue
        assert not (is_signed(note, NODE.public) and cosigned_at(note, KNOWN)), f"byte {at} does not matter"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("\n1000\n", "\n01000\n"),
        lambda text: text.replace("\n1000\n", "\n-1\n"),
        lambda text: text.replace("\n1000\n", f"\n{2**64}\n"),
        lambda text: text.replace("time ", "tide "),
        lambda text: text.replace("bezant/00", "bezant/"),
        lambda text: text + "\n",
        lambda text: text.replace("— ", "- "),
        lambda text: text + "x" * 70_000,
        lambda text: "",
    ],
)
def test_only_the_canonical_form_is_read(spoil: object) -> None:
    data = spoil(signed().render().decode()).encode()  # type: ignore[operator]
    with pytest.raises(ProofError) as refused:
        parse_note(data)
    assert refused.value.code == "checkpoint_malformed"


def test_verifier_keys_come_back_and_bad_ones_are_refused() -> None:
    text = KNOWN.render()
    assert parse_witness(text) == KNOWN
    for bad in ("", "name", "name+00000000+AAAA", text.replace("witness", "w tness"), text[:-4], text + "x"):
        with pytest.raises(ProofError):
            parse_witness(bad)
