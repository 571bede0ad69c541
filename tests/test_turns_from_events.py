"""Who spoke when, from events: the last word counts, merges rename, touching turns are one."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from voices import beginning, events_of, pipeline

from edge.events import Event, Overlap, Segment, SpeakerCreated, SpeakerMerged, SpeechStarted
from edge.rttm import Turn
from edge.turns import turns_from_events

SECOND = 16_000


def segment(
    id_: int, who: str, start: float, end: float, rev: int = 0, final: bool = True
) -> Segment:
    state: Literal["provisional", "final"] = "final" if final else "provisional"
    return Segment(id_, rev, state, who, int(start * SECOND), int(end * SECOND))


def test_the_last_revision_counts() -> None:
    events: list[Event] = [
        SpeechStarted(0),
        segment(0, "unknown", 0, 0.5, 0, final=False),
        segment(0, "ada", 0, 1.5, 1, final=False),
        SpeakerCreated(0, "speaker1"),
        segment(0, "speaker1", 0, 1, 2),
        segment(0, "ada", 0, 9, 1, final=False),  # late and outdated
        segment(1, "ada", 1, 2, 0, final=False),
    ]
    assert turns_from_events(events) == [Turn(0, 1, "speaker1"), Turn(1, 2, "ada")]
    assert turns_from_events([]) == []


def test_unknown_is_a_speaker_like_others_and_no_length_is_no_turn() -> None:
    events = [segment(0, "unknown", 1, 2), segment(1, "ada", 3, 3)]
    assert turns_from_events(events) == [Turn(1, 2, "unknown")]


def test_only_what_touches_is_joined() -> None:
    events = [
        segment(0, "ada", 0, 1),
        segment(1, "ada", 1, 2),
        segment(2, "ada", 2.001, 3),
        segment(3, "ben", 3, 4),
        segment(4, "ada", 4, 5),
    ]
    assert turns_from_events(events) == [
        Turn(0, 2, "ada"),
        Turn(2.001, 3, "ada"),
        Turn(3, 4, "ben"),
        Turn(4, 5, "ada"),
    ]


def test_merges_rename_what_was_and_what_comes() -> None:
    events: list[Event] = [
        segment(0, "speaker2", 0, 1),
        segment(1, "speaker1", 1, 2),
        SpeakerMerged(2 * SECOND, "speaker2", "speaker1"),
        segment(2, "ada", 3, 4),
        SpeakerMerged(4 * SECOND, "speaker1", "ada"),
        segment(3, "speaker2", 4, 5, final=False),
    ]
    assert turns_from_events(events) == [Turn(0, 2, "ada"), Turn(3, 5, "ada")]


def test_where_two_speak_both_have_a_turn() -> None:
    both = (Overlap(2 * SECOND, 3 * SECOND, "ben"),)
    events: list[Event] = [
        msgspec.structs.replace(segment(0, "ada", 0, 3, rev=1), overlaps=both),
        segment(1, "ben", 3, 4),
        segment(0, "eve", 0, 3, final=False),  # late and outdated
    ]
    assert turns_from_events(events) == [Turn(0, 3, "ada"), Turn(2, 4, "ben")]
    events.append(SpeakerMerged(0, "ben", "ada"))
    assert turns_from_events(events) == [Turn(0, 4, "ada")]


speakers = st.sampled_from("abcd")


@settings(deadline=None)
@given(
    spans=st.lists(
        st.tuples(speakers, st.integers(0, 50), st.integers(0, 9), st.integers(0, 3)), max_size=12
    ),
    merges=st.lists(st.tuples(speakers, speakers), max_size=6),
)
def test_any_events_give_ordered_turns_that_cover_the_same_time(
    spans: list[tuple[str, int, int, int]], merges: list[tuple[str, str]]
) -> None:
    """Even merges in a circle end."""
    events: list[Event] = [
        segment(k, who, start, start + length, rev)
        for k, (who, start, length, rev) in enumerate(spans)
    ]
    events += [SpeakerMerged(0, gone, into) for gone, into in merges]
    turns = turns_from_events(events)
    assert turns == sorted(turns)
    covered = {s for _, start, length, _ in spans for s in range(start, start + length)}
    assert {s for t in turns for s in range(int(t.start), int(t.end))} == covered


def test_a_real_stream_gives_turns_inside_it() -> None:
    turns = turns_from_events(events_of([beginning()], pipeline()))
    assert turns
    assert all(0 <= turn.start < turn.end <= 20 for turn in turns)
    assert all(a.end <= b.start for a, b in pairwise(turns))
