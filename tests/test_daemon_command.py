"""`earmark run` and `earmark demo` with the model that ships: real audio in, real events out."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile
from daemons import HANGING, next_event, until_end

from edge.client import Subscriber
from edge.events import Event, Health, Segment, SourceLost, SourceOpened, SpeechStarted

ASSETS = Path(__file__).parents[1] / "edge" / "assets"
CONVERSATION = ASSETS / "conversation.flac"


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path / 'events'}"


@contextmanager
def earmark_run(endpoint: str, store: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "edge.cli", "run", "--endpoint", endpoint]
    command += ["--store", str(store), "--stream", "test", "--wait-subscriber", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(events: Sequence[Event]) -> list[Event]:
    """What the pipeline said, without what depends on the source and the clock."""
    return [e for e in events if not isinstance(e, SourceOpened | SourceLost | Health)]


def test_file_and_pipe_give_the_same_events(endpoint: str, tmp_path: Path) -> None:
    store = tmp_path / "speakers.db"
    with earmark_run(endpoint, store, "--wav", str(CONVERSATION), "--fast") as process:
        with Subscriber(endpoint) as events:
            envelopes = until_end(events)
            assert events.missed == 0
        assert process.wait(HANGING) == 0
    assert [e.seq for e in envelopes] == list(range(len(envelopes)))
    by_file = [e.event for e in envelopes]
    assert any(isinstance(e, Segment) and e.state == "final" for e in by_file)
    end = by_file[-1]
    assert isinstance(end, Health)
    assert end.sample == soundfile.info(CONVERSATION).frames

    samples, rate = soundfile.read(CONVERSATION, dtype="int16")
    with earmark_run(endpoint, store, "-", "--rate", str(rate)) as process:
        with Subscriber(endpoint) as events:
            assert events.join(HANGING)  # before that, the daemon does not read
            assert process.stdin is not None
            process.stdin.write(samples.astype("<i2").tobytes())
            process.stdin.close()
            by_pipe = [e.event for e in until_end(events)]
        assert process.wait(HANGING) == 0
    assert heard(by_pipe) == heard(by_file)


def test_a_live_file_can_be_stopped_and_ends_cleanly(endpoint: str, tmp_path: Path) -> None:
    store = tmp_path / "speakers.db"
    with earmark_run(endpoint, store, "--wav", str(CONVERSATION)) as process:
        with Subscriber(endpoint) as events:
            while not isinstance(next_event(events).event, SpeechStarted):
                pass
            process.send_signal(signal.SIGINT)
            rest = [e.event for e in until_end(events)]
            assert events.missed == 0
        assert process.wait(HANGING) == 0
    assert isinstance(rest[-2], SourceLost)
    assert rest[-2].reason == "the daemon was asked to stop"


def test_a_missing_file_is_told_to_both_sides(endpoint: str, tmp_path: Path) -> None:
    with earmark_run(endpoint, tmp_path / "s.db", "--wav", str(tmp_path / "no.wav")) as process:
        with Subscriber(endpoint) as events:
            (only,) = until_end(events)
        assert isinstance(only.event, Health)
        assert process.wait(HANGING) == 1
        assert process.stderr is not None
        complaint = process.stderr.read().decode().splitlines()[-1]
    assert complaint.startswith("earmark: ")
    assert "no.wav" in complaint


def earmark_demo(tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edge.cli", "demo", "--fast"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "PATH": ""},
    )


def test_the_demo_names_ada_and_tells_the_voices_apart(tmp_path: Path) -> None:
    demo = earmark_demo(tmp_path)
    shown, complaints = demo.communicate(timeout=HANGING)
    assert demo.returncode == 0, complaints
    assert "Who spoke when" in shown
    assert "a new voice: speaker1" in shown
    (total,) = (line for line in shown.splitlines() if "labelled right" in line)
    assert float(total.split("%")[0]) > 80, total
    assert list(tmp_path.iterdir()) == []  # no voice of anybody stays behind


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = earmark_demo(tmp_path)
    assert demo.stdout is not None
    assert demo.stdout.readline()  # the daemon has begun
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=HANGING)
    assert demo.returncode in (0, 130)  # it may have been at its end already
    assert list(tmp_path.iterdir()) == []
