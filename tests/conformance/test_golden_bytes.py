"""The bytes that are signed, hashed, journaled and proved never change by accident.

The golden file holds the layout of every record and one example of each as hexadecimal. Where a
format changes on purpose, its version and domain tag change too, and the file with them: it is
what `current()` returns, as JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bezant.chain import leaves
from bezant.chain.blocks import AppHash
from bezant.chain.storage import frames
from bezant.ledger.batch import account_id
from bezant.ledger.columnar import ColumnarLedger
from bezant.model import digest, orders, packing, records
from bezant.model.genesis import encode_genesis, network_id
from bezant.model.governance import Ballot, Rule
from bezant.model.keys import SCHEME_SECP256K1, SigningKey, authority_id
from bezant.model.merkle import leaf_hashes
from bezant.model.outcomes import Outcome, SigningMode, Verdict
from bezant.model.records import DECISION, RECORD, Flag, Kind, Label, ModelRole, Role
from bezant.testing.ledgers import ALICE, GATEWAY, World, small_genesis

GOLDEN = Path(__file__).parent / "golden" / "wire.json"

LAYOUTS = {
    "RECORD": records.RECORD,
    "DECISION": records.DECISION,
    "AUTHORISATION": records.AUTHORISATION,
    "ORIGINAL": records.ORIGINAL,
    "SIDE": records.SIDE,
    "RECEIPT": records.RECEIPT,
    "FAULT": records.FAULT,
    "ORDER_HEADER": orders.HEADER,
    "LEAF": leaves.LEAF,
    "SEGMENT_HEADER": frames.SEGMENT_HEADER,
    "FRAME_HEADER": frames.FRAME_HEADER,
    "BLOCK_HEADER": frames.BLOCK_HEADER,
}


SATOSHI = SigningKey(bytes(31) + b"\x03", SCHEME_SECP256K1)
"""The secret key of BIP-340's first test vector."""


def layout(dtype: np.dtype[Any]) -> dict[str, Any]:
    fields = dtype.fields or {}
    return {
        "itemsize": dtype.itemsize,
        "fields": {name: [fields[name][1], fields[name][0].itemsize] for name in dtype.names or ()},
    }


def example(dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return one row whose bytes count up from 1, so that every field shows its place."""
    return np.frombuffer(bytes(1 + n % 255 for n in range(dtype.itemsize)), dtype).copy()


def current() -> dict[str, Any]:
    genesis = small_genesis()
    network = network_id(genesis)
    record, decision = example(RECORD), example(DECISION)
    authorisation = orders.authorise(network, ALICE, record)
    order = orders.attest(
        network, orders.Order(authority_id(GATEWAY.public), authorisation, record, decision), GATEWAY
    )
    both = np.concatenate([record, record])
    both["amount"] = 1, 256
    pair = orders.Order(
        authority_id(GATEWAY.public),
        orders.authorise(network, ALICE, both),
        both,
        np.concatenate([decision, decision]),
    )
    one = np.ones(1, np.uint8)
    block = frames.JournaledBlock(
        7, 1_700_000_000_000_000_000, AppHash.known(bytes(range(32))), (order,), one, one
    )
    body = frames.encode_block(network, block)
    world = World(ColumnarLedger)
    receipts = world.apply((ALICE, world.transfer(world.alice, world.bob, 5)))
    leaf = leaves.build_leaves(
        receipts,
        leaf_hashes(digest.as_rows(record)),
        decision,
        bytes(range(32)),
        world.ledger.accounts,
    )
    return {
        "layouts": {name: layout(dtype) for name, dtype in LAYOUTS.items()},
        "numbers": {
            kind.__name__: {member.name: int(member) for member in kind}
            for kind in (Outcome, Verdict, SigningMode, Kind, Flag, Role, Label, ModelRole, Rule, Ballot)
        },
        "tags": {
            name: value.hex() for name, value in sorted(vars(digest).items()) if name.startswith("TAG_")
        },
        "examples": {
            "genesis": encode_genesis(genesis).decode(),
            "network_id": network.hex(),
            "authority_id": f"{authority_id(ALICE.public):032x}",
            "account_id": f"{account_id(2, authority_id(ALICE.public), 1, 999):032x}",
            "authority_id_secp256k1": f"{authority_id(SATOSHI.public, 2):032x}",
            "signature_secp256k1": SATOSHI.sign(b"bezant").hex(),
            "record": record.tobytes().hex(),
            "record_hash": leaf_hashes(digest.as_rows(record))[0].tobytes().hex(),
            "decision": decision.tobytes().hex(),
            "authorisation": authorisation.tobytes().hex(),
            "order_digest": orders.order_digest(network, order).hex(),
            "order": orders.encode_order(network, order).hex(),
            "packed_order": packing.pack_order(network, orders.attest(network, pair, GATEWAY)).hex(),
            "receipt": receipts.tobytes().hex(),
            "leaf": leaf.tobytes().hex(),
            "leaf_hash": leaves.hash_leaves(leaf)[0].tobytes().hex(),
            "app_hash": leaves.next_app_hash(bytes(32), bytes(range(32))).hex(),
            "seal_message": leaves.seal_message(network, 7, 8, 9, bytes(range(32))).hex(),
            "frame": frames.encode_frame(7, 6, body).hex(),
            "segment_header": frames.encode_segment_header(network, 3, 40, 1024).hex(),
        },
    }


@pytest.mark.parametrize("part", ["layouts", "numbers", "tags", "examples"])
def test_the_bytes_are_the_golden_ones(part: str) -> None:
    golden, now = json.loads(GOLDEN.read_text())[part], current()[part]
    assert now.keys() == golden.keys()
    for name, value in golden.items():
        assert now[name] == value, f"{part}: {name} changed"


@pytest.mark.parametrize(
    ("name", "size"),
    [("RECORD", 128), ("DECISION", 64), ("AUTHORISATION", 96), ("ORDER_HEADER", 64), ("LEAF", 176)],
)
def test_sizes_are_the_documented_ones_without_padding(name: str, size: int) -> None:
    dtype = LAYOUTS[name]
    assert dtype.itemsize == size
    assert sum(field[0].itemsize for field in (dtype.fields or {}).values()) == size


def test_the_golden_order_is_read_back() -> None:
    examples = json.loads(GOLDEN.read_text())["examples"]
    network = bytes.fromhex(examples["network_id"])
    order = orders.decode_order(bytes.fromhex(examples["order"]), network)
    assert order.records.tobytes().hex() == examples["record"]
    frame = frames.read_frame(memoryview(bytes.fromhex(examples["frame"])), 0)
    assert frame is not None
    assert frames.decode_block(frame.body, network).orders[0].records.tobytes().hex() == examples["record"]
