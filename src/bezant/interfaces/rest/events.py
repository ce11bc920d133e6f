"""Payment events as server-sent events, after they are durable.

An event's id is ``height-position``: what follows from the blocks alone. So a stream that broke is
taken up where it ended, from the blocks in memory or, further back, from the journal; nothing is lost.
What is in no block (``model.drift``, ``stage.drift``) goes to whoever listens then, without an id.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec
import numpy as np

from bezant.chain.blocks import CommittedBlock
from bezant.errors import InputError, NotFound
from bezant.gateway.events import TYPE_OF, is_news, render_time, type_of
from bezant.interfaces.rest.render import Renderer, verdict_word
from bezant.interfaces.rest.shapes import Money
from bezant.model.identifiers import render_id, render_payment_id
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, id_of

KEPT_RECORDS: Final = 50_000
"""Records of the last blocks that are kept in memory for streams to follow."""
KEPT_NOTICES: Final = 64
HEARTBEAT_S: Final = 15.0
_FROM_JOURNAL: Final = 64
"""Blocks that are read from the journal at a time."""
_WHOLE_BLOCK: Final = 1 << 62
"""The position behind all of a block's."""
_ENCODER: Final = msgspec.json.Encoder()

BlocksFrom = Callable[[int], Iterable[CommittedBlock]]


class PaymentEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened to one payment; ids and amounts, never texts of a person."""

    id: str
    type: str
    payment_id: str
    occurred_at: str
    outcome: str
    amount: Money | None = None
    debtor: str | None = None
    creditor: str | None = None
    verdict: str | None = None
    refund_of: str | None = None
    """What a `payment.reversed` pays back: a payment, or a capture of one."""
    fee: Money | None = None
    """What was charged with this: beside the amount of a payment, out of the amount of a capture."""


class Feed:
    """Remembers the last blocks and wakes whoever streams them."""

    def __init__(self, render: Renderer, blocks_from: BlocksFrom, height: int, first_height: int = 1) -> None:
        """`height` is that of the last durable block, `first_height` of the first that this node has."""
        self._first_height = first_height
        self._render, self._blocks_from = render, blocks_from
        self._blocks: deque[CommittedBlock] = deque()
        self._records = 0
        self._height = height
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._notices: deque[tuple[int, bytes]] = deque(maxlen=KEPT_NOTICES)
        self._noticed = 0
        self._closed = False

    def tell(self, type_: str, body: msgspec.Struct) -> None:
        """Send whoever streams now something that is in no block, and so has no id to go on from."""
        data = b"event: %b\ndata: %b\n\n" % (type_.encode(), _ENCODER.encode(body))
        with self._lock:
            self._noticed += 1
            self._notices.append((self._noticed, data))
            listeners = list(self._listeners.items())
        for event, loop in listeners:
            _wake(event, loop)

    def on_durable(self, block: CommittedBlock) -> None:
        """Take a durable block; payments wait for the thread that calls this, so it does next to nothing."""
        with self._lock:
            self._blocks.append(block)
            self._records += len(block.receipts)
            self._height = block.height
            while self._records > KEPT_RECORDS and len(self._blocks) > 1:
                self._records -= len(self._blocks.popleft().receipts)
            listeners = list(self._listeners.items())
        for event, loop in listeners:
            _wake(event, loop)

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._closed = True
        for event, loop in list(self._listeners.items()):
            _wake(event, loop)

    async def stream(self, last_event_id: str | None = None) -> AsyncIterator[bytes]:
        """Yield server-sent events from now on, or from behind an event on; a comment when nothing happens.

        Raises: InputError for an id that is none.
        """
        height, position = self._start(last_event_id)
        news, noticed = asyncio.Event(), self._noticed
        self._listeners[news] = asyncio.get_running_loop()
        try:
            yield b": connected\n\n"
            while not self._closed:
                news.clear()
                for number, notice in self._notices_after(noticed):
                    yield notice
                    noticed = number
                blocks = await self._after(height, position)
                for block in blocks:
                    for place, event in self._events(block):
                        if block.height > height or place > position:
                            yield _sse(event)
                    height, position = block.height, _WHOLE_BLOCK
                if not blocks and not await _wait(news):
                    yield b": still here\n\n"
        finally:
            del self._listeners[news]

    def check(self, last_event_id: str | None) -> None:
        """Raise InputError for an id that no event of this stream can have, NotFound ``before_beginning`` for
        one from before what this node has."""
        self._start(last_event_id)

    def _start(self, last_event_id: str | None) -> tuple[int, int]:
        if last_event_id is None:
            return self._height, _WHOLE_BLOCK
        height, dash, position = last_event_id.partition("-")
        if not (dash and height.isdecimal() and position.isdecimal() and len(last_event_id) < 40):
            raise InputError(
                f"{last_event_id[:40]!r} is not an event id of this stream", param="Last-Event-ID"
            )
        if int(height) < self._first_height - 1:
            raise NotFound(
                f"this node's chain begins with block {self._first_height}; ask for what came before it "
                "a member that has been there longer",
                code="before_beginning",
                param="Last-Event-ID",
            )
        return int(height), int(position)

    def _notices_after(self, number: int) -> list[tuple[int, bytes]]:
        with self._lock:
            return [notice for notice in self._notices if notice[0] > number]

    async def _after(self, height: int, position: int) -> list[CommittedBlock]:
        """Return the blocks with something behind a place: of those kept, or a few from the journal."""
        first = height + 1 if position == _WHOLE_BLOCK else height
        with self._lock:
            if first > self._height:
                return []
            if self._blocks and self._blocks[0].height <= first:
                return [block for block in self._blocks if block.height >= first]
        return await asyncio.to_thread(lambda: list(islice(self._blocks_from(first), _FROM_JOURNAL)))

    def _events(self, block: CommittedBlock) -> Iterator[tuple[int, PaymentEvent]]:
        for position, receipt in enumerate(block.receipts):
            if is_news(int(receipt["kind"]), Outcome(int(receipt["outcome"]))):
                yield position, self._event(block, position, receipt)

    def _event(self, block: CommittedBlock, position: int, receipt: np.void) -> PaymentEvent:
        outcome = Outcome(int(receipt["outcome"]))
        index = position - block.system_count
        name, at = f"{block.height}-{position}", render_time(block.time_ns)
        if index < 0:
            payment = render_payment_id(id_of(receipt, "id"))
            return PaymentEvent(name, TYPE_OF[outcome], payment, at, outcome.label)
        record = block.records[index]
        closes = int(record["kind"]) in (Kind.CAPTURE, Kind.RELEASE)
        asset, fee = int(record["asset"]), int(receipt["fee"])
        amount = int(receipt["amount"]) or int(record["amount"])
        return PaymentEvent(
            name,
            type_of(int(record["kind"]), outcome),
            render_payment_id(id_of(record, "related" if closes else "id")),
            at,
            outcome.label,
            self._render.money(asset, amount),
            render_id(id_of(record, "debtor")),
            render_id(id_of(record, "creditor")),
            None if closes else verdict_word(int(receipt["verdict"])),
            render_payment_id(id_of(record, "related")) if record["kind"] == Kind.REVERSE else None,
            self._render.money(asset, fee) if fee else None,
        )


def _sse(event: PaymentEvent) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        event.id.encode(),
        event.type.encode(),
        _ENCODER.encode(event),
    )


async def _wait(news: asyncio.Event) -> bool:
    """Return whether there is news before the next heartbeat is due."""
    try:
        await asyncio.wait_for(news.wait(), HEARTBEAT_S)
    except TimeoutError:
        return False
    return True


def _wake(event: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.call_soon_threadsafe(event.set)
    except RuntimeError:
        # That loop has ended, and its stream with it.
        return
