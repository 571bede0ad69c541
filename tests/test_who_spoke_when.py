"""Risk: who spoke when depends on how it was heard: on levels, lines, blocks, gaps or silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import soxr
from voices import (
    RATE,
    TRUTH,
    Samples,
    assert_consistent,
    conversation,
    events_of,
    in_blocks,
    model,
    pipeline,
)

from edge.comparison import Comparison, compare
from edge.events import Event, Segment, SpeakerCreated
from edge.gate import GateConfig
from edge.pipeline import PipelineConfig
from edge.records import Hindsight, Record, all_records
from edge.rttm import read_rttm
from edge.tracker import Tracker
from edge.turns import turns_from_events

STEP = 1600  # samples of a record
HOUR = 36_000  # records


def judged(events: list[Event]) -> Comparison:
    return compare(read_rttm(TRUTH), turns_from_events(events))


def telephone(samples: Samples) -> Samples:
    narrow: Samples = soxr.resample(soxr.resample(samples, RATE, 8000), 8000, RATE)
    return narrow


def overdriven(samples: Samples) -> Samples:
    clipped: Samples = np.clip(samples * np.float32(4.0), -0.5, 0.5)
    return clipped


@pytest.mark.parametrize("through", [telephone, overdriven])
def test_a_bad_line_leaves_most_labels_right(through: Callable[[Samples], Samples]) -> None:
    samples = through(conversation())
    events = events_of([samples], pipeline([]))
    assert_consistent(events, len(samples))
    assert judged(events).right > 0.6


@cache
def heard() -> list[Event]:
    return events_of([conversation()], pipeline([]))


def test_the_bundled_conversation_is_told_right() -> None:
    assert_consistent(heard(), len(conversation()))
    found = judged(heard())
    assert found.right > 0.85
    assert abs(found.labels - found.speakers) <= 1


def test_the_same_audio_gives_the_same_events_in_any_blocks_and_twice() -> None:
    random = np.random.default_rng(3)
    blocks = in_blocks(conversation(), random.integers(1, 9000, 400).tolist())
    for _ in range(2):
        assert events_of(blocks, pipeline([])) == heard()


def test_a_new_voice_is_shown_by_the_number_that_it_gets() -> None:
    created = 0
    ahead = 0
    for event in heard():
        if isinstance(event, SpeakerCreated):
            created += 1
            assert event.speaker == f"speaker{created}"
        elif isinstance(event, Segment) and event.speaker != "unknown":
            number = int(event.speaker.removeprefix("speaker"))
            assert number <= created + (event.state == "provisional")
            ahead += number > created
    assert created == 4
    assert ahead >= 4


def test_a_stream_may_begin_in_mid_word() -> None:
    first = next(turn for turn in read_rttm(TRUTH) if turn.end - turn.start > 3.0)
    begin = round((first.start + 1.234) * RATE)
    samples = conversation()[begin:]
    events = events_of([samples], pipeline([]))
    assert_consistent(events, len(samples))
    assert min(e.start for e in events if isinstance(e, Segment)) < RATE // 2


def test_one_speaker_is_one_speaker() -> None:
    turns = [turn for turn in read_rttm(TRUTH) if turn.speaker == "ada"]
    samples = np.concatenate(
        [conversation()[round(t.start * RATE) : round(t.end * RATE)] for t in turns]
    )
    events = events_of([np.tile(samples, 3)], pipeline([]))
    assert {turn.speaker for turn in turns_from_events(events)} == {"speaker1"}


def test_two_alike_voices_do_not_become_a_crowd() -> None:
    """A voice and its copy a semitone higher, in turns: one speaker or two, and no more."""
    turns = [turn for turn in read_rttm(TRUTH) if turn.speaker == "ada"]
    parts = [conversation()[round(t.start * RATE) : round(t.end * RATE)] for t in turns]
    copies = [soxr.resample(part, RATE, RATE / 2 ** (1 / 12)).astype(np.float32) for part in parts]
    pause = np.zeros(RATE, dtype=np.float32)
    samples = np.concatenate(
        [x for one, other in zip(parts, copies, strict=True) for x in (one, pause, other, pause)]
    )
    events = events_of([samples], pipeline([]))
    assert_consistent(events, len(samples))
    assert 1 <= len({turn.speaker for turn in turns_from_events(events)} - {"unknown"}) <= 2


def music() -> Samples:
    """A minute of chords, struck twice a second and dying away."""
    time = np.arange(60 * RATE) / RATE
    beat = np.floor(2 * time)
    strength = np.exp(-4 * (2 * time - beat))
    chord = sum(
        np.sin(2 * np.pi * 220 * 2 ** ((note + 3 * (beat % 4)) / 12) * time) for note in (0, 4, 7)
    )
    return (0.1 * strength * chord).astype(np.float32)


def test_music_is_no_crowd() -> None:
    events = events_of([music()], pipeline([]))
    assert_consistent(events, 60 * RATE)
    assert sum(isinstance(e, SpeakerCreated) for e in events) <= 1


def test_an_hour_of_silence_changes_nobody() -> None:
    """Time-compressed: the records of silence are there, the audio is not."""
    records = all_records(model(), GateConfig(), conversation())
    config = PipelineConfig()
    tracker = Tracker(model(), [], config.tracker, config.operating_point)
    end = records[-1].end
    nothing = Hindsight(speech=False, overlap=0.0)
    empty = np.zeros(model().statistics_size)
    events = [e for record in records for e in tracker.push(record)]
    quiet = [
        tracker.push(Record(start, start + STEP, False, False, empty, nothing))
        for start in range(end, end + HOUR * STEP, STEP)
    ]
    assert not any(quiet[config.tracker.max_gap :]), "nothing is said of silence"
    before = {voice.name for voice in tracker.voices}
    moved = end + HOUR * STEP
    for record in records:
        shifted = replace(record, start=record.start + moved, end=record.end + moved)
        events += tracker.push(shifted)
    events += tracker.finish()
    assert {voice.name for voice in tracker.voices} == before
    again = turns_from_events(e for e in events if not isinstance(e, Segment) or e.start >= moved)
    assert {turn.speaker for turn in again} <= before
