"""Devices and terminals: named in a payload, kept as keys, learned alike live and after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bezant.intelligence.evidence import decode_evidence
from bezant.intelligence.features import COLUMN
from bezant.model.identifiers import PaymentId
from bezant.model.payment import SALT_BYTES, Payload, encode_payload
from bezant.model.records import Label
from bezant.stages.instruments import Instruments
from bezant.testing.nodes import SmallNode
from bezant.vault import VaultKind

PHONE, TILL = Payload(device="phone-4711"), Payload(device="phone-4711", terminal="till-9")


@pytest.fixture
def town(tmp_path: Path, model_file: Path) -> Iterator[SmallNode]:
    with SmallNode(tmp_path / "node", model=model_file) as town:
        yield town


def seen(town: SmallNode, payment: PaymentId, feature: str) -> float:
    """Return a feature of a payment as its evidence has it."""
    row = np.frombuffer(town.node.vault.read(VaultKind.EVIDENCE, payment), np.uint8)
    return float(decode_evidence(row.reshape(1, -1))["x"][0, COLUMN[feature]])


def state(town: SmallNode) -> dict[str, bytes]:
    return {name: np.ascontiguousarray(a).tobytes() for name, a in town.node.features.dump().items()}


def pay(town: SmallNode, payload: Payload | None, **more: object) -> PaymentId:
    town.tick()
    identity, answers = town.pay(payload=payload, **more)  # type: ignore[arg-type]
    assert not answers.first.refused
    return identity


def test_a_device_is_new_once_for_each_payer(town: SmallNode) -> None:
    assert seen(town, pay(town, None), "device_new") == -1.0
    assert seen(town, pay(town, PHONE), "device_new") == 1.0
    again = pay(town, PHONE)
    assert seen(town, again, "device_new") == 0.0
    assert seen(town, again, "terminal_new") == -1.0
    till = pay(town, TILL)
    assert (seen(town, till, "device_new"), seen(town, till, "terminal_new")) == (0.0, 1.0)
    other = pay(town, PHONE, debtor=town.bob, creditor=town.alice)
    assert seen(town, other, "device_new") == 1.0
    assert seen(town, other, "device_payers_30d") == pytest.approx(1.0, rel=1e-3)


def test_a_restart_learns_from_the_vault_what_was_learned_live(town: SmallNode) -> None:
    for payload in (PHONE, None, TILL, TILL, Payload(terminal="till-9", remittance_information="x")):
        labelled = pay(town, payload)
    town.node.labels.say(labelled, Label.FRAUD, town.new_id())
    assert seen(town, pay(town, Payload(terminal="till-9"), creditor=town.alice, debtor=town.bob),
                "place_series") == 1.0  # fmt: skip
    before = state(town)
    town.restart()
    assert state(town) == before
    assert seen(town, pay(town, PHONE), "device_new") == 0.0


def test_erasing_a_party_takes_its_devices(town: SmallNode) -> None:
    paid = pay(town, PHONE)
    assert len(town.node.vault.read(VaultKind.INSTRUMENTS, paid)) == 16
    town.node.accounts.erase(town.alice_party)
    assert town.node.vault.read_many(VaultKind.INSTRUMENTS, [paid]) == {}
    town.restart()
    assert not town.node.features.dump()["instruments"].any()


def test_names_stand_nowhere_on_disk(town: SmallNode) -> None:
    pay(town, Payload(device="Quercus-phone", terminal="Quercus-till"))
    town.restart()
    for path in town.path.rglob("*"):
        assert not path.is_file() or b"Quercus" not in path.read_bytes(), path


def test_keys_depend_on_the_secret_the_role_and_the_name(town: SmallNode) -> None:
    vault = town.node.vault
    texts = [bytes(SALT_BYTES) + encode_payload(p) for p in (PHONE, TILL, Payload(terminal="phone-4711"))]
    device, terminal = Instruments(vault, b"one").read([*texts, b""])
    assert device[0] == device[1] != 0
    assert terminal[2] not in (0, device[0])
    assert (device[2], device[3], terminal[0], terminal[3]) == (0, 0, 0, 0)
    assert Instruments(vault, b"two").read(texts)[0][0] != device[0]


def test_a_text_that_speaks_of_devices_names_none(town: SmallNode) -> None:
    sly = Payload(remittance_information='","device":"phone-4711","terminal":"till-9')
    device, terminal = town.node.instruments.read([bytes(SALT_BYTES) + encode_payload(sly)])
    assert not device.any()
    assert not terminal.any()
