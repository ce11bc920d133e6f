"""CometBFT's own interface over HTTP: Orders in, headers and votes out."""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from bezant.errors import BezantError, DecodeError, NotFound, Overloaded, StorageError, UnknownOutcome

TIMEOUT_S = 10.0
KNOWN = "already exists in cache"
"""What CometBFT says of an Order that it has, or had a moment ago."""
_FORM = {"content-type": "application/x-www-form-urlencoded"}
Json = dict[str, Any]


class _Told(msgspec.Struct, frozen=True):
    result: Json | None = None
    error: Json | None = None


class Rpc:
    """One CometBFT process. Methods may be called from any thread."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=timeout_s, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def broadcast(self, order: bytes) -> None:
        """Hand an Order to the mempool, unless it is there already.

        Raises: Overloaded where nothing was accepted (the mempool is full, nobody answers); UnknownOutcome
        where that cannot be known; StorageError ``order_refused`` for one that no validator would take.
        """
        # As a form, for CometBFT parses JSON four times over before it has the bytes.
        form = b"tx=0x" + hexlify(order)
        try:
            response = self._client.post("/broadcast_tx_sync", content=form, headers=_FORM)
            told = _decoded(response.content)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise Overloaded(
                f"CometBFT does not answer at {self.url}; nothing was accepted, try again in a moment",
                code="consensus_unreachable",
            ) from None
        except (httpx.HTTPError, DecodeError) as error:
            raise UnknownOutcome(f"CometBFT broke off while it took an Order ({error!r})") from None
        if told.error is not None:
            said = f"{told.error.get('message', '')}: {told.error.get('data', '')}"
            if KNOWN in said:
                return
            raise Overloaded(
                f"the network's mempool takes no more ({said[:200]}); nothing was accepted, try again",
                code="mempool_full",
            )
        result = told.result or {}
        if result.get("code"):
            raise StorageError(
                f"no validator takes an Order of this node: {str(result.get('log'))[:200]}. Look whether "
                "genesis.json and the keys are those of this network",
                code="order_refused",
            )

    def ask(self, method: str, **params: object) -> Json:
        """Return the result of a method that only reads.

        Raises: Overloaded where nobody answers; NotFound for what CometBFT does not have; DecodeError.
        """
        try:
            given = {name: str(value) for name, value in params.items()}
            response = self._client.get(f"/{method}", params=given)
        except httpx.HTTPError as error:
            raise Overloaded(
                f"CometBFT does not answer at {self.url} ({error!r})", code="consensus_unreachable"
            ) from None
        told = _decoded(response.content)
        if told.error is not None or told.result is None:
            said: Mapping[str, Any] = told.error or {}
            raise NotFound(f"CometBFT has no {method}: {said.get('data', '')}", code="rpc_refused")
        return told.result

    @property
    def is_reachable(self) -> bool:
        """Whether CometBFT answers at all."""
        try:
            self.ask("health")
        except BezantError:
            return False
        return True


def _decoded(content: bytes) -> _Told:
    try:
        return msgspec.json.decode(content, type=_Told)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("CometBFT's answer does not parse", code="rpc_malformed") from None
