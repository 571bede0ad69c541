"""The journal: what was appended is there, under its number, whatever happened to the process."""

from __future__ import annotations

import errno
import json
import os
import resource
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import EarmarkError
from edge.journal import SEGMENTS, Journal, default_journal
from edge.protocol import journal_of

EVERYTHING = (1 << 20, 1 << 30)


@contextmanager
def opened(folder: Path, limit: int = 1 << 20) -> Iterator[Journal]:
    journal = Journal(folder, limit)
    try:
        yield journal
    finally:
        journal.close()


def line(number: int) -> bytes:
    return json.dumps({"seq": number, "event": "x" * (number % 50)}).encode()


def append(journal: Journal, count: int) -> None:
    for _ in range(count):
        journal.append(line(journal.next))


@settings(max_examples=20, deadline=None)
@given(
    runs=st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.binary(max_size=9)), max_size=6),
    start=st.integers(0, 400),
    count=st.integers(1, 70),
    size=st.integers(1, 3_000),
)
def test_numbers_go_on_without_a_hole_or_a_repeat(
    runs: list[tuple[int, bool, bytes]], start: int, count: int, size: int
) -> None:
    """Each run appends and ends: closed, or killed with the beginning of a line written."""
    with tempfile.TemporaryDirectory() as name:
        folder, total, sessions = Path(name), 0, []
        for appended, killed, torn in runs:
            with opened(folder, SEGMENTS * 800) as journal:
                assert journal.next == total
                sessions.append(journal.session)
                append(journal, appended)
                total += appended
                identity = (folder / "journal.json").read_bytes()
            if killed:
                (folder / "journal.json").write_bytes(identity)
                with max(folder.glob("*.jsonl")).open("ab") as file:
                    file.write(torn.replace(b"\n", b""))
        with opened(folder, SEGMENTS * 800) as journal:
            assert journal.first == 0
            first, lines = journal.read(start, count, size)
            assert first == min(start, total)
            assert lines == [line(first + k) for k in range(len(lines))]
            assert bool(lines) == (start < total)
            assert len(lines) <= count
            assert len(lines) == 1 or sum(map(len, lines)) <= size
        assert len(set(sessions)) == len(sessions)
        assert len({journal_of(session) for session in sessions}) <= 1


def test_who_has_everything_costs_no_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every subscriber asks twice a second while it is quiet."""
    journal = Journal(tmp_path)
    try:
        append(journal, 20)
        monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("a file was read"))
        assert journal.read(20, *EVERYTHING) == (20, [])
        monkeypatch.undo()
        assert journal.read(19, *EVERYTHING) == (19, [line(19)])
    finally:
        journal.close()


def test_a_few_events_are_read_without_the_rest_of_their_file(tmp_path: Path) -> None:
    """Who follows live asks twice a second; a daemon's memory must not grow with the file."""
    with opened(tmp_path, limit=SEGMENTS << 20) as journal:
        append(journal, 20_000)
        assert sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) > 500_000
        tracemalloc.start()
        try:
            first, lines = journal.read(19_990, 5, 1 << 20)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (first, lines) == (19_990, [line(number) for number in range(19_990, 19_995)])
    assert most < 200_000


@pytest.mark.parametrize("name", ["20240101.jsonl", "\u0660" * 20 + ".jsonl"])
def test_a_file_that_is_not_its_own_stays(tmp_path: Path, name: str) -> None:
    """Whoever names a folder for it may have named one with something in it."""
    (tmp_path / name).write_text("somebody's\n")
    with opened(tmp_path) as journal:
        append(journal, 3)
        assert (journal.first, journal.next) == (0, 3)
    assert (tmp_path / name).read_text() == "somebody's\n"


def test_it_is_bounded_and_says_where_it_begins(tmp_path: Path) -> None:
    limit = SEGMENTS * 1_000
    with opened(tmp_path, limit) as journal:
        append(journal, 5_000)
        assert sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) <= limit
        assert 0 < journal.first < 4_500
        first, lines = journal.read(0, *EVERYTHING)
        assert first == journal.first
        assert lines[0] == line(first)
        while lines:
            first += len(lines)
            begin, lines = journal.read(first, *EVERYTHING)
            assert begin == first
        assert first == journal.next == 5_000


def test_a_part_that_the_disk_does_not_give_is_lost_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path, SEGMENTS * 1_000) as journal:
        append(journal, 100)
        bad, second, *_ = sorted(tmp_path.glob("*.jsonl"))
        fail_to_open(monkeypatch, bad, errno.EIO)
        first, lines = journal.read(0, *EVERYTHING)
        assert first == int(second.stem) > 0
        assert lines[0] == line(first)
        assert str(bad) in caplog.text


