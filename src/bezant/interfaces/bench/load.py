"""Load on ``POST /v1/payments``: raw keep-alive sockets, so that the client costs little."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from urllib.parse import urlsplit

import httpx

from bezant.interfaces.cli.client import new_key
from bezant.pipeline.telemetry import Histogram

FUNDS = "900"


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way, again and again."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._sent_ns = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer.lower().find(b"content-length:")
        length = int(self._buffer[at + 15 : self._buffer.find(b"\r\n", at)])
        if len(self._buffer) < head + 4 + length:
            return
        self._load.note(int(self._buffer[9:12]), time.perf_counter_ns() - self._sent_ns)
        self._buffer = b""
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._load.connection_ended()

    def _send(self) -> None:
        request = self._load.next_request()
        if self._transport is None or request is None:
            if self._transport is not None:
                self._transport.close()
            return
        self._sent_ns = time.perf_counter_ns()
        self._transport.write(request)


class Load:
    """So many payments between so many accounts, `connections` at a time."""

    def __init__(self, url: str, token: str, accounts: list[str], payments: int, connections: int) -> None:
        self._head = (
            f"POST /v1/payments HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        )
        self._accounts, self._open = accounts, connections
        # Written before the clock starts, so that what is measured is the node.
        self._requests = [self._write(number) for number in range(payments)]
        self.latency = Histogram()
        self.statuses: Counter[int] = Counter()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def next_request(self) -> bytes | None:
        """Return one payment, None when all are sent."""
        return self._requests.pop() if self._requests else None

    def _write(self, number: int) -> bytes:
        """Return one payment under a fresh UUIDv7 key."""
        total = len(self._accounts)
        debtor = number % total
        body = json.dumps(
            {
                "debtor": self._accounts[debtor],
                "creditor": self._accounts[(debtor + 1 + number // total % (total - 1)) % total],
                "instructed_amount": {"amount": "0.01", "asset": "EUR"},
                "end_to_end_id": f"load-{number}",
                "remittance_information": "measuring",
            }
        )
        key = new_key()
        return f"{self._head}Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    def note(self, status: int, latency_ns: int) -> None:
        self.statuses[status] += 1
        self.latency.add(latency_ns)

    def connection_ended(self) -> None:
        self._open -= 1
        if self._open == 0 and not self.done.done():
            self.done.set_result(None)


def open_accounts(url: str, token: str, count: int) -> list[str]:
    """Return ids of fresh, funded accounts, made over REST."""
    accounts = []
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:

        def post(path: str, body: dict[str, object]) -> dict[str, str]:
            answer = client.post(path, json=body, headers={"Idempotency-Key": new_key()})
            answer.raise_for_status()
            return dict(answer.json())

        for number in range(count):
            party = post("/v1/parties", {"name": f"Load {number}"})["party"]
            account = post("/v1/accounts", {"party": party, "asset": "EUR"})["account"]
            post("/v1/assets/EUR/issues", {"creditor": account, "amount": FUNDS})
            accounts.append(account)
    return accounts


async def run_load(
    url: str, token: str, accounts: list[str], payments: int, connections: int
) -> dict[str, object]:
    """Return the figures of one run, latencies as the client saw them."""
    parts = urlsplit(url)
    load = Load(url, token, accounts, payments, connections)
    loop, started = asyncio.get_running_loop(), time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), str(parts.hostname), parts.port or 80)
    await load.done
    seconds = time.perf_counter() - started
    return {
        "payments": load.latency.total,
        "payments_per_second": round(load.latency.total / seconds),
        "p50_ms": round(load.latency.quantile_ns(0.5) / 1e6, 2),
        "p99_ms": round(load.latency.quantile_ns(0.99) / 1e6, 2),
        "connections": connections,
        "statuses": {str(status): count for status, count in sorted(load.statuses.items())},
    }
