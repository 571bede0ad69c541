"""What is no speech: no crash, no NaN, and no speaker out of digital silence."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voices import (
    RATE,
    Samples,
    ada,
    assert_consistent,
    conversation,
    events_of,
    in_blocks,
    model,
    pipeline,
)

from edge.encoder import EncoderStream
from edge.enrolment import speech_statistics
from edge.events import Segment, Verdict

SECONDS = 6


def sounds() -> dict[str, Samples]:
    random = np.random.default_rng(1)
    time = np.arange(SECONDS * RATE) / RATE
    speech = conversation()[: SECONDS * RATE]
    found = {
        "white noise": random.normal(0, 0.1, len(time)),
        "loud noise": random.uniform(-1, 1, len(time)),
        "faint noise": random.normal(0, 1e-5, len(time)),
        "denormals": np.full(len(time), 1e-40),
        "tone": 0.5 * np.sin(2 * np.pi * 440 * time),
        "hum": 0.3 * np.sign(np.sin(2 * np.pi * 50 * time)),
        "direct current": np.full(len(time), 0.9),
        "clicks": (np.arange(len(time)) % 4001 == 0).astype(float),
        "clipped speech": np.clip(speech * 100, -1, 1),
        "far beyond full scale": speech * 1e6,
        "alternating": np.where(np.arange(len(time)) % 2, 1.0, -1.0),
        "speech then silence": np.where(time < 3, speech, 0.0),
        "silence then speech": np.where(time < 3, 0.0, speech),
    }
    return {name: samples.astype(np.float32) for name, samples in found.items()}


@pytest.mark.parametrize("sound", sounds())
def test_any_sound_gives_sound_events(sound: str) -> None:
    samples = sounds()[sound]
    events = events_of(in_blocks(samples, itertools.repeat(1600)), pipeline())
    assert_consistent(events, len(samples))
    assert np.isfinite(EncoderStream(model()).push(samples)).all()


@pytest.mark.parametrize("level", [0.0, -0.0, 1e-9])
def test_digital_silence_is_nobody(level: float) -> None:
    silence = np.full(10 * RATE, level, dtype=np.float32)
    assert events_of([silence], pipeline()) == []
    assert not speech_statistics(model(), silence).any()


def test_silence_behind_speech_ends_it_and_says_nothing_more() -> None:
    stream = pipeline()
    events = stream.push(conversation()[: 4 * RATE])
    events += stream.push(np.zeros(2 * RATE, dtype=np.float32))
    assert stream.push(np.zeros(20 * RATE, dtype=np.float32)) == []
    last = {e.id: (e.speaker, e.start, e.end) for e in events if isinstance(e, Segment)}
    settled = stream.flush()
    assert settled
    for event in settled:
        assert isinstance(event, Segment)
        assert event.state == "final"
        assert (event.speaker, event.start, event.end) == last[event.id]


def test_noise_is_not_the_enrolled_voice() -> None:
    for name in ("white noise", "loud noise", "tone", "hum", "alternating"):
        events = events_of([sounds()[name]], pipeline([ada()]))
        assert not any(isinstance(e, Verdict) and e.answer == "yes" for e in events), name


@settings(max_examples=10, deadline=None)
@given(length=st.integers(0, 4000), seed=st.integers(0, 9))
def test_streams_of_next_to_nothing(length: int, seed: int) -> None:
    samples = np.random.default_rng(seed).normal(0, 0.2, length).astype(np.float32)
    events = events_of([samples], pipeline())
    assert_consistent(events, length)
    assert all(event.end <= length for event in events if isinstance(event, Segment))


def test_loud_and_quiet_speech_of_one_voice_is_finite_and_heard() -> None:
    for gain in (0.05, 0.2, 1.0, 10.0):
        samples = (conversation()[: 5 * RATE] * gain).astype(np.float32)
        statistics = speech_statistics(model(), samples)
        assert np.isfinite(statistics).all()
        assert model().seconds(statistics) > 1, gain
