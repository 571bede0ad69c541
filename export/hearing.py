"""What a listener to a recording gets to see, and when: the labels at once, and those that stay."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.events import VERSION, Envelope, Event, Segment, spoken
from edge.front_end import SAMPLE_RATE
from edge.pipeline import Pipeline, PipelineConfig
from edge.rttm import Turn
from edge.statistics import Profile
from edge.timeline import Timeline
from edge.turns import turns_from_events

BLOCK = SAMPLE_RATE // 10  # samples: as a microphone gives them
STEP = 0.1  # seconds between the moments that are looked at
AT_ONCE = 0.5  # seconds after the speech
DEFAULTS = PipelineConfig()
LOOK_BACK = 10 * SAMPLE_RATE  # of the timeline that a listener watches

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hearing:
    """One recording as it was heard.

    Attributes:
        recording: its name.
        seconds: its length.
        truth: who spoke when.
        at_once: who spoke when by what was shown `AT_ONCE` after each moment.
        final: who spoke when by the last word on it.
        first_latency, final_latency: of every tenth of a second with a label, after how many
            seconds of the stream its first and its final label came.
    """

    recording: str
    seconds: float
    truth: list[Turn]
    at_once: list[Turn]
    final: list[Turn]
    first_latency: Floats
    final_latency: Floats


def hear(
    recording: str,
    model: Model,
    blocks: Iterable[NDArray[np.float32]],
    truth: list[Turn],
    config: PipelineConfig = DEFAULTS,
    *,
    profiles: Sequence[Profile] = (),
) -> Hearing:
    """Send a recording, samples (n,) at 16 kHz, through the pipeline as a microphone would.

    `profiles`: who is enrolled.
    """
    pipeline = Pipeline(model, profiles, config)
    log: list[tuple[int, Event]] = []  # with the position of the stream when each came
    for samples in blocks:
        for start in range(0, len(samples), BLOCK):
            events = pipeline.push(samples[start : start + BLOCK])
            log += [(pipeline.position, event) for event in events]
    log += [(pipeline.position, event) for event in pipeline.flush()]
    seconds = pipeline.position / SAMPLE_RATE
    first, final = latencies(log, seconds)
    return Hearing(
        recording=recording,
        seconds=seconds,
        truth=truth,
        at_once=seen_at_once(log, seconds),
        final=turns_from_events(event for _, event in log),
        first_latency=first,
        final_latency=final,
    )


def seen_at_once(log: Iterable[tuple[int, Event]], seconds: float) -> list[Turn]:
    """What the live timeline shows of each moment `AT_ONCE` after it, as turns.

    A segment that is open is taken to go on, as the timeline does.
    """
    timeline = Timeline(horizon=LOOK_BACK)
    coming = deque(log)
    shown: dict[str, list[int]] = defaultdict(list)  # steps at which each speaker was seen
    for step in range(int(seconds / STEP)):
        sample = round((step + 0.5) * STEP * SAMPLE_RATE)
        while coming and coming[0][0] <= sample + AT_ONCE * SAMPLE_RATE:
            position, event = coming.popleft()
            timeline.apply(Envelope(VERSION, "", "", 0, position, 0.0, event))
        for speaker in _speakers_at(timeline, sample):
            shown[speaker].append(step)
    return sorted(turn for speaker in shown for turn in _runs(speaker, shown[speaker]))


def latencies(log: Iterable[tuple[int, Event]], seconds: float) -> tuple[Floats, Floats]:
    """Seconds from each tenth of a second to its first, and to its final label.

    Tenths without one are left out.
    """
    ends = (np.arange(int(seconds / STEP)) + 1) * STEP
    first, final = np.full((2, len(ends)), np.nan)
    for position, event in log:
        if not isinstance(event, Segment):
            continue
        begin, end = (round(edge / SAMPLE_RATE / STEP) for edge in (event.start, event.end))
        part = slice(begin, end)
        late = position / SAMPLE_RATE - ends[part]
        first[part] = np.where(np.isnan(first[part]), late, first[part])
        if event.state == "final":
            final[part] = late
    return first[~np.isnan(first)], final[~np.isnan(final)]


def _speakers_at(timeline: Timeline, sample: int) -> set[str]:
    seen = {
        speaker
        for segment in timeline.segments.values()
        for start, end, speaker in spoken(segment)
        if start <= sample < end
    }
    current = timeline.current
    if not seen and current is not None and current.start <= sample:
        return {current.speaker}
    return seen


def _runs(speaker: str, steps: list[int]) -> list[Turn]:
    """Turns of the steps that follow one another without a hole."""
    groups = np.split(np.array(steps), np.flatnonzero(np.diff(steps) > 1) + 1)
    return [Turn(float(g[0]) * STEP, float(g[-1] + 1) * STEP, speaker) for g in groups]
