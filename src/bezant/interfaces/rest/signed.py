"""Payments that the payer signed: the gateway screens and orders them, and cannot change a byte."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec
import numpy as np
from litestar import Response, post

from bezant.errors import DecodeError, InputError
from bezant.interfaces.reasons import OUTCOMES
from bezant.interfaces.rest.idempotency import Answer
from bezant.interfaces.rest.services import AnyRequest, Given, Services, read_body, respond
from bezant.interfaces.rest.shapes import SignedPayments, SignedResult, SignedResults
from bezant.model.digest import TAG_PAYLOAD, sha256
from bezant.model.identifiers import render_payment_id, words
from bezant.model.keys import SCHEME_ED25519, authority_id
from bezant.model.orders import MAX_AUTHORISED_RECORDS, check_coverage
from bezant.model.outcomes import Outcome
from bezant.model.payment import SALT_BYTES, decode_payload
from bezant.model.records import AUTHORISATION, RECORD, RecordArray, id_of
from bezant.pipeline.batch import Submission
from bezant.pipeline.intake import Answers

BINARY = "application/octet-stream"


@post("/payments/signed", opt={"body": SignedPayments, "binary": True}, status_code=200)
async def submit_signed(request: AnyRequest, services: Given) -> Response[SignedResults]:
    """Submit records under the payer's own signature; the ids that were signed make it idempotent.

    As JSON, or as application/octet-stream: one AUTHORISATION of 96 bytes, then its RECORDs of 128.
    Always 200 with one result a record, in order; `Idempotency-Replayed` when all were answered before.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == BINARY:
        submission = _read_binary(await request.body())
    else:
        submission = _read_json(await read_body(request, SignedPayments), services)
    answers = await services.replies.submit(submission)
    results = tuple(_result(submission.records[row], answers, row) for row in range(len(submission)))
    replayed = all(result.outcome == Outcome.EXISTS.label for result in results)
    return respond(Answer(200, msgspec.json.encode(SignedResults(results)), replayed=replayed))


def _read_binary(data: bytes) -> Submission:
    body = len(data) - AUTHORISATION.itemsize
    if body < RECORD.itemsize or body % RECORD.itemsize:
        raise DecodeError(
            f"{len(data)} bytes are not one AUTHORISATION of {AUTHORISATION.itemsize} and RECORDs of "
            f"{RECORD.itemsize}",
            code="malformed",
        )
    authorisation = np.frombuffer(data, AUTHORISATION, 1).copy()
    records = np.frombuffer(data, RECORD, offset=AUTHORISATION.itemsize).copy()
    check_coverage(authorisation, len(records))
    return Submission(authorisation, records)


def _read_json(body: SignedPayments, services: Services) -> Submission:
    network = services.node.engine.network.hex()
    if body.network and body.network != network:
        raise InputError(
            f"this was signed for network {body.network[:16]}…; this is {network[:16]}…",
            code="other_network",
            param="network",
        )
    raw = _read_bytes(body.records, "records")
    if not raw or len(raw) % RECORD.itemsize or len(raw) > MAX_AUTHORISED_RECORDS * RECORD.itemsize:
        raise InputError(
            f"{len(raw)} bytes are not 1 to {MAX_AUTHORISED_RECORDS} records of {RECORD.itemsize}",
            param="records",
        )
    signature = _read_bytes(body.signature, "signature")
    if len(signature) != 64:
        raise InputError(f"a signature has 64 bytes, not {len(signature)}", param="signature")
    records = np.frombuffer(raw, RECORD).copy()
    authorisation = np.zeros(1, AUTHORISATION)
    authority = authority_id(bytes.fromhex(body.public_key))
    authorisation["authority_lo"], authorisation["authority_hi"] = words(authority)
    authorisation["count"], authorisation["scheme"] = len(records), SCHEME_ED25519
    authorisation["signature"] = np.frombuffer(signature, np.uint8)
    return Submission(authorisation, records, _payloads(body.payloads, records))


def _payloads(texts: tuple[str, ...], records: RecordArray) -> tuple[bytes, ...]:
    """Return the sealed texts, each checked against what was signed. Raises: InputError."""
    if not texts:
        return ()
    if len(texts) != len(records):
        raise InputError(f"{len(texts)} payloads for {len(records)} records", param="payloads")
    payloads = []
    for row, text in enumerate(texts):
        payload = _read_bytes(text, f"payloads[{row}]") if text else b""
        if payload:
            _check_payload(payload, records[row], f"payloads[{row}]")
        payloads.append(payload)
    return tuple(payloads)


def _check_payload(payload: bytes, record: np.void, param: str) -> None:
    if sha256(TAG_PAYLOAD, payload) != record["payload_commitment"].tobytes():
        raise InputError(
            "this is not the payload that the signed commitment is over",
            code="payload_mismatch",
            param=param,
        )
    try:
        decode_payload(payload[SALT_BYTES:])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the payload does not parse: {error}", param=param) from None


def _read_bytes(text: str, param: str) -> bytes:
    """Return bytes written in hexadecimal or base64. Raises: InputError."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError("these are neither hexadecimal digits nor base64", param=param) from None


def _result(record: Any, answers: Answers, row: int) -> SignedResult:
    outcome = Outcome(int(answers.outcome[row]))
    before = Outcome(int(answers.first_outcome[row])) if outcome is Outcome.EXISTS else None
    told = outcome if before is None else before
    ordered = bool(answers.receipts["id_hi"][row])
    return SignedResult(
        id=render_payment_id(id_of(record, "id")),
        outcome=outcome.label,
        refused=told.refused,
        block=answers.height if ordered else 0,
        first_outcome=None if before is None else before.label,
        reason_code=OUTCOMES[told].iso if told.refused else None,
    )


ROUTES = [submit_signed]
