"""One attempt to deliver a webhook, as Standard Webhooks describes it.

What is signed is ``id.timestamp.body``, by HMAC-SHA256 under the endpoint's secret. While a secret is
being rotated both sign, and the receiver accepts either.
Source: https://www.standardwebhooks.com (specification 1.0).
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from bezant.errors import InputError
from bezant.gateway.targets import resolve_target

SECRET_PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
TIMEOUT_S: Final = 15.0
MAX_BODY_BYTES: Final = 20_000
"""What the specification asks bodies to stay under. Ours do by their shape, which a test holds them to."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of it; `status` is 0 where no answer came."""

    status: int
    error: str

    @property
    def delivered(self) -> bool:
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing any more."""
        return self.status == httpx.codes.GONE


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sign(keys: Sequence[str], id_: str, timestamp_s: int, body: bytes) -> str:
    """Return the ``webhook-signature`` header: a ``v1`` signature under every secret, by spaces.

    >>> sign(["whsec_c2VjcmV0"], "msg_1", 1700000000, b"{}")
    'v1,A5oIrJxXPB/PkULSoVu0e4khvPiqpF9vljmhkSKg0FI='
    """
    text = f"{id_}.{timestamp_s}.".encode() + body
    digests = (hmac.digest(base64.b64decode(key.removeprefix(SECRET_PREFIX)), text, "sha256") for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def new_client() -> httpx.Client:
    """Return a client that follows no redirect, reads no environment and keeps no connection.

    Connections go to addresses; one kept for a name must not serve another name of that address.
    """
    return httpx.Client(
        timeout=TIMEOUT_S,
        follow_redirects=False,
        trust_env=False,
        limits=httpx.Limits(max_keepalive_connections=0),
        headers={"user-agent": "bezant-webhooks/1", "content-type": "application/json"},
    )


def deliver(
    client: httpx.Client,
    url: str,
    keys: Sequence[str],
    id_: str,
    timestamp_s: int,
    body: bytes,
    *,
    allow_private: bool,
) -> Attempt:
    """Post one event and return what came of it; only the status of the answer is read."""
    try:
        target = resolve_target(url, allow_private=allow_private)
        headers = {
            "host": target.host,
            "webhook-id": id_,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": sign(keys, id_, timestamp_s, body),
        }
        with client.stream(
            "POST", target.url, content=body, headers=headers, extensions={"sni_hostname": target.name}
        ) as answer:
            return Attempt(answer.status_code, f"the receiver answered {answer.status_code}")
    except InputError as error:
        return Attempt(0, error.message)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        return Attempt(0, f"{type(error).__name__}: {error}"[:200])
