"""Models and labels on the command line, against a running node."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.unit.interfaces.cli.test_primitives import SETTINGS, Shop, bezant

from bezant.intelligence.model import Model


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    data = tmp_path_factory.mktemp("models") / "data"
    bezant("init", "--data", str(data))
    (data / "bezant.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "bezant", "run", "--data", str(data), "--port", "0", "--no-model"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
        try:
            assert node.stdout is not None
            while "Ctrl-C" not in node.stdout.readline():
                assert node.poll() is None
            yield Shop(data)
        finally:
            node.send_signal(signal.SIGTERM)
            node.communicate(timeout=30)


def roles(answer: dict[str, list[dict[str, str]]]) -> list[tuple[str, str]]:
    return [(one["digest"], one["role"]) for one in answer["models"]]


def test_a_model_is_registered_promoted_put_back_and_retired(
    shop: Shop, model_file: Path, tmp_path: Path
) -> None:
    first = Model.load(model_file)
    second = Model.build(msgspec.structs.replace(first.card, source="another"), first.trees)
    second.save(tmp_path / "second.model")
    one, two = first.digest.hex(), second.digest.hex()
    assert roles(shop.tell("models", "register", str(model_file))) == [(one, "registered")]
    shop.tell("models", "promote", one[:16])
    shop.tell("models", "register", str(tmp_path / "second.model"))
    assert roles(shop.tell("models", "challenge", two)) == [(one, "champion"), (two, "challenger")]
    assert "0 payments scored by both" in shop.show("models", "compare")
    assert shop.tell("models", "drift")["indices"] == {}
    assert roles(shop.tell("models", "promote", two)) == [(two, "champion"), (one, "registered")]
    assert shop.tell("models", "show")["source"] == "another"
    assert roles(shop.tell("models", "rollback")) == [(one, "champion"), (two, "registered")]
    assert "average_precision" in shop.show("models", "list")
    assert roles(shop.tell("models", "retire", one)) == [(two, "registered")]
    changes = shop.tell("models", "history")["changes"]
    assert [change["role"] for change in changes].count("champion") == 3
    assert "model_unknown" in shop.fail("models", "promote", one)
    (tmp_path / "bad.model").write_text("nothing")
    assert "model_format" in shop.fail("models", "register", str(tmp_path / "bad.model"))


def test_a_champion_whose_file_is_gone_is_told_by_the_doctor(shop: Shop, model_file: Path) -> None:
    (well,) = [
        one for one in shop.tell("doctor", "--no-self-test")["checks"] if one["check"] == "fraud model"
    ]
    assert (well["result"], well["found"]) == ("warning", "rules decide, no model is champion")
    digest = Model.load(model_file).digest.hex()
    shop.tell("models", "register", str(model_file))
    shop.tell("models", "promote", digest)
    (well,) = [
        one for one in shop.tell("doctor", "--no-self-test")["checks"] if one["check"] == "fraud model"
    ]
    assert (well["result"], well["found"]) == ("ok", f"model {digest[:32]} decides")


def test_what_a_payment_was_is_said_afterwards_or_with_the_answer_to_a_review(shop: Shop) -> None:
    paid = shop.pay("1.00")
    assert shop.tell("reviews", "label", paid, "fraud")["label"] == "fraud"
    waiting = shop.pay("77.77")
    assert shop.tell("reviews", "reject", waiting, "--fraud")["outcome"] == "released"
    assert "not_held" in shop.fail("reviews", "approve", waiting, "--genuine")
