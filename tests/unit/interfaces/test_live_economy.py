"""The simulated economy paying through a live node, and stopping when told to."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bezant.errors import Overloaded, StorageError
from bezant.folder import create_folder
from bezant.interfaces.live_economy import LiveEconomy, consumers_for
from bezant.node import Node
from bezant.pipeline.batch import Submission
from bezant.pipeline.intake import Reply

RATE = 200.0


@pytest.fixture
def node(tmp_path: Path, model_file: Path) -> Iterator[Node]:
    create_folder(tmp_path / "node")
    shutil.copy(model_file, tmp_path / "node" / "models" / "current.model")
    with Node(tmp_path / "node", with_store=False) as node:
        yield node


@pytest.fixture
def small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred consumers are enough to see that they pay."""
    monkeypatch.setattr("bezant.interfaces.live_economy.consumers_for", lambda rate: 100)


@pytest.mark.usefixtures("small_world")
def test_it_opens_funds_and_pays_and_stops(node: Node) -> None:
    economy = LiveEconomy(node, RATE)
    heard: list[tuple[int, int]] = []
    economy.prepare(lambda done, of: heard.append((done, of)))
    parties = heard[-1][1]
    assert heard[-1] == (parties, parties)
    assert node.engine.ledger.account_count == parties + 1
    funded = node.engine.ledger.accounts["credits_posted_lo"] > 0
    assert np.count_nonzero(funded) > parties // 2
    economy.start()
    deadline = time.monotonic() + 20
    while economy.sent < 50 and time.monotonic() < deadline:
        time.sleep(0.01)
    economy.stop()
    sent = economy.sent
    assert sent >= 50
    assert economy.failure is None
    node.intake.close()
    node.engine.wait_durable(node.engine.height)
    paid = sum(int(np.count_nonzero(block.decisions["generation"])) for block in node.engine.blocks_from(1))
    assert paid == sent + np.count_nonzero(funded), "every payment handed in was ordered, and none after"
    node.engine.ledger.check_invariants()
    assert not [thread for thread in threading.enumerate() if thread.name == "economy"]


@pytest.mark.usefixtures("small_world")
def test_it_goes_on_after_an_overload_and_stops_with_the_node(node: Node) -> None:
    economy = LiveEconomy(node, RATE)
    economy.prepare()
    honest, turned_away = node.intake.submit, threading.Event()

    def shed(submission: Submission, reply: Reply) -> None:
        turned_away.set()
        node.intake.submit = honest  # type: ignore[method-assign]
        raise Overloaded("too much at once")

    node.intake.submit = shed  # type: ignore[method-assign]
    economy.start()
    assert turned_away.wait(20)
    deadline = time.monotonic() + 20
    while not economy.sent and time.monotonic() < deadline:
        time.sleep(0.01)
    assert economy.sent > 0
    assert economy.failure is None
    node.intake.close()
    economy._thread.join(20)
    assert not economy._thread.is_alive()
    assert isinstance(economy.failure, Overloaded)
    economy.stop()


def test_a_refusal_that_is_final_is_remembered(node: Node) -> None:
    economy = LiveEconomy(node, RATE)
    economy._note(Overloaded("later"))
    assert economy.failure is None
    economy._note(StorageError("the disk is full"))
    assert isinstance(economy.failure, StorageError)
    economy.stop()


def test_a_world_grows_with_its_rate_within_bounds() -> None:
    assert [consumers_for(rate) for rate in (1, 50, 100_000)] == [500, 2_000, 5_000]
