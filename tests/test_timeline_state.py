"""What a subscriber makes of events: the latest revision counts, and memory is bounded."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.events import (
    VERSION,
    Envelope,
    Event,
    Health,
    Segment,
    SourceGap,
    SourceLost,
    SourceOpened,
    SourceOverflow,
    SourceRestored,
    SpeakerCreated,
    SpeakerMerged,
    SpeechStarted,
    SpeechStopped,
    Verdict,
)
from edge.printable import printable
from edge.timeline import MAX_SEGMENTS, MAX_SPEAKERS, Timeline, plain_line, spans
from edge.timeline_view import TimelineView

SECOND = 16_000


class Stream:
    """Feeds a timeline."""

    def __init__(self, horizon: int = 600 * SECOND, session: str = "s") -> None:
        self.timeline = Timeline(horizon)
        self.session = session
        self._seq = itertools.count()

    def say(self, event: Event, sample: int = 0) -> None:
        self.timeline.apply(
            Envelope(VERSION, self.session, "mic", next(self._seq), sample, 0.0, event)
        )


def segment(
    key: int, speaker: str, start: float, end: float, rev: int = 0, final: bool = False
) -> Segment:
    state = "final" if final else "provisional"
    return Segment(key, rev, state, speaker, int(start * SECOND), int(end * SECOND))  # type: ignore[arg-type]


def test_a_later_revision_replaces_and_an_earlier_one_does_not() -> None:
    stream = Stream()
    stream.say(segment(1, "ada", 0, 2, rev=1))
    stream.say(segment(1, "ben", 0, 3, rev=2, final=True))
    stream.say(segment(1, "ada", 0, 2, rev=1))
    assert list(stream.timeline.segments.values()) == [segment(1, "ben", 0, 3, 2, True)]
    assert stream.timeline.seconds("ben") == 3
    assert stream.timeline.seconds("ada") == 0


def test_a_merge_moves_all_that_was_said() -> None:
    stream = Stream(horizon=10 * SECOND)
    stream.say(SpeakerCreated(0, "speaker1"))
    stream.say(segment(1, "speaker1", 0, 4, final=True))
    stream.say(segment(2, "speaker1", 20, 22), sample=25 * SECOND)  # the first one has left
    stream.say(segment(3, "ada", 22, 23))
    stream.say(SpeakerMerged(0, "speaker1", "ada"))
    assert list(stream.timeline.speakers) == ["ada"]
    assert stream.timeline.seconds("ada") == 7
    assert {s.speaker for s in stream.timeline.segments.values()} == {"ada"}


def test_current_is_the_latest_voice_while_the_gate_is_open() -> None:
    stream = Stream()
    assert stream.timeline.current is None
    stream.say(SpeechStarted(0))
    stream.say(segment(1, "ada", 0, 2), sample=2 * SECOND)
    stream.say(segment(2, "ben", 2, 3), sample=3 * SECOND)
    assert stream.timeline.current == segment(2, "ben", 2, 3)
    stream.say(SpeechStopped(3 * SECOND))
    assert stream.timeline.current is None
    stream.say(SpeechStarted(9 * SECOND), sample=9 * SECOND)
    assert stream.timeline.current is None  # somebody speaks, but who is not told yet


def test_a_new_session_begins_anew() -> None:
    stream = Stream()
    stream.say(segment(1, "ada", 0, 2), sample=99)
    stream.say(Health(0, 0, 0, 0, 0, 0, 0, 0, final=True))
    assert stream.timeline.ended
    stream.session = "t"
    stream.say(SourceOpened("mic", 48_000, 1))
    assert (stream.timeline.segments, stream.timeline.speakers) == ({}, {})
    assert stream.timeline.position == 0
    assert not stream.timeline.ended


def test_months_fit_into_bounded_memory() -> None:
    stream = Stream(horizon=60 * SECOND)
    for k in range(20_000):
        start, speaker = k * 5, f"speaker{k % 3}"
        stream.say(segment(k, speaker, start, start + 4, final=True), sample=(start + 5) * SECOND)
        stream.say(Verdict(0, k, speaker, "yes", 5.0, 4.0), sample=(start + 5) * SECOND)
    assert len(stream.timeline.segments) <= 13
    assert len(stream.timeline.verdicts) <= 13
    # What has left is still counted.
    assert sum(map(stream.timeline.seconds, stream.timeline.speakers)) == 80_000


def test_a_flood_fits_too() -> None:
    stream = Stream()
    for k in range(MAX_SEGMENTS + 500):
        stream.say(segment(k, f"speaker{k}", 0, 1))
    assert len(stream.timeline.segments) == MAX_SEGMENTS
    stream.say(SpeechStopped(0), sample=10_000 * SECOND)
    assert len(stream.timeline.speakers) <= MAX_SPEAKERS


def test_a_revision_of_what_was_forgotten_is_not_counted_twice() -> None:
    stream = Stream(horizon=10 * SECOND)
    stream.say(segment(1, "ada", 0, 4))
    stream.say(SpeechStopped(0), sample=60 * SECOND)
    stream.say(segment(1, "ada", 0, 4, rev=1, final=True), sample=60 * SECOND)
    assert stream.timeline.seconds("ada") == 4


def test_a_voice_that_never_was_leaves_no_name_behind() -> None:
    """While a segment grows it may bear the number that a new voice would get."""
    stream = Stream(horizon=60 * SECOND)
    stream.say(SpeakerCreated(0, "speaker1"))
    for k in range(1_000):
        start, at = 5 * k, (5 * k + 5) * SECOND
        stream.say(segment(k, f"speaker{k + 2}", start, start + 1), sample=at)
        assert list(stream.timeline.speakers)[-1] == f"speaker{k + 2}"
        stream.say(segment(k, "speaker1", start, start + 4, rev=1), sample=at)
        stream.say(segment(k, "ada", start, start + 4, rev=2, final=True), sample=at)
        assert set(stream.timeline.speakers) == {"speaker1", "ada"}
    assert stream.timeline.seconds("ada") == 4_000


def test_who_has_spoken_stays_when_another_segment_is_put_right() -> None:
    stream = Stream(horizon=10 * SECOND)
    stream.say(segment(1, "ada", 0, 4, final=True))
    stream.say(segment(2, "ada", 20, 22), sample=25 * SECOND)  # the first one has left
    stream.say(segment(3, "ben", 22, 23))
    stream.say(segment(4, "ben", 23, 24))
    stream.say(segment(2, "cid", 20, 22, rev=1))
    stream.say(segment(3, "cid", 22, 23, rev=1))
    assert list(stream.timeline.speakers) == ["ada", "ben", "cid"]


def test_cells_show_who_fills_them_most() -> None:
    segments = [segment(1, "ada", 0, 1.6), segment(2, "ben", 1.6, 3)]
    shown = spans(segments, 0, 5 * SECOND, 5)
    assert [s.speaker if s else None for s in shown] == ["ada", "ada", "ben", None, None]


@settings(deadline=None)
@given(
    spoken=st.lists(st.tuples(st.integers(-(10**6), 10**7), st.integers(-5, 10**6)), max_size=20),
    cells=st.integers(1, 50),
)
def test_any_segments_can_be_drawn(spoken: list[tuple[int, int]], cells: int) -> None:
    segments = [Segment(k, 0, "final", "x", a, a + n) for k, (a, n) in enumerate(spoken)]
    assert len(spans(segments, 0, 960_000, cells)) == cells


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            Segment(1, 0, "final", "ada", 198_400, 224_000, 5.12),
            "      12.4–14.0 s  ada           llr +5.1   final",
        ),
        (segment(1, "speaker1", 0, 1), "        0.0–1.0 s  speaker1                 provisional"),
        (SpeakerCreated(16_000, "speaker1"), "            1.0 s  a new voice: speaker1"),
        (SpeakerMerged(16_000, "a", "b"), "            1.0 s  one voice: a is b"),
        (SourceOpened("mic", 48_000, 2), "            0.0 s  hearing mic, 48000 Hz, 2 channels"),
        (SourceLost(16_000, "gone"), "            1.0 s  no more audio: gone"),
        (SourceOverflow(16_000, 24_000), "        1.0–1.5 s  audio was lost"),
        (SourceGap(16_000, 24_000), "        1.0–1.5 s  nothing was heard"),
        (SourceRestored(16_000, "USB", 48_000, 1), "            1.0 s  hearing USB again"),
        (
            Verdict(16_000, 1, "ada", "not yet", -0.5, 0.75),
            "            1.0 s  is it ada: not yet (llr -0.5 on 0.8 s of speech)",
        ),
        (Health(0, 0, 0, 0, 0, 0, 0, 0), None),
    ],
)
def test_lines_for_people(event: Event, line: str | None) -> None:
    assert plain_line(event) == line


HOSTILE = "\x1b[2J\x1b]0;owned\x07[red]ada\n[/]"


def test_names_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in printable(HOSTILE)
    line = plain_line(segment(1, HOSTILE, 0, 1)) or ""
    assert line.isprintable()


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_the_picture_shows_everybody_at_any_width(width: int) -> None:
    from rich.console import Console

    stream = Stream()
    stream.say(SpeechStarted(0))
    for k, name in enumerate(
        ["ada", "ben", HOSTILE, "a name that is much too long for its column"]
    ):
        stream.say(
            segment(k, name, 20 * k, 20 * k + 15, final=k < 3), sample=(20 * k + 15) * SECOND
        )
    stream.say(Verdict(0, 0, "ada", "yes", 5.0, 4.0))
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=False)
    console.print(TimelineView(stream.timeline, title="kitchen"))
    shown = text.getvalue()
    assert "\x1b" not in shown
    assert "kitchen" in shown
    if width >= 60:
        assert all(name in shown for name in ("ada", "ben", "a name that"))
        assert "▶" in shown
        assert "█" in shown
        assert "▒" in shown
        assert max(map(len, shown.splitlines())) <= width
