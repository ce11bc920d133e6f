"""What is read back of receipts and blocks is what was written, or it is refused and made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bezant.chain.receipts import build_receipt, render_receipt
from bezant.chain.storage.archive import ENTRY
from bezant.chain.storage.snapshot_writer import Cadence
from bezant.errors import StorageError
from bezant.model.records import RECEIPT, id_of
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE


@pytest.mark.parametrize("name", ["receipts.log", "blocks.log"])
def test_a_changed_byte_is_refused_and_made_again(tmp_path: Path, name: str) -> None:
    chain = ChainWorld(tmp_path / "data", segment_bytes=64 * 1024, cadence=Cadence(10**9, 1))
    alice, bob = chain.fund()
    paid = [chain.submit((ALICE, chain.transfer(alice, bob, 10 + n))) for n in range(4)]
    payments = [id_of(block.records[0], "id") for block in paid]
    files = [render_receipt(build_receipt(chain.engine.prove(payment))) for payment in payments]
    chain.reopen()
    height = paid[2].height
    entry = np.fromfile(chain.folder / "blocks.log", ENTRY)[height - 1]
    at = {
        "receipts.log": int(entry["first"]) * RECEIPT.itemsize + RECEIPT.fields["debtor_side"][1],
        "blocks.log": (height - 1) * ENTRY.itemsize + ENTRY.fields["app_hash"][1],
    }[name]
    data = bytearray((chain.folder / name).read_bytes())
    data[at] ^= 4
    (chain.folder / name).write_bytes(data)

    for payment, file in zip(payments, files, strict=True):
        if payment == payments[2]:
            with pytest.raises(StorageError) as refused:
                chain.engine.prove(payment)
            assert refused.value.code == "archive_damaged"
            assert name in refused.value.message
        else:
            assert render_receipt(build_receipt(chain.engine.prove(payment))) == file
    with pytest.raises(StorageError):
        list(chain.engine.blocks_from(1))

    chain.engine.close()
    for derived in ("receipts.log", "blocks.log"):
        (chain.folder / derived).unlink()
    chain.open()
    assert [render_receipt(build_receipt(chain.engine.prove(p))) for p in payments] == files
    assert next(chain.engine.blocks_from(height)).app_hash == paid[2].app_hash
    chain.engine.close()
