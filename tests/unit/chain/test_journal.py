"""The journal: nothing acknowledged is ever lost in silence, nothing is changed by a refusal."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from bezant.chain.storage import frames
from bezant.chain.storage import journal as journals
from bezant.chain.storage.background import Step
from bezant.chain.storage.journal import Journal
from bezant.errors import BezantError, JournalDamaged, NotFound, StorageError
from bezant.testing.simulator.disk import SimulatedDisk
from bezant.testing.simulator.time import SimulatedTime

NETWORK = bytes(range(32))
SEGMENT = 1024
HEADER = frames.SEGMENT_HEADER.itemsize


def body(height: int, length: int = 40) -> bytes:
    return bytes((height * 31 + i) % 256 for i in range(length))


def write(folder: Path, groups: list[int], length: int = 40) -> None:
    """Append groups of blocks, each group made durable by one sync."""
    journal = Journal(folder, NETWORK, segment_bytes=SEGMENT)
    list(journal.recover())
    for size in groups:
        for _ in range(size):
            journal.append(body(journal.height + 1, length))
        journal.sync()
    journal.close()


def read(folder: Path, network: bytes = NETWORK) -> list[bytes]:
    """Return the bodies that recovery yields, and leave the journal closed."""
    journal = Journal(folder, network, segment_bytes=SEGMENT)
    try:
        return [bytes(frame.body) for frame in journal.recover()]
    finally:
        journal.close()


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def restore(folder: Path, files: dict[str, bytes]) -> None:
    for path in folder.iterdir():
        path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def frame_places(data: bytes) -> list[tuple[int, int, int]]:
    """Return (offset, size, length of the body) of every frame in a segment."""
    places, at = [], HEADER
    while (frame := frames.read_frame(memoryview(data), at)) is not None:
        places.append((at, frame.size, len(frame.body)))
        at += frame.size
    return places


def assert_refused(folder: Path, name: str = r"\d{8}\.segment") -> JournalDamaged:
    before = snapshot(folder)
    with pytest.raises(JournalDamaged, match=rf"{name} at byte \d+") as caught:
        read(folder)
    assert snapshot(folder) == before, "a refusal changed the disk"
    return caught.value


def test_what_is_appended_is_recovered(tmp_path: Path) -> None:
    write(tmp_path, [1, 3, 1])
    assert read(tmp_path) == [body(n) for n in range(1, 6)]
    write(tmp_path, [2])
    assert read(tmp_path) == [body(n) for n in range(1, 8)]


def test_blocks_are_read_by_height(tmp_path: Path) -> None:
    write(tmp_path, [1] * 12)
    journal = Journal(tmp_path, NETWORK, segment_bytes=SEGMENT)
    list(journal.recover())
    assert [bytes(journal.read(n)) for n in range(1, 13)] == [body(n) for n in range(1, 13)]
    for height in (0, 13):
        with pytest.raises(NotFound):
            journal.read(height)
    path = tmp_path / "00000001.segment"
    data = bytearray(path.read_bytes())
    data[HEADER + 70] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalDamaged, match=r"00000001.segment at byte 64: block 1"):
        journal.read(1)
    journal.close()


def test_segments_roll_over(tmp_path: Path) -> None:
    write(tmp_path, [1] * 30)
    used = [path for path in tmp_path.glob("*.segment") if path.read_bytes().strip(b"\0")]
    assert len(used) == 4
    assert all(path.stat().st_size == SEGMENT for path in tmp_path.glob("*.segment"))
    assert read(tmp_path) == [body(n) for n in range(1, 31)]


def test_a_block_larger_than_a_segment(tmp_path: Path) -> None:
    write(tmp_path, [1, 1])
    write(tmp_path, [1], length=5 * SEGMENT)
    write(tmp_path, [1, 1])
    assert read(tmp_path) == [body(1), body(2), body(3, 5 * SEGMENT), body(4), body(5)]


def test_a_torn_tail_is_cut_at_every_byte_of_the_last_frame(tmp_path: Path) -> None:
    write(tmp_path, [1, 2, 1])
    files = snapshot(tmp_path)
    whole = files["00000001.segment"]
    start, size, length = frame_places(whole)[-1]
    for end in range(start, start + frames.FRAME_HEADER.itemsize + length):
        restore(tmp_path, files)
        torn = whole[:end] + bytes(len(whole) - end)
        (tmp_path / "00000001.segment").write_bytes(torn)
        assert read(tmp_path) == [body(n) for n in range(1, 4)]
        cut = (tmp_path / "00000001.segment").read_bytes()
        assert cut == whole[:start] + bytes(len(whole) - start)
    assert size == length + frames.FRAME_HEADER.itemsize


def test_after_a_cut_the_next_block_takes_its_place(tmp_path: Path) -> None:
    write(tmp_path, [1, 1])
    path = tmp_path / "00000001.segment"
    data = bytearray(path.read_bytes())
    start, size, _ = frame_places(bytes(data))[-1]
    data[start + size - 1] ^= 1
    path.write_bytes(data)
    write(tmp_path, [1], length=8)
    assert read(tmp_path) == [body(1), body(2, 8)]


def test_a_torn_group_is_cut_from_its_first_torn_frame(tmp_path: Path) -> None:
    """Frames of one group may reach the disk in any order before the sync returns."""
    write(tmp_path, [2, 3])
    path = tmp_path / "00000001.segment"
    data = bytearray(path.read_bytes())
    start, size, _ = frame_places(bytes(data))[2]
    data[start : start + size] = bytes(size)
    path.write_bytes(data)
    assert read(tmp_path) == [body(1), body(2)]
    assert read(tmp_path) == [body(1), body(2)]


@pytest.mark.parametrize("groups", [[1, 1, 1], [3, 1], [1, 3, 1], [2, 2, 1]])
def test_damage_to_acknowledged_blocks_is_refused_at_every_byte(tmp_path: Path, groups: list[int]) -> None:
    """Every byte of every frame but the last group's: those are known to have been durable."""
    write(tmp_path, groups)
    files = snapshot(tmp_path)
    path = tmp_path / "00000001.segment"
    whole = files[path.name]
    known = sum(groups[:-1])
    for height, (start, size, _) in enumerate(frame_places(whole)[:known], 1):
        for at in range(start, start + size):
            damaged = bytearray(whole)
            damaged[at] ^= 0x10
            path.write_bytes(damaged)
            before = path.read_bytes()
            with pytest.raises(JournalDamaged, match=rf"{path.name} at byte {start}: block {height}"):
                read(tmp_path)
            assert path.read_bytes() == before
    path.write_bytes(whole)
    assert len(read(tmp_path)) == sum(groups)


