"""The demo's conversation: well-formed, and its truth is true of the sound."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import soundfile as sf

ASSETS = Path(__file__).parents[1] / "edge" / "assets"
RATE = 16_000
FRAMES_PER_SECOND = 100


class Turn(NamedTuple):
    speaker: str
    start: float
    end: float


@pytest.fixture(scope="module")
def turns() -> list[Turn]:
    result = []
    for line in (ASSETS / "conversation.rttm").read_text(encoding="ascii").splitlines():
        fields = line.split()
        assert len(fields) == 10, line
        assert fields[:3] == ["SPEAKER", "conversation", "1"], line
        assert [fields[i] for i in (5, 6, 8, 9)] == ["<NA>"] * 4, line
        start, duration = float(fields[3]), float(fields[4])
        result.append(Turn(fields[7], start, start + duration))
    return result


@pytest.fixture(scope="module")
def power() -> npt.NDArray[np.float64]:
    """Mean square of each 10 ms."""
    samples, _ = sf.read(ASSETS / "conversation.flac", dtype="float64")
    step = RATE // FRAMES_PER_SECOND
    frames = samples[: len(samples) // step * step].reshape(-1, step)
    return np.asarray((frames**2).mean(axis=1))


def frames(turn: Turn) -> slice:
    return slice(round(turn.start * FRAMES_PER_SECOND), round(turn.end * FRAMES_PER_SECOND))


def decibels(mean_square: float) -> float:
    return float(10 * np.log10(mean_square))


def test_the_sound_is_what_the_demo_expects() -> None:
    info = sf.info(ASSETS / "conversation.flac")
    assert (info.format, info.samplerate, info.channels) == ("FLAC", RATE, 1)
    assert 55 <= info.duration <= 80
    assert (ASSETS / "conversation.flac").stat().st_size < 1_500_000


def test_turns_are_ordered_inside_the_sound_and_shared_by_enough_speakers(
    turns: list[Turn],
) -> None:
    speakers = [turn.speaker for turn in turns]
    assert len(set(speakers)) >= 3
    assert min(map(speakers.count, set(speakers))) >= 3
    duration = sf.info(ASSETS / "conversation.flac").duration
    assert all(0 <= turn.start < turn.end <= duration for turn in turns)
    assert turns == sorted(turns, key=lambda turn: turn.start)
    overlaps = [a.end - b.start for a, b in pairwise(turns)]
    assert 0 < max(overlaps) < 0.8


def test_speech_lies_where_the_truth_says(
    turns: list[Turn], power: npt.NDArray[np.float64]
) -> None:
    spoken = np.zeros(len(power), dtype=bool)
    for turn in turns:
        spoken[frames(turn)] = True
    inside, outside = power[spoken], power[~spoken]
    assert decibels(inside.mean()) > decibels(outside.mean()) + 20
    # Frame by frame: of the sounding ones, nearly none outside (what is left is the room's
    # answer), and few silent ones inside (the breaths between sentences).
    sounding = power > 10 ** (-50 / 10)
    assert sounding[spoken].mean() > 0.85
    assert sounding[~spoken].sum() < 0.02 * sounding.sum()


def test_every_turn_begins_and_ends_with_its_speech(
    turns: list[Turn], power: npt.NDArray[np.float64]
) -> None:
    for turn in turns:
        sounding = np.flatnonzero(power[frames(turn)] > 10 ** (-55 / 10))
        length = frames(turn).stop - frames(turn).start
        assert sounding[0] <= 5, turn
        assert sounding[-1] >= length - 6, turn
        assert -27 < decibels(power[frames(turn)].mean()) < -20, turn


def test_one_of_the_speakers_can_be_enrolled(turns: list[Turn]) -> None:
    clips = list(ASSETS.glob("enrol_*.flac"))
    assert len(clips) == 1
    assert clips[0].stem.removeprefix("enrol_") in {turn.speaker for turn in turns}
    info = sf.info(clips[0])
    assert (info.format, info.samplerate, info.channels) == ("FLAC", RATE, 1)
    assert 7 <= info.duration <= 12
