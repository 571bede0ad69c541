"""Risk: one stream of a daemon disturbs another, or a source that comes back is heard wrongly."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from daemons import HANGING, next_event
from tiny_daemon import SECOND, TinyPipeline

from edge.client import Subscriber
from edge.daemon import Stream, serve
from edge.errors import EarmarkError
from edge.events import (
    Envelope,
    Event,
    Health,
    SourceGap,
    SourceLost,
    SourceOpened,
    SourceOverflow,
    SourceRestored,
    SpeechStarted,
    SpeechStopped,
)
from edge.publisher import Publisher
from edge.signals import Stop
from edge.sources import Block, Source


def second(rate: int, lost: int = 0, gap: int = 0) -> Block:
    return Block(np.zeros(rate, dtype=np.float32), lost, gap)


class Takes(Source):
    """Plays one list of blocks after the other: each ends in a failure, the last in the end."""

    channels = 1

    def __init__(self, name: str, *takes: tuple[int, list[Block]]) -> None:
        self.name = name
        self.rate = takes[0][0]
        self._takes = list(takes)

    def blocks(self) -> Iterator[Block]:
        self.rate, blocks = self._takes.pop(0)
        yield from blocks
        if self._takes:
            raise EarmarkError("unplugged", "Plug it in")

    def reopen(self) -> bool:
        self.rate = self._takes[0][0]
        return bool(self._takes[0][1])

    def close(self) -> None:
        pass


class Endless(Source):
    """Says nothing until it is closed."""

    name, rate, channels = "endless", SECOND, 1

    def __init__(self) -> None:
        self._closed = threading.Event()

    def blocks(self) -> Iterator[Block]:
        assert self._closed.wait(HANGING), "the daemon waits for ever"
        yield from ()

    def close(self) -> None:
        self._closed.set()


def missing() -> Source:
    raise EarmarkError("no such microphone", "Plug it in")


def heard(
    tmp_path: Path, *streams: Stream, stop: Stop | None = None
) -> tuple[list[Envelope], EarmarkError | None]:
    """All that a subscriber gets of these streams, and the error that `serve` ends with."""
    envelopes: list[Envelope] = []
    error = None
    endpoint = f"ipc://{tmp_path / 'e'}"
    with Subscriber(endpoint) as events, Publisher(endpoint, tmp_path / "journal") as p:
        assert events.join(HANGING)
        try:
            serve(streams, p, stop or Stop())
        except EarmarkError as failure:
            error = failure
        ends = 0
        while ends < len(streams):
            envelopes.append(next_event(events))
            last = envelopes[-1].event
            ends += isinstance(last, Health) and last.final
    assert [e.seq for e in envelopes] == list(range(len(envelopes)))
    return envelopes, error


def of(stream: str, envelopes: list[Envelope]) -> list[Event]:
    """What a stream said, without heartbeats."""
    return [e.event for e in envelopes if e.stream == stream and not isinstance(e.event, Health)]


def test_streams_have_positions_of_their_own_and_one_numbering(tmp_path: Path) -> None:
    envelopes, _ = heard(
        tmp_path,
        Stream("a", lambda: Takes("a.wav", (SECOND, [second(SECOND)] * 2)), TinyPipeline()),
        Stream("b", lambda: Takes("b.wav", (48_000, [second(48_000)])), TinyPipeline()),
    )
    assert of("a", envelopes) == [
        SourceOpened("a.wav", SECOND, 1),
        SpeechStarted(0),
        SpeechStarted(SECOND),
        SpeechStopped(2 * SECOND),
        SourceLost(2 * SECOND, "the source ended"),
    ]
    opened, *_, lost = of("b", envelopes)
    assert opened == SourceOpened("b.wav", 48_000, 1)
    assert lost == SourceLost(SECOND, "the source ended")


def test_a_source_that_comes_back_goes_on_where_it_should(tmp_path: Path) -> None:
    """At another rate, after a gap told by the clock, and with an overflow besides."""
    source = Takes(
        "USB",
        (48_000, [second(48_000)]),
        (SECOND, [second(SECOND, lost=SECOND // 2, gap=3 * SECOND)]),
    )
    envelopes, _ = heard(tmp_path, Stream("mic", lambda: source, TinyPipeline()))
    assert of("mic", envelopes) == [
        SourceOpened("USB", 48_000, 1),
        SpeechStarted(0),
        SpeechStopped(SECOND),
        SourceLost(SECOND, "unplugged. Plug it in"),
        SourceRestored(SECOND, "USB", SECOND, 1),
        SourceGap(SECOND, 4 * SECOND),
        SourceOverflow(4 * SECOND, 4 * SECOND + SECOND // 2),
        SpeechStarted(5 * SECOND),
        SpeechStopped(5 * SECOND + SECOND // 2),
        SourceLost(5 * SECOND + SECOND // 2, "the source ended"),
    ]
    health = envelopes[-1].event
    assert isinstance(health, Health)
    assert (health.missing, health.overflowed) == (3 * SECOND, SECOND // 2)


def test_a_source_that_cannot_be_opened_ends_all_at_the_start(tmp_path: Path) -> None:
    endless = Stream("endless", Endless, TinyPipeline())
    envelopes, error = heard(tmp_path, endless, Stream("gone", missing, TinyPipeline()))
    assert "no such microphone" in str(error)
    assert of("gone", envelopes) == []


def test_a_source_that_fails_for_good_leaves_the_others_alone(tmp_path: Path) -> None:
    broken = Takes("broken", (SECOND, [second(SECOND)]), (SECOND, []))  # nothing to reopen
    whole = Takes("whole", (SECOND, [second(SECOND)] * 50))
    envelopes, error = heard(
        tmp_path,
        Stream("broken", lambda: broken, TinyPipeline()),
        Stream("whole", lambda: whole, TinyPipeline()),
    )
    assert "unplugged" in str(error)
    assert of("broken", envelopes)[-1] == SourceLost(SECOND, "unplugged. Plug it in")
    assert of("whole", envelopes)[-1] == SourceLost(50 * SECOND, "the source ended")


def test_a_source_that_a_driver_holds_does_not_hold_the_daemon(tmp_path: Path) -> None:
    stop, let_go = Stop(), threading.Event()

    class Stuck(Endless):
        def blocks(self) -> Iterator[Block]:
            stop.ask()
            let_go.wait()
            yield from ()

    try:
        envelopes, _ = heard(tmp_path, Stream("stuck", Stuck, TinyPipeline()), stop=stop)
    finally:
        let_go.set()
    assert of("stuck", envelopes)[-1] == SourceLost(0, "the daemon was asked to stop")


def test_signals_do_not_hold_the_daemon_while_its_source_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of them come just as a wait is over, which must end nevertheless."""

    monkeypatch.setattr("edge.daemon.TICK", 0.005)  # so that there are many waits
    stop, came = Stop(), itertools.count()
    signal.signal(signal.SIGALRM, lambda *_: stop.ask() if next(came) == 1000 else None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        heard(tmp_path, Stream("silent", Endless, TinyPipeline()), stop=stop)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_a_live_stream_that_falls_behind_sheds_work_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0
    levels: list[int] = []

    class Slow(TinyPipeline):
        def push(self, samples: np.ndarray) -> list[Event]:
            nonlocal clock
            clock += 0.3
            levels.append(self.shedding)
            return super().push(samples)

    class Live(Endless):
        def blocks(self) -> Iterator[Block]:
            for _ in range(12):
                yield Block(np.zeros(160, dtype=np.float32), at=0.0)

    monkeypatch.setattr("edge.station.now", lambda: clock)
    envelopes, _ = heard(tmp_path, Stream("live", Live, Slow()))
    health = envelopes[-1].event
    assert isinstance(health, Health)
    assert health.lag == pytest.approx(3.6)
    assert health.shedding == 2
    assert levels[:12] == [0] * 4 + [1] * 3 + [2] * 5
    assert health.sample == 12 * 160  # nothing was dropped in silence
