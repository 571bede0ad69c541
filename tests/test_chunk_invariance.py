"""The same audio gives the same bits and the same events, however it is cut into blocks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voices import (
    RATE,
    Samples,
    assert_consistent,
    beginning,
    events_of,
    in_blocks,
    model,
    pipeline,
)

from edge.encoder import EncoderStream
from edge.events import Event, Segment, SpeechStarted
from edge.gate import GateConfig
from edge.records import Record, RecordStream, all_records

SIZES = [159, 160, 161, 1600, 3200, 20_011]
block_sizes = st.lists(st.integers(0, 30_000), min_size=1, max_size=20).filter(
    lambda sizes: sum(sizes) >= 100 * len(sizes)
)


@cache
def whole() -> list[Event]:
    """Events of the beginning, pushed as one block."""
    return events_of([beginning()], pipeline())


def records_of(blocks: Iterable[Samples]) -> list[Record]:
    stream = RecordStream(model(), GateConfig())
    return [record for block in blocks for record in stream.push(block)] + stream.flush()


def assert_same_records(some: list[Record], others: list[Record]) -> None:
    assert [(r.start, r.end, r.speech) for r in some] == [
        (r.start, r.end, r.speech) for r in others
    ]
    for one, other in zip(some, others, strict=True):
        assert one.statistics.tobytes() == other.statistics.tobytes()


@pytest.mark.parametrize("size", SIZES)
def test_events_do_not_depend_on_the_block_size(size: int) -> None:
    assert any(isinstance(event, Segment) and event.state == "final" for event in whole())
    assert events_of(in_blocks(beginning(), itertools.repeat(size)), pipeline()) == whole()
    assert_consistent(whole(), len(beginning()))


def test_sample_by_sample() -> None:
    few = beginning()[: 2 * RATE]
    at_once = events_of([few], pipeline())
    assert any(isinstance(event, SpeechStarted) for event in at_once)
    assert any(isinstance(event, Segment) for event in at_once)
    assert events_of(in_blocks(few, itertools.repeat(1)), pipeline()) == at_once


@settings(max_examples=5, deadline=None)
@given(sizes=block_sizes)
def test_events_do_not_depend_on_irregular_blocks(sizes: list[int]) -> None:
    assert events_of(in_blocks(beginning(), itertools.cycle(sizes)), pipeline()) == whole()


@settings(max_examples=6, deadline=None)
@given(sizes=block_sizes)
def test_records_are_the_same_bit_for_bit(sizes: list[int]) -> None:
    samples = beginning()[: 8 * RATE]
    streamed = records_of(in_blocks(samples, itertools.cycle(sizes)))
    assert_same_records(streamed, all_records(model(), GateConfig(), samples))


@pytest.mark.parametrize("size", SIZES)
def test_the_encoder_alone_is_the_same_bit_for_bit(size: int) -> None:
    samples = beginning()[: 8 * RATE]
    stream = EncoderStream(model())
    streamed = [stream.push(block) for block in in_blocks(samples, itertools.repeat(size))]
    assert np.concatenate(streamed).tobytes() == EncoderStream(model()).push(samples).tobytes()


def test_records_tile_the_recording_to_its_last_sample() -> None:
    for length in (1, 100, 639, 640, 641, 3200, 12_345, 50_000):
        records = records_of([beginning()[:length]])
        assert records[0].start == 0
        assert records[-1].end == length
        assert all(a.end == b.start for a, b in itertools.pairwise(records))
    assert records_of([]) == []


def test_streams_of_one_model_that_take_turns_do_not_hear_each_other() -> None:
    """Each writes into memory of its own, and what it has told is not overwritten."""
    both = [beginning(), np.flip(beginning()).copy()]
    pipelines = [pipeline() for _ in both]
    told: list[list[Event]] = [[], []]
    for start in range(0, len(beginning()), 4000):
        for one, audio, events in zip(pipelines, both, told, strict=True):
            events.extend(one.push(audio[start : start + 4000]))
    for one, audio, events in zip(pipelines, both, told, strict=True):
        assert events + one.flush() == events_of([audio], pipeline())
