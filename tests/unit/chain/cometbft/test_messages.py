"""The bytes of ABCI 2.0, held against what Google's protobuf makes of the same messages."""

from __future__ import annotations

import pytest

from bezant.chain.cometbft import answers, messages, wire
from bezant.chain.cometbft.messages import (
    ApplyChunk,
    CheckTx,
    Commit,
    Echo,
    FinalizeBlock,
    Flush,
    Info,
    InitChain,
    ListSnapshots,
    LoadChunk,
    OfferSnapshot,
    PrepareProposal,
    ProcessProposal,
    Query,
    Snapshot,
    Unused,
    Validator,
    decode_request,
)
from bezant.errors import DecodeError

_BLOCK = (
    "0a01610ac801" + "62" * 200 + "12200801121c0a180a14" + "07" * 20 + "180a18022220" + "09" * 32
    + "28ac02320c0880e2cfaa0610ff93ebdc033a016e420170"
)  # fmt: skip
_SNAPSHOT = "08c801100118032204646967652a026d64"
SNAPSHOT = Snapshot(200, 1, 3, b"dige", b"md")
_TIME_NS = 1_700_000_000_999_999_999

REQUESTS = [
    ("0a070a0568656c6c6f", Echo("hello")),
    ("1200", Flush()),
    ("1a140a07302e33382e3235100b18082205322e302e30", Info()),
    (
        "2a6d0a080880e2cfaa061005120862657a616e742d311a0022260a220a20" + "01" * 32 + "100a22270a220a20"
        + "02" * 32 + "10ac022a027b7d3001",
        InitChain(
            1_700_000_000_000_000_005,
            "bezant-1",
            (Validator(b"\x01" * 32, 10), Validator(b"\x02" * 32, 300)),
            b"{}",
            1,
        ),
    ),
    ("320f0a01ff12062f626c6f636b18072001", Query(b"\xff", "/block", 7)),
    ("42090a056f726465721001", CheckTx(b"order", recheck=True)),
    ("5a00", Commit()),
    (
        "82014508ffffffffffffffffff01120161120012036363631a200801121c0a180a14" + "07" * 20
        + "180a180228093204080110023a016e420170",
        PrepareProposal(-1, (b"a", b"", b"ccc"), 9, 1_000_000_002),
    ),
    ("8a01a902" + _BLOCK, ProcessProposal((b"a", b"b" * 200), b"\x09" * 32, 300, _TIME_NS)),
    ("a201a902" + _BLOCK, FinalizeBlock((b"a", b"b" * 200), b"\x09" * 32, 300, _TIME_NS)),
    ("6200", ListSnapshots()),
    ("6a350a11" + _SNAPSHOT + "1220" + "05" * 32, OfferSnapshot(SNAPSHOT, b"\x05" * 32)),
    ("720708c80110011802", LoadChunk(200, 1, 2)),
    ("7a09080212026162" + "1a0161", ApplyChunk(2, b"ab", "a")),
    *((wire.put_part(number, b"").hex(), Unused(number)) for number in (18, 19)),
]  # fmt: skip

ANSWERS = [
    ("0a040a026e6f", answers.exception("no")),
    ("12070a0568656c6c6f", answers.echo("hello")),
    ("1a00", answers.flush()),
    ("22300a0662657a616e7412013120ac022a20" + "05" * 32, answers.info("bezant", "1", 300, b"\x05" * 32)),
    ("32221a20" + "00" * 32, answers.init_chain(bytes(32))),
    ("3a0e08011a046e6f6e653a017648ac02", answers.query(1, b"v", 300, "none")),
    ("4a00", answers.check_tx(answers.OK)),
    ("4a0708011a03626164", answers.check_tx(answers.REFUSED, "bad")),
    ("6200", answers.commit()),
    ("62021804", answers.commit(4)),
    ("8a010a0a01610a000a03636363", answers.prepare_proposal([b"a", b"", b"ccc"])),
    ("9201020801", answers.process_proposal(True)),
    ("9201020802", answers.process_proposal(False)),
    ("aa01281200120208012a20" + "06" * 32, answers.finalize_block([0, 1], b"\x06" * 32)),
    ("6a00", answers.list_snapshots(())),
    ("6a130a11" + _SNAPSHOT, answers.list_snapshots([SNAPSHOT])),
    ("72020803", answers.offer_snapshot(answers.Offered.REJECT)),
    ("7a00", answers.load_chunk(b"")),
    ("7a040a026162", answers.load_chunk(b"ab")),
    ("8201020805", answers.apply_chunk(answers.Chunk.REJECT_SNAPSHOT)),
    ("8201080803120100" + "1a0161", answers.apply_chunk(answers.Chunk.RETRY, 0, "a")),
    ("9a0100", answers.fixed_answer(Unused(18))),
    ("a201020801", answers.fixed_answer(Unused(19))),
]


@pytest.mark.parametrize(("data", "meant"), REQUESTS)
def test_requests_are_read_as_protobuf_writes_them(data: str, meant: messages.Request) -> None:
    assert decode_request(memoryview(bytes.fromhex(data))) == meant


@pytest.mark.parametrize(("data", "answer"), ANSWERS)
def test_answers_are_written_as_protobuf_writes_them(data: str, answer: bytes) -> None:
    assert answer.hex() == data


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**32, 2**63 - 1, 2**64 - 1])
def test_integers_come_back(value: int) -> None:
    encoded = wire.encode_varint(value)
    assert wire.decode_varint(memoryview(encoded), 0) == (value, len(encoded))


def test_a_negative_integer_is_sixty_four_bits() -> None:
    assert wire.encode_varint(-1).hex() == "ffffffffffffffffff01"
    assert wire.signed(wire.decode_varint(memoryview(wire.encode_varint(-5)), 0)[0]) == -5


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "0 messages"),
        ("12001200", "2 messages"),
        ("ff", "no integer"),
        ("ff" * 11, "no integer"),
        ("ffffffffffffffffff02", "no integer"),
        ("0aff01", "claims 255 bytes where 0 are left"),
        ("a201ffffffff0f", "claims 4294967295 bytes"),
        ("3200", ""),
        ("0200", "number 0"),
        ("0b00", "unknown kind 3"),
        ("f20700", "no request of the number 126"),
        ("4205080a", "claims 5 bytes"),
        ("42020805", "an integer where bytes belong"),
        ("a201022a00", "bytes where an integer belongs"),
        ("0a030a01ff", "no text"),
        ("4001", "an integer where bytes belong"),
    ],
)
def test_hostile_bytes_are_refused_by_name(data: str, why: str) -> None:
    if not why:
        assert decode_request(memoryview(bytes.fromhex(data))) == Query(b"", "", 0)
        return
    with pytest.raises(DecodeError, match=why):
        decode_request(memoryview(bytes.fromhex(data)))
