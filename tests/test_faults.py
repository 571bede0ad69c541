"""The table of edge/FAULTS.md: at each fault, what the user sees and what is kept."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import soundfile
import vmic
from daemons import HANGING, next_event
from running import Running, basic, running
from test_daemon_streams import Takes, heard, of, second
from tiny_daemon import SECOND, TinyPipeline
from voices import CONVERSATION, ENROLMENT, ada, model

from edge.client import Subscriber
from edge.daemon import Stream
from edge.encoder import DEFAULT_MODEL, GRAPHS
from edge.events import Envelope, Health, Segment, SourceGap, SpeechStarted
from edge.protocol import Status, StatusRequest
from edge.requests import command
from edge.store import Store


def refusal(daemon: Running) -> str:
    """Why a daemon did not start: one line, without a traceback, and exit status 1."""
    said = daemon.line("failed", "source.opened")
    assert said["kind"] == "failed"
    assert daemon.process.wait(HANGING) == 1
    assert daemon.process.stderr is not None
    assert daemon.process.stderr.read() == b""
    return str(said["what"])


def speech(daemon: Running, seconds: int) -> None:
    """Let it hear the conversation, on standard input."""
    samples, _ = soundfile.read(CONVERSATION, dtype="int16", frames=seconds * SECOND)
    assert daemon.process.stdin is not None
    daemon.process.stdin.write(samples.astype("<i2").tobytes())
    daemon.process.stdin.flush()


def test_a_microphone_that_is_gone_at_the_start(tmp_path: Path) -> None:
    vmic.require()
    with vmic.VirtualMicrophone() as microphone:
        environment = os.environ | microphone.environment
        microphone.vanish()
        with running(tmp_path, environment, source={"mic": "vmic"}) as daemon:
            what = refusal(daemon)
    assert "vmic" in what
    assert "Plug one in" in what


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    endpoint = basic(tmp_path)["endpoint"]
    with running(tmp_path, health_seconds=0.1) as first:
        first.line("source.opened")
        with running(other, endpoint=endpoint) as second_daemon:
            assert f"the endpoint {endpoint} is in use" in refusal(second_daemon)
        with Subscriber(endpoint) as events:  # the first goes on
            assert isinstance(next_event(events).event, Health)


def test_voices_that_another_daemon_keeps(tmp_path: Path) -> None:
    """Each would write what the other has not heard; after a kill the folder is free at once."""
    state, other = str(tmp_path / "state"), tmp_path / "other"
    other.mkdir()
    with running(tmp_path, state=state, health_seconds=0.1) as first:
        first.line("source.opened")
        with running(other, state=state) as second_daemon:
            assert f"the voices in {state} are in use" in refusal(second_daemon)
        with Subscriber(basic(tmp_path)["endpoint"]) as events:  # the first goes on
            assert isinstance(next_event(events).event, Health)
        first.process.kill()
        with running(other, state=state) as second_daemon:
            second_daemon.line("source.opened")


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """Nobody who listens loses an event, and it is told when events are kept again."""
    endpoint = basic(tmp_path)["endpoint"]
    with running(tmp_path, health_seconds=0.02, state=str(tmp_path / "state")) as daemon:
        pid, said = daemon.process.pid, list[Envelope]()

        def status() -> Status:
            answer = command(endpoint, StatusRequest(id=0))
            assert isinstance(answer, Status)
            return answer

        with Subscriber(endpoint) as events:
            said.append(next_event(events))
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, most))
            told = daemon.line("journal.unwritten")
            assert (told["level"], "File too large" in told["what"]) == ("error", True)
            speech(daemon, 20)
            daemon.line("state.unwritten")
            while not isinstance(said[-1].event, Segment):
                said.append(next_event(events))
            assert status().unwritten > 0
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
            daemon.line("journal.restored")
            end = status().next
            while said[-1].seq < end:
                said.append(next_event(events))
            assert events.missed == 0
            assert all(later.seq == earlier.seq + 1 for earlier, later in pairwise(said))
            journal = said[-1].session.split(".")[0]
        daemon.process.terminate()
        assert "kept" not in daemon.line("stopped")["what"]  # not all of it was
        assert daemon.process.wait(HANGING) == 0
    with running(tmp_path) as daemon, Subscriber(endpoint) as events:
        speech(daemon, 5)  # a numbering with holes is not gone on with
        assert next_event(events).session.split(".")[0] != journal


def test_more_connections_than_a_program_may_have_at_first(tmp_path: Path) -> None:
    """A thousand, mostly; where there is no file left, libzmq ends the process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 1), hard))
    try:
        with running(tmp_path) as daemon:
            daemon.line("source.opened")
            assert resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Another program has the store for itself."""
    with Store(store, model()) as mine:
        mine.enrol(ada())
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.close()


def test_a_store_that_is_locked(tmp_path: Path) -> None:
    store = Path(basic(tmp_path)["store"])
    with locked(store), running(tmp_path) as daemon:
        what = refusal(daemon)
        assert str(store) in what
        assert "locked" in what
    with running(tmp_path, health_seconds=0.05) as daemon:
        daemon.line("source.opened")
        with Subscriber(basic(tmp_path)["endpoint"]) as events:
            with locked(store):
                daemon.process.send_signal(signal.SIGHUP)
                assert "locked" in daemon.line("command.failed")["what"]
                health = next_event(events).event
            assert isinstance(health, Health)
            assert health.speakers == 1  # as before
        daemon.process.send_signal(signal.SIGHUP)
        assert "1 enrolled" in daemon.line("command")["what"]


def test_everything_may_be_kept_in_one_folder(tmp_path: Path) -> None:
    """The locks of the journal, the voices and the store are not in each other's way."""
    folder = str(tmp_path / "kept")
    store = f"{folder}/speakers.db"
    with running(tmp_path, journal=folder, state=folder, store=store) as daemon:
        assert daemon.line("source.opened", "failed")["kind"] == "source.opened"
        daemon.process.send_signal(signal.SIGHUP)
        assert "0 enrolled" in daemon.line("command", "command.failed")["what"]


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_model_that_is_replaced_by_garbage(tmp_path: Path, graph: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(DEFAULT_MODEL, folder)
    with running(tmp_path, model=str(folder)) as daemon:
        daemon.line("source.opened")
        (folder / graph).write_bytes(ENROLMENT.read_bytes())
        with Subscriber(basic(tmp_path)["endpoint"]) as events:
            assert events.join(HANGING)
            speech(daemon, 5)
            while not isinstance(next_event(events).event, SpeechStarted):  # it goes on
                pass
    with running(tmp_path, model=str(folder)) as daemon:
        assert graph in refusal(daemon)


def test_a_configuration_with_a_typo(tmp_path: Path) -> None:
    mistake: dict[str, Any] = {"pipeline": {"tracker": {"max_gpa": 3}}}
    with running(tmp_path, **mistake) as daemon:
        assert daemon.process.wait(HANGING) == 1
        assert daemon.process.stderr is not None
        (line,) = daemon.process.stderr.read().decode().splitlines()
    assert "unknown key 'pipeline.tracker.max_gpa'" in line
    assert "Did you mean 'pipeline.tracker.max_gap'?" in line
    assert not (tmp_path / "journal").exists()


def test_a_clock_that_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a day, to and fro: only what people read as a time of day does."""
    true, day = time.time, 86_400.0
    jumps = iter([0.0, day, -day] * 100)
    monkeypatch.setattr("time.time", lambda: true() + next(jumps))
    source = Takes("a", (SECOND, [second(SECOND)] * 5))
    envelopes, error = heard(tmp_path, Stream("mic", lambda: source, TinyPipeline()))
    assert error is None
    assert [e.sample for e in envelopes] == sorted(e.sample for e in envelopes)
    assert len([e for e in of("mic", envelopes) if isinstance(e, SpeechStarted)]) == 5
    assert not any(isinstance(e, SourceGap) for e in of("mic", envelopes))
    last = envelopes[-1].event
    assert isinstance(last, Health)
    assert last.sample == 5 * SECOND
    assert 0 <= last.lag < HANGING
    assert max(abs(b.utc - a.utc) for a, b in pairwise(envelopes)) > day / 2  # it did jump
