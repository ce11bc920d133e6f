"""CometBFT forgets old blocks where it is told to; what can be proved still is, the rest says who knows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bezant.chain.cometbft import retention
from bezant.chain.cometbft.engine import CometEngine
from bezant.chain.cometbft.program import usable_program
from bezant.chain.cometbft.rpc import Rpc
from bezant.chain.receipts import build_receipt, render_receipt, verify_receipt
from bezant.errors import ConfigError, NotFound
from bezant.model.genesis import Genesis
from bezant.model.records import id_of
from bezant.testing.chains import LEDGER_SEED
from bezant.testing.ledgers import ALICE, NODE, small_genesis

from .test_engines import CometWorld

KEPT = 6
WAIT_S = 60.0


class PrunedWorld(CometWorld):
    """One validator that keeps few blocks, on a network where evidence is too old at once."""

    def open(self) -> None:
        path = self.validator.home / "config" / "genesis.json"
        told = json.loads(path.read_text())
        told["consensus_params"]["evidence"] |= {"max_age_num_blocks": "1", "max_age_duration": "1"}
        path.write_text(json.dumps(told))
        self.engine = CometEngine(
            self.folder,
            self.genesis,
            NODE,
            LEDGER_SEED,
            socket=self.validator.socket,
            rpc_url=self.validator.rpc_url,
            keep_blocks=KEPT,
        )
        self.validator.run(self.engine)

    def earliest(self) -> int:
        rpc = Rpc(self.validator.rpc_url)
        try:
            return int(rpc.ask("status")["sync_info"]["earliest_block_height"])
        finally:
            rpc.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrunedWorld]:
    try:
        usable_program()
    except ConfigError as error:
        pytest.skip(error.message)
    monkeypatch.setattr(retention, "EVERY", 2)
    genesis: Genesis = small_genesis(checkpoint_interval=4)
    made = PrunedWorld(tmp_path, genesis)
    yield made
    made.close()


def test_old_blocks_are_forgotten_and_what_is_kept_is_proved(world: PrunedWorld) -> None:
    alice, bob = world.fund()
    early = world.transfer(alice, bob, 1)
    world.submit(world.order((ALICE, early)))
    end = time.monotonic() + WAIT_S
    while world.earliest() <= 12:
        assert time.monotonic() < end, "nothing was forgotten"
        world.submit(world.order((ALICE, world.transfer(alice, bob, 1))))
    last = world.transfer(alice, bob, 2)
    world.submit(world.order((ALICE, last)))
    shown = render_receipt(build_receipt(world.engine.prove(id_of(last[0], "id"))))
    verify_receipt(shown, genesis_hash=world.engine.network.hex())
    payment = id_of(early[0], "id")
    with pytest.raises(NotFound) as refused:
        world.engine.prove(payment)
    assert refused.value.code == "pruned"
    assert "keep_blocks" in refused.value.message
    # The journal has it as before.
    assert world.engine.find(payment).height < world.earliest()
    world.close()
    world.open()
    shown = render_receipt(build_receipt(world.engine.prove(id_of(last[0], "id"))))
    verify_receipt(shown, genesis_hash=world.engine.network.hex())
