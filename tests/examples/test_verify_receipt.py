"""The verifier that shares no code with the package says yes and no to the same files as the package."""

from __future__ import annotations

import ast
import importlib.util
import json
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest

from bezant.chain.anchors import vouched_for
from bezant.chain.checkpoints import Witness, parse_note, parse_witness
from bezant.chain.leaves import LEAF, next_app_hash, seal_message
from bezant.chain.notary import Notary
from bezant.chain.readings import signing_statement
from bezant.chain.receipts import (
    Receipt,
    Signature,
    build_receipt,
    render_receipt,
    verify_receipt,
)
from bezant.chain.witness import WitnessFolder, parse_bundle
from bezant.errors import ProofError
from bezant.model.digest import sha256
from bezant.model.genesis import network_id
from bezant.model.identifiers import render_id
from bezant.model.keys import SCHEME_SECP256K1, SigningKey, authority_id
from bezant.model.merkle import root_from_path
from bezant.model.orders import authorisation_message
from bezant.model.outcomes import Outcome, SigningMode
from bezant.model.records import FIRST_ROLES, Kind, id_of
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE, BANK, BOB, NODE, Quorum, record, seeded_key

EXAMPLES = Path(__file__).parents[2] / "examples"
REFUSALS = (ValueError, LookupError, TypeError, RecursionError, struct.error)
NOW_S = 1_767_225_600
SECP = SigningKey(b"a secp256k1 key for tests, 32 b.", SCHEME_SECP256K1)
FLIPS = 150
"""Single-bit changes tried of each receipt."""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


bip340 = load("bip340")
votes = load("cometbft_votes")
notes = load("signed_note")
auditor = load("verify_receipt")


class World:
    """A chain with receipts of every sort, and a witness that co-signs its history."""

    def __init__(self, folder: Path) -> None:
        self.chain = ChainWorld(folder / "data", segment_bytes=1024 * 1024)
        self.witness = WitnessFolder.create(folder / "witness", "witness.example", self.chain.genesis)
        self.notary = Notary(self.chain.engine, folder / "checkpoints", [self.witness.identity], 1)
        self.files: dict[str, bytes] = {}
        self.make()

    def make(self) -> None:
        chain, scribe = self.chain, self.chain.scribe
        alice, bob = chain.fund()
        self.keep("plain", chain.submit((ALICE, chain.transfer(alice, bob, 1234))))
        many = np.concatenate([chain.transfer(alice, bob, 1 + n) for n in range(1000)])
        self.keep("batch", chain.submit((BANK, many)), 617, open_debtor=True, open_creditor=True)
        self.keep("decision", chain.submit((ALICE, chain.transfer(alice, bob, 12))), open_decision=True)
        self.keep("refused", chain.submit((ALICE, chain.transfer(alice, bob, 10**12))))
        given = {"id": scribe.new_id(), "debtor": alice, "creditor": bob, "amount": 9, "hold_for_s": 600}
        self.keep("held", chain.submit((ALICE, record(Kind.HOLD, **given))), open_creditor=True)
        opened, other = scribe.open(2, SECP, salt=3)
        self.keep("command", chain.submit((BANK, np.concatenate([scribe.register(SECP), opened]))), 1)
        chain.submit((ALICE, chain.transfer(alice, other, 500)))
        self.keep("secp256k1", chain.submit((SECP, chain.transfer(other, bob, 7))), open_debtor=True)
        second, authority = seeded_key("second"), authority_id(ALICE.public)
        slot = {"related": 1, "amount": 1, "max_fee": int(FIRST_ROLES), "asset": 0}
        added = record(Kind.SET_KEY, id=scribe.new_id(), debtor=authority, commitment=second.public, **slot)
        self.keep("added key", chain.submit((ALICE, added)))
        both = Quorum(authority, {0: ALICE, 1: second})
        self.keep("m-of-n", chain.submit((both, chain.transfer(alice, bob, 3))), open_debtor=True)
        note, _, path = parse_bundle(msgspec.json.encode(self.notary.bundle(0)))
        line = self.witness.sign(note, 0, path, NOW_S)
        self.notary.accept(replace(note, signatures=(*note.signatures, line)).render())
        self.keep("witnessed", chain.submit(), payment=self.payment("plain"))
        self.keep("witnessed batch", chain.submit(), payment=self.payment("batch"), open_debtor=True)

    def keep(self, name: str, block: Any, index: int = 0, payment: int | None = None, **opened: bool) -> None:
        identity = id_of(block.records[index], "id") if payment is None else payment
        evidence = self.chain.engine.prove(identity)
        made = build_receipt(evidence, checkpoint=self.notary.witnessed(evidence.height), **opened)
        self.files[name] = render_receipt(made)

    def payment(self, name: str) -> int:
        return int(json.loads(self.files[name])["summary"]["payment"].replace("-", ""), 16)

    @property
    def trust(self) -> str:
        return self.chain.network.hex()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("audited"))
    yield made
    made.chain.engine.close()


