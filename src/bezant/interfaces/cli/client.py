"""Commands are clients of REST: of the node that runs on the data folder, else of one in this process.

There is one code path: the same requests, the same handlers, the same answers.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bezant.errors import BezantError, ConfigError, UnknownOutcome
from bezant.model.identifiers import new_payment_id, render_payment_id

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 60.0


class Client:
    """Requests with the operator's token; answers decoded, problems raised."""

    def __init__(self, client: httpx.AsyncClient, runner: asyncio.Runner) -> None:
        self._client, self._runner = client, runner

    def get(self, path: str, **params: Any) -> Any:
        """Return a decoded answer. Raises: BezantError with the problem's code."""
        return json.loads(self.raw("GET", path, params={k: v for k, v in params.items() if v is not None}))

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """Post once: under `key`, or under a fresh one. Raises: BezantError, UnknownOutcome."""
        headers = {"Idempotency-Key": key or new_key()}
        return json.loads(self.raw("POST", path, json={} if body is None else body, headers=headers))

    def delete(self, path: str) -> Any:
        return json.loads(self.raw("DELETE", path))

    def raw(self, method: str, path: str, **arguments: Any) -> bytes:
        """Return the bytes of an answer."""
        import httpx

        try:
            response = self._runner.run(self._client.request(method, path, **arguments))
        except httpx.TransportError as error:
            key = arguments.get("headers", {}).get("Idempotency-Key")
            if key:
                raise UnknownOutcome(
                    f"the node did not answer ({error!r}); query or retry it under key {key}"
                ) from None
            raise BezantError(f"the node did not answer: {error!r}", code="node_unreachable") from None
        if response.is_error:
            raise _problem(response)
        return response.content


@contextmanager
def connect(data: Path) -> Iterator[Client]:
    """Yield a client of the node on a data folder. Raises: ConfigError, StorageError."""
    import httpx

    with asyncio.Runner() as runner:
        url = running_at(data)
        if url is not None:
            client = httpx.AsyncClient(base_url=url, headers=_bearer(read_token(data)), timeout=TIMEOUT_S)
            try:
                yield Client(client, runner)
            finally:
                runner.run(client.aclose())
            return
        with _own_node(data) as (transport, token):
            client = httpx.AsyncClient(
                transport=transport, base_url="http://node", headers=_bearer(token), timeout=TIMEOUT_S
            )
            yield Client(client, runner)


@contextmanager
def _own_node(data: Path) -> Iterator[tuple[httpx.ASGITransport, str]]:
    """Open the node for the duration of one command."""
    import httpx
    from rich.console import Console

    with Console(stderr=True).status("opening the node"):
        from bezant.interfaces.rest.app import create_app, create_services
        from bezant.node import Node

        node = Node(data)
    with node:
        services = create_services(node)
        app: Any = create_app(services)
        try:
            yield httpx.ASGITransport(app), node.folder.keys.operator_token
        finally:
            services.close()


def running_at(data: Path) -> str | None:
    """Return where the node on a data folder listens, None when none answers."""
    return found[0] if (found := _node_of(data)) else None


def health_at(data: Path) -> dict[str, Any] | None:
    """Return the health that the node on a data folder tells of, None when none answers."""
    found = _node_of(data)
    return dict(found[1].json()) if found else None


def _node_of(data: Path) -> tuple[str, httpx.Response] | None:
    import httpx

    try:
        url = str(json.loads((data / "node.json").read_text())["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        return url, httpx.get(f"{url}/health", timeout=2.0)
    except httpx.TransportError:
        return None


def wait_for_node(data: Path, process: subprocess.Popen[bytes], seconds: float) -> str:
    """Return where a node that was just started on a data folder listens.

    Raises: BezantError ``not_started``, with what the process said of it on standard error.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        url = running_at(data)
        if url is not None:
            return url
        time.sleep(0.05)
    told = process.stderr.read().decode(errors="replace") if process.poll() and process.stderr else ""
    raise BezantError(f"the node on {data} did not start: {told[-1000:]}", code="not_started")


def read_token(data: Path) -> str:
    """Return the operator's token of a data folder. Raises: ConfigError."""
    try:
        return (data / "keys" / "operator.token").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the operator's token in {data} cannot be read: {error}", code="key_missing"
        ) from None


def new_key() -> str:
    """Return a UUIDv7, which becomes the id of what is ordered."""
    return render_payment_id(new_payment_id(time.time_ns() // 1_000_000))


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _problem(response: httpx.Response) -> BezantError:
    """Return a problem as the error it is."""
    try:
        problem = response.json()
        message, code, param = problem["detail"], problem["code"], problem.get("param")
    except (ValueError, KeyError, TypeError):
        return BezantError(f"the node answered {response.status_code}", code="node_failed")
    if problem.get("reason_code"):
        message += f" (ISO 20022 {problem['reason_code']})"
    if problem.get("payment_id"):
        message += f"; payment {problem['payment_id']}"
    return BezantError(message, code=code, param=param)