def test_a_refusal_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, [1] * 20)
    path = tmp_path / "00000002.segment"
    data = bytearray(path.read_bytes())
    data[HEADER + 5] ^= 1
    path.write_bytes(data)
    assert_refused(tmp_path, path.name)


def test_the_last_block_of_a_full_segment_is_known_by_the_next_segment(tmp_path: Path) -> None:
    """Even a segment that was begun and holds no frame yet proves that all before it was durable."""
    write(tmp_path, [8])
    files = snapshot(tmp_path)
    assert len(frame_places(files["00000001.segment"])) == 8
    journal = Journal(tmp_path, NETWORK, segment_bytes=SEGMENT)
    list(journal.recover())
    journal.append(body(9))
    journal.sync()
    journal.close()
    begun = tmp_path / "00000002.segment"
    data = begun.read_bytes()
    begun.write_bytes(data[:HEADER] + bytes(SEGMENT - HEADER))
    assert len(read(tmp_path)) == 8
    first = tmp_path / "00000001.segment"
    damaged = bytearray(first.read_bytes())
    damaged[frame_places(bytes(damaged))[-1][0] + 3] ^= 1
    first.write_bytes(damaged)
    assert_refused(tmp_path, first.name)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_missing_segment_is_refused(tmp_path: Path, number: int) -> None:
    """The last one in use too: the empty one prepared behind it tells."""
    write(tmp_path, [1] * 20)
    assert len([p for p in tmp_path.glob("*.segment") if p.read_bytes().strip(b"\0")]) == 3
    (tmp_path / f"{number:08d}.segment").unlink()
    assert_refused(tmp_path)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_emptied_segment_is_refused(tmp_path: Path, number: int) -> None:
    write(tmp_path, [1] * 20)
    (tmp_path / f"{number:08d}.segment").write_bytes(bytes(SEGMENT))
    assert_refused(tmp_path)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("length", [0, 10, HEADER, 500, SEGMENT - 1, SEGMENT + 1])
