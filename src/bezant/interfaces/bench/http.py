"""Payments over HTTP, one a request: raw sockets, so that the client costs little."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import httpx

from bezant.errors import BezantError
from bezant.interfaces.cli.client import new_key, read_token, running_at

CONNECTIONS = 64
"""Requests under way at once."""
ACCOUNTS = 64
START_S = 180.0
"""The very first start compiles."""


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way, again and again."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._sent_s = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
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
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

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


async def _measure(
    url: str, token: str, accounts: list[str], payments: int, connections: int
) -> dict[str, object]:
    """Return the figures of one run."""
    parts = urlsplit(url)
    load = Load(parts.netloc, token, accounts, payments, connections)
    started_s = time.perf_counter()
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), parts.hostname or "", parts.port or 80)
    await load.done
    seconds = time.perf_counter() - started_s
    ordered = sorted(load.latencies_s)
    return {
        "payments": len(ordered),
        "payments_per_second": round(len(ordered) / seconds),
        "p50_ms": round(ordered[len(ordered) // 2] * 1e3, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1e3, 2),
        "statuses": {str(status): count for status, count in load.statuses.items()},
        "connections": connections,
    }


def measure_http(folder: Path, payments: int, *, connections: int = CONNECTIONS) -> dict[str, object]:
    """Run a node on a data folder in a process of its own, load it, stop it; return the figures.

    Client and node share the machine, so this is less than a node alone could do. Raises: BezantError
    when the node does not come up.
    """
    command = [sys.executable, "-m", "bezant", "run", "--data", str(folder), "--no-model", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as node:
        try:
            url = _wait_until_up(folder, node)
            token = read_token(folder)
            accounts = open_accounts(url, token, ACCOUNTS)
            return asyncio.run(_measure(url, token, accounts, payments, connections))
        finally:
            node.send_signal(signal.SIGTERM)


def _wait_until_up(folder: Path, node: subprocess.Popen[bytes]) -> str:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s and node.poll() is None:
        url = running_at(folder)
        if url is not None:
            return url
        time.sleep(0.1)
    raise BezantError(
        f"the node on {folder} did not come up; try: bezant run --data {folder}", code="node_unreachable"
    )
