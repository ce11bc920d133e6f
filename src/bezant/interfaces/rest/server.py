"""Serving: a socket that is ours before anything else starts, one process, one event loop."""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from bezant.errors import ConfigError
from bezant.interfaces.rest.door import Door
from bezant.interfaces.rest.lane import LaneProtocol, PaymentLane
from bezant.interfaces.rest.services import Services

GRACE_S = 10
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
BACKLOG = 2_048


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket; port 0 takes a free one. Raises: ConfigError ``port_in_use``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} on {host} is in use; stop what listens there, or choose another with --port",
                code="port_in_use",
                param="http.port",
            ) from None
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            code="address_unusable",
            param="http.host",
        ) from None
    return bound


class Server(uvicorn.Server):
    """Uvicorn that ends the event streams when it is told to stop; they would never end by themselves."""

    def __init__(self, app: Door, services: Services) -> None:
        lane: Any = partial(LaneProtocol, PaymentLane(services, app))
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=lane,
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        super().__init__(config)
        self._feed = services.feed

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully on SIGINT and SIGTERM. Unlike uvicorn's own, this does not raise them again
        afterwards, which would end the process before the node has closed. Only a main thread has
        signals to catch."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._feed.close()

    def stop(self) -> None:
        """Ask the server to finish what it has and stop; from any thread."""
        self.should_exit = True
        self._feed.close()
