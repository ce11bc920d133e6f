"""Load on a running node's ``POST /v1/payments``: raw sockets, so that the client costs little.

    bezant run --data data --port 8790 &
    python bench/http_load.py --data data --payments 30000

Registers and funds accounts over REST, then keeps `--connections` requests under way, each payment with
a fresh UUIDv7 key, and prints one JSON line: requests a second, latencies, outcomes, and machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import secrets
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from bezant.interfaces.cli.client import new_key, read_token, running_at


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way, again and again."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._sent_s = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
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
        self._load.note(int(self._buffer[9:12]), time.perf_counter() - self._sent_s)
        self._buffer = b""
        self._send()

    def _send(self) -> None:
        request = self._load.next_request()
        if request is None:
            self.transport.close()
            return
        self._sent_s = time.perf_counter()
        self.transport.write(request)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.connection_ended()


class Load:
    """So many payments between so many accounts."""

    def __init__(self, host: str, token: str, accounts: list[str], payments: int, connections: int) -> None:
        self._head = (
            f"POST /v1/payments HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\n"
        )
        self._accounts, self._left, self._open = accounts, payments, connections
        self.latencies_s: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.done = asyncio.get_running_loop().create_future()

    def next_request(self) -> bytes | None:
        if self._left == 0:
            return None
        self._left -= 1
        number = self._left
        body = json.dumps(
            {
                "debtor": self._accounts[number % len(self._accounts)],
                "creditor": self._accounts[(number * 7 + 1) % len(self._accounts)],
                "instructed_amount": {"amount": "0.01", "asset": "EUR"},
                "end_to_end_id": f"load-{number}",
                "remittance_information": "measuring",
                "may_review": True,
            }
        )
        return (
            f"{self._head}Idempotency-Key: {new_key()}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def note(self, status: int, latency_s: float) -> None:
        self.statuses[status] += 1
        self.latencies_s.append(latency_s)

    def connection_ended(self) -> None:
        self._open -= 1
        if self._open == 0 and not self.done.done():
            self.done.set_result(None)


def open_accounts(url: str, token: str, count: int) -> list[str]:
    """Return ids of fresh, funded accounts."""
    accounts = []
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:

        def post(path: str, body: dict[str, object]) -> dict[str, str]:
            answer = client.post(path, json=body, headers={"Idempotency-Key": new_key()})
            answer.raise_for_status()
            return dict(answer.json())

        for _ in range(count):
            party = post("/v1/parties", {"name": f"Load {secrets.token_hex(4)}"})["party"]
            account = post("/v1/accounts", {"party": party, "asset": "EUR"})["account"]
            issued = post("/v1/assets/EUR/issues", {"creditor": account, "amount": "900"})
            if issued["status"] == "in_review":
                post(f"/v1/reviews/{issued['id']}/approve", {})
            accounts.append(account)
    return accounts


async def measure(
    url: str, token: str, accounts: list[str], payments: int, connections: int
) -> dict[str, object]:
    """Return the figures of one run."""
    parts = urlsplit(url)
    load = Load(parts.netloc, token, accounts, payments, connections)
    started_s = time.perf_counter()
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), parts.hostname, parts.port)
    await load.done
    seconds = time.perf_counter() - started_s
    ordered = sorted(load.latencies_s)
    return {
        "requests": len(ordered),
        "requests_per_second": round(len(ordered) / seconds),
        "p50_ms": round(ordered[len(ordered) // 2] * 1e3, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1e3, 2),
        "statuses": dict(load.statuses),
        "connections": connections,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--payments", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--accounts", type=int, default=64)
    options = parser.parse_args()
    url = running_at(options.data)
    if url is None:
        parser.error(f"no node runs on {options.data}; start one with: bezant run --data {options.data}")
    token = read_token(options.data)
    accounts = open_accounts(url, token, options.accounts)
    print(json.dumps(asyncio.run(measure(url, token, accounts, options.payments, options.connections))))


if __name__ == "__main__":
    main()
