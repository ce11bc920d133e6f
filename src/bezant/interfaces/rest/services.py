"""What the handlers share, and how a request's body is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency

from bezant.errors import DecodeError, InputError
from bezant.interfaces.rest.events import Feed
from bezant.interfaces.rest.idempotency import HEADER, Act, Answer, Keyring
from bezant.interfaces.rest.problems import PROBLEM_JSON, REQUEST_ID, split_path
from bezant.interfaces.rest.render import Renderer
from bezant.interfaces.rest.replies import Replies
from bezant.model.money import MAX_SCALE, parse_minor
from bezant.node import Node

AnyRequest = Request[Any, Any, Any]
T = TypeVar("T")
_AMOUNTS = frozenset({"amount", "balance_limit", "credit_limit", "cap_per_payment", "cap_per_period"})
REPLAYED = "Idempotency-Replayed"


@dataclass
class Services:
    """One for each application; `replies` belongs to the event loop that serves it."""

    node: Node
    render: Renderer
    keyring: Keyring
    feed: Feed
    _replies: Replies | None = field(default=None, repr=False)

    def close(self) -> None:
        """End streams, and finish what the idempotency table still has to note; before the node closes."""
        self.feed.close()
        self.keyring.close()

    @property
    def replies(self) -> Replies:
        loop = asyncio.get_running_loop()
        if self._replies is None or self._replies.loop is not loop:
            self._replies = Replies(
                self.node.intake, self.node.payments, self.node.config.http.reply_timeout_s
            )
        return self._replies

    async def once(self, request: AnyRequest, act: Act) -> Response[Any]:
        """Answer a request that moves money: once for each key, however often it is sent."""
        answer = await self.keyring.answer(
            request.headers.get(HEADER),
            f"{request.method} {request.scope['path']}",
            await request.body(),
            act,
        )
        return respond(answer)


Given = NamedDependency[Services]
"""The services, as a handler's parameter asks for them."""


def respond(answer: Answer) -> Response[Any]:
    """Return an answer as HTTP."""
    headers = {REPLAYED: "true"} if answer.replayed else {}
    if answer.location is not None:
        headers["Location"] = answer.location
    return Response(
        content=answer.body,
        status_code=answer.status,
        media_type=PROBLEM_JSON if answer.is_problem else "application/json",
        headers=headers,
    )


def request_id(request: AnyRequest) -> str:
    return str(request.scope.get(REQUEST_ID, ""))


_DECODERS: dict[type[Any], msgspec.json.Decoder[Any]] = {}


async def read_body(request: AnyRequest, kind: type[T]) -> T:
    """Return a JSON body as `kind`. Raises: DecodeError that is no JSON, InputError of another shape."""
    return decode_body(await request.body(), kind)


def decode_body(body: bytes, kind: type[T]) -> T:
    """Return the bytes of a JSON body as `kind`; raises as `read_body` does."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.json.Decoder(kind)
    try:
        decoded: T = decoder.decode(body or b"{}")
    except msgspec.ValidationError as error:
        message, param = split_path(str(error))
        if param is not None and param.rpartition(".")[2] in _AMOUNTS:
            _explain_amount(body, param)
        raise InputError(message, param=param) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"the body is not JSON: {error}") from None
    return decoded


def _explain_amount(body: bytes, param: str) -> None:
    """Raise what is wrong with an amount in words, where a pattern would have said it in signs."""
    found = msgspec.json.decode(body)
    for name in param.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, str):
        parse_minor(found, MAX_SCALE, param=param)


async def in_thread(work: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Run what waits for disk or database beside the event loop."""
    return await asyncio.to_thread(work, *arguments, **named)
