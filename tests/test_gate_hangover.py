"""The speech gate opens on speech, not on clicks, and stays open over short pauses."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voices import RATE, TRUTH, Samples, conversation, in_blocks

from edge.errors import EarmarkError
from edge.gate import FRAME, Gate, GateConfig
from edge.rttm import read_rttm


class ScriptedDetector:
    """Takes a frame for speech if its first sample is not zero."""

    def __init__(self, aggressiveness: int) -> None:
        pass

    def is_speech(self, frame: bytes, rate: int) -> bool:
        assert (len(frame), rate) == (2 * FRAME, RATE)
        return frame[:2] != b"\0\0"


def marks_of(script: list[bool], config: GateConfig) -> list[bool]:
    samples = np.repeat(np.array(script, dtype=np.float32) * 0.5, FRAME)
    return [bool(mark) for mark in Gate(config).push(samples)]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.gate.webrtcvad.Vad", ScriptedDetector)


CONFIG = GateConfig(open_frames=3, hangover_frames=5)


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(
    ("heard", "marked"),
    [
        ("", ""),
        ("......", "......"),
        (".#.##.##.", "........."),  # clicks open nothing
        (".###", "...#"),
        (".####....#", "...#######"),  # a pause shorter than the hangover
        ("###.....", "..#####."),
        ("###........##.#", "..#####........"),
        ("###.....###", "..#####...#"),
        ("###....#....#....", "..###############"),
    ],
)
def test_opening_and_closing(heard: str, marked: str) -> None:
    marks = marks_of([c == "#" for c in heard], CONFIG)
    assert "".join(".#"[mark] for mark in marks) == marked


@pytest.mark.usefixtures("scripted")
@settings(deadline=None)
@given(
    script=st.lists(st.booleans(), max_size=80),
    patience=st.tuples(st.integers(1, 5), st.integers(1, 8)),
)
def test_the_gate_turns_only_after_its_patience(
    script: list[bool], patience: tuple[int, int]
) -> None:
    marks = marks_of(script, GateConfig(open_frames=patience[0], hangover_frames=patience[1]))
    assert len(marks) == len(script)
    was, turned = False, -1
    for k, now in enumerate(marks):
        frames = patience[was]
        due = k - turned >= frames and was not in script[k + 1 - frames : k + 1]
        assert (now != was) == due
        if now != was:
            was, turned = now, k


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=10).filter(lambda s: sum(s) > 500))
def test_marks_do_not_depend_on_the_blocks(sizes: list[int]) -> None:
    samples = conversation()[: 10 * RATE]
    gate = Gate(GateConfig())
    marks = [gate.push(block) for block in in_blocks(samples, itertools.cycle(sizes))]
    assert np.array_equal(np.concatenate(marks), Gate(GateConfig()).push(samples))


def test_the_turns_of_the_conversation_pass_and_the_silence_does_not() -> None:
    marks = Gate(GateConfig()).push(conversation())
    spoken = np.zeros(len(marks), dtype=bool)
    for turn in read_rttm(TRUTH):
        spoken[int(turn.start * RATE) // FRAME : int(turn.end * RATE) // FRAME] = True
    assert marks[spoken].mean() > 0.9
    assert marks[spoken].mean() > marks[~spoken].mean() + 0.3
    assert not marks[: RATE // 2 // FRAME].all()


def test_silence_keeps_it_shut_and_loudness_beyond_full_scale_is_no_wrap_around() -> None:
    assert not Gate(GateConfig()).push(np.zeros(RATE, dtype=np.float32)).any()
    loud: Samples = (conversation()[: 5 * RATE] * 1000).astype(np.float32)
    clipped = np.clip(loud, -1, 1)
    marks = Gate(GateConfig()).push(loud)
    assert np.array_equal(marks, Gate(GateConfig()).push(clipped))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("aggressiveness", 4),
        ("aggressiveness", -1),
        ("open_frames", 0),
        ("hangover_frames", -3),
        ("speech_probability", 1.5),
    ],
)
def test_settings_that_make_no_gate(key: str, value: Any) -> None:
    with pytest.raises(EarmarkError, match=f"gate.{key} is {value}"):
        GateConfig(**{key: value})
