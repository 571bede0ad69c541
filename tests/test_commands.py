"""Commands to a running daemon: carried out between two blocks, and only for those who may."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest
import soundfile
import zmq
from daemons import HANGING, next_event, until_end
from running import basic, running
from shell import earmark
from voices import CONVERSATION, ENROLMENT

from edge.cli import main
from edge.client import Subscriber
from edge.command_queue import PER_MINUTE, Outcome
from edge.endpoints import request_endpoint
from edge.errors import EarmarkError
from edge.events import Envelope, Health, Segment, SpeakerMerged
from edge.keyring import Client, Keyring, change_keyring, make_keyring, read_keyring
from edge.protocol import (
    Command,
    Done,
    EnrolCommand,
    EnrolledCommand,
    ForgetCommand,
    Refusal,
    ReloadCommand,
    RenameCommand,
    StatusRequest,
    StopCommand,
    encode,
)
from edge.publisher import Publisher
from edge.requests import Keys, command


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    with Publisher(f"ipc://{tmp_path / 'events'}", tmp_path / "journal") as publisher:
        yield publisher


def serving(publisher: Publisher, done: threading.Event) -> threading.Thread:
    """A thread that carries commands out as a daemon would, until `done`."""

    def serve() -> None:
        while not done.wait(0.01):
            publisher.commands.carry_out(
                lambda command: Done(id=command.id, what=type(command).__name__)
            )

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_loopback_address_takes_no_commands(tmp_path: Path) -> None:
    """Everybody on the machine can connect to it."""
    with Publisher("tcp://127.0.0.1:*", tmp_path) as publisher:
        with pytest.raises(EarmarkError, match=r"right to command.*--endpoint ipc://"):
            command(publisher.endpoint, StopCommand(id=1))
        command(publisher.endpoint, StatusRequest(id=1))
        publisher.commands.carry_out(lambda command: pytest.fail("it was let through"))


def test_a_key_commands_only_with_that_right(tmp_path: Path) -> None:
    daemon = tmp_path / "daemon.keys"
    server = make_keyring(daemon).public
    with Publisher("tcp://127.0.0.1:*", tmp_path / "journal", daemon) as publisher:
        done = threading.Event()
        thread = serving(publisher, done)
        try:
            for name, right in (("listener", False), ("owner", True)):
                client = Client(name, make_keyring(tmp_path / name).public, commands=right)
                change_keyring(daemon, partial(Keyring.allow, client=client))
            listener, owner = (Keys(tmp_path / name, server) for name in ("listener", "owner"))
            with pytest.raises(EarmarkError, match="right to command"):
                command(publisher.endpoint, StopCommand(id=1), listener)
            reply = command(publisher.endpoint, StopCommand(id=1), owner)
            assert reply == Done(id=1, what="StopCommand")
            former = Client("owner", read_keyring(tmp_path / "owner").public, commands=False)
            change_keyring(daemon, lambda ring: ring.allow(former))
            with pytest.raises(EarmarkError, match="right to command"):
                command(publisher.endpoint, StopCommand(id=1), owner)
        finally:
            done.set()
            thread.join()


def test_a_flood_of_commands_is_refused(publisher: Publisher) -> None:
    done = threading.Event()
    thread = serving(publisher, done)
    try:
        for number in range(PER_MINUTE):
            command(publisher.endpoint, ReloadCommand(id=number))
        with pytest.raises(EarmarkError, match="in a minute"):
            command(publisher.endpoint, ReloadCommand(id=0))
        command(publisher.endpoint, StatusRequest(id=0))
    finally:
        done.set()
        thread.join()


def test_a_command_that_nobody_comes_to_does_not_hold_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.command_queue.PATIENCE", 100 * HANGING)
    publisher = Publisher(f"ipc://{tmp_path / 'events'}", tmp_path / "journal")
    submit, came = publisher.commands.submit, threading.Event()
    replies: list[object] = []

    def watched(request: Command) -> object:
        came.set()
        replies.append(submit(request))
        return replies[0]

    monkeypatch.setattr(publisher.commands, "submit", watched)
    ending = threading.Thread(target=publisher.close, daemon=True)
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(request_endpoint(publisher.endpoint))
        socket.send(encode(StopCommand(id=1)))
        assert came.wait(HANGING)
        ending.start()
        ending.join(HANGING)
        assert not ending.is_alive()
    assert isinstance(replies[0], Refusal)
    assert "the daemon ends" in replies[0].what


@pytest.mark.parametrize("begun", [False, True])
def test_nothing_was_done_is_said_of_what_was_not_begun_alone(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    """Who forgets somebody on a slow disk would think that the voice is still there."""
    came, under_way, answered = threading.Event(), threading.Event(), threading.Event()
    done: list[Command] = []

    class Waiting(queue.Queue[tuple[Command, Future[Outcome]]]):
        def put_nowait(self, item: tuple[Command, Future[Outcome]]) -> None:
            super().put_nowait(item)
            came.set()
            assert under_way.wait(HANGING)

    def carry_out(command: Command) -> Done:
        under_way.set()
        assert answered.wait(HANGING)
        done.append(command)
        return Done(id=command.id, what="erased")

    def serve() -> None:
        assert (came if begun else answered).wait(HANGING)
        publisher.commands.carry_out(carry_out)

    monkeypatch.setattr("edge.command_queue.PATIENCE", 0.0)
    monkeypatch.setattr(publisher.commands, "_waiting", Waiting())
    if not begun:
        under_way.set()
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with pytest.raises(EarmarkError, match="still at it" if begun else "nothing was done"):
            command(publisher.endpoint, ForgetCommand(id=3, name="ada"))
    finally:
        answered.set()
        thread.join()
    assert len(done) == begun


def test_what_cannot_be_carried_out_is_told(publisher: Publisher) -> None:
    done = threading.Event()

    def fail(command: object) -> Done:
        raise EarmarkError("the disk is gone", "Find it")

    def serve() -> None:
        while not done.wait(0.01):
            publisher.commands.carry_out(fail)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with pytest.raises(EarmarkError, match=r"the disk is gone\. Find it"):
            command(publisher.endpoint, ForgetCommand(id=3, name="ada"))
    finally:
        done.set()
        thread.join()


def test_what_a_daemon_does_not_take_is_told(publisher: Publisher) -> None:
    """It looked like a daemon that is not there, after twelve seconds."""
    with pytest.raises(EarmarkError, match=r"no such request: 50.. bytes came, at most 4096"):
        command(publisher.endpoint, ForgetCommand(id=0, name="x" * 5_000))
    with pytest.raises(EarmarkError, match=r"'\\udcff' is no text in UTF-8"):
        command(publisher.endpoint, ForgetCommand(id=0, name="\udcff"))


@pytest.mark.parametrize("segment", ["-1", str(1 << 63)])
def test_a_segment_that_cannot_be_is_a_wrong_command_line(
    segment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["control", "enroll", "ada", "mic", "--segment", segment])
    assert left.value.code == 2
    assert f"--segment is {segment}, expected 0 to 9223372036854775807" in capsys.readouterr().err


def test_a_daemon_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """At once: what a command takes is waited for where there is one."""
    monkeypatch.setattr("edge.requests.CONNECT_PATIENCE", 0.1)
    monkeypatch.setattr("edge.requests.COMMAND_PATIENCE", 1e6)
    with pytest.raises(EarmarkError, match="no daemon answers"):
        command(f"ipc://{tmp_path / 'nobody'}", StatusRequest(id=0))


def test_a_voice_of_the_stream_is_enrolled_renamed_and_forgotten(tmp_path: Path) -> None:
    """By the command line, with the model that ships and a daemon that hears a pipe."""
    endpoint, store = f"ipc://{tmp_path / 'events'}", str(tmp_path / "speakers.db")
    samples, rate = soundfile.read(CONVERSATION, dtype="int16", frames=30 * 16_000)
    words = ["run", "-", "--rate", str(rate), "--endpoint", endpoint, "--store", store]
    daemon = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", *words, "--wait-subscriber"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )

    def tell(*words: str) -> str:
        result = earmark("control", *words, "--at", endpoint)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def until(events: Subscriber, wanted: Callable[[object], bool]) -> Envelope:
        while not wanted((envelope := next_event(events)).event):
            pass
        return envelope

    try:
        with Subscriber(endpoint) as events:
            assert events.join(HANGING)
            assert daemon.stdin is not None
            daemon.stdin.write(samples.tobytes())
            daemon.stdin.flush()
            long = until(
                events, lambda e: isinstance(e, Segment) and e.end - e.start > 56_000
            ).event
            assert isinstance(long, Segment)
            until(events, lambda e: isinstance(e, Segment) and e.start > 20 * 16_000)
            assert '"mic"' in tell("status")
            assert "s of speech more" in tell("enroll", "bob", "mic", "speaker3")
            merged = until(events, lambda e: isinstance(e, SpeakerMerged)).event
            assert isinstance(merged, SpeakerMerged)
            assert (merged.speaker, merged.into) == ("speaker3", "bob")
            until(events, lambda e: isinstance(e, Segment) and e.speaker == "bob" and e.rev > 0)
            tell("rename", "bob", "Jose\u0301")  # a name has one form, however it is typed
            until(events, lambda e: isinstance(e, Segment) and e.speaker == "Jos\u00e9")
            tell("rename", "Jose\u0301", "Robert")
            until(events, lambda e: isinstance(e, Segment) and e.speaker == "Robert")
            assert earmark("speakers", "list", "--store", store).stdout.startswith("Robert")
            assert '"Robert"' in tell("enrolled")
            tell("forget", "Robert")
            his = until(events, lambda e: isinstance(e, Segment) and e.speaker == "unknown").event
            assert isinstance(his, Segment)
            assert his.state == "final"
            assert "s of speech more" in tell("enroll", "eve", "mic", "--segment", str(long.id))
            until(events, lambda e: isinstance(e, Segment) and e.speaker == "eve")
            again = tell("enroll", "eve", "mic", "--segment", str(long.id))
            assert again == "'eve': the same speech, not counted again\n"
            for asked, why in (
                (("forget", "Robert"), "nobody is enrolled as 'Robert'"),
                (("enroll", "eve", "mic", "--segment", "9999"), "no segment 9999"),
                (("enroll", "eve", "mic", "--segment", str(his.id)), f"no segment {his.id}"),
                (("enroll", "eve", "mic", "speaker99"), "no voice 'speaker99'"),
                (("enroll", "eve", "mic", "speaker2"), "llr with what is known of eve is -"),
            ):
                refused = earmark("control", *asked, "--at", endpoint)
                assert refused.returncode == 1
                assert why in refused.stderr
            with pytest.raises(EarmarkError, match="a speaker or a segment"):
                command(endpoint, EnrolCommand(id=1, name="eve", stream="mic"))
            assert tell("stop") == "the daemon ends\n"
            until_end(events)
            assert (events.missed, events.malformed) == (0, 0)
        assert daemon.wait(HANGING) == 0
    finally:
        daemon.send_signal(signal.SIGKILL)
        daemon.communicate()


def test_a_store_that_is_away_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    """As where its disk is unmounted meanwhile: who is enrolled stays so, and nothing is made."""
    disk = tmp_path / "disk"
    store = disk / "speakers.db"
    assert earmark("enroll", "ada", ENROLMENT, "--store", store).returncode == 0
    with running(tmp_path, store=str(store), health_seconds=0.05) as daemon:
        daemon.line("publishing")
        endpoint = basic(tmp_path)["endpoint"]
        disk.rename(tmp_path / "away")
        for refused in (
            ReloadCommand(id=1),
            EnrolledCommand(id=2),
            ForgetCommand(id=3, name="ada"),
            RenameCommand(id=4, name="ada", new="Ada"),
        ):
            with pytest.raises(EarmarkError, match=f"no store at {store}"):
                command(endpoint, refused)
        assert not disk.exists()
        with Subscriber(endpoint) as events:
            assert events.join(HANGING)
            while not isinstance(beat := next_event(events).event, Health):
                pass
            assert beat.speakers == 1
        (tmp_path / "away").rename(disk)
        assert command(endpoint, ForgetCommand(id=5, name="ada")) == Done(
            id=5, what="'ada' is erased"
        )
