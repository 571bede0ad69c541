"""Risk: what is enrolled from a microphone is not what was said, or a meter that misleads."""

from __future__ import annotations

import io
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from daemons import HANGING
from rich.console import Console
from vmic import VirtualMicrophone, require
from voices import ENROLMENT, RATE, ada, model

from edge.audio import read_audio
from edge.cli import main
from edge.errors import EarmarkError
from edge.meter_view import MeterView
from edge.recorder import Reading, record
from edge.scoring import directions, match_pairs
from edge.sources import Block, Source
from edge.sources.devices import Device
from edge.sources.file import FileSource
from edge.store import Store

ENROL = """
import signal, sys
from edge.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main({words!r}))
"""


class Lossy(Source):
    """A microphone of whose audio some is missing."""

    name, rate, channels = "lossy", RATE, 1

    def __init__(self, lost: int = 7, gap: int = 0) -> None:
        self._missing = lost, gap

    def blocks(self) -> Iterator[Block]:
        yield Block(np.zeros(1600, dtype=np.float32))
        yield Block(np.zeros(1600, dtype=np.float32), *self._missing)

    def close(self) -> None:
        pass


def played(tmp_path: Path) -> Path:
    path = tmp_path / "played.wav"
    samples = np.pad(read_audio(ENROLMENT), RATE)
    soundfile.write(path, soxr.resample(samples, RATE, 48_000), 48_000, subtype="PCM_16")
    return path


def drawn(reading: Reading) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(MeterView("ada", 5.0, reading))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_recording_ends_as_soon_as_there_is_enough_speech() -> None:
    seconds = [reading.quality.seconds for reading in record(FileSource(ENROLMENT), model(), 4.0)]
    assert 4.0 <= seconds[-1] < 4.5
    assert all(before < 4.0 for before in seconds[:-1])
    assert seconds == sorted(seconds)


def test_all_that_was_heard_is_in_the_last_reading() -> None:
    *_, last = record(FileSource(ENROLMENT), model(), 60.0)
    whole = float(model().seconds(ada().statistics))
    assert whole - 0.5 <= last.quality.seconds <= whole


@pytest.mark.parametrize("source", [Lossy(lost=7), Lossy(lost=0, gap=7)])
def test_lost_audio_is_refused(source: Source) -> None:
    with pytest.raises(EarmarkError, match="7 samples were lost; nothing was changed"):
        list(record(source, model(), 4.0))


def test_a_microphone_cannot_steer_the_terminal_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Lossy, "name", "USB\x1b[2J")
    monkeypatch.setattr("edge.sources.microphone.MicrophoneSource", lambda device: Lossy())
    assert main(["enroll", "ada", "--mic", "--store", str(tmp_path / "s.db")]) == 1
    told = capsys.readouterr().err
    assert "hearing 'USB?[2J'" in told and "\x1b[2J" not in told
    device = Device(0, Lossy.name, RATE, 1, default=True)
    monkeypatch.setattr("edge.sources.devices.list_devices", lambda: [device])
    main(["doctor"])
    assert "microphones   USB?[2J" in capsys.readouterr().out


def test_the_meter_shows_level_speech_and_hints() -> None:
    *_, last = record(FileSource(ENROLMENT), model(), 4.0)
    first = next(record(FileSource(ENROLMENT), model(), 4.0))
    assert "speak now" in drawn(first)
    line = drawn(last)
    assert re.search(r"4\.\d of 5 s of speech", line)
    assert "█" in line
    for hint in ("too quiet", "clipping", "too noisy", "second voice", "at once", "speak now"):
        assert hint not in line


def test_the_meter_hints_at_clipping(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    soundfile.write(path, np.clip(read_audio(ENROLMENT) * 8, -1, 1), RATE, subtype="PCM_16")
    *_, last = record(FileSource(path), model(), 4.0)
    assert "clipping" in drawn(last)


@pytest.mark.parametrize("seconds", ["2", "601", "nan"])
def test_how_much_speech_can_be_wanted(
    seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "s.db"
    words = ["enroll", "ada", "--mic", "--seconds", seconds, "--store", str(store)]
    with pytest.raises(SystemExit, match="2"):
        main(words)
    told = capsys.readouterr().err
    assert "usage: earmark enroll" in told and "expected 3 to 600" in told
    assert not store.exists()


def test_enrolling_from_a_microphone(tmp_path: Path) -> None:
    require()
    store = tmp_path / "s.db"
    words = ["enroll", "ada", "--mic", "vmic", "--seconds", "5", "--store", str(store)]
    with VirtualMicrophone() as microphone, microphone.record(ENROL.format(words=words)) as command:
        assert command.stderr is not None
        assert b"hearing 'vmic'" in command.stderr.readline()
        microphone.play(played(tmp_path))
        output, log = command.communicate(timeout=HANGING)
    assert command.returncode == 0, log.decode()
    assert b"vmic" in output.splitlines()[0]
    with Store(store, model(), create=False) as opened:
        (profile,) = opened.profiles()
    assert 5.0 <= float(model().seconds(profile.statistics)) < 5.5
    (heard, known) = model().embed(np.stack([profile.statistics, ada().statistics]))
    assert match_pairs(directions(heard[None]), directions(known[None])).cosines[0] > 0.9


def test_an_interrupted_recording_stores_nothing(tmp_path: Path) -> None:
    require()
    store = tmp_path / "s.db"
    words = ["enroll", "ada", "--mic", "--store", str(store)]
    with VirtualMicrophone() as microphone, microphone.record(ENROL.format(words=words)) as command:
        assert command.stderr is not None
        assert b"hearing 'vmic'" in command.stderr.readline()
        command.send_signal(signal.SIGINT)
        output, _ = command.communicate(timeout=HANGING)
    assert command.returncode == 130
    assert output == b""
    assert not store.exists()