def test_a_segment_of_another_length_is_refused(tmp_path: Path, number: int, length: int) -> None:
    write(tmp_path, [1] * 20)
    path = tmp_path / f"{number:08d}.segment"
    data = path.read_bytes()
    path.write_bytes((data + b"\0")[:length])
    assert_refused(tmp_path)


def test_a_renamed_or_swapped_segment_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [1] * 20)
    files = snapshot(tmp_path)
    (tmp_path / "00000002.segment").rename(tmp_path / "00000009.segment")
    assert_refused(tmp_path)
    one, two = files["00000001.segment"], files["00000002.segment"]
    restore(tmp_path, files | {"00000001.segment": two, "00000002.segment": one})
    assert_refused(tmp_path)


def test_a_stray_file_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, [1])
    (tmp_path / "00000003.partial").write_bytes(b"torn while it was prepared")
    assert read(tmp_path) == [body(1)]


def test_every_byte_of_a_segments_header_matters(tmp_path: Path) -> None:
    write(tmp_path, [1] * 12)
    files = snapshot(tmp_path)
    for number in (1, 2):
        path = tmp_path / f"{number:08d}.segment"
        whole = files[path.name]
        for at in range(HEADER):
            damaged = bytearray(whole)
            damaged[at] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(JournalDamaged, match=rf"{path.name} at byte"):
                read(tmp_path)
        path.write_bytes(whole)


def test_another_network_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [1])
    before = snapshot(tmp_path)
    with pytest.raises(JournalDamaged, match=re.escape("00000001.segment")) as caught:
        read(tmp_path, network=bytes(32))
    assert caught.value.code == "other_network"
    assert snapshot(tmp_path) == before


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """A file stands where the next segment is prepared."""
    journal = Journal(tmp_path, NETWORK, segment_bytes=SEGMENT)
    list(journal.recover())
    for _ in range(3):
        journal.append(body(journal.height + 1))
    journal.sync()
    journal.close()
    (tmp_path / "00000002.segment").unlink()
    (tmp_path / "00000002.partial").mkdir()
    journal = Journal(tmp_path, NETWORK, segment_bytes=SEGMENT)
    list(journal.recover())
    journal._spare.join()
    with pytest.raises(StorageError, match="prepare a journal segment"):
        journal.check_room()
    journal.close()
    assert issubclass(StorageError, BezantError)


