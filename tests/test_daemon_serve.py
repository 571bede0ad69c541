"""The daemon, as its subscribers see it: nothing lost, every end told, always stoppable."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from daemons import HANGING, next_event, tiny_daemon, until_end

from edge.client import Subscriber
from edge.events import (
    Health,
    SourceLost,
    SourceOpened,
    SourceOverflow,
    SpeechStarted,
    SpeechStopped,
)


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path / 'events'}"


def test_a_stream_arrives_whole_in_order_and_with_its_end(endpoint: str) -> None:
    with tiny_daemon(endpoint) as process, Subscriber(endpoint) as events:
        envelopes = until_end(events)
        assert process.wait(HANGING) == 0
        assert (events.missed, events.malformed) == (0, 0)
    assert [e.event for e in envelopes[:-1]] == [
        SourceOpened("script", 16_000, 1),
        SpeechStarted(0),
        SpeechStarted(16_000),
        SpeechStarted(32_000),
        SpeechStopped(40_000),
        SourceLost(40_000, "the source ended"),
    ]
    assert [e.seq for e in envelopes] == list(range(7))
    assert {e.session for e in envelopes} == {envelopes[0].session}
    assert {e.stream for e in envelopes} == {"tiny"}
    assert all(abs(e.utc - time.time()) < 3600 for e in envelopes)
    health = envelopes[-1].event
    assert isinstance(health, Health)
    assert (health.sample, health.overflowed, health.speakers) == (40_000, 0, 3)
    assert health.cpu > 0
    assert health.rss > 1 << 20
    assert 0 <= health.lag < HANGING


def test_lost_samples_move_the_positions_on(endpoint: str) -> None:
    options = ["--rate", "48000", "--lost", "24000", "--lost-before", "10"]
    with tiny_daemon(endpoint, *options) as process, Subscriber(endpoint) as events:
        received = [e.event for e in until_end(events)]
        assert process.wait(HANGING) == 0
    assert [e for e in received if isinstance(e, SourceOverflow)] == [
        SourceOverflow(16_000, 24_000)  # half a second, whatever the source's rate
    ]
    health = received[-1]
    assert isinstance(health, Health)
    assert (health.sample, health.overflowed) == (48_000, 8_000)


def test_a_source_that_fails_is_told_before_the_end(endpoint: str) -> None:
    with tiny_daemon(endpoint, "--then", "fail") as process, Subscriber(endpoint) as events:
        received = [e.event for e in until_end(events)]
        _, complaint = process.communicate(timeout=HANGING)
    assert process.returncode == 1
    assert "the cable is cut" in complaint
    assert "Traceback" not in complaint
    assert received[-3:-1] == [
        SpeechStopped(40_000),  # what was heard before is not thrown away
        SourceLost(40_000, "the cable is cut. Mend it"),
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_hears_nothing_can_be_stopped(endpoint: str, number: int) -> None:
    options = ["--blocks", "21", "--then", "silence"]
    with tiny_daemon(endpoint, *options) as process, Subscriber(endpoint) as events:
        while next_event(events).event != SpeechStarted(32_000):  # in the last block
            pass
        process.send_signal(number)
        received = [e.event for e in until_end(events)]
        assert process.wait(HANGING) == 0
        assert events.missed == 0
    assert received[:2] == [
        SpeechStopped(33_600),
        SourceLost(33_600, "the daemon was asked to stop"),
    ]


@pytest.mark.parametrize(
    "numbers", [(signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)]
)
def test_both_signals_at_once_still_end_cleanly(endpoint: str, numbers: tuple[int, int]) -> None:
    with tiny_daemon(endpoint, "--then", "silence") as process, Subscriber(endpoint) as events:
        next_event(events)
        for number in numbers:
            process.send_signal(number)
        until_end(events)
        assert process.wait(HANGING) == 0


def test_a_daemon_that_waits_for_a_subscriber_can_be_stopped(endpoint: str) -> None:
    with tiny_daemon(endpoint, "--then", "silence") as process:
        while not Path(endpoint.removeprefix("ipc://")).exists():
            time.sleep(0.01)
            assert process.poll() is None
        process.terminate()
        assert process.wait(HANGING) == 0


def test_heartbeats_go_on_while_the_source_is_silent(endpoint: str) -> None:
    options = ["--then", "silence", "--health", "0.05"]
    with tiny_daemon(endpoint, *options), Subscriber(endpoint) as events:
        beats = [event for _ in range(20) if isinstance(event := next_event(events).event, Health)]
    assert len(beats) >= 10
    assert not any(beat.final for beat in beats)
    assert [b.cpu for b in beats] == sorted(b.cpu for b in beats)


def test_nobody_needs_to_listen(endpoint: str) -> None:
    with tiny_daemon(endpoint, "--alone", "--blocks", "20000") as process:
        assert process.wait(HANGING) == 0


def test_a_daemon_that_comes_back_is_followed_as_a_new_session(endpoint: str) -> None:
    with Subscriber(endpoint) as events:
        sessions = []
        for _ in range(2):
            with tiny_daemon(endpoint) as process:
                envelopes = until_end(events)
                assert process.wait(HANGING) == 0
            assert [e.seq for e in envelopes] == list(range(7))
            sessions.append(envelopes[0].session)
        assert events.missed == 0
    assert sessions[0] != sessions[1]
