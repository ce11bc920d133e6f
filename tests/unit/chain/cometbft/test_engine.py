"""What a validator's engine refuses by itself, before the network is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from bezant.chain.cometbft.engine import CometEngine
from bezant.errors import Overloaded
from bezant.ledger.batch import NS_PER_S
from bezant.testing.chains import LEDGER_SEED
from bezant.testing.ledgers import NODE, small_genesis

GENESIS = small_genesis()
NOBODY = "http://127.0.0.1:9"


def test_what_would_be_in_the_future_of_the_next_block_is_not_sent(tmp_path: Path) -> None:
    """A block has the time of the votes on the one before: of long ago, where the network stood still."""
    now_ns = GENESIS.created_ms * 1_000_000 + GENESIS.rules.id_future_s * NS_PER_S
    engine = CometEngine(
        tmp_path, GENESIS, NODE, LEDGER_SEED, socket=tmp_path / "s", rpc_url=NOBODY, now_ns=lambda: now_ns
    )
    try:
        engine.submit([])
        now_ns += 1
        with pytest.raises(Overloaded) as refused:
            engine.submit([])
        assert refused.value.code == "network_behind"
    finally:
        engine.close()
