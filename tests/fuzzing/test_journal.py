"""A journal that somebody else wrote: read as it is, or refused by a named error, soon and in little room."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.chain.clock import SetClock
from bezant.chain.embedded.engine import EmbeddedEngine
from bezant.chain.storage.frames import (
    BLOCK_HEADER,
    FRAME_HEADER,
    SEGMENT_HEADER,
    decode_block,
    encode_block,
    encode_frame,
    encode_segment_header,
    find_frames,
    read_frame,
)
from bezant.chain.storage.snapshot_writer import Cadence
from bezant.errors import BezantError, DecodeError
from bezant.model.genesis import network_id
from bezant.model.records import Kind
from bezant.testing.chains import LEDGER_SEED
from bezant.testing.ledgers import NODE
from bezant.testing.mutations import MANY, NUMBERS, bounded, changed_bytes, changed_json, small_memory
from bezant.testing.simulator import kinds
from bezant.testing.simulator.disk import SimulatedDisk
from bezant.testing.simulator.life import FOLDER
from bezant.testing.simulator.networks import ALONE as GENESIS
from bezant.testing.simulator.schedule import Schedule
from bezant.testing.simulator.time import SimulatedTime
from bezant.testing.simulator.workload import Workload

NETWORK = network_id(GENESIS)
SEGMENT_BYTES = 16 * 1024
NO_ROOM = MANY // 4


class Sight:
    """What senders see of an engine."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine

    def account(self, identity: int) -> object:
        return self._engine.ledger.account(identity)

    def keys(self, authority: int) -> None:
        return None

    @property
    def height(self) -> int:
        return self._engine.height

    def proposals(self) -> tuple[()]:
        return ()


def open_engine(disk: SimulatedDisk, time: SimulatedTime) -> tuple[EmbeddedEngine, Schedule]:
    schedule = Schedule()
    engine = EmbeddedEngine(
        FOLDER,
        GENESIS,
        NODE,
        LEDGER_SEED,
        clock=SetClock(time.wall_ns),
        segment_bytes=SEGMENT_BYTES,
        disk=disk,
        runner=schedule,
        idle_s=0,
        cadence=Cadence(running=6, closing=6),
    )
    return engine, schedule


@cache
def written() -> tuple[dict[Path, bytes], tuple[bytes, ...], bytes]:
    """Return the files of a short life of every kind of record, its blocks' bodies, and its last app hash."""
    time = SimulatedTime()
    disk = new_disk({}, time)
    engine, schedule = open_engine(disk, time)
    workload = Workload(Random(3), GENESIS, lambda: time.wall_ns, Sight(engine))
    envelopes = [workload.opening()] + [workload.envelope(kinds.draw) for _ in range(12)]
    for envelope in envelopes:
        time.advance(1_000_000)
        engine.submit([envelope.order])
        schedule.turn("journal")
    engine.close()
    files = disk.snapshot()
    bodies = [
        bytes(frame.body)
        for path, data in sorted(files.items())
        if path.suffix == ".segment"
        for frame in find_frames(memoryview(data), 0)
        if not frame.is_mark
    ]
    return files, tuple(bodies), engine.app_hash


def new_disk(files: dict[Path, bytes], time: SimulatedTime) -> SimulatedDisk:
    disk = SimulatedDisk(Random(1), time)
    disk.make_folder(FOLDER.parent)
    disk.make_folder(FOLDER)
    for path, data in files.items():
        disk.make_folder(path.parent)
        file = disk.create(path)
        if data:
            disk.pwrite(file, data, 0)
        disk.fsync(file)
        disk.close(file)
    return disk


def start(files: dict[Path, bytes]) -> tuple[int, bytes] | None:
    """Return (height, app hash) of an engine on these files, None where it names why it does not start."""
    time = SimulatedTime()
    disk = new_disk(files, time)
    try:
        engine, _ = open_engine(disk, time)
    except BezantError:
        return None
    with contextlib.suppress(BezantError):
        for block in engine.blocks_from(1):
            assert len(block.receipts) >= len(block.records)
    return engine.height, engine.app_hash


def sealed(bodies: tuple[bytes, ...]) -> dict[Path, bytes]:
    """Return a journal of one segment with these bodies, every checksum right."""
    frames = [encode_frame(height, height - 1, body) for height, body in enumerate(bodies, 1)]
    size = SEGMENT_HEADER.itemsize + sum(map(len, frames)) + 128
    header = encode_segment_header(NETWORK, 1, 1, size)
    return {FOLDER / "journal" / "00000001.segment": header + b"".join(frames) + bytes(128)}


def test_what_was_not_changed_starts() -> None:
    files, bodies, app_hash = written()
    assert start(files) == start(sealed(bodies)) == (len(bodies), app_hash)


@bounded(400)
@given(st.data())
def test_a_block_is_read_back_as_it_is_or_refused(data: st.DataObject) -> None:
    body = data.draw(changed_bytes(written()[1]))
    with small_memory(NO_ROOM):
        try:
            block = decode_block(body, NETWORK)
        except DecodeError:
            return
    assert encode_block(NETWORK, block) == body


