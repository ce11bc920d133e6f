"""The lane for `POST /v1/payments`: the one request that comes by the thousand.

For so small a request a server's scope, task and events, and a framework's routing and responses, take
most of the time. On the lane a request is read by the parser's callbacks, handed to the pipeline and
answered from there with one write; no task is made unless something has to be waited for. It asks the
same door, checks the same body and gives the same bytes as the route of that name, to which everything
that is not plain is left: chunked bodies, `Expect`, headers said twice, a request behind another that is
not answered yet, a connection whose answers are not taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bezant.errors import BezantError
from bezant.gateway.instructions import Instruction
from bezant.gateway.payments import Answered
from bezant.interfaces.rest.door import Door
from bezant.interfaces.rest.idempotency import HEADER, Answer, check_key, key_as_id
from bezant.interfaces.rest.payments import conclude, instruct, look_back, pay, unknown
from bezant.interfaces.rest.problems import PROBLEM_JSON, Problem, failure, problem_headers, problem_of
from bezant.interfaces.rest.services import REPLAYED, Services, decode_body
from bezant.interfaces.rest.shapes import PaymentRequest
from bezant.model.identifiers import PaymentId

PATH: Final = "/v1/payments"
_URL: Final = PATH.encode()
_TARGET: Final = f"POST {PATH}"
_KEY: Final = HEADER.lower().encode()
Headers = dict[bytes, bytes]
Send = Callable[[int, list[tuple[bytes, bytes]], bytes], None]
"""Is given status, headers and body of the answer, once."""


class PaymentLane:
    """Answers payments that come over a socket. Used on the event loop that serves."""

    def __init__(self, services: Services, door: Door) -> None:
        self._services, self._door = services, door
        self._tasks: set[asyncio.Task[None]] = set()
        self.max_body_bytes = services.node.config.http.max_body_bytes

    def take(self, headers: Headers, body: bytes, send: Send) -> None:
        """Answer one request, now or later."""
        request_id = self._door.next_id()
        tag = (b"x-request-id", request_id.encode())

        def problem(found: Problem) -> None:
            own = [(name.lower().encode(), value.encode()) for name, value in problem_headers(found).items()]
            send(
                found.status,
                [*own, (b"content-type", PROBLEM_JSON.encode()), tag],
                msgspec.json.encode(found),
            )

        def answer(found: Answer | BaseException) -> None:
            if isinstance(found, BezantError):
                problem(problem_of(found, request_id))
            elif isinstance(found, Exception):
                problem(failure(found, request_id))
            elif isinstance(found, BaseException):
                raise found
            else:
                send(found.status, [*_headers(found), tag], found.body)

        try:
            self._door.admit("POST", PATH, headers)
            asked = decode_body(body, PaymentRequest)
            key = check_key(headers.get(_KEY, b"").decode("latin-1"))
            identity = key_as_id(key)
            if identity is None:
                self._begin(self._pay_bound(key, asked, body, request_id, answer))
            else:
                self._pay(identity, instruct(self._services, asked, identity), body, request_id, answer)
        except Exception as error:
            answer(error)

    def _pay(
        self,
        identity: PaymentId,
        instruction: Instruction,
        body: bytes,
        request_id: str,
        answer: Callable[[Answer | BaseException], None],
    ) -> None:
        """Hand a payment in whose key is its id."""
        services, keyring = self._services, self._services.keyring
        slot = keyring.enter(identity, _TARGET, body)

        def finish(found: Answer | BaseException) -> None:
            keyring.leave(slot)
            answer(found)

        def done(result: Answered | BaseException) -> None:
            found: Answer | Exception | None
            try:
                if isinstance(result, BaseException):
                    found = unknown(result, request_id, identity)
                else:
                    found = conclude(request_id, services, instruction, result)
            except Exception as error:
                found = error
            if found is not None:
                finish(found)
            elif not isinstance(result, BaseException):
                self._begin(self._look_back(request_id, instruction, result, finish))

        services.replies.hand_in(instruction, done)

    async def _look_back(
        self,
        request_id: str,
        instruction: Instruction,
        answered: Answered,
        finish: Callable[[Answer | BaseException], None],
    ) -> None:
        try:
            found = await look_back(request_id, self._services, instruction, answered)
        except Exception as error:
            finish(error)
        else:
            finish(found)

    async def _pay_bound(
        self,
        key: str,
        asked: PaymentRequest,
        body: bytes,
        request_id: str,
        answer: Callable[[Answer | BaseException], None],
    ) -> None:
        """Pay under a key that the table binds to an id."""
        services = self._services

        async def act(identity: PaymentId) -> Answer:
            return await pay(request_id, services, instruct(services, asked, identity))

        try:
            found = await services.keyring.answer(key, _TARGET, body, act)
        except Exception as error:
            answer(error)
        else:
            answer(found)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class LaneProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with the lane in it."""

    def __init__(self, lane: PaymentLane, **given: Any) -> None:
        super().__init__(**given)
        self._lane = lane
        self._request: _LaneRequest | None = None

    def on_message_begin(self) -> None:
        # A request may begin in the very bytes that its predecessor ended in, which uvicorn's timer for idle
        # connections does not expect.
        self._unset_keepalive_if_required()
        # What uvicorn makes besides it needs only for what does not take the lane.
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._request = None

    def on_headers_complete(self) -> None:
        request = self._lane_request()
        if request is None:
            url, headers, expects = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expects
            self.headers.extend(headers)
            super().on_headers_complete()
        else:
            self._request = request
            # In the place of uvicorn's own cycle it keeps requests behind it, and shutting down, waiting.
            self.cycle = request  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        if self._request is None:
            super().on_body(body)
        else:
            self._request.body += body

    def on_message_complete(self) -> None:
        request = self._request
        if request is None:
            super().on_message_complete()
        else:
            self._lane.take(request.headers, bytes(request.body), request.answer)

    def _lane_request(self) -> _LaneRequest | None:
        """Return the request whose headers are complete if it may take the lane."""
        if self.url != _URL or self.parser.get_method() != b"POST" or self.expect_100_continue:
            return None
        if self.parser.get_http_version() != "1.1" or self.parser.should_upgrade():
            return None
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        headers = dict(self.headers)
        # Who does not read its answers gets no more of them: uvicorn waits until they are taken. What is
        # said twice is for the door to judge.
        if self.flow.write_paused or len(headers) != len(self.headers):
            return None
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or int(length) > self._lane.max_body_bytes or b"transfer-encoding" in headers:
            return None
        return _LaneRequest(self, headers, self.parser.should_keep_alive())

    def respond(
        self, request: _LaneRequest, status: int, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Write an answer with one call."""
        parts = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        if not request.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"content-length: %d\r\n\r\n" % len(body))
        parts.append(body)
        request.response_complete = True
        if request.disconnected or self.transport.is_closing():
            return
        self.transport.write(b"".join(parts))
        if not request.keep_alive:
            self.transport.close()
        self.on_response_complete()


class _LaneRequest:
    """One request on the lane; to uvicorn it is the cycle under way (`response_complete`, `disconnected`,
    `keep_alive`, `message_event`)."""

    __slots__ = ("_protocol", "body", "disconnected", "headers", "keep_alive", "response_complete")

    def __init__(self, protocol: LaneProtocol, headers: Headers, keep_alive: bool) -> None:
        self._protocol, self.headers, self.keep_alive = protocol, headers, keep_alive
        self.body = bytearray()
        self.response_complete = self.disconnected = False

    @property
    def message_event(self) -> _LaneRequest:
        return self

    def set(self) -> None:
        """Be told that the connection is lost; the answer, when it comes, finds out by itself."""

    def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._protocol.respond(self, status, headers, body)


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", PROBLEM_JSON.encode() if answer.is_problem else b"application/json")]
    if answer.replayed:
        headers.append((REPLAYED.lower().encode(), b"true"))
    if answer.location is not None:
        headers.append((b"location", answer.location.encode()))
    return headers
