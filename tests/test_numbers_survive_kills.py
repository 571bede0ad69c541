"""Risk: after a crash a number means somebody else, or a clean stop loses the last words."""

from __future__ import annotations

import random
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from daemons import HANGING, next_event
from running import basic, running
from voices import CONVERSATION, RATE, conversation, model, pipeline

from edge.client import Subscriber
from edge.events import Envelope, Event, Health, Segment, SourceLost, SpeakerCreated, SpeechStarted
from edge.keeper import Keeper
from edge.pipeline import Pipeline
from edge.publisher import Publisher
from edge.reader import Ended, Heard, Opened
from edge.sources import Block
from edge.state import State, read_state
from edge.station import Station


class Witness:
    """In a publisher's place: looks, at every event, what a kill at that moment would leave."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.published: list[Event] = []

    def publish(self, stream: str, event: Event, sample: int) -> None:
        self.published.append(event)
        if isinstance(event, SpeakerCreated):
            left = read_state(self.path, model())
            assert left is not None
            assert int(event.speaker.removeprefix("speaker")) <= left.named
            assert event.speaker in {voice.name for voice in left.voices}
        if isinstance(event, Segment):
            left = read_state(self.path, model())
            assert left is not None
            assert event.id < left.segments
            if event.speaker != "unknown":  # a number may be shown before it is given
                assert int(event.speaker.removeprefix("speaker")) <= left.named


def heard(stream: Pipeline, path: Path) -> tuple[list[Event], State]:
    """What a station says of the first 70 s of the conversation, and what it leaves at the end."""
    witness = Witness(path)
    station = Station("mic", stream, cast(Publisher, witness), Keeper(path, stream))
    station.take(Opened("a.flac", RATE, 1))
    for start in range(0, 70 * RATE, RATE):
        station.take(Heard(Block(conversation()[start : start + RATE]), 0.0, None))
    station.take(Ended(None))
    left = read_state(path, model())
    assert left is not None
    return witness.published, left


def test_at_every_moment_the_disk_is_ahead_of_what_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.keeper.AHEAD", 2)  # so that it runs out often
    events, left = heard(pipeline([]), tmp_path / "mic.voices")
    assert sum(isinstance(event, SpeakerCreated) for event in events) >= 3
    assert len({e.id for e in events if isinstance(e, Segment)}) >= 8
    again = pipeline([])
    again.restore(left, elsewhere=False)
    later, _ = heard(again, tmp_path / "mic.voices")
    ids = [{e.id for e in run if isinstance(e, Segment)} for run in (events, later)]
    assert max(ids[0]) + 3 >= min(ids[1]) > max(ids[0])  # a clean end reserves nothing


def test_a_disk_that_is_full_ends_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    keeper = Keeper(blocked / "mic.voices", pipeline([]))
    keeper.before([SpeakerCreated(0, "speaker1")])
    keeper.keep(last=True)


def test_kill_9_repeats_and_skips_nothing(tmp_path: Path) -> None:
    """At random moments; then a run to its end."""
    dice = random.Random(20)
    source = {"file": str(CONVERSATION), "fast": True}
    settings: dict[str, Any] = {
        "source": source,
        "state": str(tmp_path / "state"),
        "wait_for_subscriber": True,
    }
    said: list[Envelope] = []
    with Subscriber(basic(tmp_path)["endpoint"]) as events:
        for run in range(5):
            with running(tmp_path, **settings) as daemon:
                while True:
                    said.append(next_event(events))
                    last = said[-1].event
                    if isinstance(last, Health) and last.final:
                        break
                    if run < 4 and dice.random() < 0.03:
                        daemon.process.kill()
                        break
        assert (events.missed, events.malformed) == (0, 0)
    assert all(later.seq == earlier.seq + 1 for earlier, later in pairwise(said))
    assert len({envelope.session.split(".")[0] for envelope in said}) == 1
    sessions = {envelope.session for envelope in said}
    assert len(sessions) == 5
    names = [e.event.speaker for e in said if isinstance(e.event, SpeakerCreated)]
    assert len(set(names)) == len(names) >= 3
    ids = {(e.session, e.event.id) for e in said if isinstance(e.event, Segment)}
    assert len({number for _, number in ids}) == len(ids) > 5


def test_a_clean_stop_flushes_every_stream(tmp_path: Path) -> None:
    sources = {name: {"file": str(CONVERSATION)} for name in ("a", "b", "c")}
    settings: dict[str, Any] = {"source": {}, "sources": sources, "state": str(tmp_path / "state")}
    with running(tmp_path, wait_for_subscriber=True, **settings) as daemon:
        with Subscriber(basic(tmp_path)["endpoint"]) as events:
            said: list[Envelope] = []
            speaking: set[str] = set()
            while len(speaking) < len(sources):
                said.append(next_event(events))
                if isinstance(said[-1].event, Segment):
                    speaking.add(said[-1].stream)
            daemon.process.send_signal(signal.SIGTERM)
            ends = 0
            while ends < len(sources):
                said.append(next_event(events))
                last = said[-1].event
                ends += isinstance(last, Health) and last.final
            assert events.missed == 0
        assert daemon.process.wait(HANGING) == 0
        daemon.line("stopped")
    for stream in sources:
        own = [e.event for e in said if e.stream == stream]
        assert any(isinstance(event, SpeechStarted) for event in own)
        shown = {e.id: e for e in own if isinstance(e, Segment)}
        assert all(segment.state == "final" for segment in shown.values())
        assert isinstance(own[-2], SourceLost)
        assert isinstance(own[-1], Health)
        left = read_state(tmp_path / "state" / f"{stream}.voices", model())
        assert left is not None
        assert left.segments <= max(shown) + 2