def test_what_cannot_be_read_for_now_is_not_told_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as journal:
        append(journal, 3)
        with monkeypatch.context() as patch:
            fail_to_open(patch, tmp_path / f"{0:020}.jsonl", errno.EMFILE)
            with pytest.raises(OSError, match="open files"):
                journal.read(0, *EVERYTHING)
        assert journal.read(0, *EVERYTHING) == (0, [line(n) for n in range(3)])


def test_too_many_open_files_for_a_while_cost_nothing_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.open

    def fail(path: Any, *args: Any) -> int:
        if str(path).endswith(".jsonl"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return whole(path, *args)

    with opened(tmp_path, SEGMENTS * 1_000) as journal:
        append(journal, 100)
        segments, last = sorted(tmp_path.glob("*.jsonl")), len(line(0)) + 1
        with monkeypatch.context() as patch:
            patch.setattr("edge.journal.os.open", fail)
            append(journal, 600 // last)
            assert journal.unwritten == 0
            append(journal, 5_000 // last)
            assert journal.unwritten > 0, "one segment does not grow without bound"
            assert 1_500 < segments[-1].stat().st_size <= 2_000
        assert sorted(tmp_path.glob("*.jsonl")) == segments
        append(journal, 20)
        assert len(sorted(tmp_path.glob("*.jsonl"))) > len(segments)
        first, lines = journal.read(0, *EVERYTHING)
        assert (first, lines[0]) == (0, line(0))


def test_a_part_that_somebody_removed_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    with opened(tmp_path, SEGMENTS * 1_000) as journal:
        append(journal, 10)
        while len(sorted(tmp_path.glob("*.jsonl"))) < SEGMENTS:
            append(journal, 10)
        for path in sorted(tmp_path.glob("*.jsonl"))[:3]:
            path.unlink()
        append(journal, 200)
        assert journal.unwritten == 0


@pytest.mark.parametrize("left", [0, 2])
def test_no_number_comes_twice_where_the_last_parts_were_removed(tmp_path: Path, left: int) -> None:
    """While it was closed, and while it was open."""
    journals = []
    for removed_early in (False, True, False):
        with opened(tmp_path, SEGMENTS * 1_000) as journal:
            journals.append(journal_of(journal.session))
            append(journal, 100)
            parts = sorted(tmp_path.glob("*.jsonl"))[left:]
            for path in parts if removed_early else ():
                path.unlink()
        for path in () if removed_early else parts:
            path.unlink()
    assert len(set(journals)) == len(journals)


def test_a_journal_closed_before_its_end_was_kept_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        append(journal, 10)
        session = journal.session
    path = tmp_path / "journal.json"
    identity = json.loads(path.read_text())
    assert identity.pop("end") == 10
    path.write_text(json.dumps(identity))
    with opened(tmp_path) as journal:
        assert (journal.next, journal_of(journal.session)) == (10, journal_of(session))


def test_parts_of_a_killed_run_that_were_all_removed_begin_a_new_journal(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        append(journal, 10)
        session = journal.session
        as_killed = (tmp_path / "journal.json").read_bytes()
    (tmp_path / "journal.json").write_bytes(as_killed)
    (tmp_path / f"{0:020}.jsonl").unlink()
    with opened(tmp_path) as journal:
        assert journal.next == 0
        assert journal_of(journal.session) != journal_of(session)


@pytest.mark.parametrize(
    ("at", "byte"),
    [(-1, b"x"), (-1, b" "), (5, b"\n"), (0, b"\n"), (8, b"9"), (15, b"\xff")],
    ids=["two are one", "two are one, by a blank", "one is two", "an empty one", "seq", "no UTF-8"],
)
def test_a_damaged_byte_costs_the_line_that_it_was_in(tmp_path: Path, at: int, byte: bytes) -> None:
    """Those behind it were given out under each other's numbers, and the last to nobody."""
    with opened(tmp_path) as journal:
        append(journal, 8)
        (path,) = tmp_path.glob("*.jsonl")
        lines = [bytearray(x) for x in path.read_bytes().splitlines(keepends=True)]
        lines[3][at] = byte[0]
        path.write_bytes(b"".join(lines))
        lost = {3, 4} if at == -1 else {3}
        left = [n for n in range(8) if n not in lost]
        for start in range(8):
            first = min(n for n in left if n >= start)
            assert journal.read(start, 1, 1 << 20) == (first, [line(first)])
            end = 3 if first < 3 else 8
            assert journal.read(start, *EVERYTHING) == (first, [line(n) for n in range(first, end)])
    with opened(tmp_path) as journal:
        assert journal.next == 8
        append(journal, 1)
        assert journal.read(7, *EVERYTHING) == (7, [line(7), line(8)])


def test_no_number_comes_twice_where_the_last_line_is_damaged(tmp_path: Path) -> None:
    """It may have been two events."""
    with opened(tmp_path) as journal:
        append(journal, 8)
        session = journal.session
    (path,) = tmp_path.glob("*.jsonl")
    *lines, last = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join(lines) + b"x" + last + b"\n")
    with opened(tmp_path) as journal:
        assert journal.next == 0
        assert journal_of(journal.session) != journal_of(session)


def test_a_page_that_the_disk_lost_costs_the_lines_that_were_in_it(tmp_path: Path) -> None:
    """Two dozen lines that became one moved those behind it by as many places."""
    with opened(tmp_path) as journal:
        session, lines = journal.session, []
        for number in range(100):
            lines.append(json.dumps({"seq": number, "event": "x" * 100}).encode())
            journal.append(lines[-1])
    (path,) = tmp_path.glob("*.jsonl")
    data = bytearray(path.read_bytes())
    begin = data.index(lines[50])
    data[begin : begin + 4096] = bytes(4096)
    path.write_bytes(data)
    left = [number for number, line in enumerate(lines) if line in data]
    assert (len(left), left[49:51]) == (67, [49, 83])
    with opened(tmp_path) as journal:
        assert (journal.next, journal_of(journal.session)) == (100, journal_of(session))
        assert journal.read(40, *EVERYTHING) == (40, lines[40:50])
        assert journal.read(50, *EVERYTHING) == (83, lines[83:])


def test_no_number_comes_twice_where_two_lines_are_damaged(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        append(journal, 10)
        session = journal.session
    (path,) = tmp_path.glob("*.jsonl")
    lines = path.read_bytes().splitlines()
    lines[3], lines[9] = b"nothing", lines[8]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    with opened(tmp_path) as journal:
        assert journal_of(journal.session) != journal_of(session)


def fail_to_open(patch: pytest.MonkeyPatch, path: Path, why: int) -> None:
    whole = Path.open

    def fail(self: Path, *args: Any) -> Any:
        if self == path:
            raise OSError(why, os.strerror(why))
        return whole(self, *args)

    patch.setattr(Path, "open", fail)


def test_its_files_are_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "journal"
    with opened(folder) as journal:
        append(journal, 3)
        for path in (folder, *folder.iterdir()):
            assert not path.stat().st_mode & 0o077, path


def test_two_daemons_do_not_share_one(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(EarmarkError, match="in use") as error:
        Journal(tmp_path)
    assert "--journal" in error.value.remedy
    Journal(tmp_path).close()


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EarmarkError, match="cannot keep the journal"):
        Journal(tmp_path / "file" / "journal")


def test_a_power_cut_begins_a_new_journal(tmp_path: Path) -> None:
    """Its last lines may not have reached the disk: their numbers must not come twice."""
    with opened(tmp_path) as journal:
        append(journal, 10)
        session = journal.session
        identity = json.loads((tmp_path / "journal.json").read_text())
    (tmp_path / "journal.json").write_text(json.dumps({**identity, "boot": "before the cut"}))
    with opened(tmp_path) as journal:
        assert journal.next == 0
        assert journal_of(journal.session) != journal_of(session)
        assert journal.read(0, *EVERYTHING) == (0, [])


@pytest.mark.parametrize("damage", ["", "{}", "nonsense", '{"journal":1}'])
def test_a_journal_that_cannot_be_told_begins_anew(tmp_path: Path, damage: str) -> None:
    with opened(tmp_path) as journal:
        append(journal, 10)
    (tmp_path / "journal.json").write_text(damage)
    with opened(tmp_path) as journal:
        assert journal.next == 0


def test_what_does_not_fit_on_the_disk_is_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: half a line is written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path) as journal:
        append(journal, 20)
        size = (tmp_path / f"{0:020}.jsonl").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, hard))
        try:
            append(journal, 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        append(journal, 20)
        assert (journal.unwritten, journal.next) == (1, 41)
        assert journal.read(0, *EVERYTHING) == (0, [line(n) for n in range(20)])
        assert journal.read(20, *EVERYTHING) == (21, [line(n) for n in range(21, 41)])
        session = journal.session
    with opened(tmp_path) as journal:
        assert journal_of(journal.session) != journal_of(session)


def test_every_endpoint_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    folders = [default_journal(f"{e}") for e in ("tcp://127.0.0.1:7707", "ipc:///tmp/../e")]
    assert [folder.parent for folder in folders] == [Path("/state/earmark/journals")] * 2
