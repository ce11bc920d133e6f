"""Load over HTTP: raw keep-alive sockets and requests written beforehand, so that the client costs little."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from bezant.interfaces.cli.client import new_key
from bezant.pipeline.telemetry import Histogram

FUNDS = "900"


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._due_ns = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._load.is_free(self)

    def send(self, request: bytes, due_ns: int) -> None:
        self._due_ns = due_ns
        if self._transport is not None:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer[:head].lower().find(b"content-length:")
        length = int(self._buffer[at + 15 : self._buffer.find(b"\r\n", at)])
        if len(self._buffer) < head + 4 + length:
            return
        self._load.note(int(self._buffer[9:12]), time.perf_counter_ns() - self._due_ns)
        self._buffer = b""
        self._load.is_free(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._load.connection_ended()


class Load:
    """So many requests, `connections` at a time: as fast as they are answered, or at a rate.

    At a rate a request is due whether a connection is free or not, and its latency counts from then.
    """

    def __init__(self, requests: Sequence[bytes], connections: int, per_second: float | None = None) -> None:
        self._requests, self._open = deque(requests), connections
        self._step_ns = 0 if per_second is None else int(1e9 / per_second)
        self._started_ns = self._sent = 0
        self._free: deque[Connection] = deque()
        self.latency = Histogram()
        self.statuses: Counter[int] = Counter()
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()

    def is_free(self, connection: Connection) -> None:
        """Hear of a connection that waits for its next request."""
        self._started_ns = self._started_ns or time.perf_counter_ns()
        self._free.append(connection)
        self._send_due()

    def note(self, status: int, latency_ns: int) -> None:
        self.statuses[status] += 1
        self.latency.add(latency_ns)

    def connection_ended(self) -> None:
        self._open -= 1
        if self._open == 0 and not self.done.done():
            self.done.set_result(None)

    def _send_due(self) -> None:
        while self._free and self._requests:
            now_ns = time.perf_counter_ns()
            due_ns = self._started_ns + self._sent * self._step_ns if self._step_ns else now_ns
            if due_ns > now_ns:
                self.loop.call_later((due_ns - now_ns) / 1e9, self._send_due)
                return
            self._sent += 1
            self._free.popleft().send(self._requests.popleft(), due_ns)
        if not self._requests:
            while self._free:
                self._free.popleft().close()


def payment_requests(url: str, token: str, accounts: list[str], payments: int) -> list[bytes]:
    """Return so many payments between accounts, each under a fresh UUIDv7 key."""
    head = (
        f"POST /v1/payments HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    )
    requests, total = [], len(accounts)
    for number in range(payments):
        debtor = number % total
        body = json.dumps(
            {
                "debtor": accounts[debtor],
                "creditor": accounts[(debtor + 1 + number // total % (total - 1)) % total],
                "instructed_amount": {"amount": "0.01", "asset": "EUR"},
                "end_to_end_id": f"load-{number}",
                "remittance_information": "measuring",
            }
        )
        request = f"{head}Idempotency-Key: {new_key()}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        requests.append(request.encode())
    return requests


def octet_requests(url: str, token: str, bodies: list[bytes]) -> list[bytes]:
    """Return signed batches as requests for ``POST /v1/payments/signed``, answered in octets too."""
    head = (
        f"POST /v1/payments/signed HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/octet-stream\r\n"
        "Accept: application/octet-stream\r\n"
    )
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


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
    url: str,
    requests: Sequence[bytes],
    connections: int,
    *,
    per_second: float | None = None,
    payments_each: int = 1,
) -> dict[str, object]:
    """Return the figures of one run, latencies as the client saw them and the CPU it took itself."""
    parts = urlsplit(url)
    load = Load(requests, connections, per_second)
    started, spent = time.perf_counter(), time.process_time()
    for _ in range(connections):
        await load.loop.create_connection(lambda: Connection(load), str(parts.hostname), parts.port or 80)
    await load.done
    seconds, spent = time.perf_counter() - started, time.process_time() - spent
    return {
        "client": "bezant",
        "payments": load.latency.total * payments_each,
        "payments_per_second": round(load.latency.total * payments_each / seconds),
        "p50_ms": round(load.latency.quantile_ns(0.5) / 1e6, 2),
        "p99_ms": round(load.latency.quantile_ns(0.99) / 1e6, 2),
        "connections": connections,
        "client_cpu_share": round(spent / seconds, 2),
        "statuses": {str(status): count for status, count in sorted(load.statuses.items())},
    }
