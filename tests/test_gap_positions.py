"""Lost audio: positions behind a gap are those of the true samples, and nothing stays open."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from voices import RATE, assert_consistent, beginning, events_of, model, pipeline

from edge.errors import EarmarkError
from edge.events import Event, Segment, SourceOverflow, SpeechStarted, SpeechStopped
from edge.gate import GateConfig
from edge.records import RecordStream, all_records

offsets = st.integers(0, 6 * RATE)


def heard_with_gaps(*parts: tuple[int, int]) -> tuple[list[Event], int]:
    """Events of stretches of the conversation, each (length, samples lost behind it)."""
    stream, events, begin = pipeline(), [], 0
    for length, lost in parts:
        events += stream.push(beginning()[begin : begin + length])
        begin += length
        if lost:
            events += stream.skip(lost, SourceOverflow)
            begin += lost  # the audio went on meanwhile
    return events + stream.flush(), stream.position


@settings(max_examples=12, deadline=None)
@given(first=offsets, lost=st.integers(1, 3 * RATE), second=offsets)
@example(first=0, lost=1, second=RATE)
@example(first=1, lost=1, second=1)
@example(first=2 * RATE, lost=159, second=0)
def test_a_gap_anywhere(first: int, lost: int, second: int) -> None:
    events, end = heard_with_gaps((first, lost), (second, 0))
    assert end == first + lost + second
    assert_consistent(events, end)
    (gap,) = (k for k, event in enumerate(events) if isinstance(event, SourceOverflow))
    assert events[gap] == SourceOverflow(first, first + lost)
    for event in events[:gap]:
        assert (event.end if isinstance(event, Segment) else event.sample) <= first  # type: ignore[union-attr]
    for event in events[gap + 1 :]:
        assert (event.start if isinstance(event, Segment) else event.sample) >= first + lost  # type: ignore[union-attr]


@settings(max_examples=6, deadline=None)
@given(parts=st.lists(st.tuples(st.integers(0, RATE), st.integers(0, RATE // 2)), max_size=8))
def test_many_gaps(parts: list[tuple[int, int]]) -> None:
    events, end = heard_with_gaps(*parts)
    assert_consistent(events, end)
    assert end == sum(length + lost for length, lost in parts)


def test_what_is_open_ends_where_the_gap_begins() -> None:
    first = int(2.5 * RATE)  # in the middle of a turn
    events, _ = heard_with_gaps((first, RATE), (2 * RATE, 0))
    gap = events.index(SourceOverflow(first, first + RATE))
    assert events[gap - 1] == SpeechStopped(first)
    before = [event for event in events[:gap] if isinstance(event, Segment)]
    assert before[-1].state == "final"
    assert before[-1].end == first
    assert any(isinstance(event, SpeechStarted) for event in events[gap:])


@pytest.mark.parametrize("start", [1, 159, 12_345, 2**31 - 8000, 2**32 - 8000, 2**40])
def test_records_behind_a_gap_are_those_of_a_fresh_stream(start: int) -> None:
    samples = beginning()[: 3 * RATE]
    stream = RecordStream(model(), GateConfig(), start)
    late = stream.push(samples) + stream.flush()
    for one, other in itertools.zip_longest(late, all_records(model(), GateConfig(), samples)):
        assert (one.start - start, one.end - start) == (other.start, other.end)
        assert one.speech == other.speech
        assert one.statistics.tobytes() == other.statistics.tobytes()


def test_a_gap_before_everything_only_shifts_the_events() -> None:
    lost = 2**32 - 5 * RATE
    plain = events_of([beginning()], pipeline())
    stream = pipeline()
    gap, *rest = stream.skip(lost, SourceOverflow) + events_of([beginning()], stream)
    assert gap == SourceOverflow(0, lost)
    assert_consistent([gap, *rest], lost + len(beginning()))
    spans = [(e.start + lost, e.end + lost) for e in plain if isinstance(e, Segment)]
    assert [(e.start, e.end) for e in rest if isinstance(e, Segment)] == spans
    assert [type(e) for e in rest] == [type(e) for e in plain]


@pytest.mark.parametrize("count", [0, -1])
def test_a_gap_of_nothing_is_refused(count: int) -> None:
    with pytest.raises(EarmarkError, match="at least one sample"):
        pipeline().skip(count, SourceOverflow)