NAMES = (
    "plain",
    "batch",
    "refused",
    "held",
    "command",
    "secp256k1",
    "added key",
    "m-of-n",
    "witnessed",
    "witnessed batch",
)


def package_says(data: bytes, trust: str = "", witnesses: Sequence[Witness] = (), quorum: int = 0) -> bool:
    try:
        receipt = verify_receipt(data, genesis_hash=trust or None)
        note = receipt.checkpoint and parse_note(receipt.checkpoint.note.encode())
        vouched_for(note, witnesses, quorum)
    except ProofError:
        return False
    return True


def auditor_says(data: bytes, trust: str = "", witnesses: Sequence[Witness] = (), quorum: int = 0) -> bool:
    try:
        auditor.verify(data, trust, [witness.render() for witness in witnesses], quorum)
    except REFUSALS:
        return False
    return True


def test_it_is_short_and_stands_alone() -> None:
    source = (EXAMPLES / "verify_receipt.py").read_text("utf-8")
    assert len(source.splitlines()) < 200
    for file, allowed in (
        ("verify_receipt", {"nacl", "bip340", "cometbft_votes", "signed_note"}),
        ("bip340", set()),
        ("cometbft_votes", set()),
        ("signed_note", set()),
    ):
        nodes = list(ast.walk(ast.parse((EXAMPLES / f"{file}.py").read_text("utf-8"))))
        imported = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
        imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        foreign = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
        assert foreign <= allowed


def test_its_outcomes_are_the_ledgers() -> None:
    words = auditor.OUTCOMES.split()
    assert {code: word for code, word in enumerate(words) if word != "0"} == {o: o.label for o in Outcome}
    assert [mode.name.lower() for mode in SigningMode] == ["system", "self", "institution", "delegate"]


@pytest.mark.parametrize("name", NAMES)
def test_it_accepts_what_the_package_accepts(world: World, name: str) -> None:
    data = world.files[name]
    told = auditor.verify(data, world.trust)
    receipt = verify_receipt(data, genesis_hash=world.trust)
    assert told["outcome"] == receipt.summary.outcome
    assert told["amount"] == receipt.summary.amount
    assert told["genesis"] == world.trust
    assert told["keys"] == len(receipt.signed.signatures)
    assert told["keys_registered_first"] == 1, "the second key of m-of-n was added by a command"
    assert not auditor_says(data, "00" * 32)


def test_it_names_the_witnesses(world: World) -> None:
    known = [world.witness.identity]
    for name in NAMES:
        witnessed = name.startswith("witnessed")
        for quorum in (0, 1, 2):
            expected = quorum <= int(witnessed)
            assert auditor_says(world.files[name], world.trust, known, quorum) is expected
            assert package_says(world.files[name], world.trust, known, quorum) is expected
    told = auditor.verify(world.files["witnessed"], world.trust, [known[0].render()], 1)
    assert told["co_signed_by"] == ["witness.example"]
    twice = [known[0], known[0]]
    assert not auditor_says(world.files["witnessed"], world.trust, twice, 2)
    stranger = Witness("witness.example", seeded_key("stranger").public)
    assert not auditor_says(world.files["witnessed"], world.trust, [stranger], 1)


@pytest.mark.parametrize("name", NAMES)
def test_both_refuse_a_flipped_bit(world: World, name: str) -> None:
    """Sampled over the whole file; only the word of a witness that nobody named may change unseen."""
    data, chance = world.files[name], random.Random(name)
    known = [world.witness.identity] if name.startswith("witnessed") else []
    for _ in range(FLIPS):
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        flipped = bytes(changed)
        for trust in ("", world.trust):
            assert package_says(flipped, trust) == auditor_says(flipped, trust), flipped
        assert not package_says(flipped, world.trust, known, len(known))
        assert not auditor_says(flipped, world.trust, known, len(known))


def test_both_refuse_what_is_cut_or_added(world: World) -> None:
    data = world.files["m-of-n"]
    for end in range(0, len(data), 37):
        assert not auditor_says(data[:end])
    nonsense = (b"", b"null", b"[]", b"{}", b"1" * 10_000, b"[" * 100_000, b"\xff\xfe", b'{"summary":{}}')
    for other in (
        *nonsense,
        data + b"\n",
        b" " + data,
        data.replace(b"\n", b"\r\n"),
        data.decode().encode("utf-16"),
    ):
        assert not package_says(other)
        assert not auditor_says(other)


