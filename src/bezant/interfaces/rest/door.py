"""The door: every request passes it, whatever it asks for.

It gives the request an id, checks the operator's token, counts against the rate, and refuses bodies
that are no JSON. `/health` and the description of the interface under `/schema` are open; all the
rest, `/metrics` included (how many payments somebody makes is their business), needs the token.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from bezant.errors import AuthError, BezantError, InputError, Overloaded
from bezant.interfaces.rest.problems import REQUEST_ID, problem_of, send_problem

OPEN_PATHS: Final = ("/health", "/schema", "/favicon.ico")
JSON: Final = b"application/json"
BINARY: Final = b"application/octet-stream"
_SAID_ONCE: Final = (b"authorization", b"idempotency-key", b"content-type", b"content-length")
BINARY_PATHS: Final = ("/v1/payments/signed",)


def is_open(path: str) -> bool:
    """Whether a path needs no token."""
    return path == "/" or path.startswith(OPEN_PATHS)


class TokenBucket:
    """So many requests a second, lasting, and so many at once."""

    def __init__(self, rate_per_s: float, burst: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._now_s = rate_per_s, float(burst), now_s
        self._left, self._at_s = self._burst, now_s()

    def take(self) -> bool:
        """Return whether one more request may pass."""
        now_s = self._now_s()
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Door:
    """An ASGI application in front of another one."""

    def __init__(self, app: ASGIApp, token: str, rate_per_s: float, burst: int) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        # One random prefix a run and a count: unique, and no call to the system for each request.
        self._run, self._count = secrets.token_hex(6), 0
        self._known, self._strangers = TokenBucket(rate_per_s, burst), TokenBucket(rate_per_s, burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_id = self.next_id()
        scope[REQUEST_ID] = request_id  # type: ignore[typeddict-unknown-key]
        tag = (b"x-request-id", request_id.encode())

        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), tag]
            await send(message)

        try:
            _check_said_once(scope["headers"])
            self.admit(scope["method"], scope["path"], dict(scope["headers"]))
        except BezantError as error:
            await send_problem(problem_of(error, request_id), tagged)
            return
        await self._app(scope, receive, tagged)

    def next_id(self) -> str:
        """Return a request's id."""
        self._count += 1
        return f"req_{self._run}{self._count:08x}"

    def admit(self, method: str, path: str, headers: dict[bytes, bytes]) -> None:
        """Let a request pass, or raise why it may not: Overloaded, AuthError, InputError."""
        shown = headers.get(b"authorization", b"")
        known = hmac.compare_digest(shown, self._expected)
        if not (self._known if known else self._strangers).take():
            raise Overloaded("too many requests with this token; slow down", code="rate_limited")
        if not known and not is_open(path):
            raise AuthError(
                "show the operator's token as 'Authorization: Bearer ...'; it is in keys/operator.token "
                "in the data folder",
                param="Authorization",
            )
        if method == "POST" and _has_body(headers):
            _check_media_type(headers.get(b"content-type", b""), path)


def _check_said_once(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse a request that says twice what decides who asks and for what: each reader might take another."""
    names = [name for name, _ in headers if name in _SAID_ONCE]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        header = twice.decode().title()
        raise InputError(f"{header} is given twice; send it once", code="header_repeated", param=header)


def _has_body(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def _check_media_type(stated: bytes, path: str) -> None:
    media_type = stated.partition(b";")[0].strip().lower()
    if media_type != JSON and not (media_type == BINARY and path in BINARY_PATHS):
        shown = media_type.decode("latin-1")[:64]
        raise InputError(
            f"a body of type {shown!r} is not read here; send application/json",
            code="unsupported_media_type",
            param="Content-Type",
        )
