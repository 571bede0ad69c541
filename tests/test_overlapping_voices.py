"""Risk: of two who talk at once one is lost, or a second voice is heard where one talks alone."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from voices import (
    RATE,
    ada,
    assert_consistent,
    conversation,
    events_of,
    model,
    pipeline,
    two_voices,
)

from edge.events import VERSION, Envelope, Event, Overlap, Segment
from edge.overlap import both_speak, second_voices
from edge.records import Hindsight, Record
from edge.speakers import SpeakerBook
from edge.statistics import Sums
from edge.timeline import Timeline
from edge.turns import turns_from_events
from edge.voices import Voices, usual_odds


@cache
def mixed() -> tuple[int, tuple[Event, ...]]:
    """The conversation, then two of its voices at once; where that begins, and the events."""
    one, other = two_voices()
    count = min(len(one), len(other))
    audio = np.concatenate([conversation(), one[:count] + other[:count]])
    return len(conversation()), tuple(events_of([audio], pipeline()))


def test_two_at_once_are_both_named_and_one_alone_is_not_doubled() -> None:
    begin, events = mixed()
    assert_consistent(events, 1 << 40)
    finals = [e for e in events if isinstance(e, Segment) and e.state == "final"]
    heard = [other for segment in finals for other in segment.overlaps]
    late = sum(o.end - o.start for o in heard if o.start >= begin - RATE // 2)
    early = sum(o.end - o.start for o in heard if o.end < begin)
    assert late >= RATE // 2
    assert early <= 0.03 * begin
    names = {turn.speaker for turn in turns_from_events(events)}
    assert {other.speaker for other in heard} <= names


def test_a_subscriber_counts_both_voices() -> None:
    _, events = mixed()
    timeline = Timeline(horizon=1 << 40)
    for seq, event in enumerate(events):
        timeline.apply(Envelope(VERSION, "s", "mic", seq, 0, 0.0, event))
    shares: dict[str, float] = {}
    for turn in turns_from_events(events):
        shares[turn.speaker] = shares.get(turn.speaker, 0.0) + turn.end - turn.start
    for speaker, seconds in shares.items():
        assert timeline.seconds(speaker) >= seconds - 1e-6


def record(place: int, statistics: Sums) -> Record:
    return Record(1600 * place, 1600 * (place + 1), True, True, statistics, Hindsight(True, 0.0))


@given(marks=st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=40))
def test_overlaps_lie_in_order_within_what_was_heard(marks: list[float]) -> None:
    records = [record(k, np.zeros(model().statistics_size)) for k in range(len(marks))]
    found = both_speak(model(), records, marks, 0.6)
    edges = [edge for both in found for edge in (both.start, both.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= 1600 * len(marks) for edge in edges)
    if all(mark == 1.0 for mark in marks) and len(marks) >= 3:
        assert [(b.start, b.end) for b in found] == [(0, 1600 * len(marks))]
    if not any(marks):
        assert found == []


def test_a_second_voice_is_never_the_first_nor_somebody_enrolled_without_evidence() -> None:
    statistics = np.zeros(model().statistics_size)
    statistics[0] = 50.0
    both = both_speak(model(), [record(k, statistics) for k in range(3)], [1.0] * 3, 0.6)
    assert len(both) == 1
    enrolled = SpeakerBook(model(), [ada()])
    voices = Voices(model(), enrolled.voices, usual_odds(model()))
    somebody = (Overlap(0, 4800, "unknown"),)
    assert second_voices(voices, both, "speaker1") == somebody
    assert second_voices(voices, both, "ada") == somebody
    assert second_voices(voices, both, "unknown") == ()
    enrolled.learn("speaker1", ada().statistics)
    voices = Voices(model(), enrolled.voices, usual_odds(model()))
    assert second_voices(voices, both, "ada") == (Overlap(0, 4800, "speaker1"),)