def resealed(receipt: Receipt, key: SigningKey) -> bytes:
    """Seal the block anew, as whoever has a node's key can."""
    said = receipt.summary.block, receipt.summary.time_ns, receipt.leaf_count
    message = seal_message(network_id(receipt.genesis), *said, bytes.fromhex(receipt.app_hash))
    seal = msgspec.structs.replace(receipt.seal, key=key.public.hex(), signature=key.sign(message).hex())
    return render_receipt(msgspec.structs.replace(receipt, seal=seal))


def with_summary(receipt: Receipt, **fields: Any) -> Receipt:
    return msgspec.structs.replace(receipt, summary=msgspec.structs.replace(receipt.summary, **fields))


def with_signed(receipt: Receipt, **fields: Any) -> bytes:
    return render_receipt(
        msgspec.structs.replace(receipt, signed=msgspec.structs.replace(receipt.signed, **fields))
    )


def edited(receipt: Receipt, edit: Callable[[dict[str, Any]], object]) -> bytes:
    """Return the file with something in it that the package could not have written."""
    fields = json.loads(render_receipt(receipt))
    edit(fields)
    return json.dumps(fields, indent=1, ensure_ascii=False).encode() + b"\n"


STRANGER = seeded_key("a stranger")
FORGERIES: dict[str, Callable[[Receipt], bytes]] = {
    "another amount": lambda r: render_receipt(with_summary(r, amount="99.99")),
    "another outcome": lambda r: render_receipt(with_summary(r, outcome="held")),
    "another signer": lambda r: render_receipt(with_summary(r, signed_by="delegate")),
    "a height beyond 64 bits": lambda r: render_receipt(with_summary(r, block=2**64)),
    "a time below zero": lambda r: render_receipt(with_summary(r, time_ns=-1)),
    "a stranger's seal": lambda r: resealed(r, STRANGER),
    "no sealers": lambda r: render_receipt(
        msgspec.structs.replace(r, genesis=msgspec.structs.replace(r.genesis, sealers=()))
    ),
    "no signature": lambda r: with_signed(r, signatures=()),
    "a signature twice": lambda r: with_signed(r, signatures=r.signed.signatures * 2),
    "another scheme": lambda r: with_signed(
        r, signatures=tuple(msgspec.structs.replace(one, scheme=3) for one in r.signed.signatures)
    ),
    "the other scheme": lambda r: with_signed(
        r,
        signatures=tuple(msgspec.structs.replace(one, scheme=3 - one.scheme) for one in r.signed.signatures),
    ),
    "no records": lambda r: with_signed(r, count=0),
    "a longer path": lambda r: with_signed(r, path=(*r.signed.path, "00" * 32)),
    "a shorter path": lambda r: render_receipt(
        msgspec.structs.replace(r, leaf_path=r.leaf_path[:-1], leaf_count=r.leaf_count + 1)
    ),
    "capitals": lambda r: render_receipt(msgspec.structs.replace(r, app_hash=r.app_hash.upper())),
    "another engine": lambda r: render_receipt(msgspec.structs.replace(r, engine="cometbft")),
    "another format": lambda r: render_receipt(msgspec.structs.replace(r, bezant_receipt=2)),
    "a field more": lambda r: edited(r, lambda fields: fields.update(note="paid twice")),
    "a field more inside": lambda r: edited(r, lambda fields: fields["seal"].update(note="x")),
    "true for one": lambda r: edited(r, lambda fields: fields.update(bezant_receipt=True)),
    "a float": lambda r: edited(r, lambda fields: fields["summary"].update(block=1.0)),
    "two names in one": lambda r: edited(
        r, lambda fields: fields.update(seal={"key:s signature": "00", "signature": "00"})
    ),
    "null for an object": lambda r: edited(r, lambda fields: fields.update(seal=None)),
    "an object for another": lambda r: edited(r, lambda fields: fields.update(checkpoint=fields["seal"])),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_both_refuse_a_forged_receipt(world: World, forgery: str) -> None:
    for name in ("batch", "secp256k1", "m-of-n", "witnessed"):
        receipt = verify_receipt(world.files[name])
        assert resealed(receipt, NODE) == world.files[name], "the forger's tools work"
        forged = FORGERIES[forgery](receipt)
        assert not package_says(forged)
        assert not auditor_says(forged)


def test_both_refuse_an_outcome_that_there_is_not(world: World) -> None:
    """By the node itself, which has every key: a leaf with another outcome, hashed and sealed anew."""
    receipt = verify_receipt(world.files["secp256k1"])
    assert receipt.leaf_count == 1
    for code in (0, 1, 21, 119, 127, 300):
        leaf = np.frombuffer(bytes.fromhex(receipt.leaf), LEAF).copy()
        leaf["outcome"] = code
        root = sha256(b"\0", leaf.tobytes())
        app_hash = next_app_hash(bytes.fromhex(receipt.previous_app_hash), root).hex()
        label = next((one.label for one in Outcome if one == code), "0")
        forged = with_summary(receipt, outcome=label)
        data = resealed(msgspec.structs.replace(forged, leaf=leaf.tobytes().hex(), app_hash=app_hash), NODE)
        assert package_says(data) == auditor_says(data) == (code < 2)


def test_parts_of_two_receipts_make_no_third(world: World) -> None:
    receipts = [verify_receipt(world.files[name]) for name in ("plain", "held", "witnessed")]
    for one in receipts:
        for other in receipts:
            for part in ("signed", "leaf", "summary", "seal", "app_hash", "checkpoint"):
                value = getattr(other, part)
                mixed = render_receipt(msgspec.structs.replace(one, **{part: value}))
                assert package_says(mixed, world.trust) == auditor_says(mixed, world.trust), part


def signed_by_stranger(receipt: Receipt) -> bytes:
    """Sign the same record again under an authority of one's own, as anybody can who sees a receipt."""
    record, authority = bytes.fromhex(receipt.signed.record), authority_id(STRANGER.public)
    root = root_from_path(
        sha256(b"\0", record),
        receipt.signed.index,
        receipt.signed.count,
        [bytes.fromhex(node) for node in receipt.signed.path],
    )
    assert root is not None
    message = authorisation_message(network_id(receipt.genesis), authority, receipt.signed.count, root)
    own = Signature(1, STRANGER.public.hex(), STRANGER.sign(message).hex())
    return with_signed(receipt, authority=render_id(authority), signatures=(own,))


def test_nobody_can_sign_in_an_institutions_place(world: World) -> None:
    """A holder's place can be taken, since no receipt proves whose an account is, and `verify` says that."""
    for name in ("batch", "command"):
        receipt = verify_receipt(world.files[name])
        assert receipt.summary.signed_by == "institution"
        assert "node's word" not in signing_statement(receipt)
        assert not package_says(signed_by_stranger(receipt))
        assert not auditor_says(signed_by_stranger(receipt))
    forged = signed_by_stranger(verify_receipt(world.files["plain"]))
    assert package_says(forged)
    assert auditor_says(forged)
    assert "may pay from this account is the node's word" in signing_statement(verify_receipt(forged))


def test_both_refuse_a_note_that_is_too_long(world: World) -> None:
    """Lines of witnesses that nobody named may be added to a note, up to what a note may hold."""
    receipt = verify_receipt(world.files["witnessed"])
    assert receipt.checkpoint is not None
    line = f"— nobody {'A' * 100}\n"
    for lines, accepted in ((1, True), (500, True), (700, False)):
        longer = msgspec.structs.replace(receipt.checkpoint, note=receipt.checkpoint.note + line * lines)
        data = render_receipt(msgspec.structs.replace(receipt, checkpoint=longer))
        assert package_says(data) is auditor_says(data) is accepted


def test_a_witness_key_is_checked(world: World) -> None:
    good = world.witness.identity.render()
    assert parse_witness(good) == world.witness.identity
    for bad in ("", "name", "name+00+AA", good[:-2] + "AA", good.replace("witness", "witless"), "x" + good):
        with pytest.raises(REFUSALS):
            auditor.verify(world.files["witnessed"], "", [bad])


def test_schnorr_signatures_agree_with_libsecp256k1() -> None:
    chance = random.Random(340)
    for _ in range(12):
        key = SigningKey(chance.randbytes(32), SCHEME_SECP256K1)
        message, digest = chance.randbytes(40), auditor.digest
        signature = key.sign(message)
        assert bip340.is_signed(key.public, digest(message), signature)
        for at in (0, 31, 32, 63):
            changed = bytearray(signature)
            changed[at] ^= 1
            assert not bip340.is_signed(key.public, digest(message), bytes(changed))
        assert not bip340.is_signed(BOB.public, digest(message), signature)
    order = bip340.N.to_bytes(32, "big")
    for key, signature in (
        (b"\xff" * 32, bytes(64)),
        (bytes(32), bytes(64)),
        (SECP.public, bytes(32) + order),
    ):
        assert not bip340.is_signed(key, bytes(32), signature)


def test_it_runs_from_a_shell(world: World, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    for data, code, word in (
        (world.files["secp256k1"], 0, '"applied"'),
        (world.files["plain"][:-2], 1, "refused"),
    ):
        file.write_bytes(data)
        command = [sys.executable, str(EXAMPLES / "verify_receipt.py"), str(file), "--trust", world.trust]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert word in done.stdout + done.stderr