def test_the_first_segments_are_small_and_those_of_before_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is four times as long as the one before it, up to the bound; each header says its own length."""
    monkeypatch.setattr(journals, "FIRST_SEGMENT_BYTES", SEGMENT // 4)
    (tmp_path / "new").mkdir()
    write(tmp_path / "new", [1] * 40)
    assert [len(data) for data in snapshot(tmp_path / "new").values()][:3] == [SEGMENT // 4, SEGMENT, SEGMENT]
    assert read(tmp_path / "new") == [body(height) for height in range(1, 41)]
    (tmp_path / "old").mkdir()
    monkeypatch.setattr(journals, "FIRST_SEGMENT_BYTES", SEGMENT)
    write(tmp_path / "old", [3])
    monkeypatch.setattr(journals, "FIRST_SEGMENT_BYTES", SEGMENT // 4)
    write(tmp_path / "old", [1])
    assert len(frame_places((tmp_path / "old" / "00000001.segment").read_bytes())) == 4
    assert read(tmp_path / "old") == [body(height) for height in range(1, 5)]


def write_confirmed(folder: Path, blocks: int) -> Path:
    """Append blocks in one group, have the journal confirm it, return the segment."""
    journal = Journal(folder, NETWORK, segment_bytes=SEGMENT)
    list(journal.recover())
    for height in range(1, blocks + 1):
        journal.append(body(height))
    journal.sync()
    assert not journal.confirmed
    journal.confirm()
    assert journal.confirmed
    journal.close()
    return folder / "00000001.segment"


def test_damage_to_a_confirmed_last_group_is_refused_at_every_byte(tmp_path: Path) -> None:
    """Without the mark a damaged last frame would pass for one that a crash tore."""
    path = write_confirmed(tmp_path, 2)
    whole = path.read_bytes()
    start, _, length = frame_places(whole)[1]
    for offset in range(start, start + frames.FRAME_HEADER.itemsize + length):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 4]) + whole[offset + 1 :])
        assert_refused(tmp_path, path.name)


def test_the_next_block_goes_over_the_mark(tmp_path: Path) -> None:
    path = write_confirmed(tmp_path, 2)
    before = path.read_bytes()
    assert read(tmp_path) == [body(1), body(2)]
    assert path.read_bytes() == before, "an intact mark is no tail to be cut off"
    write(tmp_path, [1])
    assert read(tmp_path) == [body(1), body(2), body(3)]
    assert frame_places(path.read_bytes())[:2] == frame_places(before)[:2]


def test_a_damaged_mark_costs_nothing_but_itself(tmp_path: Path) -> None:
    path = write_confirmed(tmp_path, 2)
    whole = path.read_bytes()
    mark = sum(frame_places(whole)[1][:2])
    for offset in range(mark, mark + frames.FRAME_HEADER.itemsize):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 4]) + whole[offset + 1 :])
        assert read(tmp_path) == [body(1), body(2)]


def test_a_segment_whose_header_a_crash_tore_is_begun_again(tmp_path: Path) -> None:
    """No frame is written before the header is durable, so nothing can be lost with it."""
    write(tmp_path, [1] * 8)
    journal = Journal(tmp_path, NETWORK, segment_bytes=SEGMENT)
    list(journal.recover())
    journal.append(body(9))
    journal.close()
    second = tmp_path / "00000002.segment"
    header = second.read_bytes()[:HEADER]
    for torn in range(1, HEADER - 8):
        second.write_bytes(header[:torn] + bytes(SEGMENT - torn))
        (tmp_path / "00000003.segment").unlink(missing_ok=True)
        assert len(read(tmp_path)) == 8, f"a header torn after {torn} bytes"
    second.write_bytes(bytes(8) + bytes([header[8] ^ 2]) + header[9:] + bytes(SEGMENT - HEADER))
    (tmp_path / "00000003.segment").unlink(missing_ok=True)
    assert_refused(tmp_path, second.name)


@pytest.mark.parametrize("seed", range(12))
def test_a_torn_segment_that_was_put_away_does_not_come_back(seed: int) -> None:
    """A name that is taken away is back after a power cut until its folder is synced."""
    disk, folder = SimulatedDisk(Random(seed), SimulatedTime()), Path("/simulated/journal")
    for made in (folder.parent, folder):
        disk.make_folder(made)
        disk.sync_folder(made.parent)

    def come_back() -> Journal:
        journal = Journal(folder, NETWORK, segment_bytes=SEGMENT, disk=disk, runner=Later)
        list(journal.recover())
        return journal

    def add(journal: Journal) -> None:
        journal.append(body(journal.height + 1))
        journal.sync()

    add(come_back())
    torn = disk.create(folder / "00000002.segment")
    disk.pwrite(torn, frames.encode_segment_header(NETWORK, 2, 2, SEGMENT)[:40] + bytes(SEGMENT - 40), 0)
    disk.fsync(torn)
    disk.sync_folder(folder)
    disk.kill()
    journal = come_back()
    assert journal.height == 1
    add(journal)
    disk.cut_power()
    assert come_back().height == 2


class Later:
    """A `Runner`'s task that nobody gets round to before somebody waits for it."""

    def __init__(self, name: str, step: Step) -> None:
        self._step = step

    def join(self) -> None:
        while self._step():
            pass
