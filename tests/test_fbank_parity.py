"""Risk: features that differ from Kaldi's, so that models trained elsewhere hear something else."""

from __future__ import annotations

import csv
from pathlib import Path

import kaldi_native_fbank
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge._native import Fbank, FbankOptions


def kaldi_extractor(window: str = "povey") -> kaldi_native_fbank.OnlineFbank:
    """The reference, set to what FbankOptions has by default."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.window_type = window
    options.mel_opts.num_bins = 80
    return kaldi_native_fbank.OnlineFbank(options)


def kaldi_frames(extractor: kaldi_native_fbank.OnlineFbank, first: int = 0) -> np.ndarray:
    """The ready frames from `first` on, copied out one by one, as its interface has it."""
    return np.array([extractor.get_frame(i) for i in range(first, extractor.num_frames_ready)])


def tolerance(expected: NDArray[np.float32]) -> NDArray[np.float32]:
    """Allowed difference in natural-log mel energy: 1e-3, and more only under 72 dB.

    A filter that far below the loudest of its frame holds the float32 rounding of the loudest, in
    both: there the reference too is off by up to 1e-2 from double precision.
    """
    below_loudest = expected.max(axis=1, keepdims=True) - expected
    rounding: NDArray[np.float32] = np.finfo(np.float32).eps * np.exp(below_loudest / 2)
    return (2 * rounding).clip(min=1e-3)


def assert_parity(samples: np.ndarray, window: str) -> None:
    reference = kaldi_extractor(window)
    reference.accept_waveform(16000, samples * 32768)
    expected = kaldi_frames(reference)
    actual = Fbank(FbankOptions(window=window)).push(samples)
    assert actual.shape == expected.shape
    assert actual.shape[0] > 0
    excess = np.abs(actual - expected) - tolerance(expected)
    assert excess.max() <= 0, f"over the tolerance by {excess.max()}"


def speech_like(seconds: float) -> np.ndarray:
    """Voiced syllables with pauses between them, over a noise floor and a DC offset."""
    rng = np.random.default_rng(0)
    t = np.arange(int(seconds * 16000)) / 16000
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    voice = sum(np.sin(k * phase) / k for k in range(1, 40))
    syllables = np.clip(np.sin(2 * np.pi * 3 * t), 0, None)
    return (0.2 * syllables * voice + 1e-3 * rng.standard_normal(len(t)) + 0.01).astype(np.float32)


@pytest.mark.parametrize("window", ["povey", "hamming"])
def test_agrees_on_synthetic_speech(window: str) -> None:
    assert_parity(speech_like(5), window)


@pytest.mark.parametrize("window", ["povey", "hamming"])
def test_agrees_on_silence_and_full_scale(window: str) -> None:
    square = np.sign(np.sin(np.arange(8000) * 0.05)).astype(np.float32)
    assert_parity(np.concatenate([np.zeros(8000, np.float32), square]), window)


@pytest.mark.corpus
@pytest.mark.parametrize("window", ["povey", "hamming"])
def test_agrees_on_real_speech(corpus: Path, window: str) -> None:
    with open(corpus / "train.csv", newline="") as listing:
        paths = [row["path"] for row in csv.DictReader(listing)]
    for path in paths[:: max(len(paths) // 100, 1)]:
        samples, rate = soundfile.read(corpus / path, dtype="float32")
        assert rate == 16000, path
        assert_parity(samples, window)
