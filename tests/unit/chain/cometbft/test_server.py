"""The socket: order, flush, and what becomes of those who send nonsense."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bezant.chain.cometbft import answers, wire
from bezant.chain.cometbft.messages import CheckTx, Request
from bezant.chain.cometbft.server import MAX_FRAME_BYTES, AbciServer, ReadAhead, split_frames
from bezant.errors import ConfigError, DecodeError, InputError

_FLUSH = wire.put_part(2, b"")


def _check(order: bytes) -> bytes:
    return wire.put_part(8, wire.put_bytes(1, order))


class Recorder:
    """An application that says back what it was asked, and fails when it is told to."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.inside = 0
        self.most_inside = 0

    def __call__(self, request: Request) -> bytes:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if not isinstance(request, CheckTx):
                raise InputError("only orders are asked about here")
            return answers.check_tx(answers.OK, request.order.decode())
        finally:
            self.inside -= 1


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def server(tmp_path: Path, recorder: Recorder) -> Iterator[AbciServer]:
    made = AbciServer(tmp_path / "abci.sock", recorder, recorder.failures.append)
    made.start()
    yield made
    made.close()


def _connect(server: AbciServer) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(server.address.removeprefix("unix://"))
    return connection


def _read(connection: socket.socket, count: int) -> list[bytes]:
    frames = split_frames(lambda missing: connection.recv(4096))
    return [bytes(next(frames)) for _ in range(count)]


def test_answers_come_in_order_and_wait_for_the_flush(server: AbciServer) -> None:
    with _connect(server) as connection:
        asked = [b"%d" % number for number in range(100)]
        connection.sendall(b"".join(wire.framed(_check(order)) for order in asked))
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        connection.sendall(wire.framed(_FLUSH))
        told = _read(connection, 101)
    assert told == [*(answers.check_tx(0, order.decode()) for order in asked), answers.flush()]


def test_answers_that_would_take_much_room_go_out_before(server: AbciServer) -> None:
    with _connect(server) as connection:
        connection.sendall(wire.framed(_check(b"x" * (2 << 20))))
        assert len(_read(connection, 1)[0]) > 2 << 20


def test_connections_are_answered_one_at_a_time(server: AbciServer, recorder: Recorder) -> None:
    def ask() -> None:
        with _connect(server) as connection:
            connection.sendall(wire.framed(_check(b"x")) * 200 + wire.framed(_FLUSH))
            assert len(_read(connection, 201)) == 201

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.most_inside == 1


def test_a_failing_application_has_cometbft_stop_and_says_so(server: AbciServer, recorder: Recorder) -> None:
    with _connect(server) as connection:
        connection.sendall(wire.framed(wire.put_part(3, b"")))
        assert _read(connection, 1) == [answers.exception("only orders are asked about here")]
    assert [str(error) for error in recorder.failures] == ["only orders are asked about here"]


def test_one_that_sends_nonsense_is_cut_off_and_the_others_are_not(server: AbciServer) -> None:
    with _connect(server) as hostile, _connect(server) as honest:
        hostile.sendall(wire.encode_varint(MAX_FRAME_BYTES + 1))
        assert hostile.recv(1) == b""
        honest.sendall(wire.framed(_check(b"x")) + wire.framed(_FLUSH))
        assert len(_read(honest, 2)) == 2


def test_a_path_that_no_socket_can_have_is_refused(tmp_path: Path, recorder: Recorder) -> None:
    with pytest.raises(ConfigError, match="shorter path"):
        AbciServer(tmp_path / ("x" * 120), recorder, recorder.failures.append)


@pytest.mark.parametrize("size", [1, 2, 7, 4096])
def test_frames_are_found_however_the_stream_is_cut(size: int) -> None:
    sent = [b"", b"a", b"b" * 127, b"c" * 128, b"d" * 20_000]
    stream = b"".join(wire.framed(message) for message in sent)
    cut = (stream[at : at + size] for at in range(0, len(stream), size))
    assert [bytes(message) for message in split_frames(lambda missing: next(cut, b""))] == sent


def test_a_length_bomb_is_refused_before_anything_is_kept() -> None:
    def stream() -> Iterator[bytes]:
        yield wire.encode_varint(2**62)
        raise AssertionError("more was read")

    chunks = stream()
    with pytest.raises(DecodeError, match="is the most"):
        next(split_frames(lambda missing: next(chunks)))


def test_a_stream_that_ends_within_a_message_is_refused() -> None:
    chunks = iter([wire.encode_varint(5) + b"abc"])
    with pytest.raises(DecodeError, match="ended within"):
        list(split_frames(lambda missing: next(chunks, b"")))


def test_what_a_message_still_needs_is_asked_for() -> None:
    asked: list[int] = []
    stream = wire.framed(b"a") + wire.framed(b"b" * 300)

    def receive(missing: int) -> bytes:
        nonlocal stream
        asked.append(missing)
        chunk, stream = stream[: missing or 10], stream[missing or 10 :]
        return chunk

    assert [len(message) for message in split_frames(receive)] == [1, 300]
    assert asked == [0, 294, 0]


def test_what_cometbft_writes_is_read_while_the_application_is_busy(
    tmp_path: Path,
) -> None:
    busy, most = threading.Event(), 8 << 20

    def application(request: Request) -> bytes:
        busy.wait(10)
        return answers.check_tx(answers.OK)

    server = AbciServer(tmp_path / "abci.sock", application, lambda error: None)
    server.start()
    with _connect(server) as connection:
        connection.settimeout(5)
        sent = wire.framed(_check(bytes(1 << 20)))
        connection.sendall(sent * (most // len(sent)))
        busy.set()
    server.close()


def test_reading_ahead_has_a_bound() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, ReadAhead(ours, limit=1 << 16) as ahead:
        theirs.settimeout(0.2)
        with pytest.raises(TimeoutError):
            theirs.sendall(wire.framed(bytes(1 << 14)) * 200)
        assert len(next(ahead)) == 1 << 14


def test_reading_ahead_that_breaks_ends_whoever_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaking(socket.socket):
        def recv(self, size: int, flags: int = 0) -> bytes:
            raise MemoryError("no room")

    broke: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda hook: broke.append(hook.exc_type))
    read: list[memoryview] = []
    with Breaking(socket.AF_UNIX, socket.SOCK_STREAM) as connection, ReadAhead(connection) as ahead:
        waiting = threading.Thread(target=lambda: read.extend(ahead), daemon=True)
        waiting.start()
        waiting.join(10)
        assert not waiting.is_alive()
    assert read == []
    assert broke == [MemoryError]
