"""Records that others signed, payments and commands alike: the gateway screens and orders them, and
cannot change a byte. One key may sign, or several of an authority together."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import msgspec
import numpy as np
from litestar import Response, post
from msgspec import Meta

from bezant.errors import DecodeError, InputError
from bezant.interfaces.reasons import OUTCOMES
from bezant.interfaces.rest.idempotency import Answer
from bezant.interfaces.rest.services import REPLAYED, AnyRequest, Given, Services, read_body, respond
from bezant.interfaces.rest.shapes import Hex32, In, Out, Scheme
from bezant.model.digest import TAG_PAYLOAD, sha256
from bezant.model.identifiers import AuthorityId, render_payment_id, words
from bezant.model.keys import SCHEME_NUMBERS, authority_id
from bezant.model.orders import MAX_AUTHORISED_RECORDS, check_coverage
from bezant.model.outcomes import Outcome
from bezant.model.payment import SALT_BYTES, decode_payload
from bezant.model.records import AUTHORISATION, MAX_KEYS, RECORD, RecordArray, id_of
from bezant.pipeline.batch import Submission
from bezant.pipeline.intake import Answers

BINARY = "application/octet-stream"
RESULT = np.dtype([("block", "<u8"), ("outcome", "<u2"), ("first_outcome", "<u2"), ("reserved", "<u4")])
"""The answer to one record where octets were asked for; `block` 0: it was not ordered."""


class KeySignature(In, frozen=True):
    """One key's signature, in base64 or hexadecimal."""

    signature: Annotated[str, Meta(min_length=1, description="64 bytes over the Authorisation's message")]
    scheme: Scheme = "ed25519"
    key_index: Annotated[int, Meta(ge=0, lt=MAX_KEYS, description="The key's slot")] = 0


class SignedPayments(In, frozen=True):
    """Records as one Authorisation; bytes in base64 or hexadecimal.

    Signed by the key that an authority was registered with (`public_key`, `scheme`, `signature`), or by
    several keys, or others, of an authority (`authority`, `signatures`, in ascending order of their slots).
    """

    records: Annotated[str, Meta(min_length=1, description="128 bytes for each record, in order")]
    public_key: Hex32 = ""
    scheme: Scheme = "ed25519"
    signature: str = ""
    authority: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$", description="Authority id")] = ""
    signatures: Annotated[tuple[KeySignature, ...], Meta(max_length=MAX_KEYS)] = ()
    network: Hex32 = ""
    """The network it was signed for, to be told apart from a bad signature."""
    payloads: tuple[str, ...] = ()
    """For each record salt and canonical payload that its commitment is over; empty for none."""


class SignedResult(Out, frozen=True):
    id: str
    outcome: str
    refused: bool
    block: int = 0
    first_outcome: str | None = None
    """What was answered the first time, where `outcome` is `exists`."""
    reason_code: str | None = None


class SignedResults(Out, frozen=True):
    results: tuple[SignedResult, ...]


@post("/payments/signed", opt={"body": SignedPayments, "binary": True}, status_code=200)
async def submit_signed(request: AnyRequest, services: Given) -> Response[Any]:
    """Submit records under the payer's own signatures; the ids that were signed make it idempotent.

    Records of every kind, commands too. As JSON, or as application/octet-stream: an AUTHORISATION of 96
    bytes, one more (of count 0) for every co-signature, then the RECORDs of 128 that all of them sign.
    Always 200 with one result a record, in order; `Idempotency-Replayed` when all were answered before.
    Who accepts application/octet-stream is answered in 16 bytes a record, little-endian: block u64, outcome
    u16, first outcome u16, zero u32. Outcomes are numbered as in `bezant.model.outcomes`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == BINARY:
        submission = _read_binary(await request.body())
    else:
        submission = _read_json(await read_body(request, SignedPayments), services)
    answers = await services.replies.submit(submission)
    if request.headers.get("accept", "").strip().lower() == BINARY:
        return _respond_binary(answers)
    results = tuple(_result(submission.records[row], answers, row) for row in range(len(submission)))
    replayed = all(result.outcome == Outcome.EXISTS.label for result in results)
    return respond(Answer(200, msgspec.json.encode(SignedResults(results)), replayed=replayed))


def _respond_binary(answers: Answers) -> Response[bytes]:
    """Return the answers as RESULT rows."""
    results = np.zeros(len(answers.outcome), RESULT)
    results["outcome"], results["first_outcome"] = answers.outcome, answers.first_outcome
    results["block"] = np.where(answers.receipts["id_hi"] != 0, answers.height, 0)
    headers = {REPLAYED: "true"} if (answers.outcome == Outcome.EXISTS).all() else {}
    return Response(results.tobytes(), media_type=BINARY, headers=headers)


def _read_binary(data: bytes) -> Submission:
    size = AUTHORISATION.itemsize
    count = int(np.frombuffer(data, AUTHORISATION, 1)["count"][0]) if len(data) >= size else 0
    signed = len(data) - count * RECORD.itemsize
    if not 1 <= count <= MAX_AUTHORISED_RECORDS or signed % size or not 1 <= signed // size <= MAX_KEYS:
        raise DecodeError(
            f"{len(data)} bytes are not 1 to {MAX_KEYS} AUTHORISATIONs of {size}, the first of which counts "
            f"the RECORDs of {RECORD.itemsize} behind them",
            code="malformed",
        )
    authorisations = np.frombuffer(data, AUTHORISATION, signed // size).copy()
    records = np.frombuffer(data, RECORD, offset=signed).copy()
    check_coverage(authorisations, len(records))
    return Submission(authorisations, records)


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
    records = np.frombuffer(raw, RECORD).copy()
    authorisations = _authorisations(body, len(records))
    check_coverage(authorisations, len(records))
    return Submission(authorisations, records, _payloads(body.payloads, records))


def _authorisations(body: SignedPayments, count: int) -> RecordArray:
    """Return the rows of a body's signatures, the first of which covers the records."""
    if body.authority:
        authority, signatures = AuthorityId(int(body.authority, 16)), body.signatures
    else:
        key = bytes.fromhex(body.public_key)
        authority = authority_id(key, SCHEME_NUMBERS[body.scheme])
        signatures = (KeySignature(body.signature, body.scheme),) if key else ()
    if not signatures or bool(body.authority) != bool(body.signatures):
        raise InputError(
            "show a public_key with its signature, or an authority with the signatures of its keys",
            code="signature_missing",
            param="signatures" if body.authority else "public_key",
        )
    rows = np.zeros(len(signatures), AUTHORISATION)
    rows["authority_lo"], rows["authority_hi"] = words(authority)
    for at, one in enumerate(signatures):
        param = f"signatures[{at}].signature" if body.authority else "signature"
        signature = _read_bytes(one.signature, param)
        if len(signature) != 64:
            raise InputError(f"a signature has 64 bytes, not {len(signature)}", param=param)
        rows["first"][at], rows["count"][at] = (count, 0) if at else (0, count)
        rows["key_index"][at], rows["scheme"][at] = one.key_index, SCHEME_NUMBERS[one.scheme]
        rows["signature"][at] = np.frombuffer(signature, np.uint8)
    return rows


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
        reason_code=OUTCOMES[told].iso or None if told.refused else None,
    )


ROUTES = [submit_signed]
