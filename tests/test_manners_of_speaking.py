"""Risk: who whispers or is excited is made somebody else, or says something else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter
from tiny_corpus import CLEAN, batches_of, conversation, open_corpus

from edge._native import Fbank, FbankOptions
from train.manner import MannerConfig, at_pitch, draw_manner, whispered
from train.voices import Voice

Audio = NDArray[np.float32]
PITCH = 120.0  # Hz
SPEECH = conversation()[: 16000 * 6]


def vowel() -> Audio:
    """Two seconds of pulses through resonances at 700 and 1,200 Hz."""
    pulses = np.diff(np.floor(np.arange(32001) * PITCH / 16000))
    for resonance in (700.0, 1200.0):
        pole = 0.97 * np.exp(2j * np.pi * resonance / 16000)
        pulses = lfilter([1.0], [1.0, -2 * pole.real, abs(pole) ** 2], pulses)
    sound: Audio = (pulses / np.abs(pulses).max()).astype(np.float32)
    return sound


def pitch_of(audio: Audio) -> tuple[float, float]:
    """Hz between 60 and 400 where the autocorrelation is greatest, and how great it is, 0 to 1."""
    power = np.abs(np.fft.rfft(audio, 2 * len(audio))) ** 2
    correlation = np.fft.irfft(power)[:400]
    lag = 40 + int(np.argmax(correlation[40:266]))
    return 16000 / lag, float(correlation[lag] / correlation[0])


def shape(audio: Audio) -> NDArray[np.float64]:
    """The mean of the log-mel frames where there is speech, around their mean (mels,).

    Those from 1 kHz on: below, mels are narrow enough to tell one harmonic from the next.
    """
    frames = Fbank(FbankOptions()).push(audio)[:, 26:].astype(np.float64)
    loud = frames[frames.mean(axis=1) > np.median(frames.mean(axis=1))].mean(axis=0)
    shape: NDArray[np.float64] = loud - loud.mean()
    return shape


@pytest.mark.parametrize("ratio", [0.75, 0.9, 1.3, 1.7])
def test_another_pitch_keeps_the_resonances(ratio: float) -> None:
    changed = at_pitch(vowel(), ratio)
    assert len(changed) == 32000
    assert changed.dtype == np.float32
    assert pitch_of(changed[4000:20000])[0] == pytest.approx(PITCH * ratio, rel=0.03)
    likeness = np.corrcoef(shape(at_pitch(SPEECH, ratio)), shape(SPEECH))[0, 1]
    moved = Voice(ratio, keeps_tempo=True, family=None).change(SPEECH)
    assert likeness > 0.85  # lower pitches leave nothing at the top of the band to be put back
    assert likeness > np.corrcoef(shape(moved), shape(SPEECH))[0, 1] + 0.05


def test_a_whisper_has_no_pitch_and_the_same_resonances() -> None:
    changed = whispered(vowel(), np.random.default_rng(0))
    assert pitch_of(vowel())[1] > 0.9
    assert pitch_of(changed)[1] < 0.4
    assert np.argmax(np.abs(np.fft.rfft(changed))) / 2 == pytest.approx(700.0, abs=100.0)
    speech = whispered(SPEECH, np.random.default_rng(0))
    assert np.corrcoef(shape(speech), shape(SPEECH))[0, 1] > 0.95
    assert 0.3 < np.sqrt(np.mean(speech**2) / np.mean(SPEECH**2)) < 1.0


@pytest.mark.parametrize("manner", ["pitch", "whisper"])
def test_the_words_stay_where_they_were(manner: str) -> None:
    random = np.random.default_rng(1)
    changed = at_pitch(SPEECH, 1.4) if manner == "pitch" else whispered(SPEECH, random)
    levels = [Fbank(FbankOptions()).push(audio).mean(axis=1) for audio in (SPEECH, changed)]
    assert np.corrcoef(*levels)[0, 1] > 0.9


def test_manners_are_drawn_as_often_as_is_asked() -> None:
    config = MannerConfig(pitch_probability=0.3, whisper_probability=0.2)
    random, audio = np.random.default_rng(0), SPEECH[16000:17600]
    drawn = [draw_manner(config, audio, random, 1.0) for _ in range(1000)]
    assert np.mean([out is audio for out in drawn]) == pytest.approx(0.5, abs=0.05)
    assert all(draw_manner(config, audio, random, 0.0) is audio for _ in range(20))


def test_in_another_manner_one_is_who_one_was(tmp_path: Path) -> None:
    config, corpus = open_corpus(tmp_path)
    plain = replace(config, augment=CLEAN)
    manner = MannerConfig(pitch_probability=0.5, whisper_probability=0.5)
    other = replace(config, augment=replace(CLEAN, manner=manner, ramp_steps=0))
    for step in range(4):
        one, two = batches_of(plain, corpus)[step], batches_of(other, corpus)[step]
        assert one.labels.tolist() == two.labels.tolist()
        np.testing.assert_array_equal(one.targets, two.targets)
        assert not np.allclose(one.fbank, two.fbank)
