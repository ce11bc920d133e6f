"""Headers and votes as the engine's RPC tells them, as the parts of a proof."""

from __future__ import annotations

import calendar
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from bezant.chain.finality import (
    SignedHeader,
    Validator,
    Vote,
    bytes_field,
    hash_field,
    height_field,
    number_field,
    parts_header,
    text_field,
    time_field,
)
from bezant.errors import DecodeError

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z")
_VOTED = 2
"""BlockIDFlagCommit: for this block, not for none."""
_HASHES = (
    "last_commit_hash",
    "data_hash",
    "validators_hash",
    "next_validators_hash",
    "consensus_hash",
    "app_hash",
    "last_results_hash",
    "evidence_hash",
    "proposer_address",
)
Json = Mapping[str, Any]


def signed_header(told: Json, validators: Sequence[Json]) -> SignedHeader:
    """Return a header with its votes from ``/commit`` (its signed_header) and ``/validators`` of its height.

    Raises: DecodeError for anything else than what the engine answers.
    """
    try:
        commit = told["commit"]
        return SignedHeader(
            height=int(commit["height"]),
            fields=header_fields(told["header"]),
            round=int(commit["round"]),
            parts_total=int(commit["block_id"]["parts"]["total"]),
            parts_hash=str(commit["block_id"]["parts"]["hash"]).lower(),
            validators=tuple(map(validator, validators)),
            votes=tuple(map(_vote, commit["signatures"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"the engine's commit does not parse: {error!r}", code="rpc_malformed") from None


def header_fields(header: Json) -> tuple[str, ...]:
    """Return the fourteen fields of a header as they are hashed, hexadecimal."""
    version, last = header["version"], header["last_block_id"]
    parts = parts_header(int(last["parts"]["total"]), bytes.fromhex(last["parts"]["hash"]))
    fields = [
        number_field(1, int(version["block"])) + number_field(2, int(version.get("app", 0))),
        text_field(header["chain_id"]),
        height_field(int(header["height"])),
        time_field(nanoseconds(header["time"])),
        hash_field(bytes.fromhex(last["hash"])) + bytes_field(2, parts),
    ]
    fields += [hash_field(bytes.fromhex(header[name])) for name in _HASHES]
    return tuple(field.hex() for field in fields)


def validator(told: Json) -> Validator:
    """Return a validator as ``/validators`` and a genesis of the engine name it."""
    power = told["voting_power"] if "voting_power" in told else told["power"]
    return Validator(b64decode(told["pub_key"]["value"], validate=True).hex(), int(power))


def nanoseconds(text: str) -> int:
    """Return a time of RFC 3339 in UTC, with up to nine decimals, in nanoseconds since 1970."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time")
    *whole, fraction = found.groups(default="")
    year, month, day, hour, minute, second = map(int, whole)
    seconds = calendar.timegm((year, month, day, hour, minute, second))
    return seconds * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


def _vote(told: Json) -> Vote | None:
    if told["block_id_flag"] != _VOTED:
        return None
    return Vote(nanoseconds(told["timestamp"]), b64decode(told["signature"], validate=True).hex())
