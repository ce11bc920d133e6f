"""Payments under the payer's own signature."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from bezant.gateway.commands import seal_payload, transfer
from bezant.interfaces.rest.signed import RESULT
from bezant.model.digest import TAG_PAYLOAD, sha256
from bezant.model.identifiers import PaymentId, new_payment_id, parse_account_id, render_payment_id
from bezant.model.keys import SigningKey
from bezant.model.orders import authorise
from bezant.model.outcomes import Outcome
from bezant.model.payment import SALT_BYTES, Payload
from bezant.model.records import RecordArray, id_of
from bezant.testing.ledgers import seeded_key

from .conftest import Api

KEY = seeded_key("payer")
OCTETS = {"content-type": "application/octet-stream"}


@pytest.fixture
def own(api: Api) -> tuple[str, str]:
    """An account that answers to the payer's key, with money on it, and one to pay to."""
    return api.account("50", public_key=KEY.public.hex()), api.account()


def record(api: Api, own: tuple[str, str], minor: int = 100, **more: Any) -> RecordArray:
    identity = new_payment_id(api.node.desk.now_ms())
    return transfer(PaymentId(identity), *map(parse_account_id, own), 1, minor, **more)


def as_json(api: Api, records: RecordArray, key: SigningKey = KEY, network: bytes = b"") -> dict[str, Any]:
    signed = authorise(network or api.node.engine.network, key, records)
    return {
        "records": records.tobytes().hex(),
        "public_key": key.public.hex(),
        "signature": base64.b64encode(signed["signature"].tobytes()).decode(),
    }


def test_a_payload_that_is_no_text(api: Api, own: tuple[str, str]) -> None:
    sealed = bytes(SALT_BYTES) + b'{"remittance_information":"\xff"}'
    records = record(api, own, 1, commitment=sha256(TAG_PAYLOAD, sealed))
    body = as_json(api, records) | {"payloads": [sealed.hex()]}
    answer = api.send("POST", "/v1/payments/signed", json=body)
    assert (answer.status_code, answer.json()["param"]) == (400, "payloads[0]")


def test_the_payer_signs_and_the_receipt_says_so(api: Api, own: tuple[str, str]) -> None:
    sealed, commitment = seal_payload(Payload(remittance_information="from me"))
    records = record(api, own, 1234, commitment=commitment)
    body = as_json(api, records) | {"payloads": [sealed.hex()]}
    answer = api.send("POST", "/v1/payments/signed", json=body)
    assert answer.status_code == 200
    (result,) = answer.json()["results"]
    assert (result["outcome"], result["refused"]) == ("applied", False)
    view = api.get(f"/v1/payments/{result['id']}")
    assert (view["signing_mode"], view["remittance_information"]) == ("self", "from me")
    again = api.send("POST", "/v1/payments/signed", json=body)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["results"][0]["first_outcome"] == "applied"
    assert api.get(f"/v1/accounts/{own[1]}")["balance"] == "12.34"


def test_as_octets(api: Api, own: tuple[str, str]) -> None:
    records = record(api, own)
    body = authorise(api.node.engine.network, KEY, records).tobytes() + records.tobytes()
    answer = api.send("POST", "/v1/payments/signed", content=body, headers=OCTETS)
    expected = render_payment_id(id_of(records[0], "id"))
    assert [(r["id"], r["outcome"]) for r in answer.json()["results"]] == [(expected, "applied")]


def test_answered_as_octets(api: Api, own: tuple[str, str]) -> None:
    records = record(api, own)
    body = authorise(api.node.engine.network, KEY, records).tobytes() + records.tobytes()
    headers = OCTETS | {"accept": "application/octet-stream"}
    first, again = (api.send("POST", "/v1/payments/signed", content=body, headers=headers) for _ in range(2))
    assert first.headers["content-type"] == "application/octet-stream"
    (answer,) = np.frombuffer(first.content, RESULT)
    assert (answer["outcome"], answer["block"]) == (Outcome.APPLIED, api.node.engine.height)
    (answer,) = np.frombuffer(again.content, RESULT)
    assert answer.tolist() == (0, Outcome.EXISTS, Outcome.APPLIED, 0)
    assert again.headers["idempotency-replayed"] == "true"


def test_another_networks_signature_means_nothing(api: Api, own: tuple[str, str]) -> None:
    body = as_json(api, record(api, own), network=bytes(32))
    (result,) = api.send("POST", "/v1/payments/signed", json=body).json()["results"]
    assert (result["outcome"], result["reason_code"]) == ("bad_signature", "DS0B")
    told = api.send("POST", "/v1/payments/signed", json=body | {"network": "0" * 64})
    assert (told.status_code, told.json()["code"]) == (422, "other_network")


def test_a_stranger_may_not_pay_from_it(api: Api, own: tuple[str, str]) -> None:
    unknown = as_json(api, record(api, own), key=seeded_key("stranger"))
    (result,) = api.send("POST", "/v1/payments/signed", json=unknown).json()["results"]
    assert (result["outcome"], result["refused"]) == ("unknown_authority", True)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"records": "00"}, "records"),
        ({"records": "zz zz"}, "records"),
        ({"signature": "00"}, "signature"),
        ({"public_key": "00"}, "public_key"),
        ({"payloads": ["00", "00"]}, "payloads"),
        ({"payloads": ["00"]}, "payloads[0]"),
    ],
)
def test_what_cannot_be_read(api: Api, own: tuple[str, str], change: dict[str, Any], param: str) -> None:
    answer = api.send("POST", "/v1/payments/signed", json=as_json(api, record(api, own)) | change)
    assert answer.status_code in (400, 422)
    assert answer.json()["param"] == param


@pytest.mark.parametrize("content", [b"", b"x" * 96, b"\0" * 224, b"x" * 225])
def test_octets_that_are_none(api: Api, content: bytes) -> None:
    answer = api.send("POST", "/v1/payments/signed", content=content, headers=OCTETS)
    assert answer.status_code == 400
