"""Files through the whole node: counted, judged, and verified against the journal afterwards."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

from bezant.chain.clock import SetClock
from bezant.economy import World, join_traffic
from bezant.errors import BezantError, InputError, InvariantViolation, JournalDamaged
from bezant.folder import DEFAULT_ASSETS, create_folder
from bezant.interfaces.files.cards import CardFile
from bezant.interfaces.files.mapping import CardMapping
from bezant.interfaces.iso20022 import stream_pain001
from bezant.interfaces.replay.cards import CardReplay
from bezant.interfaces.replay.check import verify_folder
from bezant.interfaces.replay.messages import MessageReplay, message_time_ns
from bezant.interfaces.replay.run import WINDOW_S, Options, replay
from bezant.interfaces.replay.summary import Summary
from bezant.model.currencies import currency_scale
from bezant.model.genesis import Rules
from bezant.model.outcomes import Outcome
from bezant.node import Node
from bezant.testing.nodes import START_NS
from bezant.testing.pain001_messages import message, payment

DATA = Path(os.environ.get("BEZANT_DATA", Path(__file__).parents[4] / "shared" / "data"))
MINUTE_NS = 60_000_000_000
LABELLED = CardMapping(
    time="when", debtor="card", creditor="shop", amount="cents", label="fraud",
    amount_unit="minor", time_unit="ns",
)  # fmt: skip


class Replayed(NamedTuple):
    """A data folder that a card file was replayed into, and closed again."""

    path: Path
    clock: SetClock
    summary: Summary
    app_hash: bytes


def csv_of(path: Path, rows: int) -> Path:
    """Write a file of card payments, one a minute: 7 cards at 3 terminals, 1.00 and up."""
    lines = ["time,debtor,creditor,amount"]
    for row in range(rows):
        minute = f"2026-01-{1 + row // 1440:02}T{row // 60 % 24:02}:{row % 60:02}:00"
        lines.append(f"{minute},card {row % 7},terminal {row % 3},{row % 40 + 1}.{row % 10}0")
    path.write_text("\n".join(lines) + "\n")
    return path


def replay_cards(file: Path, folder: Path, model_file: Path, *, each: bool = False) -> Replayed:
    create_folder(folder, rules=Rules(id_window_s=WINDOW_S), created_ms=START_NS // 1_000_000)
    shutil.copy(model_file, folder / "models" / "current.model")
    # A control group is drawn at random, and two replays are to be compared.
    (folder / "bezant.toml").write_text("[policy]\ncontrol_share = 0.0\n")
    clock = SetClock(START_NS)
    with Node(folder, clock=clock, with_store=False) as node:
        cards = CardReplay(node, clock, CardFile(file), node.accounts.asset("EUR"), each=each)
        return Replayed(folder, clock, cards.run(), node.engine.app_hash)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Replayed:
    folder = tmp_path_factory.mktemp("cards")
    return replay_cards(csv_of(folder / "cards.csv", 2_500), folder / "node", model_file)


# Card files.


def test_every_row_of_a_card_file_is_answered(replayed: Replayed) -> None:
    summary = replayed.summary
    assert summary.payments == 2_500
    assert sum(summary.outcomes.values()) == 2_500
    assert set(summary.outcomes) <= {"applied", "held_for_review", "blocked"}
    assert summary.allowed + summary.reviewed + summary.blocked == 2_500
    assert summary.outcomes["applied"] > 2_000
    told = summary.as_dict()
    assert (told["precision"], told["recall"], told["fraud"]) == (None, None, None)
    expected = sum((row % 40 + 1) * 100 + row % 10 * 10 for row in range(2_500))
    settled = round(float(summary.value["EUR"]) * 100)
    assert settled <= expected
    assert (settled == expected) == (summary.outcomes["applied"] == 2_500)


def test_the_file_s_time_is_block_time(replayed: Replayed) -> None:
    with Node(replayed.path, clock=replayed.clock, with_store=False) as node:
        times = [block.time_ns for block in node.engine.blocks_from(1)]
        parties = node.vault.parties
    assert times == sorted(times)
    assert times[0] >= START_NS
    assert times[-1] == START_NS + 2_499 * MINUTE_NS
    assert len(parties) == 1 + 7 + 3


def test_the_journal_gives_the_same_again_and_receipts_verify(replayed: Replayed) -> None:
    checked = verify_folder(replayed.path, replayed.clock, replayed.app_hash)
    assert checked.app_hash == replayed.app_hash.hex()
    assert checked.receipts_verified > 0
    again = verify_folder(replayed.path, replayed.clock, replayed.app_hash)
    assert again == checked, "verifying changes nothing"
    with pytest.raises(InvariantViolation, match="another app hash"):
        verify_folder(replayed.path, replayed.clock, bytes(32))


def test_a_journal_that_was_changed_afterwards_is_caught(replayed: Replayed, tmp_path: Path) -> None:
    """Any byte of the part in use, of which a few are tried."""
    folder = tmp_path / "node"
    shutil.copytree(replayed.path, folder)
    segments = sorted((folder / "chain" / "journal").glob("*.segment"))
    (segment,) = [path for path in segments if path.read_bytes()[:4].strip(b"\0")]
    sound = segment.read_bytes()
    used = len(sound.rstrip(b"\0"))
    for at in np.random.default_rng(4).integers(200, used - 3_000, 3).tolist():
        segment.write_bytes(sound[:at] + bytes([sound[at] ^ 0x10]) + sound[at + 1 :])
        with pytest.raises((JournalDamaged, InvariantViolation)):
            verify_folder(folder, replayed.clock, replayed.app_hash)
    segment.write_bytes(sound)
    assert verify_folder(folder, replayed.clock, replayed.app_hash).receipts_verified > 0


def test_one_signature_a_payment_gives_the_same_outcomes(tmp_path: Path, model_file: Path) -> None:
    file = csv_of(tmp_path / "few.csv", 120)
    together = replay_cards(file, tmp_path / "together", model_file)
    each = replay_cards(file, tmp_path / "each", model_file, each=True)
    assert together.summary.outcomes == each.summary.outcomes
    assert together.summary.value == each.summary.value
    assert together.app_hash != each.app_hash, "keys and salts are fresh in every folder"


def test_a_labelled_parquet_file_is_learned_from_and_judged(tmp_path: Path) -> None:
    traffic = join_traffic(World(99, 150, 20, 6).traffic(START_NS, count=15_000))
    file = tmp_path / "labelled.parquet"
    pl.DataFrame(
        {
            "when": traffic.time_ns,
            "card": traffic.debtor,
            "shop": traffic.creditor,
            "cents": traffic.amount_minor,
            "fraud": traffic.label,
        }
    ).write_parquet(file)
    steps: set[str] = set()
    outcome = replay(
        file,
        Options(tmp_path / "node", LABELLED, train_days=21),
        lambda doing, share: steps.add(doing),
    )
    summary = outcome.summary
    assert summary.payments == 15_000
    assert "first 21 days" in outcome.model
    after = traffic.time_ns >= traffic.time_ns[0] + 28 * 86_400 * 10**9
    assert summary.labelled == int(np.count_nonzero(after)), "only what comes after the label delay"
    assert summary.fraud == int(traffic.label[after].sum()) > 20
    assert summary.recall is not None
    assert summary.precision is not None
    # A coin that flagged as many would find that share of the fraud.
    assert summary.recall > 2 * summary.flagged_labelled / summary.labelled
    assert outcome.verification is not None
    assert outcome.verification.receipts_verified > 0
    assert {"pay", "verify"} <= steps
    known = traffic.time_ns + 7 * 86_400 * 10**9 < traffic.time_ns[-1] - 60 * 10**9
    told = int(traffic.label[known].sum())
    # The frauds, refused or not, and what was blocked and honest.
    assert told <= summary.complaints <= told + summary.blocked
    assert summary.complaints > 20


def test_what_cannot_be_replayed_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        replay(tmp_path / "absent.csv", Options(tmp_path / "node"), lambda doing, share: None)
    assert caught.value.code == "file_missing"
    empty = tmp_path / "empty.csv"
    empty.write_text("time,debtor,creditor,amount\n")
    with pytest.raises(BezantError):
        replay(empty, Options(tmp_path / "node"), lambda doing, share: None)
    assert not (tmp_path / "node").exists(), "nothing was begun"


# Messages.


def replay_message(file: Path, folder: Path, model_file: Path) -> tuple[Summary, Node]:
    """Return the summary and the still open node."""
    stream = stream_pain001(file)
    start_ns = message_time_ns(stream.header.created_at) or START_NS
    assets = dict(DEFAULT_ASSETS)
    for instruction in stream:
        assets.setdefault(instruction.currency, currency_scale(instruction.currency))
    create_folder(folder, assets=tuple(assets.items()), created_ms=start_ns // 1_000_000)
    shutil.copy(model_file, folder / "models" / "current.model")
    clock = SetClock(start_ns)
    node = Node(folder, clock=clock, with_store=False)
    return MessageReplay(node, clock, stream).run(), node


@pytest.mark.parametrize("version", ["03", "09"])
def test_a_message_is_paid_and_its_texts_are_kept(tmp_path: Path, model_file: Path, version: str) -> None:
    file = tmp_path / "message.xml"
    file.write_text(message(version))
    summary, node = replay_message(file, tmp_path / "node", model_file)
    with node:
        assert summary.payments == 2
        assert summary.value == {"EUR": "30.75"}
        ids = [
            int(record["id_hi"]) << 64 | int(record["id_lo"])
            for block in node.engine.blocks_from(1)
            for record, receipt in zip(block.records, block.receipts[block.system_count :], strict=True)
            if record["kind"] == 1 and receipt["outcome"] <= Outcome.HELD_FOR_REVIEW
        ]
        payloads = [node.payments.payload(identity) for identity in ids]
        assert {payload.debtor_name for payload in payloads if payload} == {"Ranu Ltd"}
        assert "thanks" in str(payloads)
        app_hash = node.engine.app_hash
    checked = verify_folder(tmp_path / "node", SetClock(START_NS * 2), app_hash)
    assert checked.receipts_verified > 0


def test_one_number_for_two_holders_is_two_accounts_with_a_remark(tmp_path: Path, model_file: Path) -> None:
    file = tmp_path / "message.xml"
    same = "<CdtrAcct><Id><IBAN>DE00500105175407324931</IBAN></Id></CdtrAcct>"
    file.write_text(message(payments=payment(account=same), count="", total=""))
    summary, node = replay_message(file, tmp_path / "node", model_file)
    with node:
        assert summary.value == {"EUR": "10.25"}
        assert any("their names tell the accounts apart" in remark for remark in summary.remarks)


def samples() -> list[Path]:
    folder = DATA / "iso20022" / "samples"
    names = ("pain_001", "pain.001")
    return sorted(path for path in folder.rglob("*.xml") if any(name in path.name for name in names))


def test_every_published_sample_is_paid_in_full(tmp_path: Path, model_file: Path) -> None:
    found = samples()
    if not found:
        pytest.skip("the published samples are not here; BEZANT_DATA names their folder")
    for file in found:
        summary, node = replay_message(file, tmp_path / file.stem, model_file)
        node.close()
        shutil.rmtree(tmp_path / file.stem)
        settled = summary.outcomes.get("applied", 0) + summary.approved
        assert settled == summary.payments == len(stream_pain001(file)) > 0, file.name


def test_times_of_messages() -> None:
    assert message_time_ns("2026-01-01T00:00:00") == START_NS
    assert message_time_ns("2026-01-01T01:00:00+01:00") == START_NS
    assert message_time_ns("yesterday") is None


def test_a_payment_that_needs_an_exchange_is_refused_by_name(tmp_path: Path) -> None:
    text = (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"><CstmrCdtTrfInitn>'
        "<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-01-05T10:00:00Z</CreDtTm><NbOfTxs>1</NbOfTxs>"
        "<InitgPty><Nm>Velka Torrin</Nm></InitgPty></GrpHdr><PmtInf><PmtInfId>P1</PmtInfId>"
        "<PmtMtd>TRF</PmtMtd><ReqdExctnDt><Dt>2026-01-05</Dt></ReqdExctnDt><Dbtr><Nm>Velka Torrin</Nm></Dbtr>"
        "<DbtrAcct><Id><Othr><Id>A1</Id></Othr></Id></DbtrAcct><DbtrAgt><FinInstnId><BICFI>AAAADEFF</BICFI>"
        "</FinInstnId></DbtrAgt><CdtTrfTxInf><PmtId><EndToEndId>E1</EndToEndId></PmtId><Amt><EqvtAmt>"
        '<Amt Ccy="EUR">5.00</Amt><CcyOfTrf>USD</CcyOfTrf></EqvtAmt></Amt><Cdtr><Nm>Oskel Marn</Nm></Cdtr>'
        "<CdtrAcct><Id><Othr><Id>B1</Id></Othr></Id></CdtrAcct></CdtTrfTxInf></PmtInf></CstmrCdtTrfInitn>"
        "</Document>"
    )
    path = tmp_path / "exchange.xml"
    path.write_text(text, "utf-8")
    done = replay(path, Options(tmp_path / "node", verify=False, with_store=False), lambda doing, share: None)
    assert done.summary.outcomes == {"exchange_not_offered": 1}
    assert done.summary.value == {}
    assert "USD" in done.summary.remarks[0]
