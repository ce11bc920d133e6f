"""Whatever a model learns from: the journal of a replayed file teaches what the file itself teaches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from bezant.chain.clock import SetClock
from bezant.economy import World, join_traffic
from bezant.errors import ModelError, StorageError
from bezant.folder import create_folder
from bezant.intelligence.features import COLUMN
from bezant.intelligence.history import LABEL_DELAY_NS, History, replay_features
from bezant.intelligence.model import Model
from bezant.intelligence.training import train
from bezant.interfaces.cli.app import app
from bezant.interfaces.files.cards import CardFile
from bezant.interfaces.files.mapping import CardMapping
from bezant.interfaces.histories import DAY_NS, history_of_file, history_of_folder
from bezant.interfaces.replay.cards import CardReplay
from bezant.interfaces.replay.run import WINDOW_S
from bezant.model.genesis import Rules
from bezant.model.outcomes import Outcome
from bezant.model.payment import Payload
from bezant.model.records import Label
from bezant.node import Node
from bezant.testing.nodes import START_NS, SmallNode

PAYMENTS = 8_000
COLUMNS = CardMapping(
    time="when", debtor="card", creditor="shop", amount="cents", label="fraud",
    amount_unit="minor", time_unit="ns",
)  # fmt: skip


class Replayed(NamedTuple):
    """A labelled file, and the data folder that it was replayed into."""

    file: CardFile
    folder: Path


def silent(step: str, share: float) -> None:
    return None


def write_cards(path: Path, *, fraud: bool = True) -> CardFile:
    """Write forty simulated days of payments in whole milliseconds, which is what a payment's id can say."""
    traffic = join_traffic(World(41, 60, 10, 6, fraud_share=0.05).traffic(START_NS, count=PAYMENTS))
    columns = {
        "when": traffic.time_ns // 1_000_000 * 1_000_000,
        "card": traffic.debtor,
        "shop": traffic.creditor,
        "cents": traffic.amount_minor,
        "fraud": traffic.label if fraud else np.zeros_like(traffic.label),
    }
    pl.DataFrame(columns).write_parquet(path)
    return CardFile(path, COLUMNS)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    """Rules decide, which hold payments and never block one: everything in the file is paid."""
    place = tmp_path_factory.mktemp("histories")
    file, folder = write_cards(place / "cards.parquet"), place / "node"
    create_folder(folder, rules=Rules(id_window_s=WINDOW_S), created_ms=START_NS // 1_000_000)
    clock = SetClock(START_NS)
    with Node(folder, clock=clock, with_store=False) as node:
        CardReplay(node, clock, file, node.accounts.asset("EUR")).run()
    yield Replayed(file, folder)
    shutil.rmtree(folder)


def test_a_journal_teaches_what_the_replayed_file_teaches(replayed: Replayed) -> None:
    told = history_of_folder(replayed.folder, silent)
    read = history_of_file(replayed.file)
    for name in ("amount_minor", "time_ns"):
        assert np.array_equal(getattr(told, name), getattr(read, name)), name
    known = told.label > 0
    assert known.sum() > 100
    waited = told.known_ns[known] - told.time_ns[known]
    assert (waited >= LABEL_DELAY_NS).all(), "nothing is known before its label was ordered"
    assert (waited <= LABEL_DELAY_NS + DAY_NS).all()
    end_ns = int(read.time_ns[-1])
    assert np.array_equal(told.judged, read.time_ns <= end_ns - LABEL_DELAY_NS)
    # Whatever can be learned from is labelled as the file has it, but for complaints still to be passed on.
    settled = read.time_ns <= end_ns - LABEL_DELAY_NS - DAY_NS
    assert np.array_equal(told.label[settled], read.label[settled])
    alike = replace(read, label=told.label, known_ns=told.known_ns, judged=told.judged)
    assert np.array_equal(replay_features(told, silent), replay_features(alike, silent))
    of_journal, of_file = (train(one, 3, source="cards", trees=40) for one in (told, alike))
    assert of_journal.digest == of_file.digest
    never = train(replace(alike, known_ns=alike.known_ns + 400 * DAY_NS), 3, source="cards", trees=40)
    assert never.digest != of_file.digest, "when a label became known makes a difference"


def test_reading_changes_nothing_and_a_copy_of_the_chain_is_enough(
    replayed: Replayed, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    (copy / "keys").mkdir(parents=True)
    shutil.copy(replayed.folder / "genesis.json", copy)
    shutil.copy(replayed.folder / "keys" / "blinding.key", copy / "keys")
    shutil.copytree(replayed.folder / "chain", copy / "chain")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    told, again = history_of_folder(copy, silent), history_of_folder(replayed.folder, silent)
    assert told.label.tolist() == again.label.tolist()
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_a_running_node_s_folder_and_one_without_labels_are_refused(tmp_path: Path) -> None:
    with SmallNode(tmp_path / "node") as small:
        small.pay("12.00")
        with pytest.raises(StorageError) as caught:
            history_of_folder(small.path, silent)
        assert caught.value.code == "data_folder_in_use"
        small.node.close()
        with pytest.raises(ModelError) as none:
            history_of_folder(small.path, silent)
        assert none.value.code == "no_labels"
        assert "bezant reviews label" in none.value.message


def test_a_payment_that_was_cleared_is_no_fraud_and_was_one_in_between(tmp_path: Path) -> None:
    with SmallNode(tmp_path / "node", with_store=True) as small:
        paid, _ = small.pay("12.00")
        stays, _ = small.pay("13.00", payload=Payload(device="phone 1", terminal="till 3"))
        small.tick(60)
        for payment, said in ((paid, Label.FRAUD), (stays, Label.FRAUD), (paid, Label.GENUINE)):
            small.node.labels.say(payment, said, small.new_id())
            small.tick(60)
        small.node.close()
        told = history_of_folder(small.path, silent, delay_ns=0)
    assert told.amount_minor[-2:].tolist() == [1_200, 1_300]
    assert told.label[-2:].tolist() == [0, 1]
    minute = 60 * 10**9
    assert (told.known_ns[-2:] - told.time_ns[-2:]).tolist() == [minute, 2 * minute]
    assert (told.cleared_ns[-2:] - told.time_ns[-2:]).tolist() == [3 * minute, -told.time_ns[-1]]
    assert (told.device[:-1].any(), told.terminal[:-1].any()) == (False, False)
    assert told.device[-1] != told.terminal[-1] != 0, "what the vault keeps of a payment's names"
    # Money that its issuer brought in happened, and is nothing to judge.
    assert told.judged.tolist() == [False, False, True, True]


def test_a_blocked_payment_called_fraud_is_learned_of_alike_while_serving_and_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = '[[rules]]\nname = "x"\nverdict = "block"\nreason = "x"\nwhen = ["amount > 50.00 EUR"]\n'
    with SmallNode(tmp_path / "node", settings=rules, with_store=True) as small:
        blocked, answers = small.pay("60.00", payload=Payload(terminal="till 3"))
        assert answers.first is Outcome.BLOCKED
        small.tick(60)
        small.node.labels.say(blocked, Label.FRAUD, small.new_id())
        small.tick(60)
        paid, _ = small.pay("12.00", payload=Payload(terminal="till 3"))
        served = small.node.payments.evidence(paid)["x"]
        small.restart()
        small.tick(60)
        after, _ = small.pay("13.00")
        restarted = small.node.payments.evidence(after)["x"]
        small.node.close()
        told = history_of_folder(small.path, silent, delay_ns=0)
    assert told.refused is not None
    assert (len(told.refused), told.refused.label.tolist()) == (1, [1])
    assert told.amount_minor[-2:].tolist() == [1_200, 1_300], "it is no payment of the history"
    monkeypatch.setattr("bezant.intelligence.history.BATCH", 1)
    x = replay_features(told, silent)
    assert x[-2, COLUMN["place_frauds_30d"]] == pytest.approx(1.0, abs=1e-3)
    assert np.array_equal(x[-2], served)
    assert np.array_equal(x[-1], restarted)


def test_a_blocked_payment_called_genuine_is_learned_of_alike_while_serving_and_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that were blocked where a fraud is known, one was honest, and one was for a while."""
    rules = '[[rules]]\nname = "x"\nverdict = "block"\nreason = "x"\nwhen = ["amount > 50.00 EUR"]\n'
    till = Payload(terminal="till 3")
    served = []
    with SmallNode(tmp_path / "node", settings=rules, with_store=True) as small:
        stolen, honest, both = (small.pay(amount, payload=till)[0] for amount in ("60.00", "61.00", "62.00"))
        small.tick(60)
        for payment, said in (
            (stolen, Label.FRAUD), (honest, Label.GENUINE), (both, Label.GENUINE), (both, Label.FRAUD),
        ):  # fmt: skip
            small.node.labels.say(payment, said, small.new_id())
            small.tick(60)
            paid, _ = small.pay("12.00", payload=till)
            served.append(small.node.payments.evidence(paid)["x"])
        small.node.close()
        told = history_of_folder(small.path, silent, delay_ns=0)
    monkeypatch.setattr("bezant.intelligence.history.BATCH", 1)
    x = replay_features(told, silent)
    assert [row[COLUMN["place_honest"]] for row in served] == [0.0, 1.0, 2.0, 0.0]
    for trained, seen in zip(x[-4:], served, strict=True):
        assert np.array_equal(trained, seen)


def test_the_command_learns_from_a_journal_and_from_a_file(replayed: Replayed, tmp_path: Path) -> None:
    asked = ["models", "train", "--json", "--data", str(replayed.folder)]
    (replayed.folder / "bezant.toml").write_text('[costs]\nasset = "EUR"\nreview_minor = 100\n')
    for source, count in (("history", "judged"), (str(labelled_csv(replayed, tmp_path)), "all")):
        target = tmp_path / "made.model"
        done = CliRunner().invoke(app, [*asked, "--from", source, "--save", str(target)])
        assert done.exit_code == 0, done.output
        card = json.loads(done.stdout)
        made = Model.load(target)
        assert card["model"] == made.name.hex()
        history = history_of_folder(replayed.folder, silent)
        expected = int(history.judged.sum()) if count == "judged" else PAYMENTS
        assert card["payments_trained"] == int(expected * 0.6)
        assert card["trained_from_ns"] == int(history.time_ns[0])
        assert card["test_area_under_roc"] > 0.6
        priced = card["costs"]
        assert priced["payments"] == card["test_payments"]
        assert priced["by_cost"]["per_1000_minor"] != priced["fixed"]["per_1000_minor"]


def labelled_csv(replayed: Replayed, folder: Path) -> Path:
    """Write the same payments with the column names that are found without a mapping."""
    frame = pl.read_parquet(replayed.file.path)
    path = folder / "named.csv"
    frame.select(
        pl.from_epoch("when", time_unit="ns").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").alias("time"),
        pl.col("card").alias("debtor"),
        pl.col("shop").alias("creditor"),
        (pl.col("cents") / 100).round(2).alias("amount"),
        pl.col("fraud").alias("label"),
    ).write_csv(path, float_precision=2)
    return path


@pytest.mark.parametrize(
    ("source", "code"), [("nowhere.csv", "source_unknown"), ("unlabelled", "no_labels"), ("few", "history_")]
)
def test_what_cannot_be_learned_from_is_named(tmp_path: Path, source: str, code: str) -> None:
    if source == "unlabelled":
        source = str(tmp_path / "plain.csv")
        Path(source).write_text("time,debtor,creditor,amount\n2026-01-01T00:00:00,a,b,1.00\n")
    elif source == "few":
        write_cards(tmp_path / "few.parquet", fraud=False)
        source = str(tmp_path / "few.csv")
        Path(source).write_text("time,debtor,creditor,amount,label\n2026-01-01T00:00:00,a,b,1.00,1\n")
    target = tmp_path / "never.model"
    done = CliRunner().invoke(app, ["models", "train", "--from", source, "--save", str(target)])
    assert done.exit_code == 1
    assert f"error [{code}" in done.output
    assert not target.exists()


@pytest.mark.parametrize(
    ("named", "error"),
    [
        (["--time", "at", "--debtor", "card", "--creditor", "shop", "--amount", "eur"], "error [no_labels]"),
        (
            ["--time", "at", "--debtor", "card", "--creditor", "shop", "--amount", "eur", "--label", "fraud"],
            "error [history_",
        ),
        (["--time", "at", "--amount", "eur"], "the mapping names no column for debtor, creditor"),
        ([], "name them with --time, --debtor, --creditor and --amount"),
    ],
)
def test_columns_of_a_file_to_learn_from_can_be_named(tmp_path: Path, named: list[str], error: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text("at,card,shop,eur,fraud\n2026-01-01T00:00:00,a,b,1.00,1\n")
    asked = ["models", "train", "--from", str(path), *named, "--save", str(tmp_path / "never.model")]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 1
    assert error in " ".join(done.output.split())


def test_a_fraud_that_is_cleared_weighs_on_its_place_only_in_between() -> None:
    count = 3_000
    hour = 3_600 * 10**9
    time_ns = START_NS + np.arange(count) * hour
    label = np.zeros(count, np.uint8)
    known_ns, cleared_ns = np.zeros((2, count), np.int64)
    known_ns[5], cleared_ns[5] = time_ns[900], time_ns[1_900]
    plain = History(
        np.arange(count) % 7, 7 + np.arange(count) % 3, np.full(count, 1_000, np.uint64), time_ns, label
    )
    honest = replay_features(plain, silent)
    x = replay_features(replace(plain, known_ns=known_ns, cleared_ns=cleared_ns), silent)
    assert np.array_equal(x[:1_000], honest[:1_000])
    assert not np.array_equal(x[1_000:2_000], honest[1_000:2_000])
    stays = replay_features(replace(plain, known_ns=known_ns, label=(known_ns > 0).astype(np.uint8)), silent)
    assert np.array_equal(x[1_000:2_000], stays[1_000:2_000])
    assert np.abs(x[2_000:] - honest[2_000:]).sum() < np.abs(stays[2_000:] - honest[2_000:]).sum()
