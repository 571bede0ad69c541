"""Risk: the one view of a daemon's health shows something else than its health."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from daemons import HANGING
from rich.console import Console
from running import Running, basic, running
from tiny_daemon import SECOND

from edge.events import VERSION, Envelope, Event, Health, SourceLost, SourceOpened
from edge.overview import Overview, heartbeat_line
from edge.overview_view import OverviewView


@contextmanager
def heard(tmp_path: Path) -> Iterator[Running]:
    """A daemon that has heard two seconds at half of full scale."""
    with running(tmp_path, health_seconds=0.1) as daemon:
        assert daemon.process.stdin is not None
        daemon.line("source.opened")
        daemon.process.stdin.write(b"\x00\x40" * (2 * SECOND))
        daemon.process.stdin.flush()
        yield daemon


def test_into_a_pipe_it_is_a_line_a_heartbeat(tmp_path: Path) -> None:
    with heard(tmp_path):
        command = [sys.executable, "-m", "edge.cli", "top", basic(tmp_path)["endpoint"]]
        top = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert top.stdout is not None
            lines = [top.stdout.readline()]
            while lines[-1].split()[0] != "2.0":  # seconds: it has heard all by then
                lines.append(top.stdout.readline())
            top.send_signal(signal.SIGINT)
            assert top.wait(HANGING) == 130
        finally:
            top.kill()
            top.communicate()
    assert all(" mic: hearing, nobody, level " in line for line in lines)
    assert "cpu" in lines[-1]


def test_on_a_terminal_it_draws(tmp_path: Path) -> None:
    with heard(tmp_path):
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "edge.cli", "top", basic(tmp_path)["endpoint"]]
        environment = os.environ | {"COLUMNS": "200", "TERM": "xterm-256color"}
        top = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        try:
            shown = b""
            while not (b"hearing" in shown and b"lag 50/99/100 %" in shown):
                shown += os.read(ours, 65_536)
            top.send_signal(signal.SIGINT)
            with suppress(OSError):  # the terminal goes with it
                while data := os.read(ours, 65_536):
                    shown += data
            assert top.wait(HANGING) == 130
        finally:
            top.kill()
            top.wait()
            os.close(ours)
    assert b"1 stream, " in shown
    assert b"Traceback" not in shown


def test_each_stream_has_its_own_state_and_a_new_run_begins_anew() -> None:
    overview = Overview()

    def say(stream: str, event: Event, utc: float = 0.0, session: str = "a.0") -> None:
        overview.apply(Envelope(VERSION, session, stream, 0, 0, utc, event))

    beat = Health(SECOND, 0.25, 1.0, 10**8, 0, 0, 1, 0)
    say("kitchen", SourceOpened("USB", SECOND, 1))
    say("door", SourceOpened("Webcam", SECOND, 1))
    say("door", SourceLost(SECOND, "unplugged"))
    say("kitchen", beat, utc=100.0)
    later = Health(
        6 * SECOND, 0.3, 1.5, 10**8, SECOND, 2 * SECOND, 3, 1, -20.0, False, 0.004, 0.1, -31.25, 2
    )
    say("kitchen", later, utc=105.0)
    assert [state.source for state in overview.streams.values()] == ["hearing", "lost"]
    assert heartbeat_line("kitchen", overview.streams["kitchen"]).split(": ", 1)[1] == (
        "hearing, nobody, level -31.2 dBFS, lag 50/99/100 % 4/100/300 ms, queue 2, lost 1.0 s, "
        "gaps 2.0 s, drift -20 ppm, shed 1, voices 3, cpu 10.0%, memory 100 MB"
    )
    say("kitchen", beat, session="a.1")
    assert list(overview.streams) == ["kitchen"]
    assert overview.streams["kitchen"].cpu is None


@pytest.mark.parametrize("width", [40, 80, 120])
def test_nothing_is_cut_off_where_the_terminal_is_narrow(width: int) -> None:
    overview = Overview()
    beat = Health(SECOND, 0.25, 1.0, 10**8, 0, 0, 1, 0, level=-31.25)
    for event in (SourceOpened("USB", SECOND, 1), beat):
        overview.apply(Envelope(VERSION, "a.0", "kitchen", 0, 0, 0.0, event))
    drawn = io.StringIO()
    Console(file=drawn, width=width).print(OverviewView(overview))
    shown = " ".join(drawn.getvalue().split())
    assert all(words in shown for words in ("kitchen", "hearing", "-31.2 dBFS", "lag 50/99/100 %"))
    assert "…" not in shown
