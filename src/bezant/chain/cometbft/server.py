"""ABCI over a socket: four connections, answers in the order of requests, kept back until a flush.

CometBFT opens a connection each for consensus, mempool, queries and snapshots, and never asks on one of
them before it got in touch. Each has a thread that answers, and one that reads ahead of it, see `receiver`.
What is asked is answered under one lock, so the application is asked one thing at a time. After what cannot
be read or answered CometBFT is told so and stops, as it must: going on would leave a gap in what was applied.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from bezant.chain.cometbft import answers
from bezant.chain.cometbft.messages import Echo, Flush, Request, Unused, decode_request
from bezant.chain.cometbft.wire import MAX_VARINT_BYTES, decode_varint, framed
from bezant.errors import BezantError, ConfigError, DecodeError

MAX_FRAME_BYTES = 104_857_600
"""The most that CometBFT sends in one message (100 MiB); what claims more is refused unread."""
READ_BYTES = 1 << 18
PIECE_BYTES = 1 << 22
"""How much is read at once of a long message (4 MiB)."""
MAX_AHEAD_BYTES = 1 << 25
"""Read and not yet answered, on one connection (32 MiB, four full blocks); then reading waits."""
MAX_HELD_BYTES = 1 << 20
"""Answers held for a flush; more than this go out at once, which the order allows."""
BACKLOG = 16
MAX_PATH_BYTES = 100
"""What fits into the address of a Unix socket, with some room."""
_LOG = logging.getLogger("bezant.cometbft")

Application = Callable[[Request], bytes]
"""Answers a request with a whole Response; called by one thread at a time."""


def split_frames(receive: Callable[[int], bytes], limit: int = MAX_FRAME_BYTES) -> Iterator[memoryview]:
    """Yield the messages in a stream of bytes, however it was cut.

    `receive` gets how many bytes the message still needs, 0 where that is not known yet, and returns one or
    more, nothing at the end. Room is taken as bytes arrive, never as a length claims. Raises: DecodeError.
    """
    held, at, missing = bytearray(), 0, 0
    while chunk := receive(missing):
        held += chunk
        at = missing = 0
        while True:
            head = memoryview(bytes(held[at : at + MAX_VARINT_BYTES]))
            if len(head) < MAX_VARINT_BYTES and not any(byte < 0x80 for byte in head):
                break
            length, start = decode_varint(head, 0)
            if length > limit:
                raise DecodeError(
                    f"a message claims {length} bytes, {limit} is the most", code="abci_too_long"
                )
            missing = max(at + start + length - len(held), 0)
            if missing:
                break
            yield memoryview(bytes(memoryview(held)[at + start : at + start + length]))
            at += start + length
        del held[:at]
    if held:
        raise DecodeError("the connection ended within a message", code="abci_malformed")


def receiver(connection: socket.socket) -> Callable[[int], bytes]:
    """Return what `split_frames` reads a connection with.

    The rest of a message is waited for in the system, without the interpreter: while CometBFT cannot write,
    its timer for flushes, which is set to 20 nanoseconds, keeps a core busy.
    """

    def receive(missing: int) -> bytes:
        if missing:
            return connection.recv(min(missing, PIECE_BYTES), socket.MSG_WAITALL)
        return connection.recv(READ_BYTES)

    return receive


class ReadAhead:
    """Reads the messages of a connection on a thread of its own, up to a bound; yields them in order."""

    def __init__(self, connection: socket.socket, limit: int = MAX_AHEAD_BYTES) -> None:
        self._connection, self._limit = connection, limit
        self._read: deque[memoryview] = deque()
        self._held = 0
        self._ended = False
        self._error: DecodeError | None = None
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="abci-reader", daemon=True).start()

    def __enter__(self) -> Iterator[memoryview]:
        return self._messages()

    def __exit__(self, *_: object) -> None:
        # A socket that somebody reads from is not closed by closing it.
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._end()

    def _messages(self) -> Iterator[memoryview]:
        """Yield messages until the connection ends. Raises: DecodeError."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._read or self._ended)
                if not self._read:
                    if self._error is not None:
                        raise self._error
                    return
                message = self._read.popleft()
                self._held -= len(message)
                self._changed.notify_all()
            yield message

    def _run(self) -> None:
        try:
            for message in split_frames(receiver(self._connection)):
                with self._changed:
                    self._changed.wait_for(lambda: self._held < self._limit or self._ended)
                    if self._ended:
                        return
                    self._read.append(message)
                    self._held += len(message)
                    self._changed.notify_all()
        except DecodeError as error:
            self._error = error
        except OSError:
            # CometBFT has gone, or this node is closing: whoever watches over both sees to it.
            pass
        finally:
            # Whatever it was: nobody waits for more.
            self._end()

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class AbciServer:
    """Listens on a Unix socket until it is closed."""

    def __init__(self, path: Path, application: Application, on_failure: Callable[[Exception], None]) -> None:
        """`on_failure` hears what the application raised, after CometBFT was told. Raises: ConfigError."""
        if len(str(path).encode()) > MAX_PATH_BYTES:
            raise ConfigError(
                f"{path} is longer than the address of a socket can be ({MAX_PATH_BYTES} bytes); move the "
                "data folder to a shorter path",
                code="path_too_long",
            )
        self.address = f"unix://{path}"
        self._path, self._application, self._on_failure = path, application, on_failure
        self._turn = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(BACKLOG)
        self._thread = threading.Thread(target=self._accept, name="abci", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """End every connection; returns once nothing is asked any more."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join()
        with self._turn:
            self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(
                target=self._serve, args=(connection,), name="abci-connection", daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        """Answer one connection until it ends."""
        held: list[bytes] = []
        size = 0
        try:
            with connection, ReadAhead(connection) as messages_read:
                for message in messages_read:
                    answer, last = self._answer(message)
                    held.append(framed(answer))
                    size += len(answer)
                    if last or size > MAX_HELD_BYTES:
                        connection.sendall(b"".join(held))
                        held.clear()
                        size = 0
        except DecodeError as error:
            if not self._closed:
                _LOG.error("what came over the socket of CometBFT cannot be read: %s", error.message)
        except OSError:
            return
        finally:
            self._open.discard(connection)

    def _answer(self, message: memoryview) -> tuple[bytes, bool]:
        """Return the answer, and whether what is held has to go out now."""
        try:
            request = decode_request(message)
            if isinstance(request, Flush):
                return answers.flush(), True
            if isinstance(request, Echo):
                return answers.echo(request.message), False
            if isinstance(request, Unused):
                return answers.fixed_answer(request), False
            with self._turn:
                return self._application(request), False
        except Exception as error:
            # Whatever it is, an answer of another kind would let consensus go on without this node's state.
            said = error.message if isinstance(error, BezantError) else repr(error)
            _LOG.error("CometBFT is told to stop: %s", said)
            self._on_failure(error)
            return answers.exception(said), True