@bounded(150)
@given(st.data())
def test_frames_are_found_behind_anything(data: st.DataObject) -> None:
    """What recovery looks through after damage: garbage, halves of frames, frames in frames."""
    segments = [data for path, data in written()[0].items() if path.suffix == ".segment"]
    segment = data.draw(changed_bytes(segments))
    with small_memory(NO_ROOM):
        for frame in find_frames(memoryview(segment), 0):
            assert read_frame(memoryview(segment), frame.offset) == frame


@bounded(80)
@given(st.data())
def test_a_node_starts_on_changed_files_or_says_why_not(data: st.DataObject) -> None:
    """Whatever one file of the chain has become: what is read is the same history, or none."""
    files, bodies, app_hash = written()
    path = data.draw(st.sampled_from(sorted(files)))
    changed = data.draw(changed_bytes([files[path]]))
    found = start(files | {path: changed})
    if found is not None and found[0] == len(bodies):
        assert found[1] == app_hash


@bounded(80)
@given(st.data())
def test_a_node_refuses_blocks_that_were_sealed_anew(data: st.DataObject) -> None:
    """Somebody with the disk changes a block and makes every checksum right again.

    Behind every block but the last the next one says what the app hash was; the last one's is nowhere else
    in a journal, and that it is another is for receipts and checkpoints to say.
    """
    _, bodies, app_hash = written()
    at = data.draw(st.integers(0, len(bodies) - 1))
    changed = data.draw(changed_bytes([bodies[at]]))
    found = start(sealed((*bodies[:at], changed, *bodies[at + 1 :])))
    if found is not None and found[0] == len(bodies) and at < len(bodies) - 1:
        # Nothing that the app hash covers was changed.
        assert found[1] == app_hash


def resealed(data: bytes, document: Any) -> bytes:
    """Return a snapshot with another header, its checksum right."""
    length = int.from_bytes(data[8:16], "little")
    begin = 48 + length + -(48 + length) % 64
    header = json.dumps(document).encode()
    front = data[:8] + len(header).to_bytes(8, "little") + hashlib.sha256(header).digest() + header
    return front + bytes(-len(front) % 64) + data[begin:]


def test_a_snapshot_that_was_sealed_anew_is_passed_over_or_right() -> None:
    """Its header claims other tables, types, sizes, places; the journal has the history all the same."""
    files, bodies, app_hash = written()
    path = max(path for path in files if path.suffix == ".snapshot")
    length = int.from_bytes(files[path][8:16], "little")
    header = files[path][48 : 48 + length]
    unchanged = resealed(files[path], json.loads(header))
    assert unchanged[48:].startswith(b"{")
    # Outside the watch over time and memory: on a new machine the first start from a snapshot compiles.
    assert start(files | {path: unchanged}) == (len(bodies), app_hash)

    @bounded(120, dear=4)
    @given(changed_json([header]))
    def check(document: Any) -> None:
        changed = {path: resealed(files[path], document)}
        with small_memory(8 * MANY):
            found = start(files | changed)
        assert found is None or found == (len(bodies), app_hash)

    check()


@pytest.mark.parametrize("number", NUMBERS)
def test_hostile_lengths_take_no_room(number: int) -> None:
    body = written()[1][1]
    header = np.frombuffer(body, BLOCK_HEADER, 1)
    for name in ("orders", "authorisations", "originals", "faults"):
        hostile = header.copy()
        hostile[name] = number % 2**32
        changed = hostile.tobytes() + body[BLOCK_HEADER.itemsize :]
        with small_memory(NO_ROOM), contextlib.suppress(DecodeError):
            decode_block(changed, NETWORK)
            assert changed == body
    at = BLOCK_HEADER.itemsize
    with small_memory(NO_ROOM), pytest.raises(DecodeError):
        decode_block(body[:at] + (number + 3).to_bytes(9, "little")[:8] + body[at + 8 :], NETWORK)
    frame = encode_frame(1, 0, body)
    lying = np.frombuffer(frame, FRAME_HEADER, 1).copy()
    lying["length"] = number
    with small_memory(NO_ROOM):
        assert read_frame(memoryview(lying.tobytes() + frame[FRAME_HEADER.itemsize :]), 0) is None


def test_a_block_says_as_much_of_signatures_and_originals_as_it_has() -> None:
    """The columns beside the Orders are read by compiled code, which checks no bounds."""
    block = next(
        one
        for one in (decode_block(body, NETWORK) for body in written()[1])
        if any((order.records["kind"] == Kind.REVERSE).any() for order in one.orders)
    )
    for changes in (
        {"authentic": block.authentic[1:], "accepted": block.accepted[1:]},
        {"authentic": np.append(block.authentic, 1), "accepted": np.append(block.accepted, 1)},
        {"authentic": block.authentic + np.uint8(1)},
        {"originals": block.originals[1:]},
        {"originals": np.repeat(block.originals, 2)},
    ):
        parts = {name: column.astype(getattr(block, name).dtype) for name, column in changes.items()}
        with pytest.raises(DecodeError):
            decode_block(encode_block(NETWORK, replace(block, **parts)), NETWORK)
