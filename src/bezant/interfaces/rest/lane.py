"""The lane for `POST /v1/payments`: the one request that comes by the thousand, without the framework.

Routing, dependencies and responses of the framework take two thirds of the time of so small a
request. The lane calls the functions that the route of that name calls, so it answers with the same
bytes, and it leaves whatever it does not know (no length, too large a body) to the framework.
"""

from __future__ import annotations

from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from bezant.errors import BezantError
from bezant.interfaces.rest.idempotency import HEADER, Answer
from bezant.interfaces.rest.payments import instruct, pay
from bezant.interfaces.rest.problems import PROBLEM_JSON, REQUEST_ID, failure, problem_of, send_problem
from bezant.interfaces.rest.services import REPLAYED, Services, decode_body
from bezant.interfaces.rest.shapes import PaymentRequest
from bezant.model.identifiers import PaymentId

PATH: Final = "/v1/payments"
_KEY: Final = HEADER.lower().encode()


class PaymentLane:
    """An ASGI application in front of the framework's."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app, self._services = app, services
        self._max_bytes = services.node.config.http.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or int(length) > self._max_bytes:
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        request_id = str(scope.get(REQUEST_ID, ""))
        try:
            answer = await self._pay(headers.get(_KEY, b"").decode("latin-1"), body, request_id)
        except BezantError as error:
            await send_problem(problem_of(error, request_id), send)
        except Exception as error:
            await send_problem(failure(error, request_id), send)
        else:
            await _send(answer, send)

    async def _pay(self, key: str, body: bytes, request_id: str) -> Answer:
        services = self._services
        asked = decode_body(body, PaymentRequest)

        async def act(identity: PaymentId) -> Answer:
            return await pay(request_id, services, instruct(services, asked, identity))

        return await services.keyring.answer(key, f"POST {PATH}", body, act)


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, None where the caller went away."""
    parts = []
    while True:
        message: Any = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _send(answer: Answer, send: Send) -> None:
    media_type = PROBLEM_JSON.encode() if answer.is_problem else b"application/json"
    headers = [(b"content-type", media_type), (b"content-length", str(len(answer.body)).encode())]
    if answer.replayed:
        headers.append((REPLAYED.lower().encode(), b"true"))
    if answer.location is not None:
        headers.append((b"location", answer.location.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
