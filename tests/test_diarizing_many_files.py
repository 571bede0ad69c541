"""Risk: one bad recording, or Ctrl-C, costs the work on the others, or leaves half a file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from daemons import HANGING
from hypothesis import given
from hypothesis import strategies as st
from voices import RATE, TRUTH, beginning

from edge.cli import main
from edge.errors import EarmarkError
from edge.picture import draw_turns
from edge.printable import printable
from edge.rttm import Turn, read_rttm
from edge.srt import format_srt
from edge.whole_file import write_whole

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)
turns = st.builds(
    lambda start, length, speaker: Turn(start, start + length, speaker),
    st.floats(0.0, 20_000.0),
    st.floats(0.001, 100.0),
    names,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two good recordings, one cut off between them, and what is no recording."""
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for name, seconds in (("a", 12), ("c", 20)):
        soundfile.write(recordings / f"{name}.flac", beginning()[: seconds * RATE], RATE)
    whole = (recordings / "a.flac").read_bytes()
    (recordings / "b.flac").write_bytes(whole[: len(whole) // 2])
    (recordings / "notes.txt").write_text("not audio")
    return recordings


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_one_bad_recording_is_told_and_the_others_are_done(
    folder: Path, tmp_path: Path, jobs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    words = ["diarize", "--anonymous", str(folder), "--jobs", jobs]
    outputs = ["--rttm", str(out), "--srt", str(out), "--plot", str(out)]
    assert main([*words, *outputs, "--json", str(tmp_path / "all.json")]) == 1
    left_out, complaint = capsys.readouterr().err.splitlines()
    assert left_out.startswith("earmark: ")
    assert left_out.endswith("not 1 .txt")
    assert complaint.startswith("earmark: ")
    assert "b.flac" in complaint
    assert sorted(path.name for path in out.iterdir()) == [
        f"{name}.{suffix}" for name in "ac" for suffix in ("rttm", "srt", "svg")
    ]
    assert len((tmp_path / "all.json").read_text().splitlines()) == 2
    for name in "ac":
        assert main(["diarize", "--anonymous", str(folder / f"{name}.flac"), "--rttm", "-"]) == 0
        assert capsys.readouterr().out == (out / f"{name}.rttm").read_text()


def test_what_is_not_heard_of_a_folder_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.OGA", beginning()[: 12 * RATE], RATE, format="OGG")
    for name in ("b.mp3", "c.mp3", "README", ".DS_Store", "._a.wav"):
        (tmp_path / name).write_bytes(b"no audio that is read")
    (tmp_path / "monday.wav").mkdir()
    assert main(["diarize", "--anonymous", str(tmp_path), "--json", "-"]) == 0
    shown = capsys.readouterr()
    assert [json.loads(line)["file"] for line in shown.out.splitlines()] == [
        str(tmp_path / "a.OGA")
    ]
    (told,) = shown.err.splitlines()
    assert told.endswith(f"{tmp_path} are heard, not 2 .mp3, 1 folder, 1 without ending")


@pytest.mark.parametrize("whole_group", [True, False])
def test_ctrl_c_ends_every_process_and_leaves_whole_files(
    tmp_path: Path, whole_group: bool
) -> None:
    process, out = _long_work(tmp_path)
    if whole_group:  # as a terminal does
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=HANGING)
    assert process.returncode == 130
    assert b"Traceback" not in complaint
    assert [path.name for path in out.iterdir()] == ["0.rttm"]
    assert read_rttm(out / "0.rttm")
    assert not (tmp_path / "all.json").exists()
    assert _gone(process.pid), "workers are left behind"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_a_process_that_had_no_time_to_end_them(
    tmp_path: Path, end: signal.Signals
) -> None:
    process, _ = _long_work(tmp_path)
    assert _workers(process)
    process.send_signal(end)
    process.communicate(timeout=HANGING)
    assert _gone(process.pid), "workers are left behind"


def test_ctrl_c_is_not_for_a_worker_that_begins(tmp_path: Path) -> None:
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.flac", beginning(), RATE)
    words = ["diarize", "--anonymous", str(tmp_path), "--jobs", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "edge.cli", *words], stdout=subprocess.DEVNULL
    ) as process:
        while not (workers := _workers(process)):
            assert process.poll() is None
        ignored = Path(f"/proc/{workers[0]}/status").read_text().split("SigIgn:")[1].split()[0]
        assert int(ignored, 16) & 1 << (signal.SIGINT - 1)
    assert process.returncode == 0


def test_a_worker_that_is_killed_is_told(tmp_path: Path) -> None:
    process, out = _long_work(tmp_path)
    os.kill(_workers(process)[0], signal.SIGKILL)
    _, complaint = process.communicate(timeout=HANGING)
    assert process.returncode == 1
    _, line = complaint.decode().splitlines()  # the first tells of the folder of the outputs
    assert "was killed" in line
    assert [path.name for path in out.iterdir()] == ["0.rttm"]
    assert _gone(process.pid)


def test_a_failure_to_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x.rttm"
    write_whole(target, "before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(EarmarkError, match="No space left"):
        write_whole(target, "after")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"
    write_whole(Path(os.devnull), "text")
    assert not Path(os.devnull).is_file()
    reading, writing = os.pipe()  # as of a shell's '>(...)', and of /dev/stdout
    write_whole(Path(f"/dev/fd/{writing}"), "text")
    assert os.read(reading, 10) == b"text"
    os.close(reading)
    os.close(writing)


@given(st.lists(turns, max_size=8))
def test_subtitles_are_numbered_timed_and_named(spoken: list[Turn]) -> None:
    blocks = format_srt(spoken).split("\n\n")
    assert blocks.pop() == ""
    assert len(blocks) == len(spoken)
    for number, (block, turn) in enumerate(zip(blocks, sorted(spoken), strict=True), start=1):
        index, times, name = block.split("\n")
        assert (int(index), name) == (number, turn.speaker)
        start, end = (_seconds(clock) for clock in times.split(" --> "))
        assert (start, end) == pytest.approx((turn.start, turn.end), abs=6e-4)


@given(st.lists(turns, max_size=8), st.none() | st.lists(turns, max_size=8), st.text())
def test_a_picture_is_xml_with_every_turn_within_it(
    found: list[Turn], truth: list[Turn] | None, title: str
) -> None:
    seconds = max((turn.end for turn in found), default=1.0)
    root = ElementTree.fromstring(draw_turns(title, seconds, found, truth))
    assert root.findtext("{*}title") == printable(title)
    rectangles = _rectangles(root)
    assert len(rectangles) == len(found) + len(truth or ())
    width = float(root.get("width", "nan"))
    assert all(0 <= float(r.get("x", -1)) <= width for r in rectangles)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) <= 14


def test_a_picture_of_a_recording_without_length_is_drawn(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "one.wav", np.ones(1), 48_000)
    picture = tmp_path / "one.svg"
    words = ["diarize", "--anonymous", str(tmp_path / "one.wav"), "--plot", str(picture)]
    assert main(words) == 0
    assert ElementTree.parse(picture).getroot().findtext("{*}title") == "one.wav"


def test_the_truth_stands_above_in_the_colour_of_its_label() -> None:
    truth = read_rttm(TRUTH)
    alias = {"ada": "x", "ben": "y", "callum": "z", "dan": "w"}
    found = [Turn(turn.start, turn.end, alias[turn.speaker]) for turn in truth]
    root = ElementTree.fromstring(draw_turns("conversation", 72.0, found, truth))
    rectangles = _rectangles(root)
    above, below = rectangles[: len(truth)], rectangles[len(truth) :]
    lanes = [[(r.get("x"), r.get("width"), r.get("fill")) for r in part] for part in (above, below)]
    assert lanes[0] == lanes[1]
    assert max(int(r.get("y", 0)) for r in above) < min(int(r.get("y", 0)) for r in below)
    assert len({r.get("fill") for r in below}) == 4


def test_a_picture_of_a_long_recording_beside_its_truth_costs_as_its_length() -> None:
    """Each turn was compared with every other: three hours took twenty seconds."""
    looks = [_looks_at_turns(count) for count in (200, 800)]
    assert looks[1] < 8 * looks[0]


def _looks_at_turns(count: int) -> int:
    looks = 0

    class Watched(Turn):
        def __getattribute__(self, name: str) -> object:
            nonlocal looks
            looks += 1
            return super().__getattribute__(name)

    turns = [Watched(i, i + 0.9, f"speaker{i % 20}") for i in range(count)]
    draw_turns("meeting", count, turns, turns)
    return looks


def _long_work(folder: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """A short recording, done, two long ones under work, and others that wait; and the outputs."""
    out = folder / "out"
    out.mkdir()
    soundfile.write(folder / "0.flac", beginning(), RATE)
    soundfile.write(folder / "1.wav", np.tile(beginning(), 60), RATE)
    for i in range(2, 7):
        (folder / f"{i}.wav").hardlink_to(folder / "1.wav")
    outputs = ["--rttm", str(out), "--json", str(folder / "all.json")]
    words = ["diarize", "--anonymous", str(folder), "--jobs", "2", *outputs]
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", *words],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until = time.monotonic() + HANGING
    while not (out / "0.rttm").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert (out / "0.rttm").exists()
    return process, out


def _workers(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes that it has started to hear recordings."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(c) for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()]


def _gone(group: int) -> bool:
    """Whether no process of the group is left, after a moment."""
    until = time.monotonic() + HANGING
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def _rectangles(root: ElementTree.Element) -> list[ElementTree.Element]:
    """Those that are turns."""
    return [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("x")]


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
