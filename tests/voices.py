"""Real voices and the model that ships, loaded once, and what every stream of events must obey."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.audio import read_audio
from edge.encoder import Model
from edge.enrolment import profile_from_audio
from edge.events import (
    Event,
    Segment,
    SourceGap,
    SourceOverflow,
    SpeakerCreated,
    SpeakerMerged,
    SpeechStarted,
    SpeechStopped,
    Verdict,
)
from edge.pipeline import Pipeline, PipelineConfig
from edge.rttm import read_rttm
from edge.statistics import Profile

ASSETS = Path(__file__).parents[1] / "edge" / "assets"
CONVERSATION = ASSETS / "conversation.flac"
TRUTH = ASSETS / "conversation.rttm"
ENROLMENT = ASSETS / "enrol_ada.flac"
RATE = 16_000
HINDSIGHT = 3 * RATE // 10  # samples by which the start of a segment may be put right

Samples = NDArray[np.float32]


@cache
def model() -> Model:
    return Model.load()


@cache
def conversation() -> Samples:
    """72 s of four voices, read only."""
    samples = read_audio(CONVERSATION)
    samples.setflags(write=False)
    return samples


def two_voices() -> tuple[Samples, Samples]:
    """The longest turn of the conversation, and the longest of anybody else, read only."""
    turns = sorted(read_rttm(TRUTH), key=lambda turn: turn.start - turn.end)
    first = turns[0]
    second = next(turn for turn in turns if turn.speaker != first.speaker)
    one, other = (
        conversation()[round(t.start * RATE) : round(t.end * RATE)] for t in (first, second)
    )
    return one, other


def beginning() -> Samples:
    """The first 20 s: three voices, five turns."""
    return conversation()[: 20 * RATE]


@cache
def ada() -> Profile:
    return profile_from_audio(model(), "ada", read_audio(ENROLMENT))


def pipeline(profiles: Sequence[Profile] | None = None) -> Pipeline:
    return Pipeline(model(), [ada()] if profiles is None else profiles, PipelineConfig())


def in_blocks(samples: Samples, sizes: Iterable[int]) -> list[Samples]:
    """The samples cut into blocks of these sizes; what is left over is the last block."""
    blocks, start = [], 0
    for size in sizes:
        if start >= len(samples):
            break
        blocks.append(samples[start : start + size])
        start += size
    return [*blocks, samples[start:]]


def events_of(blocks: Iterable[Samples], stream: Pipeline) -> list[Event]:
    return [event for block in blocks for event in stream.push(block)] + stream.flush()


def assert_consistent(events: Sequence[Event], end: int) -> None:
    """What holds for any stream of `end` samples: a subscriber may rely on each of these."""
    speaking, finals, last_end = False, set(), 0
    shown: dict[int, Segment] = {}
    known: set[str] = set()
    gap_end = 0
    for event in events:
        match event:
            case SpeechStarted():
                assert not speaking
                speaking = True
                assert gap_end <= event.sample <= end
            case SpeechStopped():
                assert speaking
                speaking = False
                assert gap_end <= event.sample <= end
            case Segment():
                assert gap_end <= event.start < event.end <= end
                assert event.id not in finals
                before = shown.get(event.id)
                assert event.rev == (0 if before is None else before.rev + 1)
                assert before is None or abs(event.start - before.start) <= HINDSIGHT
                assert event.start >= last_end  # one voice at a time
                for value in (event.llr, event.margin):
                    assert value is None or np.isfinite(value)
                for other in event.overlaps:
                    assert event.start <= other.start < other.end <= event.end
                    assert other.speaker != event.speaker
                shown[event.id] = event
                if event.state == "final":
                    finals.add(event.id)
                    last_end = event.end
            case SpeakerCreated():
                assert event.speaker not in known
                known.add(event.speaker)
            case SpeakerMerged():
                assert event.speaker in known
            case Verdict():
                assert event.segment in shown  # what a verdict is on has been told
                assert np.isfinite(event.llr)
                assert event.evidence >= 0
            case SourceGap() | SourceOverflow():
                assert not speaking
                assert finals == shown.keys()  # nothing stays open over a gap
                assert gap_end <= event.start < event.end <= end
                gap_end = event.end
    assert not speaking
    assert finals == shown.keys()
