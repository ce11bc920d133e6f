"""The same request answers the same, however often it is sent.

A UUIDv7 key *is* the id of what is ordered: ledger and journal know it for ever, on any gateway, and
no table is needed. Any other key is bound to a fresh id in the idempotency table before anything
is submitted. Either way a repeated request is handed in again under its id, and the ledger says
what it answered the first time; so no answer, and no text of a person, is kept in the table.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from bezant.errors import BezantError, ConflictError, InputError, NotFound, UnknownOutcome
from bezant.model.identifiers import PaymentId, is_uuid7, new_payment_id
from bezant.store import IdempotencyKeys

HEADER = "Idempotency-Key"
MAX_KEY_CHARACTERS = 255
SCOPE = "operator"
_PROBLEMS_FROM = 400


class Ending(Enum):
    """How far a request got."""

    ORDERED = "ordered"
    """It has its answer in the ledger, for ever."""
    NOTHING = "nothing"
    """It was refused before it was ordered; the same request may be tried again."""
    UNKNOWN = "unknown"
    """It may or may not have been ordered; the ledger will know."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out: status and JSON body, how far it got, and whether it is a replay."""

    status: int
    body: bytes
    ending: Ending = Ending.ORDERED
    replayed: bool = False
    location: str | None = None

    @property
    def is_problem(self) -> bool:
        return self.status >= _PROBLEMS_FROM


Act = Callable[[PaymentId], Awaitable[Answer]]
"""Does what was asked under an id. Called again under the same id it must answer with a replay."""


class Keyring:
    """Which keys are in flight here, and the table of those that are no ids."""

    def __init__(self, keys: IdempotencyKeys, secret: bytes, now_ns: Callable[[], int]) -> None:
        """`secret` keys the hashes of requests, so that no text can be guessed from the table."""
        self._keys, self._secret, self._now_ns = keys, secret, now_ns
        self._in_flight: dict[str | PaymentId, bytes] = {}
        # One thread: what is finished is stored before the next request of that key is looked up.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="idempotency")

    async def answer(self, key: str | None, target: str, body: bytes, act: Act) -> Answer:
        """Return what `act` answers, or what it answered before.

        `target` is method and path; with `body` it makes up what must be the same. Raises: InputError
        for no usable key; ConflictError for a key in flight, or used with another request.
        """
        key = check_key(key)
        identity = key_as_id(key)
        slot = self.enter(key if identity is None else identity, target, body)
        try:
            if identity is not None:
                return await act(identity)
            return await self._answer_bound(key, self._in_flight[slot], act)
        finally:
            self.leave(slot)

    def enter(self, slot: str | PaymentId, target: str, body: bytes) -> str | PaymentId:
        """Take the slot of a key, its id if it is one, until `leave`. Raises: ConflictError."""
        request = target.encode() + b"\0" + body
        other = self._in_flight.get(slot)
        if other is not None:
            raise _taken(other == request)
        self._in_flight[slot] = request
        return slot

    def leave(self, slot: str | PaymentId) -> None:
        del self._in_flight[slot]

    def close(self) -> None:
        self._executor.shutdown()

    async def _answer_bound(self, key: str, request: bytes, act: Act) -> Answer:
        loop = asyncio.get_running_loop()
        identity, fresh = await loop.run_in_executor(self._executor, self._bind, key, request)
        try:
            answer = await act(identity)
        except UnknownOutcome:
            # The key stays bound to its id: sent again, the ledger answers.
            raise
        except BezantError:
            if fresh:
                self._executor.submit(self._give_back, key)
            raise
        if answer.ending is Ending.NOTHING and fresh:
            self._executor.submit(self._give_back, key)
        elif answer.ending is Ending.ORDERED and not answer.replayed:
            self._executor.submit(self._finish, key, answer.status)
        return answer

    def _bind(self, key: str, request: bytes) -> tuple[PaymentId, bool]:
        """Return the id that a key is bound to, durably, and whether it is from now on.

        Only who bound a key may give it back. Where it was bound before, nobody here knows how far that
        request got: whatever refuses this one says nothing of it, and a fresh id would pay twice.
        """
        request_hash = hmac.digest(self._secret, request, "sha256")
        now_ns = self._now_ns()
        fresh = new_payment_id(now_ns // 1_000_000)
        try:
            before = self._keys.begin(SCOPE, key, request_hash, fresh, now_ns)
        except ConflictError as conflict:
            if conflict.code != "idempotency_in_flight":
                raise
            # Nothing of this key is in flight in this process, so the first answer was never known.
            before = self._keys.get(SCOPE, key)
        return (fresh, True) if before is None else (before.payment, False)

    def _finish(self, key: str, status: int) -> None:
        self._keys.finish(SCOPE, key, status, b"")

    def _give_back(self, key: str) -> None:
        try:
            self._keys.abandon(SCOPE, key)
        except NotFound:
            # It was finished before, so there is nothing to give back.
            return


def check_key(key: str | None) -> str:
    """Return a usable key. Raises: InputError."""
    if not key:
        raise InputError(
            "this moves money, so it needs an Idempotency-Key header: best a UUIDv7, kept with your order "
            "and sent again with every retry",
            code="idempotency_key_missing",
            param=HEADER,
        )
    if len(key) > MAX_KEY_CHARACTERS or not (key.isascii() and key.isprintable()):
        raise InputError(
            f"an Idempotency-Key has 1 to {MAX_KEY_CHARACTERS} printable ASCII characters",
            code="idempotency_key_invalid",
            param=HEADER,
        )
    return key


def key_as_id(key: str) -> PaymentId | None:
    """Return the payment id that a key is, None for any other text."""
    if len(key) != 36:
        return None
    try:
        value = UUID(key).int
    except ValueError:
        return None
    return PaymentId(value) if is_uuid7(value) else None


def _taken(same: bool) -> ConflictError:
    if same:
        return ConflictError(
            "the first request with this key is still being answered; retry in a moment",
            code="idempotency_in_flight",
            param=HEADER,
        )
    return ConflictError(
        "this key is in use by another request; use a new key",
        code="idempotency_key_reused",
        param=HEADER,
    )
