"""A subscriber that joins late gets all that follows, without a hole in `seq`, to the end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from daemons import HANGING, next_event, tiny_daemon, until_end
from test_daemon_streams import Takes, second
from tiny_daemon import SECOND, TinyPipeline

from edge.client import Subscriber
from edge.commands.listen import NO_ANSWER, follow, with_state
from edge.daemon import Stream, serve
from edge.events import Envelope, Event, Health, SourceOpened, SpeechStarted
from edge.publisher import Publisher
from edge.signals import Stop
from edge.sources import Source

OPENED = SourceOpened("script", 16_000, 1)
LAST = Health(0, 0.0, 0.0, 0, 0, 0, speakers=0, shedding=0, final=True)


def test_who_joins_late_follows_without_a_hole(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path / 'events'}"
    options = ["--blocks", "1000000", "--pace", "0.002"]
    with tiny_daemon(endpoint, *options) as process, Subscriber(endpoint) as early:
        before = [next_event(early) for _ in range(5)]
        with Subscriber(endpoint) as late:
            after = [next_event(late) for _ in range(5)]
            process.send_signal(signal.SIGTERM)
            after += until_end(late)
            assert late.missed == 0
        before += until_end(early)
        assert early.missed == 0
        assert process.wait(HANGING) == 0
    assert after[0].seq > 0
    assert [e.seq for e in before] == list(range(len(before)))
    assert after == before[after[0].seq :]


def test_who_waits_where_no_daemon_answers_is_told_once_and_where_else_to_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.commands.listen.TICKS_PER_SECOND", 100)
    monkeypatch.setattr("edge.commands.listen.PATIENCE", 0.1)
    packed = f"ipc://{tmp_path / 'packed'}"
    with Publisher(f"ipc://{tmp_path / 'events'}", tmp_path / "journal", msgpack=packed):
        for endpoint in (f"ipc://{tmp_path / 'nobody'}", packed):
            with Subscriber(endpoint) as events:
                assert set(islice(with_state(events, ("",), until_end=False), 30)) == {None}
            assert capsys.readouterr().err == f"earmark: {NO_ANSWER}\n"
    assert "'endpoint' in its configuration, not 'msgpack'" in NO_ANSWER


def test_who_leaves_at_the_end_waits_for_streams_that_were_silent_since(tmp_path: Path) -> None:
    """One that said nothing from then on was none: the end of the other was the end."""
    with Publisher(f"ipc://{tmp_path / 'events'}", tmp_path / "journal") as publisher:
        for stream in ("a", "b"):
            publisher.publish(stream, OPENED, 0)
        with Subscriber(publisher.endpoint) as events:
            assert events.join(HANGING)
            rest: list[tuple[str, Event]] = [("a", LAST), ("b", SpeechStarted(0)), ("b", LAST)]
            sent = [publisher.publish(stream, event, 0) for stream, event in rest]
            assert followed(follow(events, ("",), until_end=True)) == sent


def test_who_leaves_at_the_end_waits_for_a_source_that_has_yet_to_open(tmp_path: Path) -> None:
    """Its stream was unknown when the other ended."""
    plugged = threading.Event()

    def late() -> Source:
        plugged.wait(HANGING)
        return Takes("late", (SECOND, [second(SECOND)]))

    def short() -> Source:
        return Takes("short", (SECOND, [second(SECOND)]))

    streams = [Stream("short", short, TinyPipeline()), Stream("late", late, TinyPipeline())]
    ends: list[str] = []
    with Publisher(f"ipc://{tmp_path / 'e'}", tmp_path / "journal") as publisher:
        serving = threading.Thread(target=serve, args=(streams, publisher, Stop()))
        with Subscriber(publisher.endpoint) as events:
            assert events.join(HANGING)
            serving.start()
            try:
                for envelope in filter(None, follow(events, ("",), until_end=True)):
                    if isinstance(envelope.event, Health) and envelope.event.final:
                        ends.append(envelope.stream)
                        plugged.set()
            finally:
                plugged.set()
                serving.join()
    assert ends == ["short", "late"]


def test_streams_of_a_daemon_that_was_killed_keep_nobody(tmp_path: Path) -> None:
    endpoint, journal = f"ipc://{tmp_path / 'events'}", tmp_path / "journal"
    with Subscriber(endpoint) as events:
        listening = follow(events, ("",), until_end=True)
        with Publisher(endpoint, journal) as publisher:
            assert events.join(HANGING)
            opened = publisher.publish("a", OPENED, 0)
            assert next(filter(None, listening)) == opened
        with Publisher(endpoint, journal) as publisher:
            sent = [publisher.publish("b", event, 0) for event in (OPENED, LAST)]
            assert followed(listening) == sent


def followed(listening: Iterator[Envelope | None]) -> list[Envelope]:
    """All envelopes until it leaves."""
    envelopes = []
    deadline = time.monotonic() + HANGING
    for envelope in listening:
        if envelope is not None:
            envelopes.append(envelope)
        assert time.monotonic() < deadline, f"it stays, after {envelopes}"
    return envelopes
